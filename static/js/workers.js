// The workers, and stopping one.

import { call } from "./api.js";
import { confirmed } from "./confirm.js";
import { count } from "./format.js";
import { notify } from "./notices.js";
import { badge, field, part, say } from "./parts.js";
import { followRows } from "./rows.js";

/** Returns a function that shows a snapshot. */
export function showWorkers() {
  const table = part("workers");
  const show = followRows(table, { key: ({ id }) => id, fill });

  table.addEventListener("click", ({ target }) => {
    const button = target.closest('[data-action="stop"]');
    if (button) stop(button.closest("tr").dataset.key, button);
  });

  return ({ workers }) => show(Object.values(workers));
}

function fill(row, worker) {
  badge(field("status", row), worker.status);
  say(field("id", row), worker.id);
  field("id", row).title = worker.id;
  say(field("place", row), `${worker.hostname} · pid ${worker.pid}`);
  const load = field("load", row);
  load.max = Math.max(1, worker.slots);
  load.value = Math.min(worker.activeTasks, load.max); // coroutines run beside the slots
  say(field("slots", row), `${count(worker.activeTasks)}/${count(worker.slots)}`);
  say(field("processed", row), count(worker.tasksProcessed));
  say(field("failed", row), count(worker.tasksFailed));
  say(field("pool", row), pool(worker.config));
  const button = row.querySelector('[data-action="stop"]');
  if (button) button.hidden = worker.status !== "active";
}

function pool({ minWorkers, maxWorkers, enableSteal }) {
  if (!minWorkers) return "";
  return `${minWorkers}–${maxWorkers}${enableSteal ? ", steals" : ""}`;
}

async function stop(id, button) {
  const text = "Its running tasks finish first; what it has not started goes back to the queue.";
  if (!(await confirmed({ title: `Stop ${id}?`, text, action: "Stop the worker" }))) return;
  button.disabled = true;
  try {
    await call("POST", `/api/workers/stop?id=${encodeURIComponent(id)}`);
    notify(`Worker ${id} is stopping.`);
  } catch (error) {
    notify(error.message, "bad");
  } finally {
    button.disabled = false;
  }
}
