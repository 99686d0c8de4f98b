// Rows with bars: products, categories, channels, customer segments, and what became of carts.

import { h } from "./dom.js";
import * as format from "./format.js";
import { change, number, table } from "./panels.js";
import { described } from "./tooltip.js";
import * as state from "./state.js";

const percent = (ratio) => format.value(ratio, "ratio");
const count = (n) => number(n, "count");

/** The first cell of a row: its bar, its name, and what else is known. */
function named(share, text, { about = "", onclick = null, chosen = null } = {}) {
  const bar = h("span", { class: "row-bar", "aria-hidden": "true" });
  bar.style.width = `${Math.max(0, Math.min(100, 100 * share))}%`;
  const name = onclick ? h("button", { type: "button", class: "row-name row-link", "aria-pressed": chosen === null ? null : String(chosen), onclick }, text) : h("span", { class: "row-name" }, text);
  return [bar, name, about && h("span", { class: "row-about" }, about)];
}

const barsTable = (...given) => h("div", { class: "bars-table" }, table(...given));

export function products(panel, { data, meta }, page) {
  if (!data.length) return panel.empty(page.nothing(meta, "products"), page.wider());
  const most = Math.max(...data.map((p) => p.purchases), 1);
  const has = (column) => data.some((p) => p[column] !== null && p[column] !== undefined);
  const columns = [
    { label: "Product", head: true, cell: (p) => named(p.purchases / most, p.name ?? p.product_id, { about: [p.category, p.brand].filter(Boolean).join(" · "), onclick: () => page.open("product", p.product_id) }) },
    { label: "Views", number: true, minor: true, cell: (p) => count(p.views) }, { label: "Bought", number: true, cell: (p) => count(p.purchases) },
  ];
  const whole = data.some((p) => Math.abs(Number(p.revenue)) >= 1000);
  if (has("revenue")) columns.push({ label: "Revenue", number: true, cell: (p) => format.value(p.revenue, "money", { short: true, whole }) });
  if (has("change")) columns.push({ label: "Change", number: true, minor: true, cell: (p) => change(p.change) });
  if (has("conversion")) columns.push({ label: "Conv.", number: true, minor: true, cell: (p) => percent(p.conversion) });
  const note = !has("revenue") && h("p", { class: "foot-note" }, "Revenue: not in this data.");
  panel.show(barsTable("Top products by purchases", columns, data), note);
}

export function ranking(panel, { data, meta }, page) {
  panel.choose("metric", "Metric", [["transactions", "Transactions"], ["units", "Units"], ["revenue", "Revenue"], ["views", "Views"], ["add_to_carts", "Added to cart"]], page);
  if (!data.available) return panel.unavailable(data.reason);
  const rows = data.rows;
  if (!rows.length) return panel.empty(page.nothing(meta), page.wider());
  const most = Math.max(...rows.map((r) => Number(r.value ?? 0)), 1e-9);
  const chosen = state.values(data.dimension);
  const columns = [
    { label: panel.title.innerText, head: true, cell: (r) => named(Number(r.value ?? 0) / most, r.label, { onclick: () => page.toggle(data.dimension, r.key), chosen: chosen.includes(r.key) }) },
    { label: data.label, number: true, cell: (r) => number(r.value, data.unit) }, { label: "Share", number: true, minor: true, cell: (r) => percent(r.share) },
  ];
  if (rows.some((r) => r.previous !== null)) columns.push({ label: "Change", number: true, cell: (r) => change(r.change) });
  panel.show(barsTable(panel.title.innerText, columns, rows), data.others > 0 && h("p", { class: "foot-note" }, `and ${format.plural(data.others, "other")}`));
}

export function channels(panel, { data, meta }, page) {
  panel.choose("model", "Credit goes", [["last_non_direct", "to the last not direct"], ["first", "to the first"], ["last", "to the last"], ["linear", "to all alike"], ["position", "40 / 20 / 40"]], page);
  if (!data.available) return panel.unavailable(data.reason);
  const rows = data.rows.slice(0, 10);
  if (!rows.length) return panel.empty(page.nothing(meta), page.wider());
  const most = Math.max(...rows.map((r) => Number(r.transactions)), 1e-9);
  const chosen = state.values("channel");
  const credit = (n) => format.value(Math.round(Number(n) * 10) / 10, "count");
  const columns = [
    { label: "Channel", head: true, cell: (r) => named(r.transactions / most, r.channel, { onclick: () => page.toggle("channel", r.channel), chosen: chosen.includes(r.channel) }) },
    { label: "Transactions", number: true, cell: (r) => credit(r.transactions) },
  ];
  if (rows.some((r) => r.net_value !== null)) columns.push({ label: "Value", number: true, minor: true, cell: (r) => format.value(r.net_value, "money", { short: true, whole: true }) });
  if (rows.some((r) => r.previous !== null)) columns.push({ label: "Change", number: true, minor: true, cell: (r) => change(r.change) });
  panel.show(barsTable("Transactions by channel", columns, rows));
}

const WORDS = {
  champions: "bought lately, often, for much", loyal_customers: "buy often", potential_loyalists: "bought lately, more than little", new_customers: "bought lately, once", promising: "bought lately, little",
  need_attention: "bought some time ago", about_to_sleep: "bought a while ago, little", at_risk: "bought often, but long ago", cannot_lose: "bought much, but very long ago", hibernating: "bought little, long ago", lost: "bought little, very long ago",
};

export function segments(panel, { data }, page) {
  if (!data.available) return panel.unavailable(data.reason);
  const rows = data.rows;
  if (!rows.length) return panel.empty("Nobody has bought anything yet.");
  const most = Math.max(...rows.map((r) => r.customers));
  const chosen = state.values("segment");
  const money = rows.some((r) => r.net_value !== null);
  const columns = [
    { label: "Segment", head: true, cell: (r) => named(r.customers / most, format.dimension("segment", r.segment), { about: WORDS[r.segment] ?? "", onclick: () => page.toggle("segment", r.segment), chosen: chosen.includes(r.segment) }) },
    { label: "Customers", number: true, cell: (r) => count(r.customers) }, { label: "Share", number: true, minor: true, cell: (r) => percent(r.share) },
  ];
  if (money) columns.push({ label: "Value", number: true, cell: (r) => format.value(r.net_value, "money", { short: true, whole: true }) }, { label: "Of all value", number: true, minor: true, cell: (r) => percent(r.value_share) });
  panel.show(barsTable("Customer segments", columns, rows));
}

export function carts(panel, { data, meta }, page) {
  if (!data.available) return panel.unavailable(data.reason);
  const total = data.rows.reduce((all, row) => all + row.carts, 0);
  if (!total) return panel.empty(page.nothing(meta, "carts"), page.wider());
  const rates = h("dl", { class: "account" }, data.rates.filter((one) => one.value !== null).map((one) => h("div", {}, h("dt", {}, ...described(h("span", { class: "term", tabindex: "0" }, one.label), one.definition)), h("dd", {}, percent(one.value), one.previous !== null && h("span", { class: "was" }, ` was ${percent(one.previous)}`)))));
  const most = Math.max(...data.rows.map((row) => row.carts));
  const money = data.rows.some((row) => row.value !== null);
  const columns = [{ label: "Carts", head: true, cell: (r) => named(r.carts / most, r.label) }, { label: "Count", number: true, cell: (r) => count(r.carts) }, { label: "Share", number: true, cell: (r) => percent(r.share) }];
  if (money) columns.push({ label: "Value in them", number: true, minor: true, cell: (r) => format.value(r.value, "money", { short: true }) });
  if (data.rows.some((r) => r.previous !== null)) columns.push({ label: "Before", number: true, minor: true, cell: (r) => count(r.previous) });
  panel.show(rates, barsTable("Carts by what became of them", columns, data.rows));
}
