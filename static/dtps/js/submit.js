// The form that submits a task.

import { call } from "./api.js";
import { shortId } from "./format.js";
import { clearErrors, showErrors } from "./form-errors.js";
import { json, moment, number } from "./form-values.js";
import { part, say } from "./parts.js";

const OPTIONAL = { retries: number, queue: (text) => text, deadline: moment, runAfter: moment, expires: moment };

/** Let the form work; `open(id)` shows a task that was submitted. */
export function submitForm(open) {
  const form = part("submit");
  if (!form) return;
  const { taskType, payload, priority } = form.elements;
  const chosen = () => taskType.selectedOptions[0]?.dataset ?? {};
  let example = "";

  function showExample() {
    payload.value = example = chosen().example ?? "";
  }

  function describe() {
    const { doc, queue, retries, priority: level } = chosen();
    say(part("type-doc", form), doc || "This type has no description.");
    form.elements.queue.placeholder = queue ?? "default";
    form.elements.retries.placeholder = retries ?? "3";
    priority.value = level ?? 5;
    showPriority();
    if (payload.value.trim() === "" || payload.value === example) showExample();
  }

  function showPriority() {
    say(part("priority-shown", form), priority.value);
  }

  taskType.addEventListener("change", describe);
  priority.addEventListener("input", showPriority);
  form.querySelector('[data-action="example"]').addEventListener("click", showExample);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    submit(form, open);
  });
  describe();
}

async function submit(form, open) {
  clearErrors(form);
  const button = form.querySelector('[type="submit"]');
  button.disabled = true;
  try {
    const { taskId } = await call("POST", "/api/tasks/submit", values(form));
    part("submitted", form).replaceChildren("Submitted ", link(taskId, open));
  } catch (error) {
    part("submitted", form).replaceChildren();
    showErrors(form, error.errors);
  } finally {
    button.disabled = false;
  }
}

function values(form) {
  const { taskType, payload, priority } = form.elements;
  const task = { taskType: taskType.value, priority: number(priority.value) };
  if (payload.value.trim()) task.payload = json(payload.value);
  for (const [name, read] of Object.entries(OPTIONAL)) {
    const text = form.elements.namedItem(name).value;
    if (text) task[name] = read(text);
  }
  return task;
}

function link(id, open) {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "link mono";
  button.dataset.task = id;
  button.textContent = shortId(id);
  button.title = id;
  button.addEventListener("click", () => open(id));
  return button;
}
