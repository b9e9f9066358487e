// Resetting the system, once it was asked for twice.

import { call } from "./api.js";
import { closable } from "./dialogs.js";
import { clearErrors, showErrors } from "./form-errors.js";
import { notify } from "./notices.js";
import { part } from "./parts.js";

export function offerReset() {
  const opener = part("reset");
  if (!opener) return;
  const dialog = part("reset-dialog");
  const form = part("reset-form", dialog);
  closable(dialog);
  opener.addEventListener("click", () => {
    form.reset();
    clearErrors(form);
    dialog.showModal();
  });
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    await reset(form, dialog);
  });
}

async function reset(form, dialog) {
  const button = form.querySelector('[type="submit"]');
  button.disabled = true;
  try {
    const query = form.elements.history.checked ? "?history=true" : "";
    await call("POST", `/api/system/reset${query}`);
    dialog.close();
    notify("The system was reset.");
  } catch (error) {
    showErrors(form, error.errors);
  } finally {
    button.disabled = false;
  }
}
