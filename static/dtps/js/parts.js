// Finding and filling the parts of a page. Text goes in as text: nothing here makes markup.

/** The element that the template named with data-part. */
export function part(name, within = document) {
  return within.querySelector(`[data-part="${name}"]`);
}

/** The element that shows one field of a thing. */
export function field(name, within) {
  return within.querySelector(`[data-field="${name}"]`);
}

/** Show `text`, touching the page only if it changes. */
export function say(element, text) {
  const shown = text === null || text === undefined ? "" : String(text);
  if (element.textContent !== shown) element.textContent = shown;
}

/** Show a status as a coloured badge. */
export function badge(element, status) {
  say(element, status);
  element.dataset.status = status;
}
