"""The oracle itself, on cases worked out by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from staging.oracle import Event, stage

NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)


def event(minutes: float, *, line: int, visitor: str = "v", batch: str = "b", event_id: str | None = None) -> Event:
    return Event("s", NOON + timedelta(minutes=minutes), "view", visitor, "p", None, event_id, batch, line)


def starts(*events: Event) -> dict[int, float]:
    staged = stage(list(events), timeout=timedelta(minutes=30), zone=ZoneInfo("UTC"))
    return {e.line: (start - NOON) / timedelta(minutes=1) for e, _, start in staged.events}


def test_a_gap_of_exactly_the_timeout_stays_and_a_longer_one_starts_a_session() -> None:
    assert starts(event(0, line=2), event(30, line=3), event(60 + 1e-4, line=4)) == {2: 0, 3: 0, 4: 60 + 1e-4}


def test_an_event_between_joins_two_sessions() -> None:
    assert starts(event(0, line=2), event(40, line=3)) == {2: 0, 3: 40}
    assert starts(event(0, line=2), event(40, line=3), event(20, line=4)) == {2: 0, 3: 0, 4: 0}


def test_equal_rows_are_one_and_the_smallest_origin_wins() -> None:
    rows = [event(0, line=9, batch="a"), event(0, line=2, batch="b"), event(0, line=3, batch="a")]
    staged = stage(rows, timeout=timedelta(minutes=30), zone=ZoneInfo("UTC"))
    assert {e.origin for e, _, _ in staged.events} == {("a", 3)}
    assert {(e.origin, kept) for e, kept in staged.duplicates} == {(("a", 9), ("a", 3)), (("b", 2), ("a", 3))}


def test_an_id_is_kept_again_only_after_24_hours_from_the_kept_one() -> None:
    hours = [event(60 * h, line=h + 1, event_id="x") for h in (0, 20, 24, 25, 49, 50)]
    staged = stage(hours, timeout=timedelta(minutes=30), zone=ZoneInfo("UTC"))
    assert {e.line - 1 for e, _, _ in staged.events} == {0, 25, 50}


def test_days_are_days_of_the_store() -> None:
    staged = stage([event(0, line=2)], timeout=timedelta(minutes=30), zone=ZoneInfo("Pacific/Kiritimati"))
    assert {day.isoformat() for _, day, _ in staged.events} == {"2026-01-06"}
