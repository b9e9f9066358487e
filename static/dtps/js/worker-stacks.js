// What each running task of a worker is doing, as its supervisor sees it.

import { call } from "./api.js";
import { closable } from "./dialogs.js";
import { duration, shortId } from "./format.js";
import { field, part, say } from "./parts.js";

/** Returns a function that opens the dialog for a worker, and asks. */
export function stacksDialog() {
  const dialog = part("stacks-dialog");
  if (!dialog) return () => {};
  const reload = dialog.querySelector('[data-action="reload"]');
  let id = null;
  closable(dialog);
  dialog.addEventListener("close", () => (id = null));
  reload.addEventListener("click", ask);

  async function ask() {
    const asked = id;
    problem("");
    say(field("state", dialog), "Asking the worker…");
    reload.disabled = true;
    try {
      const answer = await call("GET", `/api/workers/stacks?id=${encodeURIComponent(asked)}`);
      if (id === asked) show(answer);
    } catch (error) {
      if (id === asked) problem(error.message);
    } finally {
      reload.disabled = false;
    }
  }

  function show({ stacks, others }) {
    say(field("state", dialog), stacks.length ? `${now()}: ${tasks(stacks.length)}` : `${now()}: no task is running.`);
    part("stacks", dialog).replaceChildren(...stacks.map((each) => stackItem(dialog, each)));
    part("other-threads", dialog).hidden = !others;
    say(field("others", dialog), others);
  }

  function problem(text) {
    say(field("problem", dialog), text);
    field("problem", dialog).hidden = !text;
    if (text) say(field("state", dialog), "");
  }

  return (worker) => {
    id = worker.id;
    say(field("worker", dialog), id);
    part("stacks", dialog).replaceChildren();
    part("other-threads", dialog).hidden = true;
    dialog.showModal();
    reload.focus();
    return ask();
  };
}

function stackItem(dialog, task) {
  const item = part("stack", dialog).content.firstElementChild.cloneNode(true);
  say(field("type", item), task.task_type || "Task");
  say(field("id", item), shortId(task.task_id));
  field("id", item).title = task.task_id;
  say(field("where", item), [task.seconds ? `for ${duration(task.seconds * 1000)}` : "", task.executor].filter(Boolean).join(" · "));
  say(field("stack", item), task.stack || "Its executor did not say.");
  return item;
}

function tasks(count) {
  return count === 1 ? "one task is running." : `${count} tasks are running.`;
}

function now() {
  return new Date().toLocaleTimeString("en-GB");
}
