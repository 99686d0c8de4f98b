"""The files of REES46, as its open data sets have them.

``event_time,event_type,product_id,category_id,category_code,brand,price,user_id,user_session``
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, ClassVar

from ecom_analytics.protocols import Engine, RawFile
from ecom_analytics.rules import Rule
from ecom_analytics.source_formats.common import (
    CLOCK,
    DAY,
    FIRST,
    LAST,
    ORIGIN,
    confidence,
    header_of,
    number_rules,
    plausible,
    rounded,
    time_rules,
    with_rules,
)

if TYPE_CHECKING:
    import ibis.expr.types as ir

_COLUMNS = (
    "event_time", "event_type", "product_id", "category_id", "category_code", "brand", "price", "user_id",
    "user_session",
)  # fmt: skip
_OPTIONAL = ("category_id", "category_code", "brand", "user_session")
_REQUIRED = tuple(name for name in _COLUMNS if name not in _OPTIONAL)
_EVENTS = {"view": "view", "cart": "add_to_cart", "remove_from_cart": "remove_from_cart", "purchase": "purchase"}
_TIME = (
    rf"^{DAY} {CLOCK}"
    r"(\.[0-9]{1,6})?( UTC)?$"
)


class Rees46:
    """Each event is about one unit of one product. Times are UTC, prices have no currency, orders no id.

    The purchases of one session are one transaction, for there is nothing else to tell them apart by. The category is
    the category's code, or its id where there is no code.
    """

    name = "rees46"
    capabilities: ClassVar[frozenset[str]] = frozenset(
        {"product_id", "quantity", "unit_price", "category", "brand", "source_session_id"}
    )
    required: ClassVar[tuple[str, ...]] = _REQUIRED
    expected: ClassVar[tuple[str, ...]] = _OPTIONAL
    columns: ClassVar[tuple[str, ...]] = _COLUMNS
    first_row: ClassVar[dict[str, str]] = {"event_time": _TIME, "event_type": "|".join(_EVENTS)}
    timestamp_column = "event_time"

    def __init__(self) -> None:
        self._engine: Engine | None = None

    def detect(self, sample: bytes) -> float:
        """1 if the header has all required columns, and one of the optional ones.

        Examples
        --------
        >>> Rees46().detect(b"event_time,event_type,product_id,price,user_id,brand\\n")
        1.0
        """
        if not set(header_of(sample)).isdisjoint(_OPTIONAL):
            return confidence(sample, _REQUIRED)
        return confidence(sample, ["no header"], columns=self.columns, first_row=self.first_row)

    def timestamp(self, text: str) -> datetime | None:
        """The time that ``text`` in :attr:`timestamp_column` means, or None."""
        if not re.fullmatch(_TIME, text):
            return None
        try:
            at = datetime.fromisoformat(text.removesuffix(" UTC")).replace(tzinfo=UTC)
        except ValueError:
            return None
        return at if FIRST <= at < LAST else None

    def read(self, engine: Engine, files: Sequence[RawFile]) -> ir.Table:
        self._engine = engine
        return engine.read_delimited(files, _COLUMNS, optional=_OPTIONAL)

    def to_events(self, raw: ir.Table) -> ir.Table:
        import ibis

        assert self._engine is not None, "read() comes first"
        event_type = raw.event_type.cases(*_EVENTS.items(), else_=ibis.null(str))
        events = raw.select(
            *ORIGIN,
            event_ts=plausible(self._time(raw.event_time)),
            event_type=event_type,
            visitor_id=raw.user_id,
            product_id=raw.product_id,
            quantity=(event_type != "view").ifelse(ibis.literal(1).cast("decimal(18, 4)"), ibis.null("decimal(18, 4)")),
            unit_price=rounded(raw.price),
            category=ibis.coalesce(raw.category_code, raw.category_id),
            brand=raw.brand,
            source_session_id=raw.user_session,
            raw_event_time=raw.event_time,
            raw_event_type=raw.event_type,
            raw_unit_price=raw.price,
        )
        rules: list[Rule] = [
            *time_rules(
                events.event_ts,
                self._time(events.raw_event_time).notnull(),
                events.raw_event_time,
                "event_time is no time such as 2019-11-01 00:00:00 UTC, from 1990 to 2099: ",
            ),
            Rule(
                "unknown_event_type",
                events.event_type.isnull(),
                f"event_type is none of {', '.join(_EVENTS)}: " + events.raw_event_type.fill_null(""),
            ),
            Rule("missing_visitor_id", events.visitor_id.isnull(), "user_id is empty"),
            Rule("missing_product_id", events.product_id.isnull(), "product_id is empty"),
            *number_rules(events, ["unit_price"]),
        ]
        return with_rules(events, rules).drop("raw_event_time", "raw_event_type", "raw_unit_price")

    def _time(self, text: ir.StringColumn) -> ir.TimestampColumn:
        import ibis

        assert self._engine is not None
        written = text.re_search(_TIME).ifelse(text.re_replace(" UTC$", ""), ibis.null(str))
        return self._engine.timestamp_from_text(written)
