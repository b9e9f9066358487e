// What a task says of itself: a bar for its progress, and its log.

import { call } from "./api.js";
import { clock, count } from "./format.js";
import { field, part, say } from "./parts.js";

/** Ask for the log of a task. */
export function logOf(address) {
  return call("GET", `${address}/log`);
}

/** Show how far a task is; null hides the bar. */
export function showProgress(section, progress) {
  section.hidden = !progress;
  if (!progress) return;
  const bar = part("bar", section);
  const { done, total } = progress;
  if (total > 0) {
    bar.max = total;
    bar.value = Math.min(Math.max(done, 0), total);
  } else {
    bar.removeAttribute("value"); // nobody knows how much is left
  }
  say(field("far", section), [far(done, total), progress.note].filter(Boolean).join(" · "));
}

/** Show what `logOf` answered; null, or no line, hides it. */
export function showLog(section, log) {
  section.hidden = !log?.lines.length;
  if (section.hidden) return;
  const box = field("log", section);
  const isAtEnd = box.scrollTop + box.clientHeight >= box.scrollHeight - 4;
  say(box, [...gone(log.dropped), ...log.lines.map(line)].join("\n"));
  if (isAtEnd) box.scrollTop = box.scrollHeight;
}

function far(done, total) {
  if (total === null) return count(done);
  const percent = total > 0 ? ` (${Math.floor((100 * done) / total)} %)` : "";
  return `${count(done)} of ${count(total)}${percent}`;
}

function gone(dropped) {
  return dropped ? [`… ${count(dropped)} older lines are not kept`] : [];
}

function line({ at, level, logger, text }) {
  return [clock(at), level, logger, text].filter(Boolean).join(" ");
}
