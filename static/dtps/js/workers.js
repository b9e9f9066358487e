// The workers, each with its menu and its drawer.

import { count } from "./format.js";
import { badge, field, part, say } from "./parts.js";
import { followRows } from "./rows.js";
import { possible } from "./worker-actions.js";

/** Returns a function that shows a snapshot; `open(worker)` and `menu` are for one that was chosen. */
export function showWorkers(open, menu) {
  const table = part("workers");
  const show = followRows(table, { key: ({ id }) => id, fill });
  let workers = {};

  table.addEventListener("click", ({ target }) => {
    const button = target.closest("[data-action]");
    const worker = button && workers[button.closest("tr").dataset.key];
    if (!worker) return;
    if (button.dataset.action === "menu") menu.open(button, worker);
    else open(worker);
  });

  return (snapshot) => {
    workers = snapshot.workers;
    show(Object.values(workers));
    menu.follow(workers);
  };
}

function fill(row, worker) {
  badge(field("status", row), worker.status);
  say(field("id", row), worker.id);
  field("id", row).title = worker.id;
  say(field("place", row), [worker.hostname, `pid ${worker.pid}`, worker.kind].filter(Boolean).join(" · "));
  const load = field("load", row);
  load.max = Math.max(1, worker.slots);
  load.value = Math.min(worker.activeTasks, load.max); // coroutines run beside the slots
  say(field("slots", row), `${count(worker.activeTasks)}/${count(worker.slots)}`);
  say(field("held", row), count(worker.reserved));
  say(field("processed", row), count(worker.tasksProcessed));
  say(field("failed", row), count(worker.tasksFailed));
  say(field("stolen", row), stolen(worker));
  say(field("pool", row), pool(worker));
  const button = row.querySelector('[data-action="menu"]');
  if (!button) return;
  button.hidden = possible(worker).length === 0;
  button.setAttribute("aria-label", `Actions for ${worker.id}`);
}

function stolen({ stolen: by, stolenFrom: from }) {
  return by || from ? `${count(by)}/${count(from)}` : "";
}

function pool({ bounds: [fewest, most], config }) {
  return [fewest ? `${fewest}–${most}` : "", config.enableSteal ? "steals" : ""].filter(Boolean).join(", ");
}
