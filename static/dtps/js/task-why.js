// Why a task does not run, or ended as it did: in words, the most telling reason first.

import { call } from "./api.js";
import { field, part, say } from "./parts.js";

const TITLES = {
  processing: "What is it doing?",
  failed: "Why did it fail?",
  cancelled: "Why did it end?",
  expired: "Why did it end?",
};
const OBVIOUS = "completed"; // needs no reason

/** Ask for the reasons of a task; none for one whose status says enough. */
export async function whyOf(address, status) {
  return status === OBVIOUS ? null : call("GET", `${address}/why`);
}

/** Fill the box with what `whyOf` answered; null hides it. */
export function showWhy(box, why) {
  box.hidden = !why;
  if (!why) return;
  say(field("why-title", box), TITLES[why.status] ?? "Why is it not running?");
  const list = part("reasons", box);
  const items = why.reasons.map((reason) => reasonItem(reason));
  if (list.textContent !== items.map((item) => item.textContent).join("")) list.replaceChildren(...items);
}

function reasonItem({ code, sentence }) {
  const item = document.createElement("li");
  item.dataset.code = code;
  item.textContent = sentence;
  return item;
}
