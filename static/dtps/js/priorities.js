// How much waits at each priority, as bars.

import { chartOptions, colour, font, numberAxis, rebuildWithTheme } from "./chart-style.js";
import { count } from "./format.js";
import { part } from "./parts.js";

const LEVELS = ["1", "2", "3", "4", "5", "6", "7", "8", "9", "10"];

/** Returns a function that shows a snapshot. */
export function showPriorities() {
  const canvas = part("priorities");
  const nothing = part("nothing-waits");
  let chart;
  let lengths = LEVELS.map(() => 0);

  rebuildWithTheme(() => {
    if (!window.Chart) return; // a project without django-unfold, which brings it
    chart?.destroy();
    chart = new window.Chart(canvas, { type: "bar", data: { labels: LEVELS, datasets: [bars(lengths)] }, options: options() });
  });

  return ({ queueLengths }) => {
    const now = LEVELS.map((level) => queueLengths[level]);
    if (now.every((length, n) => length === lengths[n])) return;
    lengths = now;
    if (chart) {
      chart.data.datasets[0].data = lengths;
      chart.update();
    }
    nothing.hidden = lengths.some((length) => length > 0);
    canvas.setAttribute("aria-label", `Waiting tasks by priority: ${summary(lengths)}`);
  };
}

function bars(lengths) {
  return {
    data: lengths,
    backgroundColor: LEVELS.map((level) => colour("--accent", 0.35 + Number(level) * 0.065)),
    borderRadius: 4,
    borderSkipped: "bottom",
    maxBarThickness: 28,
    minBarLength: 0,
  };
}

function options() {
  const shared = chartOptions();
  shared.plugins.tooltip.callbacks = {
    title: ([item]) => `Priority ${item.label}`,
    label: (item) => ` ${count(item.parsed.y)} waiting`,
  };
  shared.plugins.tooltip.displayColors = false;
  const levels = { grid: { display: false }, border: { color: colour("--line") }, ticks: { color: colour("--soft"), font: font() } };
  return { ...shared, scales: { x: levels, y: numberAxis(5) } };
}

function summary(lengths) {
  const some = LEVELS.map((level, n) => [level, lengths[n]]).filter(([, length]) => length > 0);
  return some.map(([level, length]) => `${level}: ${length}`).join(", ") || "none";
}
