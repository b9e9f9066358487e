// Tasks a second over the last minutes, as lines.

import { chartOptions, colour, font, numberAxis, rebuildWithTheme } from "./chart-style.js";
import { rate } from "./format.js";
import { part, say } from "./parts.js";

const LINES = [
  { name: "completed", colour: "--good", fill: true },
  { name: "submitted", colour: "--info", fill: false },
  { name: "failed", colour: "--bad", fill: false },
];
const MARK_EVERY = 60_000; // ms

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
  shared.plugins.legend = {
    display: true,
    position: "bottom",
    align: "start",
    labels: { color: colour("--soft"), boxWidth: 14, boxHeight: 2, padding: 16, font: font() },
  };
  shared.plugins.tooltip.callbacks = {
    title: ([item]) => new Date(Number(item.label)).toLocaleTimeString("en-GB"),
    label: (item) => ` ${item.dataset.label}: ${rate(item.parsed.y)}/s`,
  };
  return { ...shared, scales: { x: timeAxis(), y: numberAxis(5) } };
}

function timeAxis() {
  return {
    grid: { display: false },
    border: { color: colour("--line") },
    ticks: {
      color: colour("--soft"),
      font: font(),
      autoSkip: false,
      maxRotation: 0,
      callback(value) {
        const at = this.getLabelForValue(value);
        if (at % MARK_EVERY) return null;
        return new Date(at).toLocaleTimeString("en-GB", { hour: "2-digit", minute: "2-digit" });
      },
    },
  };
}
