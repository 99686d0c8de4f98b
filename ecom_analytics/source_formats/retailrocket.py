"""The RetailRocket events file: ``timestamp,visitorid,event,itemid,transactionid``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, ClassVar

from ecom_analytics.protocols import Engine, RawFile
from ecom_analytics.rules import Rule
from ecom_analytics.source_formats.common import FIRST, LAST, ORIGIN, confidence, time_rules, with_rules

if TYPE_CHECKING:
    import ibis.expr.types as ir

_COLUMNS = ("timestamp", "visitorid", "event", "itemid", "transactionid")
_EVENTS = {"view": "view", "addtocart": "add_to_cart", "transaction": "purchase"}
MILLIS = r"^[0-9]{1,15}(\.0+)?$"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

BAD_TIMESTAMP = "timestamp is not in milliseconds since 1970, from 1990 to 2099: "


class RetailRocket:
    """Times are milliseconds since 1970; ids are integers, at times written as ``14418.0`` by other tools.

    Each purchase event is one line of a transaction. There are no prices, quantities, sessions or traffic sources.
    """

    name = "retailrocket"
    capabilities: ClassVar[frozenset[str]] = frozenset({"product_id", "transaction_id"})
    required: ClassVar[tuple[str, ...]] = _COLUMNS
    columns: ClassVar[tuple[str, ...]] = _COLUMNS
    first_row: ClassVar[dict[str, str]] = {"timestamp": MILLIS, "event": "|".join(_EVENTS)}
    timestamp_column = "timestamp"

    def __init__(self) -> None:
        self._engine: Engine | None = None

    def detect(self, sample: bytes) -> float:
        """1 if the header has all columns of the format; 0.8 if there is none, but the first row looks like an event.

        Examples
        --------
        >>> RetailRocket().detect(b"timestamp,visitorid,event,itemid,transactionid\\n")
        1.0
        """
        return confidence(sample, self.required, columns=self.columns, first_row=self.first_row)

    def timestamp(self, text: str) -> datetime | None:
        """The time that ``text`` in :attr:`timestamp_column` means, or None."""
        return time_of(text)

    def read(self, engine: Engine, files: Sequence[RawFile]) -> ir.Table:
        self._engine = engine
        return engine.read_delimited(files, _COLUMNS)

    def to_events(self, raw: ir.Table) -> ir.Table:
        import ibis

        assert self._engine is not None, "read() comes first"
        events = raw.select(
            *ORIGIN,
            event_ts=self._engine.timestamp_from_millis(millis_of(raw.timestamp)),
            event_type=raw.event.cases(*_EVENTS.items(), else_=ibis.null(str)),
            visitor_id=identifier(raw.visitorid),
            product_id=identifier(raw.itemid),
            transaction_id=identifier(raw.transactionid),
            raw_timestamp=raw.timestamp,
            raw_event=raw.event,
        )
        rules = [
            *time_rules(events.event_ts, events.raw_timestamp.re_search(MILLIS), events.raw_timestamp, BAD_TIMESTAMP),
            Rule(
                "unknown_event_type",
                events.event_type.isnull(),
                f"event is none of {', '.join(_EVENTS)}: " + events.raw_event.fill_null(""),
            ),
            Rule("missing_visitor_id", events.visitor_id.isnull(), "visitorid is empty"),
            Rule("missing_product_id", events.product_id.isnull(), "itemid is empty"),
            Rule(
                "missing_transaction_id",
                (events.event_type == "purchase") & events.transaction_id.isnull(),
                "a transaction without transactionid",
            ),
        ]
        return with_rules(events, rules).drop("raw_timestamp", "raw_event")


def time_of(text: str) -> datetime | None:
    """The time that milliseconds since 1970 mean, or None.

    Examples
    --------
    >>> time_of("1433221332117").isoformat()
    '2015-06-02T05:02:12.117000+00:00'
    """
    if not re.fullmatch(MILLIS, text):
        return None
    at = _EPOCH + timedelta(milliseconds=int(text.partition(".")[0]))
    return at if FIRST <= at < LAST else None


def millis_of(column: ir.StringColumn) -> ir.IntegerColumn:
    """Milliseconds since 1970 out of text; NULL for what :func:`time_of` knows no time of."""
    import ibis

    whole = column.contains(".").ifelse(column.re_replace(r"\.0+$", ""), column)
    millis = column.re_search(MILLIS).ifelse(whole, ibis.null(str)).cast("int64")
    return millis.between(_millis(FIRST), _millis(LAST) - 1).ifelse(millis, ibis.null("int64"))


def identifier(column: ir.StringColumn) -> ir.StringColumn:
    """An id as written, less the ``.0`` that a float column leaves; never rounded, for it never becomes a number."""
    as_float = column.contains(".") & column.re_search(r"^[0-9]+\.0+$")
    return as_float.ifelse(column.re_replace(r"\.0+$", ""), column)


def _millis(at: datetime) -> int:
    return (at - _EPOCH) // timedelta(milliseconds=1)
