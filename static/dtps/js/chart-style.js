// Charts in the colours of the page, also after the theme changes.

const MARK_EVERY = 60_000; // ms

const probe = document.createElement("span");
probe.hidden = true;
document.body.append(probe);

/** The colour behind a custom property, as the canvas needs it. */
export function colour(name, alpha = 1) {
  probe.style.color = `var(${name})`;
  const [red, green, blue] = getComputedStyle(probe).color.match(/[\d.]+/g);
  return `rgba(${red}, ${green}, ${blue}, ${alpha})`;
}

/** What both charts share. */
export function chartOptions() {
  return {
    animation: false,
    responsive: true,
    maintainAspectRatio: false,
    interaction: { mode: "index", intersect: false },
    plugins: { legend: { display: false }, tooltip: tooltip() },
  };
}

function tooltip() {
  return {
    backgroundColor: colour("--raised"),
    borderColor: colour("--line"),
    borderWidth: 1,
    titleColor: colour("--text"),
    bodyColor: colour("--text"),
    padding: 10,
    cornerRadius: 8,
    boxPadding: 4,
  };
}

/** An axis of numbers from zero, with few and even marks. */
export function numberAxis(least) {
  return {
    beginAtZero: true,
    suggestedMax: least,
    border: { display: false },
    grid: { color: colour("--line"), tickLength: 0 },
    ticks: { color: colour("--soft"), maxTicksLimit: 5, padding: 8, precision: 0, font: font() },
    afterFit: (axis) => (axis.width = 52), // the chart keeps its place while numbers grow
  };
}

/** An axis of moments, marked at full minutes. */
export function timeAxis() {
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

/** The legend below a chart of lines. */
export function lineLegend() {
  return {
    display: true,
    position: "bottom",
    align: "start",
    labels: { color: colour("--soft"), boxWidth: 14, boxHeight: 2, padding: 16, font: font() },
  };
}

/** The font of the marks. */
export function font() {
  return { family: getComputedStyle(document.body).fontFamily, size: 12 };
}

/** Call `build` now and whenever the theme changes; it gets rid of the chart it made before. */
export function rebuildWithTheme(build) {
  build();
  new MutationObserver(build).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  matchMedia("(prefers-color-scheme: light)").addEventListener("change", build);
}
