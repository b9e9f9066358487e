// What dialogs share: they close by their buttons and by a click beside them.

/** Let the dialog's close buttons and its backdrop close it. */
export function closable(dialog) {
  dialog.addEventListener("click", ({ target }) => {
    if (target === dialog || target.closest('[data-action="close"]')) dialog.close();
  });
}
