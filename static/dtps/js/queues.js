// The queues, and pausing one.

import { call } from "./api.js";
import { count } from "./format.js";
import { notify } from "./notices.js";
import { field, part, say } from "./parts.js";
import { followRows } from "./rows.js";

/** Returns a function that shows a snapshot. */
export function showQueues() {
  const table = part("queues");
  const show = followRows(table, { key: ({ name }) => name, fill });

  table.addEventListener("click", ({ target }) => {
    const button = target.closest('[data-action="toggle"]');
    if (button) toggle(button.closest("tr"), button);
  });

  return ({ queues }) => show(queues);
}

function fill(row, queue) {
  say(field("name", row), queue.name);
  field("name", row).title = queue.name;
  field("paused", row).hidden = !queue.paused;
  say(field("paused", row), "paused");
  say(field("ready", row), count(queue.ready));
  say(field("scheduled", row), count(queue.scheduled));
  const button = row.querySelector('[data-action="toggle"]');
  if (!button) return;
  say(button, queue.paused ? "Resume" : "Pause");
  button.setAttribute("aria-label", `${button.textContent} queue ${queue.name}`);
}

async function toggle(row, button) {
  const action = field("paused", row).hidden ? "pause" : "resume";
  button.disabled = true;
  try {
    await call("POST", `/api/queues/${encodeURIComponent(row.dataset.key)}/${action}`);
    field("paused", row).hidden = action === "resume";
    say(button, action === "pause" ? "Resume" : "Pause");
  } catch (error) {
    notify(error.message, "bad");
  } finally {
    button.disabled = false;
  }
}
