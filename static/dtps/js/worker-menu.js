// The menu of a worker's row. There is one for all rows: they come and go beneath it.

import { notify } from "./notices.js";
import { part } from "./parts.js";
import { possible } from "./worker-actions.js";

const GAP = 4; // px between the button and its menu, and to the window's edge

/** Returns {open(button, worker), follow(workers)}; `perform(action, worker)` is what is chosen. */
export function workerMenu(perform) {
  const menu = part("worker-menu");
  if (!menu) return { open() {}, follow() {} };
  const items = [...menu.querySelectorAll("[data-action]")];
  const shown = () => items.filter((item) => !item.hidden);
  let opener = null;
  let pressed = null; // whose menu was open when the pointer went down, which closes it
  let worker = null;

  function open(button, chosen) {
    const isToClose = opener === button || pressed === button;
    pressed = null;
    if (isToClose) return menu.hidePopover();
    opener = button;
    worker = chosen;
    menu.setAttribute("aria-label", `Actions for ${chosen.id}`);
    show(possible(chosen));
    menu.showPopover();
    place(menu, button.getBoundingClientRect());
    button.setAttribute("aria-expanded", "true");
    return shown()[0].focus();
  }

  function show(actions) {
    for (const item of items) item.hidden = !actions.includes(item.dataset.action);
  }

  menu.addEventListener("beforetoggle", ({ newState }) => {
    if (newState !== "closed") return;
    opener?.setAttribute("aria-expanded", "false");
    opener = null;
  });
  addEventListener("pointerdown", () => (pressed = opener), { capture: true });
  addEventListener("scroll", () => opener && place(menu, opener.getBoundingClientRect()), {
    passive: true,
  });

  menu.addEventListener("keydown", (event) => {
    const at = shown().indexOf(document.activeElement);
    const to = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: -1 }[event.key];
    if (event.key === "Tab") menu.hidePopover();
    if (to === undefined) return;
    event.preventDefault();
    shown().at(to % shown().length).focus();
  });

  menu.addEventListener("click", async ({ target }) => {
    const item = target.closest("[data-action]");
    if (!item) return;
    const chosen = worker;
    opener?.focus(); // where the focus returns to from a dialog
    menu.hidePopover();
    try {
      await perform(item.dataset.action, chosen);
    } catch (error) {
      notify(error.message, "bad");
    }
  });

  /** What can be done changes with the worker; without it, nothing can. */
  function follow(workers) {
    if (!opener) return;
    const actions = possible(workers[worker.id] ?? { status: "inactive" });
    if (actions.length === 0) menu.hidePopover();
    else if (!shown().every((item) => actions.includes(item.dataset.action))) show(actions);
  }

  return { open, follow };
}

// Below the button, or above it where there is no room; its right edges in line.
function place(menu, button) {
  const { width, height } = menu.getBoundingClientRect();
  const isBelow = button.bottom + GAP + height < innerHeight;
  menu.style.top = `${isBelow ? button.bottom + GAP : Math.max(GAP, button.top - GAP - height)}px`;
  menu.style.left = `${Math.max(GAP, button.right - width)}px`;
}
