// The newest tasks; a click opens one.

import { ago, count, duration, shortId } from "./format.js";
import { badge, field, part, say } from "./parts.js";
import { followRows } from "./rows.js";

/** Returns a function that shows a snapshot; `open(id)` is called for a task that was chosen. */
export function showLatest(open) {
  const table = part("latest");
  let now = Date.now();
  const show = followRows(table, { key: ({ id }) => id, fill: (row, task) => fill(row, task, now) });

  table.addEventListener("click", ({ target }) => {
    const row = target.closest("tbody tr");
    if (row) open(row.dataset.key);
  });

  return ({ latest, at }) => {
    now = Date.parse(at); // the server's clock: the reader's may be wrong
    show(latest);
  };
}

function fill(row, task, now) {
  badge(field("status", row), task.status);
  say(field("type", row), task.type);
  say(field("id", row), shortId(task.id));
  field("id", row).title = task.id;
  say(field("queue", row), task.queue);
  say(field("priority", row), count(task.priority));
  say(field("worker", row), task.worker);
  say(field("took", row), took(task, now));
  say(field("when", row), ago(task.submittedAt, now));
}

function took({ status, startedAt, finishedAt }, now) {
  if (!startedAt) return "";
  if (status === "processing") return duration(now - startedAt);
  return finishedAt ? duration(finishedAt - startedAt) : "";
}
