// Starting a worker through a host agent.

import { call } from "./api.js";
import { closable } from "./dialogs.js";
import { clearErrors, showErrors } from "./form-errors.js";
import { number } from "./form-values.js";
import { notify } from "./notices.js";
import { part } from "./parts.js";

/** Returns a function that takes a snapshot: without an agent the form says so. */
export function offerWorkers() {
  const opener = part("add-worker");
  if (!opener) return () => {};
  const dialog = part("add-worker-dialog");
  const form = part("add-worker-form", dialog);
  closable(dialog);
  opener.addEventListener("click", () => {
    clearErrors(form);
    dialog.showModal();
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    await start(form, dialog);
  });
  return ({ agents }) => (part("no-agent", dialog).hidden = agents > 0);
}

async function start(form, dialog) {
  clearErrors(form);
  const button = form.querySelector('[type="submit"]');
  button.disabled = true;
  try {
    const { id } = await call("POST", "/api/workers/start", values(form));
    dialog.close();
    notify(`Worker ${id} has started.`);
  } catch (error) {
    showErrors(form, error.errors);
  } finally {
    button.disabled = false;
  }
}

function values(form) {
  const { poolSize, minWorkers, maxWorkers, enableSteal } = form.elements;
  return {
    poolSize: number(poolSize.value),
    minWorkers: number(minWorkers.value),
    maxWorkers: number(maxWorkers.value),
    enableSteal: enableSteal.checked,
  };
}
