// The autoscalers' decisions as a list: from, to, when and why.

import { clock, count } from "./format.js";
import { field, part, say } from "./parts.js";

/** List items for decisions; `named`: whether they say whose they are. */
export function decisionItems(decisions, { named = true } = {}) {
  const template = part("decision").content.firstElementChild;
  return decisions.map((decision) => {
    const item = template.cloneNode(true);
    say(field("change", item), `${count(decision.from)} → ${count(decision.to)}`);
    say(field("worker", item), named ? decision.worker : "");
    say(field("when", item), clock(decision.at));
    field("when", item).dateTime = decision.at;
    say(field("reason", item), decision.reason);
    return item;
  });
}
