// All that is known of one task, from the API, and what may be done with it.

import { call } from "./api.js";
import { closable } from "./dialogs.js";
import { factItems } from "./facts.js";
import { duration, moment } from "./format.js";
import { badge, field, part, say } from "./parts.js";
import { logOf, showLog, showProgress } from "./task-said.js";
import { showWhy, whyOf } from "./task-why.js";

const FINAL = new Set(["completed", "failed", "cancelled", "expired"]);
const LONGEST = 20_000; // characters of a value that are shown

/** Returns {open(id), refresh()}: call refresh each second, and an open task stays true. */
export function taskDrawer() {
  const drawer = part("drawer");
  const actions = [...drawer.querySelectorAll('[data-action="retry"], [data-action="cancel"]')];
  let id = null;
  let status = null;
  closable(drawer);
  drawer.addEventListener("close", () => (id = null));
  for (const button of actions) {
    button.addEventListener("click", () => attempt(() => call("POST", `${address(id)}/${button.dataset.action}`)));
  }

  async function attempt(action) {
    problem("");
    try {
      await action();
      await load();
    } catch (error) {
      problem(error.message);
    }
  }

  async function load() {
    const asked = id;
    const task = await call("GET", address(asked));
    const [why, log] = await Promise.all([whyOf(address(asked), task.status), logOf(address(asked))]);
    if (id !== asked) return; // closed, or another one was opened meanwhile
    status = task.status;
    show(drawer, task);
    showWhy(part("why", drawer), why);
    showLog(part("said-log", drawer), log);
    for (const button of actions) button.hidden = FINAL.has(status) !== (button.dataset.action === "retry");
  }

  function problem(text) {
    say(field("problem", drawer), text);
    field("problem", drawer).hidden = !text;
  }

  function open(chosen) {
    id = chosen;
    status = null;
    blank(drawer, id);
    for (const button of actions) button.hidden = true;
    if (!drawer.open) drawer.showModal();
    return attempt(async () => {});
  }

  function refresh() {
    if (id !== null && status !== null && !FINAL.has(status)) load().catch((error) => problem(error.message));
  }

  return { open, refresh };
}

function address(id) {
  return `/api/tasks/${encodeURIComponent(id)}`;
}

function blank(drawer, id) {
  say(field("type", drawer), "Task");
  say(field("id", drawer), id);
  badge(field("status", drawer), "");
  showWhy(part("why", drawer), null);
  showProgress(part("progress", drawer), null);
  showLog(part("said-log", drawer), null);
  for (const name of ["arguments", "output"]) say(field(name, drawer), "");
  part("facts", drawer).replaceChildren();
  part("attempts", drawer).replaceChildren();
}

function show(drawer, task) {
  say(field("type", drawer), task.task_type);
  badge(field("status", drawer), task.status);
  showProgress(part("progress", drawer), task.progress);
  part("facts", drawer).replaceChildren(...factItems(facts(task)));
  showArguments(drawer, task);
  showOutcome(drawer, task);
  const lines = task.attempts.map((each) => attemptItem(drawer, each));
  part("attempts-title", drawer).hidden = lines.length === 0;
  keepOpen(part("attempts", drawer), lines);
}

function showArguments(drawer, { args, kwargs }) {
  const isPayload = args.length === 1 && Object.keys(kwargs).length === 0;
  say(part("arguments-title", drawer), isPayload ? "Payload" : "Arguments");
  say(field("arguments", drawer), shown(isPayload ? args[0] : { args, kwargs }));
}

function showOutcome(drawer, { status, output, error }) {
  const title = { completed: "Result", failed: "Error" }[status];
  say(part("output-title", drawer), title);
  say(field("output", drawer), status === "failed" ? error : shown(output));
  for (const element of [part("output-title", drawer), field("output", drawer)]) element.hidden = !title;
}

function facts(task) {
  const { processing_time: ran, queue_wait_time: waited } = task.metrics;
  return [
    ["Queue", task.queue],
    ["Priority", task.priority],
    ["Worker", task.worker_id],
    ["Submitted", moment(task.submitted_at)],
    ["Not before", moment(task.run_after)],
    ["Started", moment(task.start_time)],
    ["Ended", moment(task.end_time)],
    ["Deadline", moment(task.deadline) + (task.deadline_missed ? " (missed)" : "")],
    ["Expires", moment(task.expires)],
    ["Waited", waited ? duration(waited / 1e6) : ""],
    ["Ran", ran ? duration(ran / 1e6) : ""],
    ["Retries", `${task.retry_count} of ${task.retries}`],
    ["Back-off", task.retries ? backoff(task.backoff) : ""],
    ["Tags", task.tags.join(", ")],
    ["Crashes", task.crashes || ""],
  ];
}

function backoff(pause) {
  if (typeof pause === "number") return `exponential, from ${pause} s`;
  const { kind, seconds = 1, steps } = pause;
  if (kind === "declared") return "as its code says";
  return kind === "list" ? `${steps.join(", ")} s` : `${kind}, ${seconds} s`;
}

function attemptItem(drawer, attempt) {
  const item = part("attempt", drawer).content.firstElementChild.cloneNode(true);
  badge(field("outcome", item), attempt.outcome);
  say(field("when", item), [moment(attempt.start_time), attempt.worker_id].filter(Boolean).join(" · "));
  say(field("error", item), [attempt.error_type, attempt.error].filter(Boolean).join(": "));
  field("more", item).hidden = !attempt.traceback;
  say(field("summary", item), attempt.outcome === "crashed" ? "Its last words" : "Traceback");
  say(field("traceback", item), cut(attempt.traceback));
  return item;
}

// A refresh leaves what the reader has unfolded as it is.
function keepOpen(list, items) {
  const open = [...list.querySelectorAll("details")].map((details) => details.open);
  items.forEach((item, n) => (item.querySelector("details").open = Boolean(open[n])));
  list.replaceChildren(...items);
}

function shown(value) {
  return cut(typeof value === "string" ? value : JSON.stringify(value, null, 2));
}

function cut(text) {
  return text.length > LONGEST ? `${text.slice(0, LONGEST)}\n… ${text.length - LONGEST} more characters` : text;
}
