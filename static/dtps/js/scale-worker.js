// Asking how many slots a worker is to have.

import { call } from "./api.js";
import { closable } from "./dialogs.js";
import { clearErrors, showErrors } from "./form-errors.js";
import { number } from "./form-values.js";
import { notify } from "./notices.js";
import { field, part, say } from "./parts.js";

/** Returns a function that opens the dialog for a worker. */
export function scaleDialog() {
  const dialog = part("scale-dialog");
  if (!dialog) return () => {};
  const form = part("scale-form", dialog);
  let id = null;
  closable(dialog);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    await scale(form, dialog, id);
  });
  return (worker) => {
    id = worker.id;
    say(field("worker", dialog), id);
    say(field("help", dialog), help(worker.bounds));
    form.elements.slots.value = worker.slots;
    clearErrors(form);
    dialog.showModal();
    form.elements.slots.select();
  };
}

function help([fewest, most]) {
  if (!fewest) return "Its autoscaler goes on from there.";
  return `Its autoscaler goes on from there, between ${fewest} and ${most}; a number beyond moves these bounds.`;
}

async function scale(form, dialog, id) {
  clearErrors(form);
  const button = form.querySelector('[type="submit"]');
  button.disabled = true;
  try {
    const slots = number(form.elements.slots.value);
    await call("POST", `/api/workers/scale?id=${encodeURIComponent(id)}`, { slots });
    dialog.close();
    notify(`Worker ${id} is told to have ${slots} ${slots === 1 ? "slot" : "slots"}.`);
  } catch (error) {
    showErrors(form, error.errors);
  } finally {
    button.disabled = false;
  }
}
