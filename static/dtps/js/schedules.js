// The page of schedules: its rows kept up to date, its buttons, and one schedule's history.

import { call } from "./api.js";
import { closable } from "./dialogs.js";
import { factItems } from "./facts.js";
import { ago, duration } from "./format.js";
import { reloadIfLoggedOut } from "./login.js";
import { notify } from "./notices.js";
import { badge, field, part, say } from "./parts.js";
import { themeSwitch } from "./theme.js";

const REFRESH = 5_000; // ms
const SAID = { run: "is in the queue", pause: "is paused", resume: "is resumed" };

const drawer = part("schedule-drawer");
closable(drawer);
themeSwitch();

part("schedules").addEventListener("click", ({ target }) => {
  const button = target.closest("[data-action]");
  if (!button) return;
  const { key } = button.closest("tr").dataset;
  if (button.dataset.action === "open") open(key);
  else perform(button.dataset.action, key, button);
});
setInterval(() => document.hidden || refresh(), REFRESH);

function address(name, action = "") {
  return `/api/schedules/${encodeURIComponent(name)}${action && `/${action}`}`;
}

async function perform(action, name, button) {
  button.disabled = true;
  try {
    await call("POST", address(name, action));
    notify(`${name} ${SAID[action]}.`);
    await refresh();
  } catch (error) {
    notify(error.message, "bad");
  } finally {
    button.disabled = false;
  }
}

async function refresh() {
  try {
    showAll(await call("GET", "/api/schedules"));
  } catch {
    reloadIfLoggedOut(); // else the server is away: what was seen last stays
  }
}

function showAll(schedules) {
  const rows = new Map([...document.querySelectorAll("tr[data-key]")].map((row) => [row.dataset.key, row]));
  if (schedules.length !== rows.size || schedules.some(({ name }) => !rows.has(name))) {
    if (!drawer.open) location.reload(); // one was made, or is gone: the server writes the rows
    return;
  }
  for (const schedule of schedules) fill(rows.get(schedule.name), schedule);
}

function fill(row, schedule) {
  const { words, enabled, declared, next, lastFiring: last } = schedule;
  const hindrance = declared ? (enabled ? "" : "paused") : "gone";
  say(field("words", row), words);
  say(field("state", row), hindrance);
  field("state", row).hidden = !hindrance;
  field("state", row).dataset.status = declared ? "paused" : "inactive";
  say(field("in", row), next.length ? until(Date.parse(next[0]) - Date.now()) : "");
  say(field("at", row), next.length ? clock(next[0], schedule.timezone) : hindrance ? `not while ${hindrance}` : "never again");
  badge(field("status", row), last?.status ?? "");
  field("status", row).hidden = !last;
  field("status", row).title = last?.reason ?? "";
  say(field("ago", row), last ? ago(Date.parse(last.fired), Date.now()) : "not yet");
  for (const [action, shown] of [["pause", enabled], ["resume", !enabled]]) {
    const button = row.querySelector(`[data-action="${action}"]`);
    if (button) button.hidden = !shown;
  }
}

function until(ms) {
  return ms < 1000 ? "now" : `in ${duration(ms).replace(".0", "")}`;
}

async function open(name) {
  say(field("name", drawer), name);
  problem("");
  show({ next: [] }, []);
  drawer.showModal();
  try {
    const [schedule, firings] = await Promise.all([call("GET", address(name)), call("GET", address(name, "firings"))]);
    show(schedule, firings);
  } catch (error) {
    problem(error.message);
  }
}

function problem(text) {
  say(field("problem", drawer), text);
  field("problem", drawer).hidden = !text;
}

function show(schedule, firings) {
  part("facts", drawer).replaceChildren(...factItems(facts(schedule)));
  part("coming", drawer).replaceChildren(...schedule.next.map((slot) => line(clock(slot, schedule.timezone))));
  part("never", drawer).hidden = schedule.next.length > 0;
  part("firings", drawer).replaceChildren(...firings.map((each) => firing(each, schedule.timezone)));
  part("none", drawer).hidden = firings.length > 0;
}

function facts(schedule) {
  if (!schedule.name) return [];
  const { args, kwargs, options } = schedule;
  return [
    ["When", schedule.words],
    ["Cron", schedule.cron],
    ["Task type", schedule.taskType],
    ["Arguments", args.length || Object.keys(kwargs).length ? JSON.stringify(args.length ? args : kwargs) : ""],
    ["Queue", schedule.queue],
    ["Priority", schedule.priority],
    ["Options", Object.keys(options).length ? JSON.stringify(options) : ""],
    ["Missed slots", schedule.catchUp === "all" ? `all, at most ${schedule.catchUpMost}` : schedule.catchUp],
    ["Overlap", schedule.overlap],
    ["Declared by", schedule.source],
  ];
}

function firing(each, timezone) {
  const item = part("firing", drawer).content.firstElementChild.cloneNode(true);
  badge(field("status", item), each.status);
  say(field("slot", item), clock(each.slot, timezone));
  field("manual", item).hidden = !each.manual;
  say(field("more", item), each.reason || each.taskId);
  return item;
}

function line(text) {
  const item = document.createElement("li");
  item.textContent = text;
  return item;
}

/** A moment in the schedule's own time zone. */
function clock(text, timeZone) {
  const shown = { weekday: "short", day: "numeric", month: "short", hour: "2-digit", minute: "2-digit" };
  if (new Date(text).getFullYear() !== new Date().getFullYear()) shown.year = "numeric";
  if (new Date(text).getSeconds()) shown.second = "2-digit";
  try {
    const said = new Date(text).toLocaleString("en-GB", { ...shown, timeZone, timeZoneName: "short" });
    return said.replaceAll(",", "");
  } catch {
    return text; // a time zone that this browser does not know
  }
}
