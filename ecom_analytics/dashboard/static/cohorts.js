// The choices that panels of cohorts share.

/** Offer them on a panel. */
export function options(panel, page) {
  panel.choose("kind", "Cohorts of", [["first_purchase", "first purchase"], ["first_visit", "first visit"]], page);
  panel.choose("cohort_grain", "Periods", panel.name === "ltv" ? [["month", "by month"], ["week", "by week"]] : [["week", "by week"], ["day", "by day"], ["month", "by month"]], page);
  if (panel.name === "ltv") return;
  panel.choose("measure", "Measure", [["rate", "share"], ["people", "people"], ["revenue", "net order value"]], page);
  panel.choose("mode", "Active", [["on", "in the period"], ["on_or_after", "in it or later"]], page);
}
