// What the list and the page of one workflow both show of it.

import { count } from "./format.js";
import { field, say } from "./parts.js";

/** Bring the parts that tell how far a workflow is up to date. */
export function showFar(within, { state, done, total, statuses }) {
  const badge = field("state", within);
  say(badge, state);
  badge.dataset.status = state === "open" ? "processing" : state;
  const bar = field("bar", within);
  bar.max = total;
  bar.value = done;
  say(field("far", within), `${count(done)} of ${count(total)}`);
  say(field("statuses", within), inWords(statuses));
}

/** "3 completed, 1 failed". */
export function inWords(statuses) {
  return Object.entries(statuses)
    .map(([status, number]) => `${count(number)} ${status}`)
    .join(", ");
}
