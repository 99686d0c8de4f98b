"""What a run's result has that somebody should know."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from ecom_analytics.metrics import catalogue, values
from ecom_analytics.reports import Anomaly, Notice
from ecom_analytics.warehouse import Warehouse

if TYPE_CHECKING:
    from ecom_analytics.config import Settings
    from ecom_analytics.reports import BuildReport


def notices(
    settings: Settings, run_id: str, built: BuildReport, unusual: Sequence[Anomaly], now: datetime
) -> tuple[Notice, ...]:
    """What to tell of the served build.

    Stale data, by the setting ``stale_hours``; metrics beyond the ``thresholds``; what is unusual; tests that warned.

    Parameters
    ----------
    settings : Settings
    run_id : str
    built : BuildReport
        The served build. Warnings of one that was served before are not told again.
    unusual : sequence of Anomaly
    now : datetime.datetime
    """
    return tuple(_all(settings, run_id, built, unusual, now))


def _all(
    settings: Settings, run_id: str, built: BuildReport, unusual: Sequence[Anomaly], now: datetime
) -> Iterator[Notice]:
    def notice(kind: str, message: str, facts: dict[str, object]) -> Notice:
        return Notice(kind, message, run_id, built.build_id, now, facts)

    if settings.stale_hours is not None and built.as_of is not None:
        hours = (now - built.as_of) / timedelta(hours=1)
        if hours > settings.stale_hours:
            yield notice(
                "stale_data",
                f"the newest event, of {built.as_of:%Y-%m-%d %H:%M} UTC, is {hours:,.0f} hours old; "
                f"{settings.stale_hours:g} are allowed",
                {"hours": round(hours, 1), "allowed": settings.stale_hours},
            )
    yield from _beyond(settings, run_id, built, now)
    for anomaly in unusual:
        yield notice("unusual", anomaly.message, anomaly.to_dict())
    if built.built:
        for check in built.warnings:
            yield notice(
                "test_warned", f"{check.name}: {check.message}", {"test": check.name, "failures": check.failures}
            )


def _beyond(settings: Settings, run_id: str, built: BuildReport, now: datetime) -> Iterator[Notice]:
    """The metrics that are beyond their thresholds."""
    if not settings.thresholds or built.as_of is None:
        return
    end = built.as_of.astimezone(settings.zone).date() - timedelta(days=1)
    with Warehouse(settings).connect() as connection:

        def rows(sql: str, parameters: dict[str, object]) -> list[dict[str, object]]:
            return list(connection.execute(sql, parameters).to_arrow_table().to_pylist())

        known = catalogue(rows)
        for limit in settings.thresholds:
            start = end - timedelta(days=limit.days - 1)
            days = f"{end}" if limit.days == 1 else f"{start} to {end}"
            facts = {"metric": limit.metric, "from": start.isoformat(), "to": end.isoformat()}
            if limit.metric not in known:
                message = f"a threshold names {limit.metric!r}, which is no metric of the catalogue"
                yield Notice("threshold", message, run_id, built.build_id, now, facts)
                continue
            value = values(rows, known, [limit.metric], start, end)[limit.metric]
            label = known[limit.metric].label
            for bound, word, is_beyond in (
                (limit.below, "below", value is not None and limit.below is not None and value < limit.below),
                (limit.above, "above", value is not None and limit.above is not None and value > limit.above),
            ):
                if is_beyond:
                    message = f"{label} of {days}: {value:,}, which is {word} {bound:,.15g}"
                    more = {**facts, "value": float(value), word: bound}
                    yield Notice("threshold", message, run_id, built.build_id, now, more)
