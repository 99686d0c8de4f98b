// What the numbers rest on: the account of records, the build, rejected records, tests, lineage, and what words mean.

import { h } from "./dom.js";
import { address, base } from "./api.js";
import * as format from "./format.js";
import { table } from "./panels.js";
import * as state from "./state.js";

const count = (n) => format.value(n, "count");
const facts = (pairs) => h("dl", { class: "facts" }, pairs.filter(([, value]) => value !== null && value !== undefined && value !== "").map(([name, value]) => h("div", {}, h("dt", {}, name), h("dd", {}, value))));

export function account(panel, { data }) {
  const input = data.input;
  if (input?.records === undefined) return panel.unavailable("how many records there were");
  const parts = [["staged", "Used"], ["duplicates", "Duplicates"], ["rejected", "Rejected"], ["blank", "Blank"], ["erased", "Erased"]].filter(([key], i) => i < 4 || input[key]);
  const bar = h("div", { class: "stack", "aria-hidden": "true" }, parts.map(([key], i) => { const part = h("span", { class: `key-s${i + 1}` }); part.style.flexGrow = String(input[key] / (input.records || 1)); return part; }));
  const sum = parts.reduce((all, [key]) => all + (input[key] ?? 0), 0);
  const equation = h("dl", { class: "account account-large" }, h("div", {}, h("dt", {}, "Records read"), h("dd", {}, count(input.records))),
    parts.map(([key, label], i) => h("div", { class: "with-sign" }, h("dt", {}, h("span", { class: `dot key-s${i + 1}`, "aria-hidden": "true" }), label), h("dd", { "data-sign": i ? "+" : "=" }, count(input[key])))));
  panel.show(equation, bar, h("p", { class: "foot-note" }, sum === input.records ? "They add up. Each of them can be traced: `ecom-analytics rejected` and `trace` name file and line.".replaceAll("`", "") : `They do not add up: ${count(sum)} of ${count(input.records)}.`));
}

export function build(panel, { data }) {
  panel.show(facts([
    ["Build", h("code", {}, data.build_id)], ["Published", format.instant(data.built_at)], ["Data", data.first_date && format.range(data.first_date, data.last_date)], ["Last event", data.as_of && format.instant(data.as_of)],
    ["Made of", data.batches?.count !== undefined && format.plural(data.batches.count, "file")], ["Last files", (data.batches?.last ?? []).map((one) => one.name).join(", ")],
    ["Started from", data.started_from ? h("code", {}, data.started_from) : "nothing: built in full"], ["Tests", data.tests?.pass !== undefined && `${data.tests.pass} passed${data.tests.warn ? `, ${data.tests.warn} warned` : ""}`],
    ["Version", data.model_version], ["Time zone", data.timezone], ["Currency", data.currencies?.join(", ") || "not in this data"],
  ]));
}

export function rejected(panel, { data }) {
  if (!data.length) return panel.show(h("p", { class: "quiet" }, "No record was rejected."));
  panel.show(h("ul", { class: "rules" }, data.map((rule) => h("li", {},
    h("details", {}, h("summary", {}, h("code", {}, rule.rule), h("span", { class: "notice-count" }, format.plural(rule.count, "record"))),
      rule.samples.length ? table(`Records that broke ${rule.rule}`, [
        { label: "File and line", head: true, cell: (s) => `${s.file}:${s.line}` }, { label: "Message", cell: (s) => s.message }, { label: "Record", cell: (s) => h("code", { class: "raw" }, s.raw) },
      ], rule.samples) : h("p", { class: "quiet" }, "See ecom-analytics rejected."))))));
}

const BADGE = { pass: "good", warn: "warn", fail: "bad", error: "bad" };

export function checks(panel, { data }, page) {
  panel.choose("status", "Result", [["", "all results"], ["pass", "passed"], ["warn", "warned"]], page);
  if (!data.length) return panel.show(h("p", { class: "quiet" }, "No such check."));
  const dots = (row) => row.history.length ? h("span", { class: "dots", role: "img", "aria-label": `before: ${row.history.join(", ")}` }, row.history.map((status) => h("span", { class: `dot-${BADGE[status] ?? "bad"}` }))) : format.MISSING;
  panel.show(h("div", { class: "tall" }, table("Checks of the build", [
    { label: "Check", head: true, cell: (r) => h("span", { class: "breaks" }, r.name) }, { label: "Mart", minor: true, cell: (r) => r.model || format.MISSING },
    { label: "Result", cell: (r) => h("span", { class: `badge badge-${BADGE[r.status] ?? "bad"}` }, r.status) }, { label: "Rows", number: true, cell: (r) => count(r.failures) }, { label: "Before", minor: true, cell: dots },
  ], data)));
}

export function lineage(panel, { data }) {
  const layers = [["staging", "Staged"], ["intermediate", "Between"], ["mart", "Marts"]];
  const children = {};
  for (const node of data) for (const parent of node.reads) (children[parent] ??= []).push(node.name);
  const reads = Object.fromEntries(data.map((node) => [node.name, node.reads]));
  const walk = (name, next, found = new Set()) => { for (const one of next[name] ?? []) if (!found.has(one)) walk(one, next, found.add(one)); return found; };
  const box = h("div", { class: "lineage" });
  const mark = (name) => {
    const near = name ? new Set([name, ...walk(name, reads), ...walk(name, children)]) : null;
    for (const node of box.querySelectorAll("[data-node]")) node.classList.toggle("faded", Boolean(near) && !near.has(node.dataset.node));
  };
  const node = (one) => h("li", {}, h("button", { type: "button", class: "node", "data-node": one.name, title: one.description?.trim() ?? null, onmouseenter: () => mark(one.name), onfocus: () => mark(one.name), onmouseleave: () => mark(null), onblur: () => mark(null) }, one.name, one.rows !== null && h("span", { class: "notice-count" }, count(one.rows))));
  box.append(...layers.map(([layer, label]) => h("div", {}, h("h3", {}, label), h("ul", {}, data.filter((one) => one.layer === layer).map(node)))));
  panel.show(box, h("p", { class: "foot-note" }, "With one in focus, what it is made of and what is made of it stay."));
}

export function glossary(panel, { data }) {
  const input = h("input", { type: "search", placeholder: "Search", "aria-label": "Search in metrics" });
  const list = h("dl", { class: "glossary" }, data.map((one) => h("div", { "data-words": `${one.label} ${one.name} ${one.definition}`.toLowerCase() },
    h("dt", {}, one.label, h("code", {}, one.name), !one.available && h("span", { class: "badge" }, "not in this data")),
    h("dd", {}, one.definition, one.reason && h("span", { class: "quiet" }, ` Not here: ${one.reason}.`), h("code", { class: "formula" }, one.mart ? `${one.formula} · ${one.mart}` : one.formula)))));
  input.addEventListener("input", () => { for (const row of list.children) row.hidden = !row.dataset.words.includes(input.value.toLowerCase()); });
  if (!panel.options.children.length) panel.options.append(input);
  panel.show(h("div", { class: "scroll tall", tabindex: "0", role: "region", "aria-label": "Metrics and their formulas" }, list));
}

export function downloads(panel) {
  const query = state.page();
  panel.show(h("ul", { class: "downloads" },
    h("li", {}, h("a", { href: address("export/all.zip", query), download: true }, "Every panel as CSV (zip)"), h("span", { class: "quiet" }, " with the dates and filters of this page")),
    h("li", {}, h("a", { href: address("openapi.json", "") }, "OpenAPI document"), h("span", { class: "quiet" }, " of all routes, version 3.1")),
    ["kpis", "timeseries", "products", "transactions", "users", "conflicts"].map((route) => h("li", {}, h("a", { href: address(`${route}.csv`, route === "conflicts" ? "" : query), download: true }, `${route}.csv`), h("span", { class: "quiet" }, " · "), h("a", { href: address(route, route === "conflicts" ? "" : query) }, "JSON")))),
  h("p", { class: "foot-note" }, "The API lies at ", h("code", {}, new URL(base, window.location.href).href), "; in Python the same answers come from ", h("code", {}, "Warehouse(Settings()).query"), "."));
}
