// Bars: weekdays, histograms, users, and the charts of panels that others bring.

import { h } from "./dom.js";
import { barSpec, chart, lineSpec } from "./charts.js";
import * as format from "./format.js";
import { cell, columnsOf, table } from "./panels.js";
import * as state from "./state.js";

const sum = (values) => values.reduce((total, v) => total + Number(v ?? 0), 0);
const count = (n) => format.value(n, "count");
const spanOf = (meta) => format.range(meta.range.from, meta.range.to);
const shorten = (text, length) => (String(text).length > length ? `${String(text).slice(0, length - 1)}…` : String(text));

export function bars(panel, { data, meta }, page) {
  if (!data.dimension) return generic(panel, { data, meta }, page);
  panel.define(data.definition);
  if (!data.available) return panel.unavailable(data.reason);
  const rows = data.rows;
  const values = rows.map((r) => Number(r.value ?? 0));
  if (!sum(values)) return panel.empty(page.nothing(meta, data.label.toLowerCase()), page.wider());
  const show = (v) => format.value(v, data.unit);
  const average = (r) => (r.days ? format.value(Math.round((Number(r.value) / r.days) * 10) / 10, data.unit) : format.MISSING);
  const best = rows[values.indexOf(Math.max(...values))];
  const chosen = state.values(data.dimension);
  const weekday = data.dimension === "weekday";
  const graph = chart({
    label: `${data.label} by ${data.dimension}, ${spanOf(meta)}: most on ${best.label} with ${show(best.value)}.`,
    points: rows.map((r) => `${r.label}: ${show(r.value)}`),
    spec: barSpec({ labels: rows.map((r) => (weekday ? r.label.slice(0, 3) : shorten(r.label, 12))), values, chosen: chosen.length ? (i) => chosen.includes(String(rows[i].key)) : null }),
    axis: (v) => format.tick(v, data.unit), pick: (i) => page.toggle(data.dimension, rows[i].key),
    tooltip: { title: (items) => rows[items[0].dataIndex].label, label: (item) => `${show(item.raw)} ${data.label.toLowerCase()}`,
      afterLabel: (item) => (weekday ? `${average(rows[item.dataIndex])} a day over ${format.plural(rows[item.dataIndex].days, "day")}` : "") },
  });
  const columns = [{ label: weekday ? "Weekday" : "Value", head: true, cell: (r) => r.label }, { label: data.label, number: true, cell: (r) => show(r.value) }];
  if (weekday) columns.push({ label: "Days", number: true, cell: (r) => count(r.days) }, { label: "A day", number: true, cell: average });
  panel.showChart(graph, () => table(`${data.label} by ${data.dimension}`, columns, rows));
}

export function histogram(panel, { data, meta }, page) {
  if (!data.available) return panel.unavailable(data.reason);
  const rows = data.rows;
  if (!rows.length) return panel.empty(page.nothing(meta), page.wider());
  const money = data.dimension === "order_value";
  const name = (r) => (!money ? r.label : r.to === null ? `${format.value(r.from, "money", { whole: true })} or more` : `${format.value(r.from, "money", { whole: true })} to ${format.value(r.to, "money", { whole: true })}`);
  const best = rows.reduce((a, b) => (b.value > a.value ? b : a));
  const graph = chart({
    label: `${data.definition} Most: ${name(best)} with ${count(best.value)}.`, points: rows.map((r) => `${name(r)}: ${count(r.value)}`),
    ...(money ? { names(index) { return this.getLabelForValue(index); } } : {}),
    spec: barSpec({ labels: rows.map((r) => (money ? format.tick(r.from, "count") : r.label)), values: rows.map((r) => r.value) }),
    axis: (v) => format.tick(v, "count"),
    tooltip: { title: (items) => name(rows[items[0].dataIndex]) + (money ? "" : " transactions"), label: (item) => `${count(item.raw)} ${data.label.toLowerCase()}`, afterLabel: (item) => format.value(rows[item.dataIndex].share, "ratio") },
  });
  const columns = [{ label: money ? "Net order value" : "Transactions", head: true, cell: name }, { label: data.label, number: true, cell: (r) => count(r.value) }, { label: "Share", number: true, cell: (r) => format.value(r.share, "ratio") }];
  panel.showChart(graph, () => table(data.definition, columns, rows));
}

export function users(panel, { data, meta }, page) {
  const rows = data.filter((u) => u.transactions > 0);
  if (!rows.length) return panel.empty(page.nothing(meta), page.wider());
  const values = rows.map((u) => Number(u.transactions));
  const money = rows.some((u) => u.net_value !== null);
  const graph = chart({
    label: `Top ${format.plural(rows.length, "user")} by transactions, ${spanOf(meta)}: user ${rows[0].user_id} with ${count(rows[0].transactions)} leads.`,
    points: rows.map((u) => `User ${u.user_id}: ${format.plural(u.transactions, "transaction")}`),
    spec: barSpec({ labels: rows.map((u) => shorten(u.user_id, 14)), values, horizontal: true }), horizontal: true,
    axis: (v) => format.tick(v, "count"), pick: (i) => page.open("user", rows[i].user_id),
    tooltip: {
      title: (items) => `User ${rows[items[0].dataIndex].user_id}`, label: (item) => format.plural(item.raw, "transaction"),
      afterLabel: (item) => `${format.plural(rows[item.dataIndex].sessions, "session")}${money ? ` · ${format.value(rows[item.dataIndex].net_value, "money")}` : ""}`,
    },
  });
  const columns = [
    { label: "User", head: true, cell: (u) => u.user_id }, { label: "Transactions", number: true, cell: (u) => count(u.transactions) },
    { label: "Sessions", number: true, cell: (u) => count(u.sessions) }, { label: "Views", number: true, minor: true, cell: (u) => count(u.views) },
  ];
  if (money) columns.push({ label: "Net order value", number: true, cell: (u) => format.value(u.net_value, "money") });
  panel.showChart(graph, () => table("Top users by transactions", columns, rows));
}

/** A panel that someone else brought: its rows as bars or a line of the first number, or as a table. */
export function generic(panel, { data, meta }, page) {
  if (data.available === false) return panel.unavailable(data.reason);
  const rows = Array.isArray(data) ? data : data.rows;
  if (!rows.length) return panel.empty(page.nothing(meta, "rows"), page.wider());
  const columns = columnsOf(meta);
  const measure = columns.find((c) => c.number && !c.head);
  const asTable = () => table(panel.title.innerText, columns, rows);
  if (!measure || !["generic_bars", "generic_line"].includes(panel.chart)) return panel.show(asTable());
  const [name] = columns;
  const values = rows.map((r) => (r[measure.name] === null ? null : Number(r[measure.name])));
  const show = (v) => format.value(v, measure.unit || "count");
  const told = (r) => String(name.type === "day" ? format.dayShort(r[name.name]) : cell(name, r[name.name]));
  const isLine = panel.chart === "generic_line";
  const graph = chart({
    label: `${panel.title.innerText}.`, points: rows.map((r, i) => `${told(r)}: ${show(values[i])}`),
    spec: isLine ? lineSpec({ labels: rows.map(told), values, previous: [], open: false }) : barSpec({ labels: rows.map((r) => shorten(told(r), 12)), values }),
    axis: (v) => format.tick(v, measure.unit || "count"),
    tooltip: { title: (items) => told(rows[items[0].dataIndex]), label: (item) => `${show(item.raw)} ${measure.label.toLowerCase()}` },
  });
  panel.showChart(graph, asTable);
}
