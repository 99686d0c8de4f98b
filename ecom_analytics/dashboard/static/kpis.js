// The strip of key figures: value, change against the named range, and the days as a small line.

import { h, icon } from "./dom.js";
import * as format from "./format.js";
import { sparkline } from "./sparkline.js";
import { described, term } from "./tooltip.js";

const UP = "M8 13V3M3.5 7.5 8 3l4.5 4.5";
const DOWN = "M8 3v10M3.5 8.5 8 13l4.5-4.5";

/** The strip of all figures, in the order of the API. */
export function kpis(panel, { data, meta }, page) {
  panel.show(h("dl", { class: "kpis" }, data.map((figure) => cell(figure, meta, page.about))));
}

function cell(figure, meta, about) {
  const body = figure.available ? shown(figure, meta, about) : missing(figure);
  return h("div", { class: figure.available ? "kpi" : "kpi kpi-missing", "data-kpi": figure.name },
    h("dt", {}, ...term(figure.label, figure.definition)), ...body);
}

function missing(figure) {
  return [h("dd", { class: "kpi-value kpi-none" }, "Not in this data"), h("dd", { class: "kpi-reason" }, sentence(figure.reason))];
}

function shown(figure, meta, about) {
  const exact = format.value(figure.value, figure.unit);
  const short = format.value(figure.value, figure.unit, { short: true });
  const number = figure.value === null || short === exact ? [short] : [h("span", { "aria-hidden": "true", title: exact }, short), h("span", { class: "sr" }, exact)];
  return [h("dd", { class: "kpi-value", "data-value": figure.value ?? "" }, ...number), h("dd", { class: "kpi-delta" }, ...delta(figure, meta, about)),
    h("dd", { class: "kpi-spark" }, sparkline(figure.series))];
}

function delta(figure, meta, about) {
  if (!meta.compare_range || (about?.first_date && meta.compare_range.to < about.first_date)) return [];
  const [range, base] = [meta.change_range ?? meta.range, meta.change_compare_range ?? meta.compare_range];
  const now = format.range(range.from, range.to);
  const before = format.range(base.from, base.to);
  const open = meta.change_range ? "\nDays that are not over are left out." : "";
  const quiet = (text, why) => described(h("span", { class: "delta delta-none", tabindex: "0", role: "note" }, text), why);
  if (about?.first_date && meta.compare_range.from < about.first_date) {
    return quiet("no full comparison", `The data begin on ${format.day(about.first_date)}, so ${before} cannot be compared with ${now}.`);
  }
  if (figure.change === null || figure.change === undefined) {
    return quiet("no comparison", `${now}: ${format.value(figure.value, figure.unit)}\n${before}: ${format.value(figure.previous, figure.unit)}`);
  }
  const change = Number(figure.change);
  const text = format.change(change);
  const flat = !/[1-9]/.test(text);
  const way = flat ? "flat" : change > 0 ? "up" : "down";
  const word = { flat: "unchanged", up: "more", down: "less" }[way];
  const words = open ? `${now} compared with ${before}.${open}` : `${now}: ${format.value(figure.value, figure.unit)}\n${before}: ${format.value(figure.previous, figure.unit)}`;
  const badge = h("span", { class: `delta delta-${way}`, tabindex: "0", role: "note" }, !flat && icon(way === "up" ? UP : DOWN), h("span", { class: "sr" }, `${word}: `), text.replace(/^[+-−]/u, ""));
  return [...described(badge, words), h("span", { class: "delta-from", "aria-hidden": "true" }, h("span", { class: "minor" }, "from "), format.value(figure.previous, figure.unit, { short: true }))];
}

const sentence = (text) => (text ? text[0].toUpperCase() + text.slice(1) : "");
