// A chart of lines over the last minutes, one point for each moment of a series.

import { rebuildWithTheme } from "./chart-style.js";

/**
 * Returns a function that draws a series, and returns whether that was news. Each of `lines` is named
 * like what it shows of a point; `style(line)` and `options()` are asked anew when the theme changes.
 */
export function lineChart(canvas, lines, style, options) {
  let chart;
  let points = [];
  if (!window.Chart) return isNews; // a project without django-unfold, which brings it

  rebuildWithTheme(() => {
    chart?.destroy();
    chart = new window.Chart(canvas, { type: "line", data: { datasets: lines.map(style) }, options: options() });
    draw();
  });

  function draw() {
    chart.data.labels = points.map(({ at }) => at);
    lines.forEach(({ name }, n) => (chart.data.datasets[n].data = points.map((point) => point[name])));
    chart.update();
  }

  function isNews(series) {
    const isNew = series.at(-1)?.at !== points.at(-1)?.at;
    points = series;
    return isNew;
  }

  return (series) => {
    if (!isNews(series)) return false;
    draw();
    return true;
  };
}
