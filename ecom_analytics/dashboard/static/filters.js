// The dialog that adds a filter: a dimension, then its values, with how often they come.

import { $, h } from "./dom.js";
import { get } from "./api.js";
import * as format from "./format.js";
import * as state from "./state.js";

let dialog = null;

/** Let the reader choose. */
export function open(page) {
  if (!dialog) {
    dialog = h("dialog", { class: "help filters", "aria-labelledby": "filters-title" });
    dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
    document.body.append(dialog);
  }
  const known = page.about?.dimensions ?? [];
  const select = h("select", { id: "filter-dimension" }, known.map((one) => h("option", { value: one.name }, one.label)));
  const search = h("input", { type: "search", id: "filter-search", placeholder: "Search", "aria-label": "Search values", maxlength: "200" });
  const list = h("ul", { class: "facets", "aria-live": "polite" });
  const bots = page.about?.bots && h("label", { class: "check" }, h("input", { type: "checkbox", checked: state.get("bots") === "out", onchange: (event) => page.go({ bots: event.target.checked ? "out" : null }) }), " Without visitors that are flagged as bots");
  let latest = 0;
  const ask = async () => {
    const mine = (latest += 1);
    const name = select.value;
    try {
      const query = new URLSearchParams(search.value.trim() ? { q: search.value.trim() } : {});
      const { data } = await get(`facets/${name}`, query);
      if (mine !== latest) return;
      const chosen = state.values(name);
      const item = (row) => h("li", {}, h("label", { class: "check" }, h("input", { type: "checkbox", value: row.value, checked: chosen.includes(row.value), onchange: () => page.toggle(name, row.value) }), h("span", { class: "facet-name" }, format.dimension(name, row.value)), h("span", { class: "notice-count" }, format.value(row.count, "count"))));
      list.replaceChildren(...(data.length ? data.map(item) : [h("li", { class: "quiet" }, "No such value.")]));
    } catch (error) {
      list.replaceChildren(h("li", { role: "alert" }, error.message));
    }
  };
  let timer;
  select.addEventListener("change", () => { search.value = ""; ask(); });
  search.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(ask, 200); });
  dialog.replaceChildren(h("h2", { id: "filters-title" }, "Filter"), h("p", { class: "filter-row" }, h("label", { class: "sr", for: "filter-dimension" }, "Dimension"), select, search), list, bots || "", h("form", { method: "dialog" }, h("button", { class: "button" }, "Done")));
  dialog.showModal();
  ask();
  $("#filter-search").focus();
}
