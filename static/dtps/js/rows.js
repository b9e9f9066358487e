// A table whose rows follow a list, by key: rows stay, move, come and go, and keep the focus.

import { part } from "./parts.js";

/**
 * Returns a function that shows a list. `key` names an item; `fill(row, item)` writes it.
 * Rows that the server rendered are taken over.
 */
export function followRows(table, { key, fill }) {
  const body = part("rows", table);
  const section = table.closest("section");
  const template = part("row", section);
  const empty = part("empty", section);
  const rows = new Map([...body.rows].map((row) => [row.dataset.key, row]));

  function rowFor(name) {
    if (!rows.has(name)) {
      const row = template.content.firstElementChild.cloneNode(true);
      row.dataset.key = name;
      rows.set(name, row);
    }
    return rows.get(name);
  }

  function dropOthers(names) {
    for (const [name, row] of rows) {
      if (names.has(name)) continue;
      row.remove();
      rows.delete(name);
    }
  }

  return (items) => {
    dropOthers(new Set(items.map(key)));
    let next = body.firstElementChild;
    for (const item of items) {
      const row = rowFor(key(item));
      fill(row, item);
      if (row === next) next = row.nextElementSibling;
      else body.insertBefore(row, next);
    }
    empty.hidden = items.length > 0;
    table.hidden = items.length === 0;
  };
}
