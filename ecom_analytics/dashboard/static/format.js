// Numbers, money and times as people read them. A value that is not there is a dash, never a zero.

export const MISSING = "–";
const context = { currency: null, timezone: "UTC" };
const made = new Map();

/** What the data say about money and time. */
export function configure({ currency, timezone }) {
  context.currency = currency ?? null;
  context.timezone = timezone ?? "UTC";
}

function formatter(kind, options) {
  const key = kind.name + JSON.stringify(options);
  if (!made.has(key)) made.set(key, new kind(undefined, options));
  return made.get(key);
}

const number = (value, options) => formatter(Intl.NumberFormat, options).format(value);

function moneyOptions(extra) {
  if (!context.currency) return { minimumFractionDigits: 2, maximumFractionDigits: 2, ...extra };
  return { style: "currency", currency: context.currency, currencyDisplay: "narrowSymbol", ...extra };
}

const COMPACT = { notation: "compact", maximumFractionDigits: 2, minimumFractionDigits: 0 };

/** A value in its unit (count, money, ratio); `short` makes long ones compact, `whole` leaves out the cents. */
export function value(amount, unit, { short = false, whole = false } = {}) {
  if (amount === null || amount === undefined) return MISSING;
  const n = Number(amount);
  if (unit === "ratio") {
    const digits = Math.abs(n) < 0.1 ? 2 : 1;
    return number(n, { style: "percent", minimumFractionDigits: digits, maximumFractionDigits: digits });
  }
  if (unit === "money") {
    if (short && Math.abs(n) >= 1e6) return number(n, moneyOptions(COMPACT));
    return number(n, moneyOptions(whole || (short && Math.abs(n) >= 1e4) ? { minimumFractionDigits: 0, maximumFractionDigits: 0 } : {}));
  }
  if (short && Math.abs(n) >= 1e6) return number(n, COMPACT);
  return number(n, { maximumFractionDigits: 2 });
}

/** For an axis: always short. */
export const tick = (amount, unit) =>
  unit === "ratio" ? number(amount, { style: "percent", maximumFractionDigits: 1 }) : number(amount, { notation: "compact", maximumFractionDigits: 1 });

/** A relative change, with its sign. */
export const change = (ratio) =>
  number(ratio, { style: "percent", maximumFractionDigits: Math.abs(ratio) < 0.1 ? 1 : 0, signDisplay: "exceptZero" });

const date = (day, options) => formatter(Intl.DateTimeFormat, { timeZone: "UTC", ...options }).format(new Date(`${day}T00:00:00Z`));

export const day = (text) => date(text, { day: "numeric", month: "short", year: "numeric" });
export const dayShort = (text) => date(text, { day: "numeric", month: "short" });
export const dayLong = (text) => date(text, { weekday: "short", day: "numeric", month: "short", year: "numeric" });

/** Both ends of a range, in as few words as it takes. */
export function range(from, to) {
  const between = formatter(Intl.DateTimeFormat, { timeZone: "UTC", day: "numeric", month: "short", year: "numeric" });
  return between.formatRange(new Date(`${from}T00:00:00Z`), new Date(`${to}T00:00:00Z`));
}

/** An instant in the store's time zone. */
export function instant(text) {
  const options = { timeZone: context.timezone, day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit", hourCycle: "h23" };
  return formatter(Intl.DateTimeFormat, options).format(new Date(text));
}

/** Day and hour of an instant in the store's time zone. */
export function localParts(text) {
  const options = { timeZone: context.timezone, year: "numeric", month: "2-digit", day: "2-digit", hour: "2-digit", hourCycle: "h23" };
  const parts = Object.fromEntries(new Intl.DateTimeFormat("en", options).formatToParts(new Date(text)).map((p) => [p.type, p.value]));
  return { day: `${parts.year}-${parts.month}-${parts.day}`, hour: Number(parts.hour) };
}

/** "1 visitor", "2 visitors". */
export const plural = (count, one, many = `${one}s`) => `${value(count, "count")} ${count === 1 ? one : many}`;

const WEEKDAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];

/** The value of a dimension as people read it. */
export function dimension(name, value) {
  if (value === "" || value === null || value === undefined) return "(not set)";
  if (name === "weekday") return WEEKDAYS[Number(value) - 1] ?? value;
  if (name === "hour") return `${String(value).padStart(2, "0")}:00`;
  if (name === "segment") return String(value).replaceAll("_", " ");
  return String(value);
}
export { WEEKDAYS };

/** The first day of a bucket, as its grain reads. */
export const bucket = (text, grain) => (grain === "month" ? date(text, { month: "long", year: "numeric" }) : grain === "week" ? `week from ${dayShort(text)}` : dayLong(text));
export const bucketShort = (text, grain) => (grain === "month" ? date(text, { month: "short", year: "2-digit" }) : dayShort(text));
