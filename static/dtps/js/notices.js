// A word on what was done, for a few seconds.

import { part } from "./parts.js";

const SHOWN = 6_000; // ms

/** Say something; `kind` "bad" marks a failure. */
export function notify(text, kind = "good") {
  const notice = document.createElement("p");
  notice.className = "notice";
  notice.dataset.kind = kind;
  notice.textContent = text;
  part("notices").append(notice);
  setTimeout(() => notice.remove(), SHOWN);
}
