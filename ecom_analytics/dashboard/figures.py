"""The figures of the dashboard, from the public marts. Definitions are the metrics' own (see METRICS in the docs)."""

from __future__ import annotations

from datetime import date
from functools import cached_property
from typing import Any

from ecom_analytics import metrics
from ecom_analytics.dashboard.generations import Generation
from ecom_analytics.dashboard.parameters import Range

KPIS = ("visitors", "sessions", "transactions", "session_conversion_rate", "net_value", "aov")
SERIES = (*KPIS, "views", "add_to_carts")
WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

_RATIOS = ("session_conversion_rate", "aov")
_MONEY = ("net_value", "aov")

NO_PRICES = "this data has no prices"
SEVERAL_CURRENCIES = "this data has several currencies, and amounts in different ones are not added"


class Figures:
    """Asks one build.

    Parameters
    ----------
    generation : Generation
    """

    def __init__(self, generation: Generation) -> None:
        self._rows = generation.rows
        self._info = generation.build.info

    @cached_property
    def _metrics(self) -> dict[str, metrics.Metric]:
        return metrics.catalogue(self._rows)

    def catalogue(self) -> list[dict[str, Any]]:
        """Every metric of the build: what it means and how it is computed."""
        keys = ("formula", "mart", "during", "format", "grain", "additivity", "null_rule", "available")
        return [
            {"name": name, **self.definition(name), **{key: getattr(metric, key) for key in keys}}
            for name, metric in self._metrics.items()
        ]

    def span(self) -> tuple[date, date] | None:
        """The first and the last day of the data."""
        (row,) = self._rows("SELECT min(date) AS first, max(date) AS last FROM daily")
        return (row["first"], row["last"]) if row["first"] is not None else None

    def currencies(self) -> list[str]:
        found = self._rows("SELECT DISTINCT currency FROM transactions WHERE currency IS NOT NULL ORDER BY currency")
        return [row["currency"] for row in found]

    def definition(self, metric: str) -> dict[str, Any]:
        """Label, definition and unit of a metric, as the build carries them."""
        known = self._metrics[metric]
        unit = known.unit if known.unit in ("money", "ratio") else "count"
        return {"label": known.label, "definition": known.description, "unit": unit}

    def unavailable(self, metric: str) -> str | None:
        """Why the data cannot tell a metric; None if it can."""
        if metric not in _MONEY:
            return None
        (row,) = self._rows(
            "SELECT count(*) AS orders, count(net_value) AS valued, (SELECT count(net_value) FROM daily "
            "WHERE transactions > 0) AS totals FROM transactions"
        )
        if row["orders"]:  # a day's total is NULL if its amounts may not be added
            return None if row["totals"] else SEVERAL_CURRENCIES if row["valued"] else NO_PRICES
        known = self._info.get("capabilities", {}).values()
        return None if any("unit_price" in columns for columns in known) else NO_PRICES

    def totals(self, days: Range) -> dict[str, Any]:
        """The key figures over a range, by the formulas of the build's catalogue."""
        return metrics.values(self._rows, self._metrics, KPIS, days.first, days.last)

    def by_day(self, days: Range) -> dict[date, dict[str, Any]]:
        """The figures of each day of a range; a day without any event has none."""
        rows = self._rows(
            "SELECT date, visitors, sessions, views, add_to_carts, transactions, converting_sessions, net_value "
            "FROM daily WHERE date BETWEEN ? AND ? ORDER BY date",
            [days.first, days.last],
        )
        return {row["date"]: self._with_ratios(row) for row in rows}

    def _with_ratios(self, row: dict[str, Any]) -> dict[str, Any]:
        if row["net_value"] is None and not row["transactions"]:
            row["net_value"] = 0
        for name in _RATIOS:
            part, whole = self._metrics[name].numerator or "", self._metrics[name].denominator or ""
            row[name] = None if not row[whole] or row[part] is None else float(row[part]) / row[whole]
        return row

    def series(self, metric: str, days: Range) -> list[dict[str, Any]]:
        """The metric on every day: 0 where nothing happened, nothing where a ratio has no denominator."""
        known = self.by_day(days)
        nothing = None if metric in _RATIOS else 0
        return [{"date": day, "value": known[day][metric] if day in known else nothing} for day in days.days]

    def kpis(self, days: Range, compared: Range | None) -> list[dict[str, Any]]:
        now, by_day = self.totals(days), self.by_day(days)
        span = self.span()
        # Days before the data began were not empty but unknown: nothing is compared with them.
        before = self.totals(compared) if compared and span and span[0] <= compared.first else {}
        cards = []
        for name in KPIS:
            reason = self.unavailable(name)
            nothing = None if name in _RATIOS else 0
            value, previous = (None, None) if reason else (now[name], before.get(name))
            series = [{"date": day, "value": by_day[day][name] if day in by_day else nothing} for day in days.days]
            cards.append(
                {
                    "name": name,
                    **self.definition(name),
                    "value": value,
                    "available": reason is None,
                    "reason": reason,
                    "previous": previous,
                    "change": change(value, previous),
                    "series": [] if reason else series,
                }
            )
        return cards

    def weekdays(self, metric: str, days: Range) -> list[dict[str, Any]]:
        """The metric summed over the Mondays, Tuesdays … of a range, and how many of them there are."""
        points = self.series(metric, days)
        return [
            {
                "key": key,
                "label": label,
                "value": sum(p["value"] or 0 for p in points if p["date"].isoweekday() == key),
                "days": sum(p["date"].isoweekday() == key for p in points),
            }
            for key, label in enumerate(WEEKDAYS, 1)
        ]

    def funnel(self, days: Range) -> list[dict[str, Any]]:
        """Sessions that began in the range with a view; of those with an add to cart; of those with a transaction."""
        (row,) = self._rows(
            "SELECT count(*) FILTER (WHERE views > 0) AS view, "
            "count(*) FILTER (WHERE views > 0 AND add_to_carts > 0) AS add_to_cart, "
            "count(*) FILTER (WHERE views > 0 AND add_to_carts > 0 AND transactions > 0) AS purchase "
            "FROM sessions WHERE session_date BETWEEN ? AND ?",
            [days.first, days.last],
        )
        labels = {"view": "Viewed a product", "add_to_cart": "Added to cart", "purchase": "Purchased"}
        steps: list[dict[str, Any]] = []
        for name, label in labels.items():
            count, previous = row[name], steps[-1]["count"] if steps else row[name]
            steps.append(
                {
                    "name": name,
                    "label": label,
                    "count": count,
                    "rate_from_start": count / row["view"] if row["view"] else None,
                    "rate_from_previous": count / previous if previous else None,
                    "drop_off": previous - count,
                }
            )
        return steps

    def notices(self) -> list[dict[str, Any]]:
        """What a reader of the figures should know about the data."""
        (row,) = self._rows("SELECT count(DISTINCT (source, transaction_id)) AS ids FROM conflicts")
        read = self._info.get("input", {})
        rules = ", ".join(f"{rule} {count:,}" for rule, count in read.get("rejected_by_rule", {}).items())
        found = [
            ("conflicts", "warning", "Transaction ids in conflict", row["ids"],
             "Used by several visitors, or at times far apart. Each is counted once, for its first visitor."),
            ("rejected", "warning", "Rejected records", read.get("rejected", 0),
             f"{rules}. Kept with file, line and raw text: see `ecom-analytics rejected`."),
            ("duplicates", "info", "Duplicate records", read.get("duplicates", 0), "Counted once, and kept aside."),
        ]  # fmt: skip
        found += [
            ("warning", "warning", check["name"], check["failures"], check["message"])
            for check in self._info.get("checks", [])
            if check.get("status") == "warn"
        ]
        return [
            {"kind": kind, "level": level, "title": title, "detail": detail, "count": count}
            for kind, level, title, count, detail in found
            if count
        ]


def change(value: Any, previous: Any) -> float | None:
    """The relative change; None when there is no base.

    Examples
    --------
    >>> change(120, 100), change(1, 0), change(None, 3)
    (0.2, None, None)
    """
    if value is None or not previous:
        return None
    return float(value - previous) / float(previous)
