// Tasks a second over the last minutes, as lines.

import { chartOptions, colour, lineLegend, numberAxis, rebuildWithTheme, timeAxis } from "./chart-style.js";
import { rate } from "./format.js";
import { part, say } from "./parts.js";

const LINES = [
  { name: "completed", colour: "--good", fill: true },
  { name: "submitted", colour: "--info", fill: false },
  { name: "failed", colour: "--bad", fill: false },
];

/** Returns a function that shows a snapshot. */
export function showThroughput() {
  const canvas = part("throughput");
  const peak = part("throughput-peak");
  let chart;
  let points = [];

  rebuildWithTheme(() => {
    chart?.destroy();
    chart = new window.Chart(canvas, { type: "line", data: { datasets: LINES.map(line) }, options: options() });
    draw();
  });

  function draw() {
    chart.data.labels = points.map(({ at }) => at);
    LINES.forEach(({ name }, n) => (chart.data.datasets[n].data = points.map((point) => point[name])));
    chart.update();
  }

  return ({ series }) => {
    if (series.at(-1)?.at === points.at(-1)?.at) return;
    points = series;
    draw();
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
