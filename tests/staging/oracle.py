"""What staging must give, in plain Python: no engine, no windows, one obvious loop for each rule.

It takes events that are already typed (reading and typing have oracles of their own) and says which are kept, which
are duplicates of which, and when each one's session began.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

DAY = timedelta(hours=24)


@dataclass(frozen=True)
class Event:
    """A typed event with where it was read; ``ts`` is aware, UTC."""

    source: str
    ts: datetime
    event_type: str
    visitor_id: str
    product_id: str | None
    transaction_id: str | None
    event_id: str | None
    batch_id: str
    line: int

    @property
    def identity(self) -> tuple[object, ...]:
        return (
            self.source,
            self.ts,
            self.event_type,
            self.visitor_id,
            self.product_id,
            self.transaction_id,
            self.event_id,
        )

    @property
    def origin(self) -> tuple[str, int]:
        return (self.batch_id, self.line)


@dataclass(frozen=True)
class Staged:
    """``events``: (event, its day, its session's start); ``duplicates``: (event, origin of the row that won)."""

    events: frozenset[tuple[Event, date, datetime]]
    duplicates: frozenset[tuple[Event, tuple[str, int]]]


def stage(events: list[Event], *, timeout: timedelta, zone: ZoneInfo) -> Staged:
    kept, duplicates = _deduplicate(events)
    visits: dict[tuple[str, str], list[Event]] = defaultdict(list)
    for event in kept:
        visits[event.source, event.visitor_id].append(event)
    staged = set()
    for visit in visits.values():
        visit.sort(key=lambda e: e.ts)
        start = last = visit[0].ts
        for event in visit:
            if event.ts - last > timeout:
                start = event.ts
            last = event.ts
            staged.add((event, event.ts.astimezone(zone).date(), start))
    return Staged(frozenset(staged), frozenset(duplicates))


def _deduplicate(events: list[Event]) -> tuple[list[Event], set[tuple[Event, tuple[str, int]]]]:
    """Rows with an event id: the same id within 24 hours of a kept one is suppressed. Others: equal rows are one."""
    kept: list[Event] = []
    duplicates: set[tuple[Event, tuple[str, int]]] = set()
    groups: dict[object, list[Event]] = defaultdict(list)
    for event in events:
        groups[(event.source, event.event_id) if event.event_id is not None else event.identity].append(event)
    for group in groups.values():
        winner: Event | None = None
        for event in sorted(group, key=lambda e: (e.ts, e.origin)):
            if winner is not None and event.ts - winner.ts <= DAY:
                duplicates.add((event, winner.origin))
            else:
                winner = event
                kept.append(event)
    return kept, duplicates
