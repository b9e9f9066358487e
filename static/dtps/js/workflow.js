// The page of one workflow: drawn, kept up to date, cancelled and retried.

import { call } from "./api.js";
import { confirmed } from "./confirm.js";
import { draw } from "./graph.js";
import { reloadIfLoggedOut } from "./login.js";
import { notify } from "./notices.js";
import { badge, field, part, say } from "./parts.js";
import { themeSwitch } from "./theme.js";
import { showFar } from "./workflow-facts.js";

const REFRESH = 2_000; // ms
const GROUPED = { layer: "tasks of one type in a layer are one box", type: "all tasks of a type are one box" };

const head = part("workflow");
const address = `/api/workflows/${encodeURIComponent(head.dataset.key)}`;
let isOver = false;

themeSwitch();
head.addEventListener("click", ({ target }) => {
  const button = target.closest("[data-action]");
  if (button) perform(button);
});
refresh();
setInterval(() => document.hidden || isOver || refresh(), REFRESH);

async function refresh() {
  try {
    const [workflow, graph] = await Promise.all([call("GET", address), call("GET", `${address}/graph`)]);
    show(workflow, graph);
  } catch {
    reloadIfLoggedOut(); // else the server is away: what was seen last stays
  }
}

function show(workflow, graph) {
  const { done, total, statuses, tasks } = workflow;
  isOver = done === total;
  showFar(head, workflow);
  showAction("cancel", !isOver);
  showAction("retry", ["failed", "expired", "cancelled"].some((status) => statuses[status]));
  for (const { task_id: id, status } of tasks) {
    const row = part("rows").querySelector(`[data-key="${CSS.escape(id)}"]`);
    if (row) badge(field("status", row), status);
  }
  const said = GROUPED[graph.grouped_by] ?? "";
  say(part("grouped"), said);
  part("grouped").hidden = !said;
  draw(part("graph"), graph);
}

function showAction(action, shown) {
  const button = head.querySelector(`[data-action="${action}"]`);
  if (button) button.hidden = !shown;
}

async function perform(button) {
  const { action } = button.dataset;
  const asked = { title: "Cancel the workflow?", text: "All of its tasks that are open are cancelled.", action: "Cancel it" };
  if (action === "cancel" && !(await confirmed(asked))) return;
  button.disabled = true;
  try {
    const answer = await call("POST", `${address}/${action}`);
    notify(action === "cancel" ? `${answer.cancelled} tasks cancelled.` : `${answer.retried} tasks run once more.`);
    await refresh();
    isOver = false; // the history follows in a moment
  } catch (error) {
    notify(error.message, "bad");
  } finally {
    button.disabled = false;
  }
}
