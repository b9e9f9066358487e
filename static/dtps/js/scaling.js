// Slots of all workers and what waits, as lines; and why the autoscalers changed them.

import { chartOptions, colour, lineLegend, numberAxis, timeAxis } from "./chart-style.js";
import { decisionItems } from "./decisions.js";
import { count } from "./format.js";
import { lineChart } from "./line-chart.js";
import { part } from "./parts.js";

const LINES = [
  { name: "slots", label: "slots", colour: "--accent", axis: "y" },
  { name: "busy", label: "running", colour: "--info", axis: "y", fill: true },
  { name: "ready", label: "waiting (right)", colour: "--warn", axis: "waiting", dash: [3, 4] },
];

/** Returns a function that shows a snapshot. */
export function showScaling() {
  const draw = slotsChart(part("slots"));
  const list = part("decisions");
  let seen = null;

  return ({ series, decisions }) => {
    draw(series);
    const news = JSON.stringify(decisions);
    if (news === seen) return;
    seen = news;
    list.replaceChildren(...decisionItems(decisions));
    list.hidden = decisions.length === 0;
    part("undecided").hidden = decisions.length > 0;
  };
}

function slotsChart(canvas) {
  const draw = lineChart(canvas, LINES, line, options);
  return (series) => {
    if (!draw(series)) return;
    canvas.setAttribute("aria-label", `Over the last five minutes; now ${summary(series.at(-1))}`);
  };
}

function summary(point) {
  return LINES.map(({ name, label }) => `${label.replace(" (right)", "")}: ${point[name] === null ? "unknown" : count(point[name])}`).join(", ");
}

function line({ label, colour: property, axis, fill = false, dash = [] }) {
  return {
    label,
    data: [],
    yAxisID: axis,
    borderColor: colour(property),
    backgroundColor: colour(property, fill ? 0.14 : 1),
    fill,
    borderWidth: 2,
    borderDash: dash,
    pointRadius: 0,
    stepped: axis === "y" ? "before" : false,
  };
}

function options() {
  const shared = chartOptions();
  shared.plugins.legend = lineLegend();
  shared.plugins.tooltip.callbacks = {
    title: ([item]) => new Date(Number(item.label)).toLocaleTimeString("en-GB"),
    label: (item) => ` ${item.dataset.label.replace(" (right)", "")}: ${count(item.parsed.y)}`,
  };
  const waiting = { ...numberAxis(5), position: "right", grid: { display: false } };
  return { ...shared, scales: { x: timeAxis(), y: numberAxis(4), waiting } };
}
