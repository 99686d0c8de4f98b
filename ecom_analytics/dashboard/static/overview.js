// The panels of the overview: from an API answer to what is shown.

import { h } from "./dom.js";
import { barSpec, chart, lineSpec } from "./charts.js";
import * as format from "./format.js";
import { table } from "./panels.js";

const percent = (ratio) => format.value(ratio, "ratio");
const count = (n) => format.value(n, "count");
const sum = (values) => values.reduce((total, v) => total + Number(v ?? 0), 0);
const spanOf = (meta) => format.range(meta.range.from, meta.range.to);

/** Is the last day of the range still running? Its last event is then the last one of all, and not near midnight. */
function lastDayIsOpen(meta) {
  if (!meta.as_of) return false;
  const { day, hour } = format.localParts(meta.as_of);
  return day === meta.range.to && hour < 23;
}

export function timeseries(panel, { data, meta }, page) {
  if (!data.available) return panel.unavailable(data.reason);
  const points = data.points;
  const values = points.map((p) => (p.value === null ? null : Number(p.value)));
  if (!sum(values)) return panel.empty(page.nothing(meta), page.wider());
  const first = page.about?.first_date;
  const before = data.previous_points.map((p) => (first && p.date < first ? null : p.value === null ? null : Number(p.value)));
  const compared = before.some((v) => v !== null);
  const open = lastDayIsOpen(meta);
  const best = points[values.indexOf(Math.max(...values))];
  const show = (v) => format.value(v, data.unit);
  const label = `${data.label} per day, ${spanOf(meta)}: ${show(sum(values))} in all, most on ${format.dayLong(best.date)} with ${show(best.value)}`
    + `${compared ? `; ${show(sum(before))} in the previous period` : ""}.`;
  const spoken = points.map((p, i) => `${format.dayLong(p.date)}: ${show(p.value)}${before[i] != null ? `, before ${show(before[i])}` : ""}`);
  const graph = chart({
    label, points: spoken,
    spec: lineSpec({ labels: points.map((p) => p.date), values, previous: compared ? before : [], open }),
    axis: (v) => format.tick(v, data.unit),
    names(index) { return format.dayShort(this.getLabelForValue(index)); },
    tooltip: {
      title: (items) => format.dayLong(points[items[0].dataIndex].date) + (open && items[0].dataIndex === points.length - 1 ? " · not over yet" : ""),
      label: (item) => item.datasetIndex === 0 ? `${show(item.raw)} ${data.label.toLowerCase()}` : `${show(item.raw)} on ${format.dayShort(data.previous_points[item.dataIndex].date)}`,
    },
  });
  const legend = h("ul", { class: "legend" }, h("li", { class: "key-now" }, spanOf(meta)),
    compared && h("li", { class: "key-before" }, format.range(meta.compare_range.from, meta.compare_range.to)),
    open && h("li", { class: "key-open" }, "last day not over yet"));
  const columns = [{ label: "Day", head: true, cell: (p) => format.dayLong(p.date) }, { label: data.label, number: true, cell: (p) => show(p.value) }];
  if (compared) columns.push({ label: "Previous period", number: true, cell: (p) => show(before[points.indexOf(p)]) });
  panel.showChart(graph, () => table(`${data.label} per day`, columns, points), legend);
}

export function weekday(panel, { data, meta }, page) {
  if (!data.available) return panel.unavailable(data.reason);
  const rows = data.rows;
  const values = rows.map((r) => Number(r.value ?? 0));
  if (!sum(values)) return panel.empty(page.nothing(meta), page.wider());
  const show = (v) => format.value(v, data.unit);
  const average = (r) => (r.days ? format.value(Math.round((Number(r.value) / r.days) * 10) / 10, data.unit) : format.MISSING);
  const best = rows[values.indexOf(Math.max(...values))];
  const graph = chart({
    label: `${data.label} by weekday, ${spanOf(meta)}: most on ${best.label} with ${show(best.value)}.`,
    points: rows.map((r) => `${r.label}: ${show(r.value)}`),
    spec: barSpec({ labels: rows.map((r) => r.label.slice(0, 3)), values }),
    axis: (v) => format.tick(v, data.unit),
    tooltip: { title: (items) => rows[items[0].dataIndex].label, label: (item) => `${show(item.raw)} ${data.label.toLowerCase()}`,
      afterLabel: (item) => `${average(rows[item.dataIndex])} a day over ${format.plural(rows[item.dataIndex].days, "day")}` },
  });
  panel.showChart(graph, () => table(`${data.label} by weekday`, [
    { label: "Weekday", head: true, cell: (r) => r.label }, { label: data.label, number: true, cell: (r) => show(r.value) },
    { label: "Days", number: true, cell: (r) => count(r.days) }, { label: "A day", number: true, cell: average },
  ], rows));
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
    axis: (v) => format.tick(v, "count"),
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

const shorten = (text, length) => (String(text).length > length ? `${String(text).slice(0, length - 1)}…` : String(text));

export function products(panel, { data, meta }, page) {
  panel.remark(meta.range ? "" : "all dates");
  if (!data.length) return panel.empty("No product was viewed or bought in these data.");
  const most = Math.max(...data.map((p) => p.purchases), 1);
  const has = (column) => data.some((p) => p[column] !== null && p[column] !== undefined);
  const name = (p) => {
    const bar = h("span", { class: "row-bar", "aria-hidden": "true" });
    bar.style.width = `${(100 * p.purchases) / most}%`;
    const about = [p.category, p.brand].filter(Boolean).join(" · ");
    return [bar, h("span", { class: "row-name" }, p.product_id), about && h("span", { class: "row-about" }, about)];
  };
  const columns = [
    { label: "Product", head: true, cell: name }, { label: "Views", number: true, minor: true, cell: (p) => count(p.views) },
    { label: "Added to cart", number: true, minor: true, cell: (p) => count(p.add_to_carts) }, { label: "Bought", number: true, cell: (p) => count(p.purchases) },
  ];
  const whole = data.some((p) => Math.abs(Number(p.revenue)) >= 1000);
  if (has("revenue")) columns.push({ label: "Revenue", number: true, cell: (p) => format.value(p.revenue, "money", { short: true, whole }) });
  if (has("conversion")) columns.push({ label: "Conv.", number: true, cell: (p) => percent(p.conversion) });
  const note = !has("revenue") && h("p", { class: "foot-note" }, `Revenue: not in this data${page.moneyReason ? ` (${page.moneyReason})` : ""}.`);
  panel.show(...[table("Top products by purchases", columns, data), note].filter(Boolean));
}

export function funnel(panel, { data, meta }, page) {
  if (!data.available) return panel.unavailable(data.reason);
  const start = data.steps[0]?.count;
  if (!start) return panel.empty(`No ${data.unit} with a product view in ${spanOf(meta)}.`, page.wider());
  panel.show(h("ol", { class: "funnel" }, data.steps.map((step, i) => {
    const meter = h("meter", { class: "sr", min: "0", max: "1", value: String(step.rate_from_start ?? 0), "aria-label": `${step.label}: ${percent(step.rate_from_start)} of the start` });
    const fill = h("div", { class: "funnel-fill" });
    fill.style.width = `${100 * (step.rate_from_start ?? 0)}%`;
    const lost = i > 0 && h("p", { class: "funnel-step-rate" }, `${percent(step.rate_from_previous)} went on`, h("span", {}, `${count(step.drop_off)} left`));
    return h("li", { "data-step": step.name }, lost,
      h("p", { class: "funnel-head" }, h("span", { class: "funnel-name" }, step.label), h("span", { class: "funnel-count" }, count(step.count))),
      h("div", { class: "funnel-bar" }, meter, h("div", { class: "funnel-track", "aria-hidden": "true" }, fill), h("span", { class: "funnel-rate" }, percent(step.rate_from_start))));
  })), h("p", { class: "foot-note" }, `${data.unit === "session" ? "Sessions" : "Visitors"} that started in ${spanOf(meta)}.`));
}

/** Text whose parts between backticks are code. */
const withCode = (text) => (text ?? "").split("`").map((part, i) => (i % 2 ? h("code", {}, part) : part));

const SIGNS = { warning: "!", info: "i" };

export function notices(panel, { data }, page) {
  const input = page.about?.input;
  const account = input && h("dl", { class: "account" }, [
    ["Rows read", input.records], ["Used", input.staged], ["Duplicates", input.duplicates], ["Rejected", input.rejected], ["Blank", input.blank],
  ].filter(([, n], i) => i < 2 || n).map(([name, n]) => h("div", {}, h("dt", {}, name), h("dd", {}, count(n)))));
  const list = data.length
    ? h("ul", { class: "notices" }, data.map((notice) => h("li", { class: `notice notice-${notice.level}`, "data-kind": notice.kind },
      h("span", { class: "notice-sign", "aria-hidden": "true" }, SIGNS[notice.level] ?? "i"),
      h("div", {}, h("p", { class: "notice-title" }, h("span", { class: "sr" }, `${notice.level === "warning" ? "Warning" : "Note"}: `), notice.title,
        notice.count != null && h("span", { class: "notice-count" }, count(notice.count))),
      h("p", { class: "notice-detail" }, withCode(notice.detail), notice.kind === "conflicts" && [" ", h("a", { href: page.link("conflicts.csv"), download: true }, "Files and lines (CSV)")])))))
    : h("p", { class: "quiet" }, "Nothing to report: every row was read and used once.");
  const tests = page.about?.tests && h("p", { class: "foot-note" }, `${format.plural(page.about.tests.pass, "data test")} passed${page.about.tests.warn ? `, ${page.about.tests.warn} with a warning` : ""} before this build was published.`);
  panel.show(...[account, list, tests].filter(Boolean));
}
