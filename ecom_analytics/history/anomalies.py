"""Figures that are out of the range of the same weekday's recent ones: warnings, which stop nothing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING

from ecom_analytics.history.reader import History, Run
from ecom_analytics.reports import Anomaly
from ecom_analytics.warehouse import Warehouse

if TYPE_CHECKING:
    from ecom_analytics.config import Settings

WEEKS = 8
"""So many weeks back are the same weekday's recent figures."""

FEWEST = 4
"""With fewer of them, nothing can be said."""

SLACK = 0.5
"""A figure may leave the range by so much of its width, or by :data:`LEAST_SLACK` of its middle if that is more."""

LEAST_SLACK = 0.1

MEASURES = ("events", "transactions")

FRESH = timedelta(days=7)
"""Data that was older than this when it was loaded is no stream that could dry up."""


def anomalies(settings: Settings, as_of: datetime | None, now: datetime) -> tuple[Anomaly, ...]:
    """What is unusual about the served build.

    The last whole day of the store's calendar is compared with the same weekday of the :data:`WEEKS` weeks before, and
    the age of the newest event with what it was in the runs of the same weekday.

    Parameters
    ----------
    settings : Settings
    as_of : datetime.datetime or None
        The newest event of the served build.
    now : datetime.datetime

    Returns
    -------
    tuple of Anomaly
    """
    if as_of is None:
        return ()
    found = [anomaly for measure in MEASURES if (anomaly := _of_day(settings, measure, as_of))]
    stale = _freshness(History(settings).runs(limit=None), as_of, now)
    return (*found, *([stale] if stale else []))


def limits(figures: Sequence[float]) -> tuple[float, float]:
    """Between what a figure is not unusual, after the recent ones.

    Examples
    --------
    >>> limits([100, 110, 120, 130])
    (85.0, 145.0)
    >>> limits([100, 100, 100, 100])
    (90.0, 110.0)
    """
    low, high = min(figures), max(figures)
    slack = max(SLACK * (high - low), LEAST_SLACK * (high + low) / 2)
    return low - slack, high + slack


def _of_day(settings: Settings, measure: str, as_of: datetime) -> Anomaly | None:
    day = as_of.astimezone(settings.zone).date() - timedelta(days=1)
    before = [day - timedelta(weeks=weeks) for weeks in range(1, WEEKS + 1)]
    rows = Warehouse(settings).sql(
        f"SELECT date, {measure} AS figure FROM daily WHERE list_contains($days, date)", {"days": [day, *before]}
    )
    figures: dict[date, int] = {row["date"]: row["figure"] for row in rows.to_pylist() if row["figure"] is not None}
    recent = [figures[one] for one in before if one in figures]
    if day not in figures or len(recent) < FEWEST:
        return None
    value, (low, high) = figures[day], limits(recent)
    if low <= value <= high:
        return None
    return Anomaly(
        f"anomaly_{measure}",
        "daily",
        f"{day:%A} {day} has {value:,} {measure}; the {len(recent)} {day:%A}s before had {min(recent):,} to "
        f"{max(recent):,}",
        value,
        min(recent),
        max(recent),
    )


def _freshness(runs: Sequence[Run], as_of: datetime, now: datetime) -> Anomaly | None:
    recent = [
        (run.started_at - run.as_of) / timedelta(hours=1)
        for run in runs
        if run.as_of is not None
        and run.started_at > now - timedelta(weeks=WEEKS, days=1)
        and run.started_at.weekday() == now.weekday()
        and now - run.started_at > timedelta(hours=36)
        and run.started_at - run.as_of < FRESH
    ]
    value = (now - as_of) / timedelta(hours=1)
    if len(recent) < FEWEST or value <= max(max(recent) + 1, limits(recent)[1]):
        return None
    return Anomaly(
        "anomaly_freshness",
        None,
        f"the newest event, of {as_of:%Y-%m-%d %H:%M} UTC, is {value:,.0f} hours old; in the last {len(recent)} runs "
        f"on a {now:%A} it was {min(recent):,.0f} to {max(recent):,.0f} hours old",
        value,
        min(recent),
        max(recent),
    )
