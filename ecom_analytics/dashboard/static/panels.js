// What every panel can be: loading, showing figures (as chart or table), empty, unavailable, failed.

import { $, h } from "./dom.js";
import { address } from "./api.js";
import { described } from "./tooltip.js";

export class Panel {
  #charts = [];
  #asTable = false;
  #content = null;

  constructor(name) {
    this.element = $(`[data-panel="${name}"]`);
    this.body = $("[data-body]", this.element);
    this.title = $("[data-title]", this.element);
    this.note = $("[data-note]", this.element);
    this.csv = $(`[data-csv-of="${name}"]`);
    this.toggle = $("[data-table-toggle]", this.element);
    this.toggle?.addEventListener("click", () => this.#switch());
  }

  /** Mark the panel as busy; what it shows stays, so that nothing jumps. */
  loading() {
    this.body.setAttribute("aria-busy", "true");
  }

  /** The link to exactly what is shown. */
  csvFor(query, extra = {}) {
    this.csv.href = address(`${this.csv.dataset.csv}.csv`, query, extra);
  }

  /** Put the definition on the title, once; the text stays the same. */
  define(definition) {
    if (this.title?.dataset.defined || !definition) return;
    this.title.dataset.defined = "1";
    const [button, words] = described(h("button", { type: "button", class: "term" }, this.title.textContent), definition);
    this.title.replaceChildren(button);
    this.title.after(words);
  }

  remark(text) {
    if (this.note) this.note.textContent = text ?? "";
  }

  /** Show nodes as they are. */
  show(...nodes) {
    this.#content = null;
    this.#fill(nodes);
    this.#tools(false, true);
  }

  /** Show a chart ({box, draw, destroy}) that can change into a table (made when asked for). */
  showChart(graph, table, ...more) {
    this.#content = { graph, table, more };
    this.#tools(true, true);
    this.#render();
  }

  empty(text, actions = []) {
    this.#message("empty", text, actions);
    this.#tools(false, true);
  }

  unavailable(reason) {
    this.#message("unavailable", "Not in this data", [], reason);
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
    if (this.toggle) this.toggle.hidden = !table;
    if (this.csv) this.csv.hidden = !csv;
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
    graph.draw();
  }

  #fill(nodes) {
    for (const graph of this.#charts) graph.destroy();
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
      h("thead", {}, h("tr", {}, columns.map((c) => h("th", { scope: "col", class: kind(c) }, c.label)))),
      h("tbody", {}, rows.map((row) => h("tr", {}, columns.map((c) => h(c.head ? "th" : "td", { scope: c.head ? "row" : null, class: kind(c) }, c.cell(row))))))));
}
