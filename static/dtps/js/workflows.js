// The page of workflows: its rows kept up to date.

import { call } from "./api.js";
import { reloadIfLoggedOut } from "./login.js";
import { part } from "./parts.js";
import { themeSwitch } from "./theme.js";
import { showFar } from "./workflow-facts.js";

const REFRESH = 3_000; // ms

themeSwitch();
setInterval(() => document.hidden || refresh(), REFRESH);

async function refresh() {
  const { cursor } = part("workflows").dataset;
  try {
    const { results } = await call("GET", `/api/workflows?cursor=${encodeURIComponent(cursor)}`);
    showAll(results);
  } catch {
    reloadIfLoggedOut(); // else the server is away: what was seen last stays
  }
}

function showAll(workflows) {
  const rows = new Map([...document.querySelectorAll("tr[data-key]")].map((row) => [row.dataset.key, row]));
  if (workflows.some(({ id }) => !rows.has(id))) {
    location.reload(); // one was submitted: the server writes the rows
    return;
  }
  for (const workflow of workflows) showFar(rows.get(workflow.id), workflow);
}
