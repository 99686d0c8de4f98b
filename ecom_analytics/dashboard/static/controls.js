// The range and comparison controls, the theme button, the help dialog and the keys.

import { $, $$ } from "./dom.js";
import * as format from "./format.js";
import * as state from "./state.js";
import { hide as hideTooltip } from "./tooltip.js";

/** Wire the controls; `page` gives range(), bounds() and go(state). */
export function start(page) {
  for (const button of $$("[data-period]")) {
    button.addEventListener("click", () => page.go(state.withPeriod(state.read(), button.dataset.period)));
  }
  const compare = $("#compare");
  compare.addEventListener("change", () => page.go(state.withCompare(state.read(), compare.value)));
  $("#controls").addEventListener("submit", (event) => event.preventDefault());
  for (const input of [$("#from"), $("#to")]) input.addEventListener("change", () => dates(page));
  const move = (direction) => shift(page, direction);
  $("#earlier").addEventListener("click", () => move(-1));
  $("#later").addEventListener("click", () => move(1));
  theme();
  const help = $("#help");
  $("#help-open").addEventListener("click", () => help.showModal());
  help.addEventListener("click", (event) => { if (event.target === help) help.close(); });
  document.addEventListener("keydown", (event) => key(event, page, move, help, compare));
}

function shift(page, direction) {
  const range = page.range();
  const next = range && page.bounds() && state.shifted(range, direction, page.bounds());
  if (next) page.go(state.withRange(state.read(), next.from, next.to, page.bounds()));
}

function dates(page) {
  const [from, to] = [$("#from"), $("#to")];
  if (!state.isDay(from.value) || !state.isDay(to.value)) return;
  const wrong = from.value > to.value ? "The first day is after the last day." : "";
  const alert = $("#alert");
  for (const input of [from, to]) input.setAttribute("aria-invalid", String(Boolean(wrong)));
  alert.hidden = !wrong;
  alert.textContent = wrong;
  if (!wrong) page.go(state.withRange(state.read(), from.value, to.value, page.bounds() ?? {}));
}

function theme() {
  const button = $("#theme");
  const tell = () => { $("#theme-name").textContent = document.documentElement.dataset.themeChoice; };
  button.addEventListener("click", () => window.ecomTheme.next());
  window.addEventListener("themechange", tell);
  tell();
}

function key(event, page, move, help, compare) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  if (event.key === "Escape") return void hideTooltip();
  if (help.open || event.target.closest?.("input, select, textarea, .scroll")) return;
  const periods = Object.keys(state.PRESETS);
  const actions = {
    ArrowLeft: () => move(-1), ArrowRight: () => move(1), t: () => window.ecomTheme.next(), "?": () => help.showModal(),
    c: () => page.go(state.withCompare(state.read(), compare.value === "none" ? "prev" : "none")),
  };
  periods.forEach((period, i) => { actions[i + 1] = () => page.go(state.withPeriod(state.read(), period)); });
  const action = actions[event.key];
  if (!action) return;
  event.preventDefault();
  action();
}

/** Show the range that the server worked out, and what the address asks for. */
export function show(meta, bounds) {
  const asked = state.read();
  const period = meta?.range?.period ?? (asked.from || asked.to ? "custom" : asked.period ?? state.DEFAULTS.period);
  for (const button of $$("[data-period]")) button.setAttribute("aria-pressed", String(button.dataset.period === period));
  $("#compare").value = asked.compare === "none" ? "none" : "prev";
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
  const compared = meta.compare_range && !(bounds && meta.compare_range.to < bounds.first) ? ` compared with ${format.range(meta.compare_range.from, meta.compare_range.to)}` : "";
  $("#range-text").textContent = `${format.range(from, to)}${compared}`;
}
