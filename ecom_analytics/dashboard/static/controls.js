// The range and comparison controls, the filters in use, the theme button, the help dialog and the keys.

import { $, $$, h } from "./dom.js";
import * as format from "./format.js";
import * as state from "./state.js";
import { hide as hideTooltip } from "./tooltip.js";

/** Wire the controls; `page` gives range(), bounds() and go(changes). */
export function start(page) {
  $("#period").addEventListener("change", (event) => page.go(state.withPeriod(event.target.value)));
  $("#compare").addEventListener("change", (event) => compare(page, event.target.value));
  $("#grain").addEventListener("change", (event) => page.go({ grain: event.target.value }));
  $("#controls").addEventListener("submit", (event) => event.preventDefault());
  for (const input of [$("#from"), $("#to")]) input.addEventListener("change", () => dates(page));
  const move = (direction) => shift(page, direction);
  $("#earlier").addEventListener("click", () => move(-1));
  $("#later").addEventListener("click", () => move(1));
  theme();
  const help = $("#help");
  $("#help-open").addEventListener("click", () => help.showModal());
  help.addEventListener("click", (event) => { if (event.target === help) help.close(); });
  const filter = async () => (await import("./filters.js")).open(page);
  $("#filter-add").addEventListener("click", filter);
  document.addEventListener("keydown", (event) => key(event, page, move, help, filter));
}

function compare(page, value) {
  const [how, weekday] = value.split("+");
  page.go({ compare: how, match_weekday: weekday ? "true" : null, compare_from: null, compare_to: null });
}

function shift(page, direction) {
  const range = page.range();
  const next = range && page.bounds() && state.shifted(range, direction, page.bounds());
  if (next) page.go(state.withRange(next.from, next.to, page.bounds()));
}

function dates(page) {
  const [from, to] = [$("#from"), $("#to")];
  if (!state.isDay(from.value) || !state.isDay(to.value)) return;
  const wrong = from.value > to.value ? "The first day is after the last day." : "";
  const alert = $("#alert");
  for (const input of [from, to]) input.setAttribute("aria-invalid", String(Boolean(wrong)));
  alert.hidden = !wrong;
  alert.textContent = wrong;
  if (!wrong) page.go(state.withRange(from.value, to.value, page.bounds() ?? {}));
}

function theme() {
  const button = $("#theme");
  const tell = () => { $("#theme-name").textContent = document.documentElement.dataset.themeChoice; };
  button.addEventListener("click", () => window.ecomTheme.next());
  window.addEventListener("themechange", tell);
  tell();
}

function key(event, page, move, help, filter) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if ($("dialog[open]")) return;
  if (event.key === "Escape") {
    if (!hideTooltip() && !event.target.closest?.("input, select") && state.filtered()) page.go(state.cleared());
    return;
  }
  if (event.target.closest?.("input, select, textarea, .scroll, [role=grid]")) return;
  const actions = {
    ArrowLeft: () => move(-1), ArrowRight: () => move(1), t: () => window.ecomTheme.next(), "?": () => help.showModal(), f: filter,
    c: () => compare(page, state.get("compare") === "none" ? "prev" : "none"), "/": () => $("input[type=search]")?.focus(),
  };
  state.PERIODS.forEach((period, i) => { actions[i + 1] = () => page.go(state.withPeriod(period)); });
  const action = actions[event.key];
  if (!action) return;
  event.preventDefault();
  action();
}

/** Show the range that the server worked out, and what the address asks for. */
export function show(page) {
  const { meta, about } = page;
  const bounds = page.bounds();
  const period = state.get("from") || state.get("to") ? "custom" : state.get("period") ?? "28d";
  $("#period").value = [...state.PERIODS, "custom"].includes(period) ? period : "custom";
  const weekday = state.get("match_weekday") === "true" && ["prev", "yoy"].includes(state.get("compare")) ? "+weekday" : "";
  $("#compare").value = `${state.get("compare")}${weekday}`;
  $("#grain").value = state.get("grain");
  chips(page, about);
  links();
  if (!meta?.range) return;
  const { from, to } = meta.range;
  for (const [input, value] of [[$("#from"), from], [$("#to"), to]]) {
    if (value && input !== document.activeElement) input.value = value;
    if (value && input.value !== value && state.isDay(input.value)) input.value = value;
    input.removeAttribute("aria-invalid");
  }
  $("#alert").hidden = true;
  if (bounds) {
    $("#earlier").disabled = !state.shifted({ from, to }, -1, bounds);
    $("#later").disabled = !state.shifted({ from, to }, 1, bounds);
  }
  const compared = meta.compare_range && !(bounds && meta.compare_range.from < bounds.first) ? ` compared with ${format.range(meta.compare_range.from, meta.compare_range.to)}` : "";
  $("#range-text").textContent = `${format.range(from, to)}${compared}`;
}

/** The filters in use, each of which a click takes out. */
function chips(page, about) {
  const labels = Object.fromEntries((about?.dimensions ?? []).map((one) => [one.name, one.label]));
  const found = state.DIMENSIONS.flatMap((name) => state.values(name).map((value) => [name, value]));
  const nodes = found.map(([name, value]) => chip(`${labels[name] ?? name}: ${format.dimension(name, value)}`, () => page.toggle(name, value)));
  if (state.get("bots") === "out") nodes.push(chip("Without bots", () => page.go({ bots: null })));
  if (nodes.length > 1) nodes.push(h("button", { type: "button", class: "tool", onclick: () => page.go(state.cleared()) }, "Clear all"));
  $("#chips").hidden = !nodes.length;
  $("#chips").replaceChildren(...nodes);
}

const chip = (text, remove) => h("button", { type: "button", class: "chip", "aria-label": `${text}. Remove this filter`, onclick: remove }, h("span", {}, text), h("span", { class: "chip-x", "aria-hidden": "true" }, "×"));

/** Links to other pages keep the dates and the filters. */
function links() {
  const text = new URLSearchParams([...state.page(), ...state.visit()]).toString();
  for (const link of $$("[data-page-link]")) link.search = text ? `?${text}` : "";
}
