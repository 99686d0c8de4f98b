// A line as small as a word, for the eye only: its figures are in the panel beside it.

import { s } from "./dom.js";

const WIDTH = 100;
const HEIGHT = 28;

/** An SVG of a series of {date, value}; a missing value leaves a gap. */
export function sparkline(series) {
  const known = series.filter((p) => p.value !== null).map((p) => Number(p.value));
  if (known.length < 2) return s("svg", { class: "spark", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, "aria-hidden": "true" });
  const top = Math.max(...known);
  const least = Math.min(...known);
  const bottom = least - (top - least) * 0.5;
  const x = (i) => (i / (series.length - 1)) * WIDTH;
  const y = (v) => HEIGHT - 2 - ((v - bottom) / (top - bottom || 1)) * (HEIGHT - 4);
  const runs = [];
  let run = null;
  series.forEach((point, i) => {
    if (point.value === null) run = null;
    else if (run) run.push(i);
    else runs.push((run = [i]));
  });
  const point = (i) => `${x(i).toFixed(2)} ${y(Number(series[i].value)).toFixed(2)}`;
  const lines = runs.map((r) => `M${r.map(point).join("L")}`).join("");
  return s("svg", { class: "spark", viewBox: `0 0 ${WIDTH} ${HEIGHT}`, preserveAspectRatio: "none", "aria-hidden": "true" },
    s("path", { class: "spark-line", d: lines, "vector-effect": "non-scaling-stroke" }));
}
