// Says whether the numbers are live, and if not, since when and what happens about it.

import { field, part, say } from "./parts.js";

/** Returns {live, offline, trouble}: tell it what the feed tells. */
export function showConnection(onTryNow) {
  const state = part("connection");
  const banner = part("offline");
  let lastSeen = null;
  let ticking;

  part("try-now", banner).addEventListener("click", onTryNow);

  function live() {
    lastSeen = new Date();
    clearInterval(ticking);
    mark("live", "Live");
    banner.hidden = true;
  }

  function offline(nextTry) {
    mark("offline", "Offline");
    say(field("title", banner), "Offline.");
    part("try-now", banner).hidden = false;
    banner.hidden = false;
    clearInterval(ticking);
    const tick = () => say(field("text", banner), `${since()} ${until(nextTry)}`);
    tick();
    ticking = setInterval(tick, 1000);
  }

  function trouble(text) {
    clearInterval(ticking);
    mark("trouble", "No numbers");
    say(field("title", banner), text);
    say(field("text", banner), since());
    part("try-now", banner).hidden = true;
    banner.hidden = false;
  }

  function mark(name, text) {
    state.dataset.state = name;
    document.documentElement.dataset.connection = name;
    say(state, text);
  }

  function since() {
    if (!lastSeen) return "These numbers are from when the page was loaded.";
    return `These numbers are from ${lastSeen.toLocaleTimeString("en-GB")}.`;
  }

  return { live, offline, trouble };
}

function until(moment) {
  const seconds = Math.ceil((moment - Date.now()) / 1000);
  return seconds > 0 ? `Trying again in ${seconds} s.` : "Trying again now.";
}
