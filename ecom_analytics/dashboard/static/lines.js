// Lines over time: one metric with its comparison, several in one, cohorts, and shares.

import { h } from "./dom.js";
import { get } from "./api.js";
import { chart, legend, lineSpec, seriesSpec } from "./charts.js";
import { options } from "./cohorts.js";
import * as format from "./format.js";
import { table } from "./panels.js";

const sum = (values) => values.reduce((total, v) => total + Number(v ?? 0), 0);
const spanOf = (range) => format.range(range.from, range.to);
const numeric = (v) => (v === null || v === undefined ? null : Number(v));

export function line(panel, { data, meta }, page) {
  panel.define(data.definition);
  panel.rename(`${data.label} per ${data.grain}`);
  if (!data.available) return panel.unavailable(data.reason);
  const points = data.points;
  const values = points.map((p) => numeric(p.value));
  if (!values.some((v) => v)) return panel.empty(page.nothing(meta, data.label.toLowerCase()), page.wider());
  const whole = meta.compare_range && !(page.bounds() && meta.compare_range.from < page.bounds().first);
  const before = whole ? data.previous_points.map((p) => numeric(p.value)).slice(0, points.length) : [];
  const compared = before.some((v) => v !== null);
  const open = points.at(-1).complete === false;
  const known = points.filter((p) => p.value !== null);
  const best = known.reduce((a, b) => (Number(b.value) > Number(a.value) ? b : a));
  const show = (v) => format.value(v, data.unit);
  const adds = data.unit !== "ratio" && !["aov", "visitors", "arpu", "arppu"].includes(data.metric);
  const label = `${data.label} per ${data.grain}, ${spanOf(meta.range)}: ${adds ? `${show(sum(values))} in all, ` : ""}most on ${format.bucket(best.date, data.grain)} with ${show(best.value)}`
    + `${compared && adds ? `; ${show(sum(before))} in ${spanOf(meta.compare_range)}` : ""}.`;
  const spoken = points.map((p, i) => `${format.bucket(p.date, data.grain)}: ${show(p.value)}${before[i] != null ? `, before ${show(before[i])}` : ""}`);
  const graph = chart({
    label, points: spoken, whole: data.unit === "count",
    spec: lineSpec({ labels: points.map((p) => p.date), values, previous: compared ? before : [], open }),
    axis: (v) => format.tick(v, data.unit),
    names(index) { return format.bucketShort(this.getLabelForValue(index), data.grain); },
    tooltip: {
      title: (items) => format.bucket(points[items[0].dataIndex].date, data.grain) + (points[items[0].dataIndex].complete ? "" : " · not over yet"),
      label: (item) => item.datasetIndex === 0 ? `${show(item.raw)} ${data.label.toLowerCase()}` : `${show(item.raw)} on ${format.dayShort(data.previous_points[item.dataIndex].date)}`,
    },
  });
  const keys = h("ul", { class: "legend" }, h("li", { class: "key-now" }, spanOf(meta.range)),
    compared && h("li", { class: "key-before" }, spanOf(meta.compare_range)),
    open && h("li", { class: "key-open" }, `last ${data.grain} not over yet`));
  const columns = [{ label: { day: "Day", week: "Week", month: "Month" }[data.grain], head: true, cell: (p) => format.bucket(p.date, data.grain) }, { label: data.label, number: true, cell: (p) => show(p.value) }];
  if (compared) columns.push({ label: "Compared with", number: true, cell: (p) => show(before[points.indexOf(p)]) });
  panel.showChart(graph, () => table(`${data.label} per ${data.grain}`, columns, points), keys);
}

let catalogue = null;

/** The same with a choice of the metric. */
export async function metric(panel, answer, page) {
  catalogue ??= (await get("metrics", "")).data.filter((one) => one.available && !one.name.startsWith("customers_of") && !one.name.startsWith("repeat_customers_of"));
  panel.choose("metric", "Metric", catalogue.map((one) => [one.name, one.label]).sort((a, b) => a[1].localeCompare(b[1])), page);
  line(panel, answer, page);
}

/** Lines or stacked bars of several series: what they share. */
function several(panel, meta, page, { series, dates, unit, label, grain = "day", bars = false, most = null, note = null }) {
  if (!series.some((one) => one.values.some((v) => v))) return panel.empty(page.nothing(meta), page.wider());
  const show = (v) => format.value(v, unit);
  const graph = chart({
    label: `${label}: ${series.map((one) => one.label).join(", ")}.`, stacked: bars, most, whole: unit === "count",
    points: dates.map((date, i) => `${format.bucket(date, grain)}: ${series.map((one) => `${one.label} ${show(one.values[i])}`).join(", ")}`),
    spec: seriesSpec({ labels: dates, series, bars }),
    axis: (v) => format.tick(v, unit),
    names(index) { return format.bucketShort(this.getLabelForValue(index), grain); },
    tooltip: { title: (items) => format.bucket(dates[items[0].dataIndex], grain), label: (item) => `${item.dataset.label}: ${show(item.raw)}` },
  });
  const columns = [{ label: "Date", head: true, cell: (i) => format.bucket(dates[i], grain) }, ...series.map((one) => ({ label: one.label, number: true, cell: (i) => show(one.values[i]) }))];
  panel.showChart(graph, () => table(label, columns, dates.map((_, i) => i)), legend(series), note && h("p", { class: "foot-note" }, note));
}

export function split(panel, { data, meta }, page) {
  if (!data.available) return panel.unavailable(data.reason);
  if (!data.series.length) return panel.empty(page.nothing(meta), page.wider());
  const series = data.series.map((one) => ({ label: one.label, values: one.points.map((p) => numeric(p.value)) }));
  several(panel, meta, page, { series, dates: data.series[0].points.map((p) => p.date), unit: data.unit, label: `${data.label} by ${data.split.replaceAll("_", " ")}`, grain: data.grain, bars: true });
}

export function rates(panel, { data, meta }, page) {
  if (!data.available) return panel.unavailable(data.reason);
  const steps = data.steps.slice(1).filter((step) => step.count !== null);
  const series = steps.map((step) => ({ label: step.label, values: data.trend.map((row) => numeric(row[`${step.name}_rate`])) }));
  several(panel, meta, page, { series, dates: data.trend.map((row) => row.date), unit: "ratio", label: "Share of sessions that reach each step", grain: data.grain });
}

export function curves(panel, { data, meta }, page) {
  options(panel, page);
  if (!data.available) return panel.unavailable(data.reason);
  const skip = data.measure === "rate" ? 1 : 0;
  const known = (one) => one.cells.filter((cell) => cell.period >= skip && cell.is_complete && cell.value !== null);
  const cohorts = data.cohorts.filter((one) => known(one).length > 1).slice(0, 6);
  if (!cohorts.length) return panel.empty("There are no two periods to compare yet.");
  const length = Math.max(...cohorts.map((one) => one.cells.length));
  const at = (cells, n) => { const cell = cells.find((one) => one.period === n); return cell && cell.is_complete ? numeric(cell.value) : null; };
  const numbers = Array.from({ length }, (_, n) => n).slice(skip);
  const series = [
    ...cohorts.map((one) => ({ label: format.bucket(one.cohort, data.cohort_grain), values: numbers.map((n) => at(one.cells, n)) })),
    { label: "weighted average", dashed: true, quiet: true, values: numbers.map((n) => numeric(data.averages.find((one) => one.period === n)?.value)) },
  ];
  const show = (v) => format.value(v, data.unit);
  const graph = chart({
    label: `${data.label} by ${data.cohort_grain}s since the first.`, whole: false,
    points: numbers.map((n, i) => `${data.cohort_grain} ${n}: ${series.map((one) => `${one.label} ${show(one.values[i])}`).join(", ")}`),
    spec: seriesSpec({ labels: numbers, series }), axis: (v) => format.tick(v, data.unit),
    names(index) { return `${data.cohort_grain} ${this.getLabelForValue(index)}`; },
    tooltip: { title: (items) => `${data.cohort_grain} ${numbers[items[0].dataIndex]}`, label: (item) => `${item.dataset.label}: ${show(item.raw)}` },
  });
  const columns = [{ label: "Period", head: true, cell: (i) => numbers[i] }, ...series.map((one) => ({ label: one.label, number: true, cell: (i) => show(one.values[i]) }))];
  panel.showChart(graph, () => table(data.label, columns, numbers.map((_, i) => i)), legend(series));
}

export function pareto(panel, { data, meta }, page) {
  const bought = data.map((p) => Number(p.purchases)).filter((n) => n > 0);
  const total = sum(bought);
  if (!total) return panel.empty(page.nothing(meta, "purchases"), page.wider());
  let so = 0;
  const shares = bought.map((n) => (so += n) / total);
  const fifth = Math.max(1, Math.round(bought.length / 5));
  const steps = shares.length > 200 ? shares.map((_, i) => i).filter((i) => i % Math.ceil(shares.length / 200) === 0 || i === shares.length - 1) : shares.map((_, i) => i);
  const percent = (v) => format.value(v, "ratio");
  const cut = meta.next ? ` of the ${data.length} best sold` : "";
  const words = `${format.plural(fifth, "product")} of ${format.value(bought.length, "count")} that were bought make ${percent(shares[fifth - 1])} of the purchases${cut}.`;
  const graph = chart({
    label: words, whole: false, points: steps.map((i) => `First ${i + 1}: ${percent(shares[i])}`), most: 1,
    spec: lineSpec({ labels: steps.map((i) => i + 1), values: steps.map((i) => shares[i]), previous: [], open: false }),
    axis: (v) => format.tick(v, "ratio"), names(index) { return this.getLabelForValue(index); },
    tooltip: { title: (items) => `First ${format.plural(steps[items[0].dataIndex] + 1, "product")}`, label: (item) => `${percent(item.raw)} of the purchases` },
  });
  const columns = [{ label: "Products", head: true, cell: (i) => String(i + 1) }, { label: "Share of purchases", number: true, cell: (i) => percent(shares[i]) }];
  panel.showChart(graph, () => table("Cumulative share of purchases", columns, steps), h("p", { class: "foot-note" }, words));
}
