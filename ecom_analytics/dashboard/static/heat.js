// Heat as real tables: weekday by hour, cohort by period. The colour is for the eye, the number is in the cell.

import { h } from "./dom.js";
import * as format from "./format.js";
import { options } from "./cohorts.js";
import * as state from "./state.js";

/** Cells that arrow keys walk through, of which one has the focus. */
function grid(body) {
  body.setAttribute("role", "grid");
  const cells = () => [...body.querySelectorAll("tbody tr")].map((row) => [...row.querySelectorAll("[tabindex]")]);
  body.addEventListener("keydown", (event) => {
    const step = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowDown: [1, 0], ArrowUp: [-1, 0] }[event.key];
    if (!step) return;
    const rows = cells();
    const at = rows.findIndex((row) => row.includes(document.activeElement));
    if (at < 0) return;
    const next = rows[at + step[0]]?.[Math.min(rows[at].indexOf(document.activeElement) + step[1], (rows[at + step[0]]?.length ?? 1) - 1)];
    event.preventDefault();
    event.stopPropagation();
    if (!next) return;
    document.activeElement.tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  });
}

const coloured = (element, share) => {
  element.style.setProperty("--heat", `${Math.round(45 * Math.max(0, Math.min(1, share)))}%`);
  return element;
};

export function heat(panel, { data, meta }, page) {
  if (!data.available) return panel.unavailable(data.reason);
  const most = Math.max(...data.rows.map((r) => Number(r.value)));
  if (!most) return panel.empty(page.nothing(meta, data.label.toLowerCase()), page.wider());
  const [days, hours] = [state.values("weekday"), state.values("hour")];
  const show = (v) => format.value(v, data.unit);
  const pick = (row) => page.go({ ...(days.includes(String(row.weekday)) && hours.includes(String(row.hour)) ? { weekday: null, hour: null } : { weekday: String(row.weekday), hour: String(row.hour) }) });
  let first = true;
  const cell = (row) => {
    const label = `${row.label}: ${show(row.value)} ${data.label.toLowerCase()}`;
    const button = h("button", { type: "button", class: "heat-cell", tabindex: first ? "0" : "-1", "data-tip": label, "aria-label": label, "aria-pressed": String(days.includes(String(row.weekday)) && hours.includes(String(row.hour))), onclick: () => pick(row) });
    first = false;
    return h("td", {}, coloured(button, Number(row.value) / most));
  };
  const rows = format.WEEKDAYS.map((name, i) => h("tr", {}, h("th", { scope: "row" }, h("span", { "aria-hidden": "true" }, name.slice(0, 3)), h("span", { class: "sr" }, name)), data.rows.filter((r) => r.weekday === i + 1).map(cell)));
  const head = h("tr", {}, h("td", {}), Array.from({ length: 24 }, (_, hour) => h("th", { scope: "col" }, h("span", { "aria-hidden": "true" }, hour % 3 ? "" : String(hour)), h("span", { class: "sr" }, `${hour}:00`))));
  const body = h("table", { class: "heat" }, h("caption", { class: "sr" }, panel.title.innerText), h("thead", {}, head), h("tbody", {}, rows));
  grid(body);
  const best = data.rows.reduce((a, b) => (Number(b.value) > Number(a.value) ? b : a));
  panel.show(body, h("p", { class: "foot-note" }, `Most on ${best.label} with ${show(best.value)}. Times in ${meta.timezone}.`));
}

export function cohorts(panel, { data, meta }, page) {
  options(panel, page);
  if (!data.available) return panel.unavailable(data.reason);
  if (!data.cohorts.length) return panel.empty("Nobody has come back yet: there is no cohort.");
  const length = Math.min(Math.max(...data.cohorts.map((one) => one.cells.length)), 16);
  const skip = data.measure === "rate" ? 1 : 0;
  const values = data.cohorts.flatMap((one) => one.cells.filter((cell) => cell.period >= skip).map((cell) => Number(cell.value ?? 0)));
  const most = Math.max(...values, 1e-9);
  const show = (v) => format.value(v, data.unit, { short: true, whole: true });
  const cell = (one, n) => {
    const found = one.cells.find((known) => known.period === n);
    if (!found || found.value === null) return h("td", { class: "num heat-none" }, found ? h("span", { title: "cannot be observed yet" }, format.MISSING) : "");
    const label = `${format.bucket(one.cohort, data.cohort_grain)}, ${data.cohort_grain} ${n}: ${format.value(found.value, data.unit)}${found.is_complete ? "" : ", not over yet"}`;
    return coloured(h("td", { class: `num heat-value${found.is_complete ? "" : " heat-open"}`, title: label }, show(found.value)), n < skip ? 0 : Number(found.value) / most);
  };
  const periods = Array.from({ length }, (_, n) => n);
  const averages = h("tr", { class: "heat-average" }, h("th", { scope: "row" }, "Weighted average"), h("td", { class: "num" }, ""), periods.map((n) => { const found = data.averages.find((one) => one.period === n); return h("td", { class: "num" }, found && found.value !== null ? show(found.value) : ""); }));
  const body = h("table", { class: "cohorts" }, h("caption", { class: "sr" }, `${data.label} by cohort`),
    h("thead", {}, h("tr", {}, h("th", { scope: "col" }, `${data.kind === "first_visit" ? "First visit" : "First purchase"}`), h("th", { scope: "col", class: "num" }, "People"), periods.map((n) => h("th", { scope: "col", class: "num" }, h("span", { class: "sr" }, `${data.cohort_grain} `), n)))),
    h("tbody", {}, data.cohorts.map((one) => h("tr", {}, h("th", { scope: "row" }, format.bucket(one.cohort, data.cohort_grain)), h("td", { class: "num" }, format.value(one.users, "count")), periods.map((n) => cell(one, n)))), averages));
  const note = data.cohorts.some((one) => one.cells.some((found) => !found.is_complete)) ? "Slanted cells are of periods that are not over yet, and left out of averages." : "";
  panel.show(h("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `${data.label} by cohort` }, body), note && h("p", { class: "foot-note" }, note));
}
