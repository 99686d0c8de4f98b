"""Ranges of days: presets, what they are compared with, and the days, weeks and months in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from dateutil.relativedelta import relativedelta

from ecom_analytics.answers.parameters import Parameter, bad

PERIODS = ("7d", "28d", "91d", "mtd", "last_month", "ytd", "12mo", "all")
COMPARE = ("none", "prev", "yoy", "custom")
GRAINS = ("day", "week", "month")
LONGEST = 36_600
"""Days of a range."""

LAST_HOUR = 23
"""A day is over once the data reach its last hour."""

RANGE = (
    Parameter("from", "First day, in the store's time zone. Not together with period.", "day"),
    Parameter("to", "Last day, inclusive.", "day"),
    Parameter("period", "Days up to the last one of the data: a number of days, month or year to date, the last whole "
              "month, twelve months, or all. Default: 28d, unless from or to is given.", "choice", choices=PERIODS),
)  # fmt: skip
COMPARISON = (
    Parameter("compare", "What to compare with: nothing, the period before, the same days a year ago, or other days.",
              "choice", "prev", COMPARE),
    Parameter("compare_from", "First day to compare with, for compare=custom.", "day"),
    Parameter("compare_to", "Last day to compare with, for compare=custom.", "day"),
    Parameter("match_weekday", "Whether the compared days are shifted by whole weeks, so that Mondays meet Mondays and "
              "the ranges never overlap.", "flag", default=False),
)  # fmt: skip
GRAIN = Parameter("grain", "What one point is of. Weeks begin on Monday.", "choice", "day", GRAINS)


@dataclass(frozen=True, slots=True)
class Range:
    """Days from ``first`` to ``last``, both included, and the preset that they come from."""

    first: date
    last: date
    period: str = "custom"

    @property
    def length(self) -> int:
        return (self.last - self.first).days + 1

    @property
    def days(self) -> list[date]:
        return [self.first + timedelta(days=n) for n in range(self.length)]

    def shifted(self, **by: int) -> Range:
        """Moved by ``days``, ``months`` or ``years``."""
        move = relativedelta(days=by.get("days", 0), months=by.get("months", 0), years=by.get("years", 0))
        return Range(self.first + move, self.last + move, "previous")

    def buckets(self, grain: str) -> list[Range]:
        """The days, weeks (from Monday) or months in it; the first and the last one are cut to it."""
        found: list[Range] = []
        start = self.first
        while start <= self.last:
            if grain == "month":
                end = start + relativedelta(day=31)
            else:
                end = start + timedelta(days=6 - start.weekday() if grain == "week" else 0)
            found.append(Range(start, min(end, self.last)))
            start = end + timedelta(days=1)
        return found

    def to_dict(self) -> dict[str, str]:
        return {"from": self.first.isoformat(), "to": self.last.isoformat(), "period": self.period}


def bucket_start(day: date, grain: str) -> date:
    """The first day of the week or month that a day lies in.

    Examples
    --------
    >>> bucket_start(date(2026, 11, 26), "week"), bucket_start(date(2026, 11, 26), "month")
    (datetime.date(2026, 11, 23), datetime.date(2026, 11, 1))
    """
    if grain == "week":
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if grain == "month" else day


def preset(period: str, first: date, last: date) -> Range:
    """The days of a preset, of data from ``first`` to ``last``.

    Examples
    --------
    >>> preset("last_month", date(2026, 1, 1), date(2026, 3, 9)).to_dict()
    {'from': '2026-02-01', 'to': '2026-02-28', 'period': 'last_month'}
    """
    start, end = first, last
    if period.endswith("d") and period[:-1].isdigit():
        start = last - timedelta(days=int(period[:-1]) - 1)
    elif period == "mtd":
        start = last.replace(day=1)
    elif period == "last_month":
        end = last.replace(day=1) - timedelta(days=1)
        start = end.replace(day=1)
    elif period == "ytd":
        start = last.replace(month=1, day=1)
    elif period == "12mo":
        start = last - relativedelta(years=1) + timedelta(days=1)
    return Range(start, end, period)


def chosen(values: Mapping[str, Any], first: date, last: date, wrong: list[dict[str, Any]]) -> Range:
    """The days asked for; by default the last 28 that the data have."""
    start, end, period = values["from"], values["to"], values["period"]
    if start is None and end is None:
        return preset(period or "28d", first, last)
    if period is not None:
        wrong.append(bad("period", period, "not together with from or to"))
    days = Range(start or min(first, end or first), end or max(last, start or last))
    if days.first > days.last:
        wrong.append(bad("from", days.first.isoformat(), f"a day up to {days.last.isoformat()}"))
    elif days.length > LONGEST:
        wrong.append(bad("from", days.first.isoformat(), "a range of at most 100 years"))
    else:
        return days
    return preset("28d", first, last)


def compared(values: Mapping[str, Any], days: Range, wrong: list[dict[str, Any]]) -> Range | None:
    """The range to compare with; None for no comparison."""
    how, start, end = values["compare"], values["compare_from"], values["compare_to"]
    if how == "custom":
        if start is None or end is None or start > end or (end - start).days >= LONGEST:
            wrong.append(bad("compare", how, "with compare_from and compare_to, the first of which is not the later"))
            return None
        return Range(start, end, "custom")
    wrong.extend(
        bad(name, values[name].isoformat(), "only together with compare=custom")
        for name in ("compare_from", "compare_to")
        if values[name] is not None
    )
    if how == "none":
        return None
    if values["match_weekday"]:
        least = days.length if how == "prev" else max(364, days.length)
        weeks = -(-least // 7)
        return days.shifted(days=-7 * weeks)
    if how == "yoy":
        return days.shifted(years=-1)
    if days.period == "mtd":
        return days.shifted(months=-1)
    if days.period == "last_month":
        start = days.first - relativedelta(months=1)
        return Range(start, days.first - timedelta(days=1), "previous")
    if days.period in ("ytd", "12mo"):
        return days.shifted(years=-1)
    return days.shifted(days=-days.length)


def open_day(as_of: str | None, zone: str) -> date | None:
    """The last day of the data, if they do not reach its last hour: it is not over yet.

    Examples
    --------
    >>> open_day("2026-11-23T12:00:00+00:00", "UTC"), open_day("2026-11-23T23:10:00+00:00", "UTC")
    (datetime.date(2026, 11, 23), None)
    """
    if as_of is None:
        return None
    local = datetime.fromisoformat(as_of).astimezone(ZoneInfo(zone))
    return None if local.hour >= LAST_HOUR else local.date()


def over(days: Range, until: date | None) -> Range | None:
    """The days of a range that are over; None if there is none."""
    if until is None or days.last < until:
        return days
    last = until - timedelta(days=1)
    return Range(days.first, last, days.period) if last >= days.first else None


def as_long(base: Range, days: Range, whole: Range) -> Range:
    """Of a base of comparison, what meets ``days``, which are the first ones of ``whole``."""
    missing = whole.length - days.length
    return base if not missing or base.length <= missing else Range(base.first, base.last - timedelta(days=missing))
