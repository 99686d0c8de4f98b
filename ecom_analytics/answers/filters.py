"""What a question leaves out: values of dimensions, and bots. Each mart as far as it can be told apart by them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ecom_analytics.answers.parameters import Parameter

VISIT = ("channel", "traffic_source", "medium", "campaign", "device", "country")
"""What is known of a session."""

LINE = ("category", "brand")
"""What is known of a line of a transaction, and of a product."""

TIME = ("weekday", "hour")
DIMENSIONS = {
    "source": "Source",
    "channel": "Channel",
    "traffic_source": "Traffic source",
    "medium": "Medium",
    "campaign": "Campaign",
    "device": "Device",
    "country": "Country",
    "category": "Category",
    "brand": "Brand",
    "weekday": "Weekday",
    "hour": "Hour",
    "segment": "Customer segment",
}
"""Dimension → label. The value of what is not known is the empty text."""

_QUARTER = "epoch_us(mart.{}) // 900000000"
_NUMBERS = {"weekday": (1, 7), "hour": (0, 23)}
FILTERS = (
    *(
        Parameter(
            name,
            f"Only this {label.lower()}; may be given several times."
            + (" Monday is 1." if name == "weekday" else "" if name == "hour" else " Empty: where it is not known."),
            "whole" if name in _NUMBERS else "text",
            many=True,
            least=_NUMBERS.get(name, (0, 0))[0],
            most=_NUMBERS.get(name, (0, 0))[1],
        )
        for name, label in DIMENSIONS.items()
    ),
    Parameter("bots", "Whether visitors that are flagged as bots count: in or out.", "choice", "in", ("in", "out")),
)

_CHANNEL = (
    "CASE WHEN NOT list_contains($told_channels, {0}.source) THEN NULL "
    "WHEN lower(coalesce({0}.traffic_source, 'direct')) IN ('direct', '(direct)') "
    "AND lower(coalesce({0}.medium, '(none)')) IN ('(none)', 'none') "
    "AND lower(coalesce({0}.campaign, '(none)')) IN ('(none)', '(direct)', '(not set)') THEN 'direct' "
    "ELSE concat(coalesce({0}.traffic_source, '(not set)'), ' / ', coalesce({0}.medium, '(not set)')) END"
)
"""As the mart ``attribution`` names channels."""

_TIMES = {
    "sessions": ("session_date", "session_start"),
    "transactions": ("transaction_date", "transaction_ts"),
    "transaction_lines": ("event_date", "event_ts"),
    "carts": ("opened_date", "opened_at"),
    "daily": ("date", None),
    "daily_products": ("date", None),
}
"""Mart → its column of the day, and that of the moment."""

_VISITS = {
    "transactions": "visit.source = mart.source AND visit.session_id = mart.session_id AND visit.transactions > 0",
    "transaction_lines": "visit.source = bought.source AND visit.session_id = bought.session_id "
    "AND visit.transactions > 0",
    "carts": "visit.source = mart.source AND visit.session_id = mart.opened_session_id",
}
"""Mart → how its rows have a session."""

_BOUGHT = "JOIN transactions AS bought ON bought.source = mart.source AND bought.transaction_id = mart.transaction_id"


class UntoldError(Exception):
    """A mart cannot be told apart by a dimension."""

    def __init__(self, dimension: str) -> None:
        super().__init__(dimension)
        self.dimension = dimension


@dataclass(frozen=True)
class Relation:
    """A mart, as far as the filters let it through: SQL to select from, and its parameters."""

    sql: str
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Filters:
    """Values of dimensions that are let through, and whether bots are.

    Attributes
    ----------
    values : mapping
        Dimension → values, for those that leave something out.
    bots : bool
    zone : str
        Time zone of the store.
    told_channels : tuple of str
        Sources that say where visits come from.
    """

    values: Mapping[str, tuple[Any, ...]]
    bots: bool = True
    zone: str = "UTC"
    told_channels: tuple[str, ...] = ()

    @classmethod
    def read(cls, given: Mapping[str, Any], zone: str, told_channels: Iterable[str]) -> Filters:
        chosen = {name: given[name] for name in DIMENSIONS if given.get(name)}
        return cls(chosen, given.get("bots", "in") == "in", zone, tuple(told_channels))

    def __bool__(self) -> bool:
        return bool(self.values) or not self.bots

    def __contains__(self, dimension: str) -> bool:
        return dimension in self.values

    @property
    def of_lines(self) -> bool:
        """Whether lines of transactions are told apart, and not only transactions."""
        return any(name in self.values for name in LINE)

    def to_dict(self) -> dict[str, Any]:
        return {
            **{name: list(values) for name, values in self.values.items()},
            **({} if self.bots else {"bots": "out"}),
        }

    def relation(self, mart: str, *dimensions: str) -> Relation:
        """A mart with a column for each dimension, filtered.

        Raises
        ------
        UntoldError
            It cannot be told apart by one of them.
        """
        if mart == "daily" and (self.of_lines or any(name in LINE for name in dimensions)):
            mart = "daily_products"  # it has the same columns of what is counted by product
        needed = dict.fromkeys((*self.values, *dimensions))
        if not needed and self.bots:
            return Relation(mart)
        columns = {name: self._column(mart, name, name in dimensions) for name in needed}
        where = [self._condition(mart, name, column) for name, column in columns.items() if name in self.values]
        if not self.bots:
            where.append(self._no_bots(mart))
        given: dict[str, Any] = {f"only_{name}": list(values) for name, values in self.values.items()}
        if "channel" in needed:
            given["told_channels"] = list(self.told_channels)
        if "hour" in needed:
            given["zone"] = self.zone
        more = "".join(f", {columns[name]} AS {name}" for name in dimensions if name not in _own(mart))
        sql = f"SELECT mart.*{more} FROM {mart} AS mart {self._joins(mart, needed)}"
        if where:
            sql += f" WHERE {' AND '.join(where)}"
        return Relation(f"({sql})", given)

    def _column(self, mart: str, dimension: str, shown: bool) -> str:
        """The SQL of a dimension of a mart."""
        if dimension == "source":
            return _by_source(mart)
        if dimension in _own(mart):
            return f"mart.{dimension}"
        day, moment = _TIMES.get(mart, (None, None))
        if dimension == "weekday" and day:
            return f"isodow(mart.{day})"
        if dimension == "hour" and moment:
            return "clock.hour"
        if dimension == "customer_type" and mart == "transactions":
            return "CASE WHEN mart.customer_sequence = 1 THEN 'new' ELSE 'repeat' END"
        if dimension in VISIT and (mart == "sessions" or mart in _VISITS):
            alias = "mart" if mart == "sessions" else "visit"
            return _CHANNEL.format(alias) if dimension == "channel" else f"{alias}.{dimension}"
        if dimension == "segment" and mart in ("sessions", "transactions", "transaction_lines", "carts"):
            return "customer.segment"
        if dimension in LINE and mart == "daily_products":
            return f"product.{dimension}"
        if dimension in LINE and mart == "transactions" and not shown:
            return ""
        raise UntoldError(dimension)

    def _condition(self, mart: str, dimension: str, column: str) -> str:
        if dimension in LINE and mart == "transactions":
            return (
                "EXISTS (SELECT 1 FROM transaction_lines AS line WHERE line.source = mart.source AND "
                f"line.transaction_id = mart.transaction_id AND {_is_only(dimension, f'line.{dimension}')})"
            )
        return _is_only(dimension, column)

    def _no_bots(self, mart: str) -> str:
        alias = {"transaction_lines": "bought", "transactions": "mart"}.get(mart)
        if mart in ("sessions", "carts", "funnel"):
            return "NOT mart.is_bot"
        if alias is None:
            raise UntoldError("bots")
        return (
            f"NOT EXISTS (SELECT 1 FROM bots WHERE bots.source = {alias}.source "
            f"AND bots.visitor_id = {alias}.visitor_id)"
        )

    def _joins(self, mart: str, needed: Iterable[str]) -> str:
        names = set(needed)
        parts = []
        if "hour" in names:
            # Time zones differ by quarters of an hour: few of them to look up, and slow to look up for each row.
            moment = _QUARTER.format(_TIMES[mart][1])
            parts.append(
                "LEFT JOIN (SELECT quarter, hour(make_timestamptz(quarter * 900000000) AT TIME ZONE $zone) AS hour "
                f"FROM (SELECT unnest(range(min({moment}), max({moment}) + 1)) AS quarter FROM {mart} AS mart)) "
                f"AS clock ON clock.quarter = {moment}"
            )
        if mart == "transaction_lines" and (not self.bots or names & {*VISIT, "segment"}):
            parts.append(_BOUGHT)
        if mart in _VISITS and names & set(VISIT):
            parts.append(f"LEFT JOIN sessions AS visit ON {_VISITS[mart]}")
        if mart == "daily_products" and names & set(LINE):
            parts.append(
                "LEFT JOIN products AS product ON product.source = mart.source AND product.product_id = mart.product_id"
            )
        if "segment" in names:
            alias = "bought" if mart == "transaction_lines" else "mart"
            parts.append(
                f"LEFT JOIN rfm AS customer ON customer.source = {alias}.source AND customer.user_id = {alias}.user_id"
            )
        return " ".join(parts)


def _own(mart: str) -> tuple[str, ...]:
    """Dimensions that are columns of the mart itself."""
    return {
        "sessions": tuple(name for name in VISIT if name != "channel"),
        "transaction_lines": LINE,
        "products": LINE,
        "rfm": ("segment",),
    }.get(mart, ()) + (("source",) if mart != "daily" else ())


def _by_source(mart: str) -> str:
    if mart == "daily":
        raise UntoldError("source")
    return "mart.source"


def _is_only(dimension: str, column: str) -> str:
    if dimension in _NUMBERS:
        return f"list_contains($only_{dimension}, {column})"
    return f"list_contains($only_{dimension}, coalesce({column}, ''))"
