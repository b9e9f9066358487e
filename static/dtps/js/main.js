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
import { scaleDialog } from "./scale-worker.js";
import { showScaling } from "./scaling.js";
import { submitForm } from "./submit.js";
import { taskDrawer } from "./task-drawer.js";
import { themeSwitch } from "./theme.js";
import { showThroughput } from "./throughput.js";
import { part } from "./parts.js";
import { workerActions } from "./worker-actions.js";
import { workerDrawer } from "./worker-drawer.js";
import { workerMenu } from "./worker-menu.js";
import { stacksDialog } from "./worker-stacks.js";
import { showWorkers } from "./workers.js";

const drawer = taskDrawer();
const perform = workerActions({ scale: scaleDialog(), stacks: stacksDialog() });
const ofWorker = workerDrawer(perform);
const shows = [
  showCards(),
  showThroughput(),
  showPriorities(),
  showWorkers(ofWorker.open, workerMenu(perform)),
  ofWorker.follow,
  showScaling(),
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
