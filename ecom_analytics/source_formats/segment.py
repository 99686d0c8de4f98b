"""Segment's calls as JSON Lines, with the events of its e-commerce tracking plan.

The plan: https://segment.com/docs/connections/spec/ecommerce/v2/
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from ecom_analytics.protocols import Engine, RawFile
from ecom_analytics.reading.sample import as_sample
from ecom_analytics.rules import Rule
from ecom_analytics.source_formats.common import (
    CLOCK,
    DAY,
    ORIGIN,
    number_rules,
    plausible,
    rounded,
    time_rules,
    with_rules,
)

if TYPE_CHECKING:
    import ibis.expr.types as ir

_CALLS = ("track", "page", "screen", "identify", "group", "alias")
_EVENTS = {
    "product viewed": "view",
    "product added": "add_to_cart",
    "product removed": "remove_from_cart",
    "checkout started": "checkout",
    "checkout step viewed": "checkout",
    "checkout step completed": "checkout",
    "payment info entered": "checkout",
    "order completed": "purchase",
    "order refunded": "refund",
    "products searched": "search",
}
_OF_CARTS = ("add_to_cart", "remove_from_cart", "purchase", "refund")
_DEVICES = {"ios": "mobile", "android": "mobile", "mobile": "mobile", "tablet": "tablet", "desktop": "desktop"}
_MONEY = ("order_discount", "order_tax", "order_shipping")
_PRODUCTS = "properties.products"
_ISO = (
    rf"^{DAY}T{CLOCK}"
    r"(\.[0-9]{1,9})?(Z|[+-]([01][0-9]|2[0-3]):?[0-5][0-9])?$"
)


def _of_product(name: str) -> dict[str, str]:
    """A property of the product: in each element of the list, or in the properties of an event without a list."""
    return {f"item_{name}": f"{_PRODUCTS}[].{name}", f"own_{name}": f"properties.{name}"}


_FIELDS = {
    "type": "type",
    "event": "event",
    "timestamp": "timestamp",
    "original_timestamp": "originalTimestamp",
    "received_at": "receivedAt",
    "message_id": "messageId",
    "anonymous_id": "anonymousId",
    "user_id": "userId",
    **_of_product("product_id"),
    **_of_product("sku"),
    **_of_product("category"),
    **_of_product("brand"),
    **_of_product("price"),
    **_of_product("quantity"),
    "order_id": "properties.order_id",
    "total": "properties.total",
    "currency": "properties.currency",
    "discount": "properties.discount",
    "tax": "properties.tax",
    "shipping": "properties.shipping",
    "campaign_source": "context.campaign.source",
    "campaign_medium": "context.campaign.medium",
    "campaign_name": "context.campaign.name",
    "device_type": "context.device.type",
    "country": "context.location.country",
}


class Segment:
    """One call a line; every call is an event, of the type ``other`` where the plan has no e-commerce meaning for it.

    An event with a list of products becomes a row for each of them. The time is ``timestamp`` (the one that Segment
    corrected), else ``originalTimestamp``, else ``receivedAt``. Names of events are compared without regard to case,
    with spaces or underscores.
    """

    name = "segment"
    capabilities: ClassVar[frozenset[str]] = frozenset(
        {
            *("user_id", "product_id", "transaction_id", "quantity", "unit_price", "currency", "category", "brand"),
            *("traffic_source", "medium", "campaign", "device", "country", *_MONEY, "source_event_id", "source_item"),
        }
    )

    def __init__(self) -> None:
        self._engine: Engine | None = None

    def detect(self, sample: bytes) -> float:
        """0.95 if the first lines are calls of Segment's specification.

        Examples
        --------
        >>> Segment().detect(b'{"type": "page", "anonymousId": "a", "messageId": "m"}\\n')
        0.95
        """
        seen = as_sample(sample)
        calls = seen.named if seen.layout.kind == "json_lines" else []
        return 0.95 if calls and all(map(_is_call, calls)) else 0.0

    def read(self, engine: Engine, files: Sequence[RawFile]) -> ir.Table:
        self._engine = engine
        return engine.read_nested(files, _FIELDS, each=_PRODUCTS)

    def to_events(self, raw: ir.Table) -> ir.Table:
        import ibis

        assert self._engine is not None, "read() comes first"
        written = ibis.coalesce(raw.timestamp, raw.original_timestamp, raw.received_at)
        name = raw.event.lower().re_replace("[ _]+", " ")
        event_type = (raw.type == "track").ifelse(name, ibis.null(str)).cases(*_EVENTS.items(), else_="other")
        of_cart = event_type.isin(_OF_CARTS)
        whole_refund = (event_type == "refund") & raw.source_item.isnull() & raw.own_price.isnull()
        product = ibis.coalesce(raw.item_product_id, raw.item_sku, raw.own_product_id, raw.own_sku)
        price = whole_refund.ifelse(raw.total, ibis.coalesce(raw.item_price, raw.own_price))
        quantity = ibis.coalesce(raw.item_quantity, raw.own_quantity)
        one = of_cart & (product.notnull() | whole_refund)
        events = raw.select(
            *ORIGIN,
            event_ts=plausible(self._time(written)),
            event_type=event_type,
            visitor_id=ibis.coalesce(raw.anonymous_id, raw.user_id),
            user_id=raw.user_id,
            product_id=product,
            transaction_id=event_type.isin(("purchase", "refund")).ifelse(raw.order_id, ibis.null(str)),
            quantity=rounded(ibis.coalesce(quantity, one.ifelse("1", ibis.null(str)))),
            unit_price=rounded(price),
            currency=raw.currency.upper(),
            category=ibis.coalesce(raw.item_category, raw.own_category),
            brand=ibis.coalesce(raw.item_brand, raw.own_brand),
            traffic_source=raw.campaign_source,
            medium=raw.campaign_medium,
            campaign=raw.campaign_name,
            device=raw.device_type.lower().cases(*_DEVICES.items(), else_=ibis.null(str)),
            country=raw.country.re_search("^[A-Za-z]{2}$").ifelse(raw.country.upper(), ibis.null(str)),
            order_discount=rounded(raw.discount),
            order_tax=rounded(raw.tax),
            order_shipping=rounded(raw.shipping),
            source_event_id=raw.message_id,
            source_item=raw.source_item,
            raw_time=written,
            raw_quantity=quantity,
            raw_unit_price=price,
            raw_order_discount=raw.discount,
            raw_order_tax=raw.tax,
            raw_order_shipping=raw.shipping,
        )
        rules: list[Rule] = [
            *time_rules(
                events.event_ts,
                self._time(events.raw_time).notnull(),
                events.raw_time,
                "timestamp is no ISO 8601 time from 1990 to 2099: ",
            ),
            Rule("missing_visitor_id", events.visitor_id.isnull(), "there is neither anonymousId nor userId"),
            Rule(
                "missing_transaction_id",
                (events.event_type == "purchase") & events.transaction_id.isnull(),
                "Order Completed without properties.order_id",
            ),
            *number_rules(events, ["quantity", "unit_price", *_MONEY]),
        ]
        return with_rules(events, rules).drop([name for name in events.columns if name.startswith("raw_")])

    def _time(self, text: ir.StringColumn) -> ir.TimestampColumn:
        import ibis

        assert self._engine is not None
        return self._engine.timestamp_from_text(text.re_search(_ISO).ifelse(_micros(text), ibis.null(str)))


def _is_call(call: dict[str, Any]) -> bool:
    return call.get("type") in _CALLS and any(call.get(key) for key in ("anonymousId", "userId", "messageId"))


def _micros(text: ir.StringColumn) -> ir.StringColumn:
    """A time that matches ISO 8601, cut to microseconds, with a colon in its offset. Without an offset it is UTC."""
    hours = text.re_extract("([+-][0-9]{2}):?[0-9]{2}$", 1)
    minutes = text.re_extract("[+-][0-9]{2}:?([0-9]{2})$", 1)
    zone = (hours == "").ifelse("Z", hours + ":" + minutes)
    return text.left(19) + text.re_extract(r"^.{19}(\.[0-9]{1,6})", 1) + zone
