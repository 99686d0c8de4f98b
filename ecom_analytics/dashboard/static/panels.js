// What every panel can be: loading, showing figures (as chart or table), empty, unavailable, failed.

import { $, h } from "./dom.js";
import { address } from "./api.js";
import * as format from "./format.js";
import * as state from "./state.js";
import { described, hideWithin } from "./tooltip.js";

export class Panel {
  #charts = [];
  #asTable = false;
  #content = null;

  constructor(element) {
    this.element = element;
    this.name = element.dataset.panel;
    this.chart = element.dataset.chart;
    this.module = element.dataset.module;
    this.route = element.dataset.route;
    this.with = JSON.parse(element.dataset.with);
    this.knows = new Set(element.dataset.knows.split(" "));
    this.body = $("[data-body]", element);
    this.title = $("[data-title]", element);
    this.note = $("[data-note]", element);
    this.options = $("[data-options]", element);
    this.csv = $("[data-csv]", element);
    this.toggle = $("[data-table-toggle]", element);
    this.toggle.addEventListener("click", () => this.#switch());
    this.define(element.dataset.about);
  }

  /** What the panel asks its route: what of the page's state the route knows, and its own. */
  query() {
    const asked = new URLSearchParams([...state.page()].filter(([key]) => this.knows.has(key)));
    for (const [key, value] of Object.entries({ ...this.with, ...state.panelState(this.name) })) if (this.knows.has(key)) asked.set(key, value);
    return asked;
  }

  /** The value of a parameter of the panel alone. */
  own(key) {
    return state.ofPanel(this.name, key) ?? this.with[key] ?? null;
  }

  /** Mark the panel as busy; what it shows stays, so that nothing jumps. */
  loading() {
    this.body.setAttribute("aria-busy", "true");
    this.csv.href = address(`${this.route}.csv`, this.query());
  }

  /** Put the definition on the title; the text stays the same. */
  define(definition) {
    if (!definition || this.title.dataset.defined === definition) return;
    this.title.dataset.defined = definition;
    const [button, words] = described(h("button", { type: "button", class: "term" }, this.title.textContent), definition);
    this.title.replaceChildren(button, words);
  }

  rename(text) {
    const button = $(".term", this.title);
    if (button) button.textContent = text;
    else this.title.textContent = text;
  }

  remark(text) {
    this.note.textContent = text ?? "";
  }

  /** A choice of the panel alone: a select whose value is kept in the address. */
  choose(key, label, choices, page) {
    const now = this.own(key) ?? choices[0][0];
    let select = $(`select[data-key="${key}"]`, this.options);
    if (!select) {
      select = h("select", { "data-key": key, "aria-label": label });
      select.addEventListener("change", () => page.go({ [`${this.name}.${key}`]: select.value === (this.with[key] ?? null) ? null : select.value, [`${this.name}.next`]: null }, [this]));
      this.options.append(select);
    }
    if (select.dataset.of !== JSON.stringify(choices)) {
      select.dataset.of = JSON.stringify(choices);
      select.replaceChildren(...choices.map(([value, text]) => h("option", { value }, text)));
    }
    select.value = now;
  }

  /** Show nodes as they are. */
  show(...nodes) {
    this.#content = null;
    this.#fill(nodes.flat().filter(Boolean));
    this.#tools(false, true);
  }

  /** Show a chart ({box, draw, destroy}) that can change into a table (made when asked for). */
  showChart(graph, table, ...more) {
    this.#content = { graph, table, more: more.filter(Boolean) };
    this.#tools(true, true);
    this.#render();
  }

  empty(text, actions = []) {
    this.#message("empty", text, actions);
    this.#tools(false, true);
  }

  unavailable(reason) {
    this.#message("unavailable", "Not in this data", [], reason ? reason[0].toUpperCase() + reason.slice(1) : "");
    this.#tools(false, false);
  }

  failed(error, [label, action]) {
    this.#message("failed", "These figures could not be loaded", [h("button", { type: "button", class: "button", onclick: action }, label)], error.message, "alert");
    this.#tools(false, false);
  }

  /** The same failure as the page's own, which is told once, at the top. */
  waiting() {
    this.#message("empty", "Nothing to show yet");
    this.#tools(false, false);
  }

  #message(kind, text, actions = [], detail = "", role = null) {
    this.#content = null;
    this.#fill([h("div", { class: `message ${kind}`, role }, h("p", { class: "message-text" }, text), detail ? h("p", { class: "message-detail" }, detail) : null, ...actions)]);
  }

  #tools(table, csv) {
    this.toggle.hidden = !table;
    this.csv.hidden = !csv;
  }

  #switch() {
    this.#asTable = !this.#asTable;
    this.toggle.setAttribute("aria-expanded", String(this.#asTable));
    this.toggle.textContent = this.#asTable ? "Show chart" : "Show data table";
    this.#render();
  }

  #render() {
    const { graph, table, more } = this.#content;
    this.#fill(this.#asTable ? [table()] : [graph.box, ...more]);
    if (this.#asTable) return;
    this.#charts = [graph];
    graph.draw?.();
  }

  #fill(nodes) {
    for (const graph of this.#charts) graph.destroy?.();
    hideWithin(this.body);
    this.#charts = [];
    this.body.replaceChildren(...nodes);
    this.body.removeAttribute("aria-busy");
  }
}

/**
 * A real table in a box that scrolls and can have the focus.
 * Columns: {label, cell(row), number?, head?, minor?}; `minor` ones give way on narrow screens.
 */
export function table(caption, columns, rows) {
  const kind = (column) => [column.number && "num", column.minor && "minor"].filter(Boolean).join(" ") || null;
  return h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `${caption}, as a table` },
    h("table", {},
      h("caption", { class: "sr" }, caption),
      h("thead", {}, h("tr", {}, columns.map((c) => h("th", { scope: "col", class: kind(c), "aria-sort": c.sort ?? null }, c.heading ?? c.label)))),
      h("tbody", {}, rows.map((row) => h("tr", {}, columns.map((c) => h(c.head ? "th" : "td", { scope: c.head ? "row" : null, class: kind(c) }, c.cell(row))))))));
}

/** A value as a column of the API says it is. */
export function cell(column, value) {
  if (value === null || value === undefined || value === "") return format.MISSING;
  if (column.type === "day") return format.day(value);
  if (column.type === "time") return format.instant(value);
  if (column.type === "flag") return value ? "yes" : "no";
  if (column.type === "whole" || column.type === "number") return column.unit || typeof value === "number" ? number(value, column.unit || "count") : String(value);
  return String(value);
}

/** A number, short where it is long, with the whole of it on hover. */
export function number(value, unit) {
  const exact = format.value(value, unit);
  const short = format.value(value, unit, { short: true });
  return exact === short ? exact : h("span", { title: exact }, short);
}

/** A relative change, coloured by its direction. */
export const change = (ratio) => (ratio === null || ratio === undefined ? format.MISSING : h("span", { class: ratio > 0 ? "up" : ratio < 0 ? "down" : null }, format.change(ratio)));

/** The columns of an answer as those of a table. */
export const columnsOf = (meta, skip = []) =>
  meta.columns.filter((c) => !skip.includes(c.name)).map((c, i) => ({
    ...c, number: ["whole", "number"].includes(c.type), head: i === 0, cell: (row) => cell(c, row[c.name]),
  }));
