// Asking before something that cannot be taken back.

import { closable } from "./dialogs.js";
import { field, part, say } from "./parts.js";

/** Ask; resolves to whether the answer was yes. */
export function confirmed({ title, text, action }) {
  const dialog = part("confirm");
  closable(dialog);
  say(field("title", dialog), title);
  say(field("text", dialog), text);
  say(field("action", dialog), action);
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}
