// All that is known of one worker, kept up to date by each snapshot.

import { call } from "./api.js";
import { decisionItems } from "./decisions.js";
import { closable } from "./dialogs.js";
import { factItems } from "./facts.js";
import { bytes, count, moment } from "./format.js";
import { badge, field, part, say } from "./parts.js";
import { possible } from "./worker-actions.js";

/** Returns {open(worker), follow(snapshot)}; `perform(action, worker)` is what its buttons do. */
export function workerDrawer(perform) {
  const drawer = part("worker-drawer");
  const buttons = [...drawer.querySelectorAll("[data-action]:not([data-action='close'])")];
  let worker = null;
  let newest = ""; // decision that was seen
  closable(drawer);
  drawer.addEventListener("close", () => (worker = null));
  for (const button of buttons) button.addEventListener("click", () => attempt(() => perform(button.dataset.action, worker)));

  async function attempt(action) {
    problem("");
    try {
      await action();
    } catch (error) {
      problem(error.message);
    }
  }

  function problem(text) {
    say(field("problem", drawer), text);
    field("problem", drawer).hidden = !text;
  }

  function show(shown) {
    worker = shown;
    say(field("id", drawer), worker.id);
    badge(field("status", drawer), worker.status);
    const actions = possible(worker);
    for (const button of buttons) button.hidden = !actions.includes(button.dataset.action);
    part("facts", drawer).replaceChildren(...factItems(facts(worker)));
    showExecutors(drawer, worker.executors);
  }

  async function loadDecisions() {
    const asked = worker.id;
    const decisions = await call("GET", `/api/workers/decisions?limit=20&id=${encodeURIComponent(asked)}`);
    if (worker?.id === asked) showDecisions(drawer, decisions);
  }

  function open(chosen) {
    showDecisions(drawer, []);
    show(chosen);
    drawer.showModal();
    return attempt(loadDecisions);
  }

  function follow({ workers, decisions }) {
    const latest = decisions[0]?.at ?? "";
    const isNew = latest !== newest;
    newest = latest;
    if (!worker) return;
    show(workers[worker.id] ?? { ...worker, status: "gone", executors: [] });
    if (isNew) attempt(loadDecisions);
  }

  return { open, follow };
}

function facts(worker) {
  const [fewest, most] = worker.bounds;
  return [
    ["Running", `${count(worker.activeTasks)} of ${count(worker.slots)} slots${worker.kind ? ` (${worker.kind})` : ""}`],
    ["Bounds", fewest ? `${count(fewest)} to ${count(most)} slots` : ""],
    ["Held", `${count(worker.reserved)} not started`],
    ["Processed", `${count(worker.tasksProcessed)}, of which ${count(worker.tasksFailed)} failed`],
    ["Stealing", worker.config.enableSteal === false ? "off" : `${count(worker.stolen)} tasks stolen by it, ${count(worker.stolenFrom)} from it`],
    ["Executors", `${count(worker.crashed)} crashed, ${count(worker.recycled)} recycled`],
    ["Queues", worker.queues.join(", ")],
    ["Task types", worker.types || ""],
    ["Host", `${worker.hostname} · pid ${worker.pid}`],
    ["Started", moment(worker.startedAt)],
    ["Last seen", moment(worker.lastSeen)],
    ["Version", worker.version],
  ];
}

function showExecutors(drawer, executors) {
  const template = part("executor", drawer).content.firstElementChild;
  const rows = executors.map((executor) => {
    const row = template.cloneNode(true);
    say(field("id", row), shortExecutor(executor.id));
    field("id", row).title = executor.id;
    say(field("pid", row), executor.pid);
    say(field("active", row), count(executor.active));
    say(field("reserved", row), count(executor.reserved));
    say(field("memory", row), executor.memoryBytes ? bytes(executor.memoryBytes) : "");
    return row;
  });
  part("executor-rows", drawer).replaceChildren(...rows);
  part("executors", drawer).hidden = rows.length === 0;
  part("no-executors", drawer).hidden = rows.length > 0;
}

// `worker:number:random`: the worker stands above.
function shortExecutor(id) {
  return id.split(":").slice(1).join(":") || id;
}

function showDecisions(drawer, decisions) {
  part("worker-decisions", drawer).replaceChildren(...decisionItems(decisions, { named: false }));
  part("worker-undecided", drawer).hidden = decisions.length > 0;
}
