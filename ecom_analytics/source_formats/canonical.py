"""A CSV file whose columns are named as the canonical event's: the format to write if you may choose."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar

from ecom_analytics.events import COLUMNS, EVENT_TYPES
from ecom_analytics.protocols import Engine, RawFile
from ecom_analytics.rules import Rule
from ecom_analytics.source_formats.common import (
    CLOCK,
    DAY,
    FIRST,
    LAST,
    ORIGIN,
    confidence,
    plausible,
    time_rules,
    with_rules,
)

if TYPE_CHECKING:
    import ibis.expr.types as ir

_FIELDS = tuple(c for c in COLUMNS if c.meaning == "event" and c.name != "source")
_REQUIRED = tuple(c.name for c in _FIELDS if c.required)
_ISO = (
    rf"^{DAY}[T ]{CLOCK}"
    r"(\.[0-9]{1,6})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])?$"
)
_DECIMAL = r"^-?[0-9]{1,14}(\.[0-9]{1,4}0*)?$"
_INTEGER = r"^0*[1-9][0-9]{0,17}$"


class Canonical:
    """Needs ``event_ts``, ``event_type`` and ``visitor_id``; every other column of the canonical event is optional.

    ``event_ts`` is ISO 8601; without an offset it is UTC. Numbers have at most 14 digits before and 4 after the point,
    and are not below zero.
    """

    name = "canonical"
    capabilities: ClassVar[frozenset[str]] = frozenset(c.name for c in _FIELDS if not c.required)
    required: ClassVar[tuple[str, ...]] = _REQUIRED
    optional: ClassVar[tuple[str, ...]] = tuple(c.name for c in _FIELDS if not c.required)
    timestamp_column = "event_ts"

    def __init__(self) -> None:
        self._engine: Engine | None = None

    def detect(self, sample: bytes) -> float:
        """1 if the header has the required columns.

        Examples
        --------
        >>> Canonical().detect(b"visitor_id,event_type,event_ts,brand\\n")
        1.0
        """
        return confidence(sample, self.required)

    def timestamp(self, text: str) -> datetime | None:
        """The time that ``text`` in :attr:`timestamp_column` means, or None."""
        if not re.fullmatch(_ISO, text):
            return None
        try:
            at = datetime.fromisoformat(text)
        except ValueError:
            return None
        at = at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
        return at if FIRST <= at < LAST else None

    def read(self, engine: Engine, files: Sequence[RawFile]) -> ir.Table:
        self._engine = engine
        names = [c.name for c in _FIELDS]
        return engine.read_delimited(files, names, optional=[name for name in names if name not in _REQUIRED])

    def to_events(self, raw: ir.Table) -> ir.Table:
        import ibis

        assert self._engine is not None, "read() comes first"
        columns: dict[str, Any] = {c.name: _typed(raw[c.name], c.type) for c in _FIELDS}
        columns["event_ts"] = plausible(self._time(raw.event_ts))
        columns["event_type"] = raw.event_type.isin(EVENT_TYPES).ifelse(raw.event_type, ibis.null(str))
        numbers = {c.name: c.type for c in _FIELDS if c.type in ("decimal", "integer")}
        written = {f"raw_{name}": raw[name] for name in ("event_ts", "event_type", *numbers)}
        events = raw.select(*ORIGIN, **columns, **written)
        rules: list[Rule] = [
            *time_rules(
                events.event_ts,
                self._time(events.raw_event_ts).notnull(),
                events.raw_event_ts,
                "event_ts is not an ISO 8601 time from 1990 to 2099: ",
            ),
            Rule(
                "unknown_event_type",
                events.event_type.isnull(),
                f"event_type is none of {', '.join(EVENT_TYPES)}: " + events.raw_event_type.fill_null(""),
            ),
            Rule("missing_visitor_id", events.visitor_id.isnull(), "visitor_id is empty"),
        ]
        for name, kind in numbers.items():
            bad = events[f"raw_{name}"].notnull() & events[name].isnull()
            what = "a plain decimal number" if kind == "decimal" else "a whole number from 1"
            text = events[f"raw_{name}"]
            rules.append(Rule("bad_number", bad, f"{name} is not {what}: " + text))
            rules.append(Rule("negative_number", events[name] < 0, f"{name} is below zero: " + text))
        return with_rules(events, rules).drop(*written)

    def _time(self, text: ir.StringColumn) -> ir.TimestampColumn:
        import ibis

        assert self._engine is not None
        return self._engine.timestamp_from_text(text.re_search(_ISO).ifelse(text, ibis.null(str)))


def _typed(column: ir.StringColumn, kind: str) -> Any:
    import ibis

    if kind == "decimal":
        return column.re_search(_DECIMAL).ifelse(column, ibis.null(str)).cast("decimal(18, 4)")
    if kind == "integer":
        return column.re_search(_INTEGER).ifelse(column, ibis.null(str)).cast("int64")
    return column
