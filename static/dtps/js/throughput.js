// Tasks a second over the last minutes, as lines.

import { chartOptions, colour, lineLegend, numberAxis, timeAxis } from "./chart-style.js";
import { rate } from "./format.js";
import { lineChart } from "./line-chart.js";
import { part, say } from "./parts.js";

const LINES = [
  { name: "completed", colour: "--good", fill: true },
  { name: "submitted", colour: "--info", fill: false },
  { name: "failed", colour: "--bad", fill: false },
];

/** Returns a function that shows a snapshot. */
export function showThroughput() {
  const peak = part("throughput-peak");
  const draw = lineChart(part("throughput"), LINES, line, options);

  return ({ series }) => {
    if (!draw(series)) return;
    say(peak, `peak ${rate(Math.max(0, ...series.map(({ completed }) => completed)))}/s`);
  };
}

function line({ name, colour: property, fill }) {
  return {
    label: name,
    data: [],
    borderColor: colour(property),
    backgroundColor: colour(property, fill ? 0.14 : 1),
    fill,
    borderWidth: 2,
    borderDash: name === "submitted" ? [3, 4] : [],
    pointRadius: 0,
    tension: 0.25,
    cubicInterpolationMode: "monotone", // else a curve would dip below zero
  };
}

function options() {
  const shared = chartOptions();
  shared.plugins.legend = lineLegend();
  shared.plugins.tooltip.callbacks = {
    title: ([item]) => new Date(Number(item.label)).toLocaleTimeString("en-GB"),
    label: (item) => ` ${item.dataset.label}: ${rate(item.parsed.y)}/s`,
  };
  return { ...shared, scales: { x: timeAxis(), y: numberAxis(5) } };
}
