// The page: asks for the figures of the range in the address, shows them, and watches for a new build.

import { $, announce, h } from "./dom.js";
import { address, get } from "./api.js";
import * as controls from "./controls.js";
import * as format from "./format.js";
import { strip } from "./kpis.js";
import * as overview from "./overview.js";
import { Panel } from "./panels.js";
import * as state from "./state.js";
import { start as startTooltips } from "./tooltip.js";

const root = document.documentElement;
const FUNNEL = "Sessions by the day they started: those with a product view, of these those with an add to cart, of these those with a transaction.";
const NO_DATA = "urn:ecom-analytics:no-data";
const TOP = { limit: "10" };
const ROUTES = {
  kpis: { route: "kpis", render: showKpis },
  timeseries: { route: "timeseries", extra: { metric: "transactions" }, render: overview.timeseries },
  funnel: { route: "funnel", render: overview.funnel },
  products: { route: "products", extra: { ...TOP, sort: "-purchases" }, render: overview.products },
  users: { route: "users", extra: { ...TOP, sort: "-transactions" }, render: overview.users },
  weekday: { route: "breakdown/weekday", extra: { metric: "transactions" }, render: overview.weekday },
  notices: { route: "notices", render: overview.notices },
};

const panels = Object.fromEntries(Object.keys(ROUTES).map((name) => [name, new Panel(name)]));
let running = null;
let current = null;
let asked = null;

const page = {
  about: null,
  moneyReason: null,
  failure: null,
  range: () => current?.range,
  bounds: () => (page.about?.first_date ? { first: page.about.first_date, last: page.about.last_date } : null),
  go: (next) => { if (state.write(next)) refresh(); },
  link: (route) => address(route, state.toQuery(state.read())),
  nothing(meta) {
    const bounds = page.bounds();
    const outside = bounds && (meta.range.to < bounds.first || meta.range.from > bounds.last);
    const span = format.range(meta.range.from, meta.range.to);
    return outside ? `The data cover ${format.range(bounds.first, bounds.last)}; ${span} lies outside.` : `No transactions in ${span}.`;
  },
  wider: () => [h("button", { type: "button", class: "button", onclick: () => page.go(state.withPeriod(state.read(), "all")) }, "Show all dates")],
};

function showKpis(panel, { data, meta }) {
  current = meta;
  delete root.dataset.noData;
  page.moneyReason = data.find((figure) => figure.unit === "money" && !figure.available)?.reason ?? null;
  const of = (name) => data.find((figure) => figure.name === name)?.definition;
  for (const name of ["timeseries", "weekday", "users"]) panels[name].define(of("transactions"));
  panels.funnel.define(FUNNEL);
  controls.show(meta, page.bounds());
  panel.show(strip(data, meta, page.about));
}

/** One panel: wait for its figures (and for `before`, which they lean on), then show them or say why not. */
async function load(name, query, signal, before) {
  const { route, extra, render } = ROUTES[name];
  const panel = panels[name];
  panel.loading();
  panel.csvFor(query, extra);
  try {
    const [answer] = await Promise.all([get(route, query, extra, signal), before]);
    if (signal.aborted) return;
    if (name === "kpis") page.failure = null;
    render(panel, answer, page);
  } catch (error) {
    await before;
    if (signal.aborted || error.name === "AbortError") return;
    if (error.type === NO_DATA) return void noData(panel);
    delete root.dataset.noData;
    if (name === "kpis") page.failure = error.message;
    else if (page.failure === error.message) return void panel.waiting();
    panel.failed(error, error.status === 400 ? ["Show the last 28 days", () => page.go({})] : ["Try again", refresh]);
  }
}

/** Nothing was published yet: no failure, so one friendly word takes the place of the panels. */
function noData(panel) {
  panel.waiting();
  if (root.dataset.noData) return;
  root.dataset.noData = "1";
  announce($("#welcome").innerText);
}

async function loadAbout(query, signal) {
  try {
    const { data } = await get("meta", "", {}, signal);
    page.about = data;
    format.configure(data);
    freshness();
  } catch (error) {
    if (error.name !== "AbortError") freshness(error);
  }
}

/** Ask again for everything. A newer refresh ends an older one. */
export async function refresh() {
  running?.abort();
  running = new AbortController();
  const { signal } = running;
  const query = state.toQuery(state.read());
  asked = query.toString();
  controls.show(null);
  const about = loadAbout(query, signal);
  const kpis = load("kpis", query, signal, about);
  const rest = Object.keys(ROUTES).filter((name) => name !== "kpis").map((name) => load(name, query, signal, kpis));
  await Promise.all([about, kpis, ...rest]);
  if (!signal.aborted) root.dataset.ready = String(Number(root.dataset.ready) + 1);
}

function freshness(error) {
  const line = $("#freshness");
  if (!page.about) {
    line.textContent = "";
    return;
  }
  const { as_of: asOf, built_at: builtAt, build_id: build, timezone } = page.about;
  const item = (label, text) => h("span", { class: "fact" }, `${label} `, h("b", {}, text));
  line.replaceChildren(...[asOf && item("Data through", format.instant(asOf)), builtAt && item("Built", format.instant(builtAt)), item("Build", build), item("Times in", timezone),
    error && h("span", { class: "fact stale", role: "status" }, "Not up to date: the server cannot be reached.")].filter(Boolean));
}

/** Look for a new build; a page that nobody sees waits until it is seen. */
async function poll() {
  if (document.hidden) return;
  try {
    const { data } = await get("meta", "");
    if (data.build_id !== page.about?.build_id) await refresh();
    else if ($(".stale")) freshness();
  } catch (error) {
    freshness(error);
  }
}

startTooltips();
$("#look").addEventListener("click", refresh);
controls.start(page);
window.addEventListener("popstate", () => { if (state.toQuery(state.read()).toString() !== asked) refresh(); });
document.addEventListener("visibilitychange", poll);
const every = Number(root.dataset.pollMs);
if (every > 0) window.setInterval(poll, every);
refresh();
