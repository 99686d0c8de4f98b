// A list of the API as a table: sorted by its headings, searched, in pages; a row opens what it is of.

import { h } from "./dom.js";
import * as format from "./format.js";
import { cell, change, number, table as plain } from "./panels.js";

const OPENS = { product_id: "product", other_product_id: "product", transaction_id: "transaction", user_id: "user" };
const HIDDEN = { product_table: ["name"], transactions: ["currency"], affinity: ["support"], runs: ["package_version"] };
const MINOR = new Set(["brand", "quantity", "cart_to_purchase", "previous", "lines", "customer_sequence", "add_to_carts", "views", "other_transactions", "seconds", "build_id", "last_seen"]);

export function table(panel, { data, meta }, page) {
  panel.remark(meta.remark ?? "");
  const search = panel.knows.has("q") ? searchBox(panel, page) : null;
  const rows = data;
  const empty = (name) => rows.every((row) => row[name] === null || row[name] === undefined || row[name] === "");
  const one = new Set(rows.map((row) => row.source)).size < 2;
  const shown = meta.columns.filter((c) => !(c.name === "source" && one) && !(HIDDEN[panel.name] ?? []).includes(c.name) && !(rows.length && empty(c.name)));
  const sorted = meta.sort ?? "";
  const columns = shown.map((c, i) => ({
    ...c, number: ["whole", "number"].includes(c.type), head: i === 0, minor: MINOR.has(c.name),
    heading: panel.knows.has("sort") ? heading(panel, page, c, sorted) : c.label,
    sort: sorted.replace(/^-/, "") === c.name ? (sorted.startsWith("-") ? "descending" : "ascending") : null,
    cell: (row) => value(c, row, page),
  }));
  const body = rows.length ? plain(panel.title.innerText, columns, rows) : h("p", { class: "quiet" }, panel.own("q") ? `Nothing with “${panel.own("q")}”.` : page.nothing(meta, "rows"));
  panel.show(search, body, pager(panel, meta, rows, page));
}

function value(column, row, page) {
  const found = row[column.name];
  if (OPENS[column.name] && found) {
    const text = column.name === "product_id" && row.name ? row.name : found;
    return h("button", { type: "button", class: "row-link", onclick: () => page.open(OPENS[column.name], found) }, text);
  }
  if (column.name === "change") return change(found);
  if (column.name === "status") return h("span", { class: `badge badge-${found === "success" || found === "pass" ? "good" : found === "warn" ? "warn" : "bad"}` }, found);
  if (column.name === "lift" && found !== null) return `${format.value(Math.round(found * 10) / 10, "count")}×`;
  if (column.unit && found !== null) return number(found, column.unit);
  return cell(column, found);
}

/** A heading that sorts: the largest first where numbers are, then the other way round. */
function heading(panel, page, column, sorted) {
  const down = ["whole", "number", "time", "day"].includes(column.type);
  const first = down ? `-${column.name}` : column.name;
  const next = sorted === first ? (down ? column.name : `-${column.name}`) : first;
  const arrow = sorted.replace(/^-/, "") === column.name ? (sorted.startsWith("-") ? " ↓" : " ↑") : "";
  return h("button", { type: "button", class: "sort", onclick: () => page.go({ [`${panel.name}.sort`]: next, [`${panel.name}.next`]: null }, [panel]) }, column.label, h("span", { "aria-hidden": "true" }, arrow));
}

function searchBox(panel, page) {
  const kept = panel.element.querySelector("input[type=search]");
  const input = kept ?? h("input", { type: "search", placeholder: "Search", "aria-label": `Search in ${panel.title.innerText}`, maxlength: "200" });
  if (!kept) {
    let timer;
    const ask = () => page.go({ [`${panel.name}.q`]: input.value.trim() || null, [`${panel.name}.next`]: null }, [panel]);
    input.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(ask, 250); });
    input.addEventListener("keydown", (event) => { if (event.key === "Enter") { clearTimeout(timer); ask(); } });
    panel.options.append(input);
  }
  if (document.activeElement !== input) input.value = panel.own("q") ?? "";
  return null;
}

function pager(panel, meta, rows, page) {
  const at = Number((panel.own("next") ?? "p0").slice(1));
  const limit = Number(panel.own("limit") ?? 10);
  if (!at && !meta.next) return null;
  const go = (next) => () => page.go({ [`${panel.name}.next`]: next }, [panel]);
  return h("nav", { class: "pager", "aria-label": `Pages of ${panel.title.innerText}` },
    h("span", {}, `${format.value(at + 1, "count")}–${format.value(at + rows.length, "count")}`),
    h("button", { type: "button", class: "button", disabled: !at, onclick: go(at - limit > 0 ? `p${at - limit}` : null) }, "Previous"),
    h("button", { type: "button", class: "button", disabled: !meta.next, onclick: go(meta.next ?? null) }, "Next"));
}
