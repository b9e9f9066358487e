// Numbers and moments as people read them.

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });

/** 1234567 -> "1,234,567". */
export function count(number) {
  return whole.format(number);
}

/** A rate: one decimal below a hundred, none above. */
export function rate(number) {
  return number < 100 ? short.format(number) : whole.format(number);
}

/** A length of time in ms: "3 ms", "1.2 s", "4 min", "2 h", "5 d". */
export function duration(ms) {
  if (ms < 1) return "< 1 ms";
  if (ms < 1000) return `${Math.round(ms)} ms`;
  const seconds = ms / 1000;
  if (seconds < 10) return `${seconds.toFixed(1)} s`;
  if (seconds < 90) return `${Math.round(seconds)} s`;
  if (seconds < 5400) return `${Math.round(seconds / 60)} min`;
  if (seconds < 129_600) return `${Math.round(seconds / 3600)} h`;
  return `${Math.round(seconds / 86_400)} d`;
}

/** How long before `now` a moment was, both in ms: "just now", "12 s ago". */
export function ago(ms, now) {
  const seconds = Math.floor((now - ms) / 1000);
  return seconds < 1 ? "just now" : `${duration(seconds * 1000).replace(".0", "")} ago`;
}

/** The end of an id, which tells ids apart; their beginning is the time. */
export function shortId(id) {
  return id.length > 12 ? id.slice(-12) : id;
}

/** A moment in the reader's own time zone; "" for none. */
export function moment(text) {
  if (!text) return "";
  return new Date(text).toLocaleString("en-GB", { dateStyle: "medium", timeStyle: "medium" });
}

/** The time of day of a moment, in the reader's own time zone. */
export function clock(text) {
  return new Date(text).toLocaleTimeString("en-GB");
}

/** A size: "812 KiB", "48 MiB", "1.2 GiB". */
export function bytes(number) {
  if (number < 2 ** 20) return `${whole.format(number / 2 ** 10)} KiB`;
  if (number < 2 ** 30) return `${whole.format(number / 2 ** 20)} MiB`;
  return `${short.format(number / 2 ** 30)} GiB`;
}
