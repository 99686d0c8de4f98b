// What the page shows is in its address, and only what differs from the default.
// Keys of the page are those of the API; those of a panel alone are `panel.key`.

export const DEFAULTS = Object.freeze({ compare: "prev", grain: "day", bots: "in", match_weekday: "false" });
export const PERIODS = [...document.querySelectorAll("#period option:not([hidden])")].map((option) => option.value);
export const DIMENSIONS = document.documentElement.dataset.dimensions.split(" ");
const SINGLE = ["period", "from", "to", "compare", "compare_from", "compare_to", "match_weekday", "grain", "bots"];
const DAY = 86_400_000;

const toTime = (day) => Date.parse(`${day}T00:00:00Z`);
const toDay = (time) => new Date(time).toISOString().slice(0, 10);

export const addDays = (day, count) => toDay(toTime(day) + count * DAY);
export const countDays = (from, to) => Math.round((toTime(to) - toTime(from)) / DAY) + 1;
export const isDay = (text) => /^\d{4}-\d{2}-\d{2}$/.test(text) && !Number.isNaN(toTime(text)) && toDay(toTime(text)) === text;

const query = () => new URLSearchParams(window.location.search);

/** The page's part of the address: what applies to all panels and pages. */
export function page() {
  const all = query();
  const found = new URLSearchParams();
  for (const key of SINGLE) {
    const value = all.get(key);
    if (value && value !== DEFAULTS[key] && !(key === "period" && value === "28d")) found.set(key, value);
  }
  for (const key of DIMENSIONS) for (const value of all.getAll(key)) found.append(key, value);
  return found;
}

export const get = (key) => query().get(key) ?? DEFAULTS[key] ?? null;
export const values = (dimension) => query().getAll(dimension);
export const ofPanel = (panel, key) => query().get(`${panel}.${key}`);
export const token = () => query().get("token");

/** What is of the visit, not of what is looked at: a signed link, and being embedded. */
export const visit = () => new URLSearchParams([...query()].filter(([key]) => key === "token" || key === "embed"));

/** All that panels alone keep in the address, as {key: value} of one panel. */
export function panelState(panel) {
  const found = {};
  for (const [key, value] of query()) if (key.startsWith(`${panel}.`)) found[key.slice(panel.length + 1)] = value;
  return found;
}

/** Change the address: a new entry in the history. False if nothing changed. Values: text, a list, or null to remove. */
export function write(changes) {
  const all = query();
  for (const [key, value] of Object.entries(changes)) {
    all.delete(key);
    const list = Array.isArray(value) ? value : [value];
    for (const one of list) if (one !== null && one !== undefined && one !== (DEFAULTS[key] ?? null)) all.append(key, one);
  }
  if (all.get("period") === "28d") all.delete("period");
  for (const [key] of Object.entries(changes)) {
    if (!key.includes(".") && key !== "open") for (const own of [...all.keys()]) if (own.endsWith(".next")) all.delete(own);
  }
  return enter(all);
}

/** Forget all that the address says, save what is of the visit. */
export const forget = () => enter(visit());

/** A new entry in the history; false if it is where we are. */
function enter(all) {
  const target = new URL(window.location.href);
  target.search = all.toString();
  if (target.search === window.location.search) return false;
  window.history.pushState(null, "", target);
  return true;
}

export const withPeriod = (period) => ({ period, from: null, to: null });

/** A range by dates, written as its preset when it is one. */
export function withRange(from, to, bounds) {
  if (to === bounds.last) {
    for (const [period, days] of [["7d", 7], ["28d", 28], ["91d", 91]]) if (days === countDays(from, to)) return withPeriod(period);
    if (from === bounds.first) return withPeriod("all");
  }
  return { period: null, from, to };
}

/** Add a value to the filters, or take it out when it is there. */
export function toggled(dimension, value) {
  const now = values(dimension);
  const text = String(value);
  return { [dimension]: now.includes(text) ? now.filter((one) => one !== text) : [...now, text] };
}

export const cleared = () => ({ ...Object.fromEntries(DIMENSIONS.map((name) => [name, null])), bots: null });
export const filtered = () => DIMENSIONS.some((name) => values(name).length) || get("bots") === "out";

/** The range moved by its own length, or null when no data lie there. The last range ends with the data. */
export function shifted(range, direction, bounds) {
  const days = countDays(range.from, range.to);
  let from = addDays(range.from, direction * days);
  let to = addDays(range.to, direction * days);
  if (direction > 0 && range.to >= bounds.last) return null;
  if (direction > 0 && to > bounds.last) {
    to = bounds.last;
    from = addDays(to, 1 - days);
  }
  if (to < bounds.first || from > bounds.last) return null;
  return { from, to };
}
