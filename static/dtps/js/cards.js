// The five big numbers.

import { count, rate } from "./format.js";
import { field, part, say } from "./parts.js";

/** Returns a function that shows a snapshot. */
export function showCards() {
  const cards = part("cards");

  function show(name, value, note, tone = "") {
    const card = cards.querySelector(`[data-card="${name}"]`);
    card.dataset.tone = tone;
    say(field("value", card), value);
    say(field("note", card), note);
  }

  return (snapshot) => {
    const workers = Object.values(snapshot.workers).filter(({ status }) => status !== "inactive");
    const busy = sum(workers, "activeTasks");
    const ended = snapshot.processed + snapshot.failed;
    show("activeWorkers", count(snapshot.activeWorkers), `${count(busy)} running, ${count(sum(workers, "slots"))} slots`, snapshot.activeWorkers ? "" : "warn");
    show("waiting", count(snapshot.waiting), `${count(snapshot.scheduled)} more scheduled`);
    show("processed", count(snapshot.processed), "since the last reset");
    show("failed", count(snapshot.failed), `of ${count(ended)} that ended`, snapshot.failed ? "bad" : "");
    show("throughput", rate(snapshot.throughput), "mean of the last 5 s");
  };
}

function sum(workers, name) {
  return workers.reduce((total, worker) => total + worker[name], 0);
}
