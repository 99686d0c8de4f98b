"""What raw records and staged events are like, as Pandera schemas.

They are schemas like any other (``schema.validate(table)``, of an Ibis table on DuckDB), with two things in common that
let :mod:`ecom_analytics.staging.validation` run all of their checks in one query: every check is a function to one
boolean column, and nothing is left to what Pandera does not do on Ibis. There ``unique`` of a column, ``coerce`` and
``head`` are silently ignored, and its own checks join the table to itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from ecom_analytics.events import COLUMNS, EVENT_TYPES
from ecom_analytics.source_formats.common import FIRST, LAST

if TYPE_CHECKING:
    import ibis.expr.types as ir

TYPES = {
    "text": "string",
    "integer": "int64",
    "decimal": "decimal(18, 4)",
    "timestamp": "timestamp('UTC', 6)",
    "date": "date",
}
"""Ibis's type for each type of a canonical column."""

RECORD = ("source", "batch_id", "source_line", "source_item")
"""What tells the rows of all files apart."""

_SHOWN = 10
_HOUR = timedelta(hours=1) // timedelta(microseconds=1)

Passes = Callable[["ir.Table"], "ir.BooleanValue"]


def raw_schema(columns: Sequence[str], *, items: bool = True) -> Any:
    """Pandera's schema of what :meth:`~ecom_analytics.protocols.SourceFormat.read` gives.

    Every column is text, but for the line of the record, and its item where records have several.

    Parameters
    ----------
    columns : sequence of str
    items : bool
        Whether a column ``source_item`` is the number that the reader gives; else it is text of the file.

    Examples
    --------
    >>> sorted(raw_schema(["price"]).columns)
    ['batch_id', 'price', 'source', 'source_line']
    """
    import ibis
    import pandera.ibis as pandera

    text, number = ibis.dtype("string"), ibis.dtype("int64")
    fields = {name: pandera.Column(text, nullable=True) for name in columns}
    fields |= {name: pandera.Column(text, nullable=False) for name in ("batch_id", "source")}
    fields["source_line"] = pandera.Column(number, _from_one("source_line"), nullable=False)
    if items and "source_item" in columns:
        fields["source_item"] = pandera.Column(number, _from_one("source_item"), nullable=True)
    return pandera.DataFrameSchema(fields, strict=True, name="raw records")


def event_schema(columns: Sequence[str], timezone: str = "UTC", *, may_be_negative: bool = False) -> Any:
    """Pandera's schema of staged events.

    Parameters
    ----------
    columns : sequence of str
        Those of the table. Required ones that it lacks are in the schema nevertheless.
    timezone : str
        The store's, whose days the column ``event_date`` names.
    may_be_negative : bool
        Numbers below zero are let through: the rule ``negative_number`` does not reject them under the settings.

    Examples
    --------
    >>> schema = event_schema(["brand"])
    >>> schema.columns["brand"].nullable, schema.columns["event_ts"].nullable
    (True, False)
    """
    import ibis
    import pandera.ibis as pandera

    there = [column for column in COLUMNS if column.required or column.name in columns]
    decimals = [column.name for column in there if column.type == "decimal" and not may_be_negative]
    checks = {name: [_not_negative(name)] for name in decimals}
    checks |= {name: [_from_one(name)] for name in ("source_line", "source_item")}
    checks["event_type"] = [_check("is_known", lambda table: table.event_type.isin(EVENT_TYPES))]
    checks["event_ts"] = [_check("is_plausible", _plausible)]
    return pandera.DataFrameSchema(
        {
            column.name: pandera.Column(
                ibis.dtype(TYPES[column.type]), checks.get(column.name), nullable=not column.required
            )
            for column in there
        },
        checks=[
            _check("session_starts_before_its_events", lambda table: table.session_start <= table.event_ts),
            _check("event_date_is_its_day", lambda table: _is_on_its_day(table, timezone)),
        ],
        unique=[name for name in RECORD if any(column.name == name for column in there)],
        strict=True,
        name="staged events",
    )


def _check(name: str, passes: Passes) -> Any:
    import pandera.ibis as pandera

    return pandera.Check(lambda data: passes(data.table), name=name, error=name, n_failure_cases=_SHOWN)


def _from_one(column: str) -> Any:
    return _check("is_from_1", lambda table: table[column] >= 1)


def _not_negative(column: str) -> Any:
    return _check("is_not_negative", lambda table: table[column] >= 0)


def _plausible(table: ir.Table) -> ir.BooleanValue:
    import ibis

    kind = TYPES["timestamp"]
    first, last = (ibis.literal(moment.isoformat(), kind) for moment in (FIRST, LAST))
    return (table.event_ts >= first) & (table.event_ts < last)


def _is_on_its_day(table: ir.Table, timezone: str) -> ir.BooleanValue:
    """Whether ``event_date`` is the day of ``event_ts``.

    To ask a calendar is dear. It knows midnight from the day, which is the same in a whole file; and what is two hours
    away from both midnights is on that day, whatever clocks did at night.
    """
    import ibis

    instant, local = TYPES["timestamp"], "timestamp(6)"

    @ibis.udf.scalar.builtin(name="epoch_us", signature=((instant,), "int64"))
    def micros(at):  # type: ignore[no-untyped-def]
        """DuckDB's function of that name."""

    @ibis.udf.scalar.builtin(name="make_timestamp", signature=(("int64",), local))
    def from_micros(count):  # type: ignore[no-untyped-def]
        """DuckDB's function of that name."""

    @ibis.udf.scalar.builtin(name="timezone", signature=(("string", instant), local))
    def shown(zone, at):  # type: ignore[no-untyped-def]
        """DuckDB's function of that name."""

    @ibis.udf.scalar.builtin(name="timezone", signature=(("string", local), instant))
    def instant_of(zone, at):  # type: ignore[no-untyped-def]
        """DuckDB's function of that name."""

    if timezone == "UTC":
        return table.event_date == from_micros(micros(table.event_ts)).date()
    midnight = instant_of(timezone, table.event_date.cast(local))
    occurred = shown(timezone, midnight).date() == table.event_date  # some zones have skipped a day
    since = micros(table.event_ts) - micros(midnight)
    surely = occurred & since.between(2 * _HOUR, 22 * _HOUR - 1)
    return surely.ifelse(True, table.event_date == shown(timezone, table.event_ts).date())
