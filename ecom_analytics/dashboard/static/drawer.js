// What a row opens: a product, a transaction, a user. It is in the address, so it can be linked, and back closes it.

import { $, h } from "./dom.js";
import { get } from "./api.js";
import * as format from "./format.js";
import { cell, table } from "./panels.js";
import { sparkline } from "./sparkline.js";
import * as state from "./state.js";

const ROUTES = { product: "products", transaction: "transactions", user: "users" };
const money = (v) => format.value(v, "money");
const count = (v) => format.value(v, "count");
const facts = (pairs) => h("dl", { class: "facts" }, pairs.filter(([, value]) => value !== null && value !== undefined && value !== "").map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));
let wired = false;
let shown = null;

/** Show what `open` names ("product:p1"), or close the drawer. */
export async function show(open, page) {
  const dialog = $("#drawer");
  if (!wired) {
    wired = true;
    dialog.addEventListener("close", () => { if (new URLSearchParams(window.location.search).get("open")) page.go({ open: null }, []); });
    dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  }
  shown = open;
  if (!open) return void dialog.close();
  const [what, ...rest] = open.split(":");
  const id = rest.join(":");
  if (!ROUTES[what]) return void dialog.close();
  const head = (text) => h("div", { class: "drawer-head" }, h("h2", { id: "drawer-title" }, text), h("button", { type: "button", class: "button", onclick: () => dialog.close(), "aria-label": "Close" }, "Close"));
  const title = { product: "Product", transaction: "Transaction", user: "User" }[what];
  dialog.replaceChildren(head(`${title} ${id}`), h("div", { class: "skeleton drawer-wait" }));
  if (!dialog.open) dialog.showModal();
  try {
    const query = what === "product" ? new URLSearchParams([...state.page()].filter(([key]) => ["period", "from", "to"].includes(key))) : "";
    const { data, meta } = await get(`${ROUTES[what]}/${encodeURIComponent(id)}`, query);
    if (shown !== open) return;
    const nodes = { product, transaction, user }[what](data, meta, page);
    dialog.replaceChildren(head(`${title} ${id}`), ...nodes.flat().filter(Boolean));
  } catch (error) {
    if (shown === open) dialog.replaceChildren(head(`${title} ${id}`), h("p", { class: "message-detail", role: "alert" }, error.message));
  }
}

const link = (page, what, id, text = id) => h("button", { type: "button", class: "row-link", onclick: () => page.open(what, id) }, text);

function product({ product: p, days, bought_with: together }, meta, page) {
  const known = days.some((d) => d.views || d.purchases);
  return [
    facts([["Name", p.name], ["Category", p.category], ["Brand", p.brand], ["List price", p.list_price !== null && p.list_price !== undefined ? money(p.list_price) : null]]),
    h("h3", {}, "All dates"),
    facts([["Views", count(p.views)], ["Viewers", count(p.viewers)], ["Added to cart", count(p.add_to_carts)], ["Bought", count(p.purchases)], ["Buyers", count(p.buyers)], ["Units", p.quantity !== null ? count(p.quantity) : null], ["Revenue", p.revenue !== null ? money(p.revenue) : null], ["Conversion", format.value(p.conversion, "ratio")]]),
    h("h3", {}, `Views per day, ${format.range(meta.range.from, meta.range.to)}`), known ? h("div", { class: "drawer-spark" }, sparkline(days.map((d) => ({ date: d.date, value: d.views })))) : h("p", { class: "quiet" }, "None in these days."),
    together.length ? [h("h3", {}, "Bought together with"), table("Bought together", [{ label: "Product", head: true, cell: (r) => link(page, "product", r.other_product_id) }, { label: "Together", number: true, cell: (r) => count(r.together) }, { label: "Lift", number: true, cell: (r) => `${format.value(Math.round(r.lift * 10) / 10, "count")}×` }], together)] : null,
  ].flat();
}

function transaction({ transaction: t, lines, conflicts }, meta, page) {
  const wanted = meta.columns.filter((c) => !["line_number", "event_ts", "file", "source_line"].includes(c.name) && lines.some((l) => l[c.name] !== null));
  return [
    facts([["Time", format.instant(t.transaction_ts)], ["User", link(page, "user", t.user_id)], ["Net order value", t.net_value !== null ? money(t.net_value) : null], ["Refunds", t.refunds ? money(t.refunds) : null], ["Order of this customer", count(t.customer_sequence)]]),
    h("h3", {}, format.plural(lines.length, "line")),
    table("Lines", [...wanted.map((c, i) => ({ ...c, head: i === 0, number: ["whole", "number"].includes(c.type), cell: (l) => (c.name === "product_id" && l.product_id ? link(page, "product", l.product_id) : cell(c, l[c.name])) })),
      { label: "Read from", cell: (l) => h("code", { class: "breaks" }, `${l.file}:${l.source_line}`) }], lines),
    conflicts.length ? [h("h3", {}, "In conflict"), h("ul", { class: "notices" }, conflicts.map((c) => h("li", { class: "notice-detail" }, `${c.message} (${c.file}, line ${c.line})`)))] : null,
  ].flat();
}

function user({ user: u, timeline, has_more: more }, meta, page) {
  const item = (row) => h("li", { class: `event event-${row.kind}` }, h("time", { datetime: row.moment }, format.instant(row.moment)),
    h("div", {}, h("p", { class: "notice-title" }, row.kind === "transaction" ? link(page, "transaction", row.id, row.title) : row.title, row.value !== null && h("span", { class: "notice-count" }, money(row.value))), row.detail && h("p", { class: "notice-detail" }, row.detail)));
  return [
    facts([["First seen", format.instant(u.first_seen)], ["Last seen", format.instant(u.last_seen)], ["Sessions", count(u.sessions)], ["Transactions", count(u.transactions)], ["Net order value", u.net_value !== null ? money(u.net_value) : null], ["Segment", u.segment ? format.dimension("segment", u.segment) : null], ["Bot", u.is_bot ? u.bot_rules : null]]),
    h("h3", {}, "All that they did, the newest first"), h("ol", { class: "timeline" }, timeline.map(item)), more ? h("p", { class: "foot-note" }, "Only the newest are shown.") : null,
  ];
}
