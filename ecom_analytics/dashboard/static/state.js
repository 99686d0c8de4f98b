// What the page shows is in its address, and only what differs from the default.

export const DEFAULTS = Object.freeze({ period: "28d", compare: "prev" });
export const PRESETS = Object.freeze({ "7d": 7, "28d": 28, "91d": 91, all: null });
const KEYS = ["period", "from", "to", "compare"];
const DAY = 86_400_000;

const toTime = (day) => Date.parse(`${day}T00:00:00Z`);
const toDay = (time) => new Date(time).toISOString().slice(0, 10);

export const addDays = (day, count) => toDay(toTime(day) + count * DAY);
export const countDays = (from, to) => Math.round((toTime(to) - toTime(from)) / DAY) + 1;
export const isDay = (text) => /^\d{4}-\d{2}-\d{2}$/.test(text) && !Number.isNaN(toTime(text)) && toDay(toTime(text)) === text;

/** The state in the address; a range by dates leaves out the period. */
export function read(search = window.location.search) {
  const query = new URLSearchParams(search);
  const state = {};
  for (const key of KEYS) {
    const value = query.get(key);
    if (value) state[key] = value;
  }
  return state;
}

/** The query for the API, or for the address: only what differs from the default. */
export function toQuery(state) {
  const query = new URLSearchParams();
  for (const key of KEYS) {
    if (state[key] && state[key] !== DEFAULTS[key]) query.set(key, state[key]);
  }
  return query;
}

/** Change the address (a new entry in the history), keeping what is not ours, such as `embed`. */
export function write(state) {
  const query = new URLSearchParams(window.location.search);
  for (const key of KEYS) query.delete(key);
  for (const [key, value] of toQuery(state)) query.set(key, value);
  const text = query.toString();
  const target = `${window.location.pathname}${text ? `?${text}` : ""}`;
  if (target === window.location.pathname + window.location.search) return false;
  window.history.pushState(null, "", target);
  return true;
}

const keepCompare = (state) => (state.compare ? { compare: state.compare } : {});

export const withPeriod = (state, period) => ({ period, ...keepCompare(state) });
export const withCompare = (state, compare) => ({ ...state, compare });

/** A range by dates, written as its preset when it is one. */
export function withRange(state, from, to, bounds) {
  if (to === bounds.last) {
    const preset = Object.entries(PRESETS).find(([, days]) => days === countDays(from, to));
    if (preset) return withPeriod(state, preset[0]);
    if (from === bounds.first) return withPeriod(state, "all");
  }
  return { from, to, ...keepCompare(state) };
}

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
