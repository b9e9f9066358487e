// What the server refused stands beside the field that it is about.

/** Show sentences by field; those about no field of the form stand above it. */
export function showErrors(form, errors) {
  clearErrors(form);
  const others = [];
  for (const [name, sentences] of Object.entries(errors)) {
    if (!(name in { code: 1 }) && !showAt(form, name, text(sentences))) others.push(text(sentences));
  }
  if (others.length) showAt(form, "detail", others.join(" "));
  form.querySelector('[aria-invalid="true"]')?.focus();
}

/** Take all of them away. */
export function clearErrors(form) {
  for (const place of form.querySelectorAll("[data-error]")) {
    place.hidden = true;
    place.textContent = "";
  }
  for (const input of form.elements) input.removeAttribute("aria-invalid");
}

function showAt(form, name, sentence) {
  const place = [...form.querySelectorAll("[data-error]")].find((each) => each.dataset.error === name);
  if (!place) return false;
  place.textContent = sentence;
  place.hidden = false;
  const fold = place.closest("details");
  if (fold) fold.open = true;
  form.elements.namedItem(name)?.setAttribute("aria-invalid", "true");
  return true;
}

function text(sentences) {
  return Array.isArray(sentences) ? sentences.join(" ") : String(sentences);
}
