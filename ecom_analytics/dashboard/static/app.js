// The page: asks for the figures that its panels show, and watches for a new build.

import { $, $$, announce, h } from "./dom.js";
import { address, get } from "./api.js";
import * as controls from "./controls.js";
import * as format from "./format.js";
import { Panel } from "./panels.js";
import * as state from "./state.js";
import { start as startTooltips } from "./tooltip.js";

const root = document.documentElement;
const NO_DATA = "urn:ecom-analytics:no-data";

const panels = $$("[data-panel]").map((element) => new Panel(element));
let running = null;
let asked = null;

const page = {
  about: null,
  meta: null,
  range: () => page.meta?.range,
  bounds: () => (page.about?.first_date ? { first: page.about.first_date, last: page.about.last_date } : null),
  /** Change the address, and ask again: for all panels, or for those that alone changed. */
  go(changes, only = null) {
    if (!state.write(changes)) return;
    if (only) refresh(only);
    else refresh();
  },
  /** Forget all that the address says, for it says something wrong. */
  afresh() {
    if (state.forget()) refresh();
  },
  toggle: (dimension, value) => page.go(state.toggled(dimension, value)),
  open: (what, id) => page.go({ open: `${what}:${id}` }, []),
  link: (route) => address(route, state.page()),
  nothing(meta, what = "transactions") {
    const bounds = page.bounds();
    if (!meta.range) return `No ${what} in these data.`;
    const outside = bounds && (meta.range.to < bounds.first || meta.range.from > bounds.last);
    const span = format.range(meta.range.from, meta.range.to);
    return outside ? `The data cover ${format.range(bounds.first, bounds.last)}; ${span} lies outside.` : `No ${what} in ${span}${state.filtered() ? " with these filters" : ""}.`;
  },
  wider() {
    const clear = h("button", { type: "button", class: "button", onclick: () => page.go(state.cleared()) }, "Clear filters");
    const all = h("button", { type: "button", class: "button", onclick: () => page.go(state.withPeriod("all")) }, "Show all dates");
    return state.filtered() ? [clear] : [all];
  },
};

/** One panel: wait for its figures, and for what is known of the build, then show them or say why not. */
async function load(panel, signal, about) {
  panel.loading();
  try {
    const [answer, module] = await Promise.all([get(panel.route, panel.query(), signal), import(`./${panel.module}.js`), about]);
    if (signal.aborted) return;
    delete root.dataset.noData;
    if (answer.meta.range && !page.meta?.compare_range) page.meta = answer.meta;
    if (answer.meta.reason) return void panel.unavailable(answer.meta.reason);
    const draw = module[panel.chart] ?? module.generic;
    draw(panel, answer, page);
  } catch (error) {
    await about;
    if (signal.aborted || error.name === "AbortError") return;
    if (error.type === NO_DATA) return void noData(panel);
    delete root.dataset.noData;
    panel.waiting();
    return error;
  }
}

/** Say what failed: each failure once, in the first panel that it befell, whichever answered first. */
function tell(failures) {
  const told = new Set();
  failures.forEach(([panel, error]) => {
    if (told.has(error.message)) return;
    told.add(error.message);
    panel.failed(error, error.status === 400 ? ["Show the last 28 days", () => page.afresh()] : ["Try again", () => refresh()]);
  });
}

/** Nothing was published yet: no failure, so one friendly word takes the place of the panels. */
function noData(panel) {
  panel.waiting();
  if (root.dataset.noData) return;
  root.dataset.noData = "1";
  announce($("#welcome").innerText);
}

async function loadAbout(signal) {
  try {
    const { data } = await get("meta", "", signal);
    page.about = data;
    format.configure(data);
    freshness();
  } catch (error) {
    if (error.name !== "AbortError") freshness(error);
  }
}

/** Ask again for everything, or for some panels. A newer refresh of everything ends an older one. */
export async function refresh(only = null) {
  if (!only) {
    running?.abort();
    running = new AbortController();
    page.meta = null;
  }
  const { signal } = running;
  asked = window.location.search;
  controls.show(page);
  const about = only ? Promise.resolve() : loadAbout(signal);
  const asking = only ?? panels;
  const errors = await Promise.all(asking.map((panel) => load(panel, signal, about)));
  await about;
  if (signal.aborted) return;
  tell(asking.map((panel, i) => [panel, errors[i]]).filter(([, error]) => error));
  controls.show(page);
  await drawer();
  root.dataset.ready = String(Number(root.dataset.ready) + 1);
}

/** What the address says is open, beside the page. */
async function drawer() {
  const open = new URLSearchParams(window.location.search).get("open");
  const dialog = $("#drawer");
  if (!open && !dialog.open) return;
  await (await import("./drawer.js")).show(open, page);
}

function freshness(error) {
  const line = $("#freshness");
  if (!page.about) {
    line.textContent = "";
    return;
  }
  const { as_of: asOf, built_at: builtAt, build_id: build, timezone } = page.about;
  const item = (label, text) => h("span", { class: "fact" }, `${label} `, h("b", {}, text));
  const hours = Number(root.dataset.staleHours);
  const late = hours && asOf && Date.now() - Date.parse(asOf) > hours * 3_600_000;
  line.replaceChildren(...[asOf && item("Data through", format.instant(asOf)), late && h("span", { class: "badge badge-warn" }, "Stale"), builtAt && item("Built", format.instant(builtAt)), item("Build", build), item("Times in", timezone),
    error && h("span", { class: "fact stale", role: "status" }, "Not up to date: the server cannot be reached.")].filter(Boolean));
}

/** Look for a new build; a page that nobody sees waits until it is seen. */
async function poll() {
  if (document.hidden) return;
  try {
    const { data } = await get("meta", "");
    if (data.build_id !== page.about?.build_id) await refresh();
    else freshness();
  } catch (error) {
    if (error.name !== "AbortError" && error.type !== NO_DATA) freshness(error);
  }
}

window.addEventListener("popstate", () => { if (window.location.search !== asked) refresh(); });
document.addEventListener("visibilitychange", () => { if (!document.hidden) poll(); });
setInterval(poll, Number(root.dataset.pollMs));
$("#look").addEventListener("click", () => refresh());
startTooltips();
controls.start(page);
refresh();
