// A list of names and values; what has no value is left out.

/** The elements of a `dl` for pairs of name and value. */
export function factItems(pairs) {
  return pairs.filter(([, value]) => value !== "" && value !== null && value !== undefined).flatMap(item);
}

function item([name, value]) {
  const term = document.createElement("dt");
  const description = document.createElement("dd");
  const isolated = document.createElement("bdi");
  term.textContent = name;
  isolated.textContent = value;
  description.append(isolated);
  return [term, description];
}
