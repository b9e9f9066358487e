// The live page: one feed, and each part shows its share of every snapshot.

import { offerWorkers } from "./add-worker.js";
import { showCards } from "./cards.js";
import { showConnection } from "./connection.js";
import { follow } from "./feed.js";
import { showLatest } from "./latest.js";
import { reloadIfLoggedOut } from "./login.js";
import { showPriorities } from "./priorities.js";
import { showQueues } from "./queues.js";
import { offerReset } from "./reset.js";
import { submitForm } from "./submit.js";
import { taskDrawer } from "./task-drawer.js";
import { themeSwitch } from "./theme.js";
import { showThroughput } from "./throughput.js";
import { part } from "./parts.js";
import { showWorkers } from "./workers.js";

const drawer = taskDrawer();
const shows = [
  showCards(),
  showThroughput(),
  showPriorities(),
  showWorkers(),
  offerWorkers(),
  showLatest(drawer.open),
  showQueues(),
  drawer.refresh,
];
themeSwitch();
submitForm(drawer.open);
offerReset();

const connection = showConnection(() => feed.retry());
const feed = follow("/ws/live", {
  onLost(nextTry) {
    connection.offline(nextTry);
    reloadIfLoggedOut();
  },
  onMessage(message) {
    if (message.trouble) {
      connection.trouble(message.trouble);
      return;
    }
    part("trouble")?.remove();
    connection.live();
    for (const show of shows) show(message);
  },
});
