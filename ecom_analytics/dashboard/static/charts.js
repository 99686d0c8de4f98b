// Charts on Chart.js: colours from the style sheet, a spoken summary, and points that arrow keys read.

import { announce, h } from "./dom.js";

const { Chart } = window;
const made = new Set();

const token = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

function colours() {
  return {
    accent: token("--accent"), accentSoft: token("--accent-soft"), barFill: token("--bar-fill"), previous: token("--previous"), text: token("--muted"),
    line: token("--line"), card: token("--card"), ink: token("--ink"), tipBack: token("--tip-back"), tipInk: token("--tip-ink"),
    series: Array.from({ length: 7 }, (_, i) => token(`--s${i + 1}`)),
  };
}

const FONT = { family: 'system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif', size: 12 };

function tooltipOptions(c, callbacks) {
  return {
    backgroundColor: c.tipBack, titleColor: c.tipInk, bodyColor: c.tipInk, padding: 10, cornerRadius: 6, displayColors: false, caretPadding: 14,
    titleFont: { ...FONT, weight: "600" }, bodyFont: FONT, caretSize: 0, callbacks,
  };
}

function common(c, horizontal) {
  const values = { beginAtZero: true, border: { display: false }, grid: { color: c.line, drawTicks: false }, ticks: { color: c.text, font: FONT, padding: 8, maxTicksLimit: 6 } };
  const names = { border: { display: false }, grid: { display: false }, ticks: { color: c.text, font: FONT, padding: 6, maxRotation: 0 } };
  return {
    responsive: true, maintainAspectRatio: false, animation: false, events: ["mousemove", "mouseout", "click", "touchstart", "touchmove"],
    indexAxis: horizontal ? "y" : "x", interaction: { mode: "index", axis: horizontal ? "y" : "x", intersect: false },
    scales: horizontal ? { x: values, y: names } : { x: names, y: values },
  };
}

/**
 * A canvas with its chart, inside a box that has a height already.
 * `spec(colours)` gives {type, data, options}; `label` is what a screen reader hears; `points` are read by arrow keys.
 */
export function chart({ label, points, spec, horizontal = false, tooltip, axis, names, pick = null, stacked = false, most = null, whole = true }) {
  const canvas = h("canvas", { role: "img", "aria-label": `${label} Arrow keys read the points${pick ? ", Enter filters by one" : ""}.`, tabindex: "0", class: pick ? "picks" : null });
  const box = h("div", { class: "chart" }, canvas);
  const build = () => {
    const c = colours();
    const options = common(c, horizontal);
    const [valueAxis, nameAxis] = horizontal ? ["x", "y"] : ["y", "x"];
    options.scales[valueAxis].ticks.callback = axis;
    if (whole) options.scales[valueAxis].ticks.precision = 0;
    if (names) options.scales[nameAxis].ticks.callback = names;
    Object.assign(options.scales[nameAxis].ticks, names ? { autoSkip: true, autoSkipPadding: 18, maxTicksLimit: 8 } : { autoSkip: false });
    if (stacked) for (const scale of Object.values(options.scales)) scale.stacked = true;
    if (most !== null) options.scales[valueAxis].max = most;
    if (pick) options.onClick = (_, active) => { if (active.length) pick(active[0].index); };
    options.plugins = { legend: { display: false }, tooltip: tooltipOptions(c, tooltip) };
    return { ...spec(c), options };
  };
  const entry = { canvas, build, chart: null };
  // Chart.js measures its box, so it is drawn once the box is in the page.
  entry.draw = () => {
    entry.chart = new Chart(canvas, build());
    made.add(entry);
  };
  readable(entry, points, pick);
  return { box, draw: entry.draw, destroy: () => { entry.chart?.destroy(); made.delete(entry); } };
}

function readable(entry, points, pick) {
  let at = -1;
  entry.canvas.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && pick && at >= 0) {
      pick(at);
      return;
    }
    const step = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1, Home: -Infinity, End: Infinity }[event.key];
    if (step === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    at = Math.max(0, Math.min(points.length - 1, at < 0 && step === -1 ? points.length - 1 : at + step));
    announce(points[at]);
    const active = entry.chart.data.datasets.map((_, datasetIndex) => ({ datasetIndex, index: at }));
    const where = entry.chart.getDatasetMeta(0).data[at];
    entry.chart.setActiveElements(active);
    entry.chart.tooltip.setActiveElements(active, { x: where.x, y: where.y });
    entry.chart.update();
  });
  entry.canvas.addEventListener("blur", () => {
    at = -1;
    entry.chart?.setActiveElements([]);
    entry.chart?.tooltip.setActiveElements([], { x: 0, y: 0 });
    entry.chart?.update();
  });
}

/** The data sets of a line with the previous period dashed; the last step is dashed while its day is not over. */
export function lineSpec({ labels, values, previous, open }) {
  return (c) => {
    const few = values.filter((v) => v !== null).length < 3;
    const current = {
      data: values, borderColor: c.accent, backgroundColor: c.accentSoft, fill: true, borderWidth: 2, tension: 0.25, cubicInterpolationMode: "monotone",
      pointRadius: few ? 3 : 0, pointHoverRadius: 4, pointBackgroundColor: c.accent, pointHoverBackgroundColor: c.accent, pointHoverBorderColor: c.card, pointHoverBorderWidth: 2,
      segment: { borderDash: (part) => (open && part.p1DataIndex === values.length - 1 ? [4, 4] : undefined) },
    };
    const before = {
      data: previous, borderColor: c.previous, borderWidth: 1.5, borderDash: [5, 4], fill: false, cubicInterpolationMode: "monotone",
      pointRadius: 0, pointHoverRadius: 3, pointBackgroundColor: c.previous, pointHoverBackgroundColor: c.previous,
    };
    return { type: "line", data: { labels, datasets: previous.length ? [current, before] : [current] } };
  };
}

/** The one data set of a bar chart; `chosen(index)` are drawn stronger, when some are. */
export function barSpec({ labels, values, horizontal = false, chosen = null }) {
  return (c) => ({
    type: "bar",
    data: { labels, datasets: [{ data: values, backgroundColor: chosen ? values.map((_, i) => (chosen(i) ? c.accent : c.barFill)) : c.barFill, hoverBackgroundColor: c.accent, borderRadius: 3, maxBarThickness: horizontal ? 20 : 40, categoryPercentage: 0.82, barPercentage: 0.86 }] },
  });
}

/** Several lines, or stacked bars, each in its colour. Series: {label, values, dashed?, quiet?}. */
export function seriesSpec({ labels, series, bars = false }) {
  return (c) => ({
    type: bars ? "bar" : "line",
    data: {
      labels,
      datasets: series.map((one, i) => {
        const colour = one.quiet ? c.previous : c.series[i % c.series.length];
        return bars ? { label: one.label, data: one.values, backgroundColor: colour, maxBarThickness: 34, categoryPercentage: 0.86, barPercentage: 0.92 }
          : { label: one.label, data: one.values, borderColor: colour, backgroundColor: colour, borderWidth: one.quiet ? 1 : 2, borderDash: one.dashed ? [5, 4] : [], fill: false, cubicInterpolationMode: "monotone", pointRadius: one.values.filter((v) => v !== null).length < 3 ? 3 : 0, pointHoverRadius: 4, spanGaps: false };
      }),
    },
  });
}

/** What the lines are, as a list. */
export const legend = (series) => h("ul", { class: "legend legend-series" }, series.map((one, i) => h("li", { class: `key-s key-s${(i % 7) + 1}${one.dashed ? " key-dashed" : ""}` }, one.label)));

window.addEventListener("themechange", () => {
  for (const entry of made) {
    const { data, options } = entry.build();
    entry.chart.data = data;
    entry.chart.options = options;
    entry.chart.update("none");
  }
});
