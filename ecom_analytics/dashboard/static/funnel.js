// How far visitors come, compared and told apart.

import { h } from "./dom.js";
import * as format from "./format.js";
import { table } from "./panels.js";

const percent = (ratio) => format.value(ratio, "ratio");
const count = (n) => format.value(n, "count");
const spanOf = (range) => format.range(range.from, range.to);

function meter(rate, label, before = null) {
  const fill = h("div", { class: "funnel-fill" });
  fill.style.width = `${100 * (rate ?? 0)}%`;
  const mark = before === null ? null : h("div", { class: "funnel-then" });
  if (mark) mark.style.left = `${100 * before}%`;
  return [h("meter", { class: "sr", min: "0", max: "1", value: String(rate ?? 0), "aria-label": label }), h("div", { class: "funnel-track", "aria-hidden": "true" }, fill, mark)];
}

export function funnel(panel, { data, meta }, page) {
  if (panel.name === "funnel") {
    panel.choose("unit", "Count", [["session", "sessions"], ["visitor", "visitors"]], page);
    panel.choose("order", "Order", [["sequential", "others may lie between"], ["strict", "nothing between"], ["flexible", "any order between"]], page);
  }
  if (!data.available) return panel.unavailable(data.reason);
  const start = data.steps[0]?.count;
  if (!start) return panel.empty(page.nothing(meta, `${data.unit} with a product view`), page.wider());
  const compared = data.steps.some((step) => step.previous !== null);
  const asTable = () => table("Funnel", [
    { label: "Step", head: true, cell: (s) => s.label }, { label: "Count", number: true, cell: (s) => count(s.count) }, { label: "Of the start", number: true, cell: (s) => percent(s.rate_from_start) },
    { label: "Of the step before", number: true, cell: (s) => percent(s.rate_from_previous) }, { label: "Left", number: true, cell: (s) => count(s.drop_off) },
    ...(compared ? [{ label: "Count then", number: true, cell: (s) => count(s.previous) }, { label: "Of the start then", number: true, cell: (s) => percent(s.previous_rate) }] : []),
  ], data.steps);
  const list = h("ol", { class: "funnel" }, data.steps.map((step, i) => {
    if (step.count === null) return h("li", { "data-step": step.name }, h("p", { class: "funnel-head" }, step.label, h("span", { class: "quiet" }, "not in this data")));
    const lost = i > 0 && h("p", { class: "funnel-step-rate" }, `${percent(step.rate_from_previous)} went on`, h("span", {}, `${count(step.drop_off)} left`));
    const then = compared && step.previous !== null && i > 0 ? h("span", { class: "funnel-before" }, `was ${percent(step.previous_rate)}`) : null;
    return h("li", { "data-step": step.name }, lost,
      h("p", { class: "funnel-head" }, h("span", { class: "funnel-name" }, step.label), h("span", { class: "funnel-count", title: compared && step.previous !== null ? `${count(step.previous)} in ${spanOf(meta.compare_range)}` : null }, count(step.count))),
      h("div", { class: "funnel-bar" }, ...meter(step.rate_from_start, `${step.label}: ${percent(step.rate_from_start)} of the start`, compared && i > 0 ? step.previous_rate : null), h("span", { class: "funnel-rate" }, percent(step.rate_from_start), then)));
  }));
  const note = h("p", { class: "foot-note" }, `${data.unit === "session" ? "Sessions" : "Visitors"} in ${spanOf(meta.range)}${compared ? `; the mark is ${spanOf(meta.compare_range)}` : ""}.`);
  panel.showChart({ box: h("div", { class: "funnel-box" }, list) }, asTable, note);
}

export function funnel_by(panel, { data, meta }, page) {
  const known = (page.about?.dimensions ?? []).filter((one) => !["category", "brand", "segment"].includes(one.name));
  if (!known.some((one) => one.name === "device") && !panel.own("split")?.length) return panel.unavailable("these data do not say on what device visitors came");
  panel.choose("split", "Dimension", known.map((one) => [one.name, one.label]), page);
  const label = known.find((one) => one.name === (panel.own("split") ?? "device"))?.label ?? panel.own("split");
  panel.rename(`By ${String(label).toLowerCase()}`);
  if (!data.available) return panel.unavailable(data.reason);
  if (!data.groups.length) return panel.empty(page.nothing(meta, "sessions with a product view"), page.wider());
  const [first, ...later] = data.groups[0].steps;
  const pick = (group) => h("button", { type: "button", class: "row-link", onclick: () => page.toggle(panel.own("split") ?? "device", group.key) }, group.label);
  panel.show(table(`Funnel by ${label}`, [
    { label, head: true, cell: pick }, { label: first.label, number: true, cell: (g) => count(g.steps[0].count) },
    ...later.map((step, i) => ({ label: step.label, number: true, cell: (g) => h("span", { title: count(g.steps[i + 1].count) }, percent(g.steps[i + 1].rate_from_start)) })),
  ], data.groups));
}
