// What was typed, as the API wants it. Nothing is judged here: that is the server's part.

/** A whole number if it is one, else the text as it is, for the server to refuse. */
export function number(text) {
  return /^-?\d+$/.test(text.trim()) ? Number(text) : text;
}

/** JSON if it is JSON, else the text. */
export function json(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

/** What a datetime-local field holds, in the reader's time zone, as RFC 3339. */
export function moment(text) {
  const date = new Date(text);
  return Number.isNaN(date.getTime()) ? text : date.toISOString();
}
