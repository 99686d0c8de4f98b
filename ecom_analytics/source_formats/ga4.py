"""The rows of Google Analytics 4's export to BigQuery, as JSON Lines or Parquet.

The columns: https://support.google.com/analytics/answer/7029846
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from ecom_analytics.protocols import Engine, RawFile
from ecom_analytics.rules import Rule
from ecom_analytics.source_formats.common import (
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

_EVENTS = {
    "view_item": "view",
    "add_to_cart": "add_to_cart",
    "remove_from_cart": "remove_from_cart",
    "begin_checkout": "checkout",
    "add_shipping_info": "checkout",
    "add_payment_info": "checkout",
    "purchase": "purchase",
    "refund": "refund",
    "search": "search",
    "view_search_results": "search",
}
_OF_CARTS = ("add_to_cart", "remove_from_cart", "purchase", "refund")
_REQUIRED = ("event_timestamp", "event_name")
_EXPECTED = ("user_pseudo_id", "event_params", "items", "ecommerce", "device")
_OPTIONAL = (
    "event_date", "event_previous_timestamp", "event_value_in_usd", "event_bundle_sequence_id", "publisher", "platform",
    "event_server_timestamp_offset", "user_id", "privacy_info", "user_properties", "user_first_touch_timestamp",
    "user_ltv", "geo", "app_info", "traffic_source", "stream_id", "event_dimensions", "collected_traffic_source",
    "is_active_user", "batch_event_index", "batch_page_id", "batch_ordering_id", "session_traffic_source_last_click",
)  # fmt: skip
_NOT_SET = "(not set)"
_MICROS = r"^[0-9]{1,17}$"
_FLOAT = r"^-?[0-9](\.[0-9]+)?[eE]([+-]?0?[0-9]|-[0-9]{1,3}|\+?1[0-3])$"


def _parameter(key: str) -> str:
    return f"event_params[key={key}].value.*"


_FIELDS = {
    **{name: name for name in (*_REQUIRED, "user_pseudo_id", "user_id", "event_bundle_sequence_id")},
    **{name: name for name in ("batch_page_id", "batch_ordering_id", "batch_event_index")},
    "device_category": "device.category",
    "session": _parameter("ga_session_id"),
    "gclid": _parameter("gclid"),
    "collected_gclid": "collected_traffic_source.gclid",
    **{f"own_{name}": _parameter(name) for name in ("source", "medium", "campaign")},
    "collected_source": "collected_traffic_source.manual_source",
    "collected_medium": "collected_traffic_source.manual_medium",
    "collected_campaign": "collected_traffic_source.manual_campaign_name",
    "session_source": "session_traffic_source_last_click.manual_campaign.source",
    "session_medium": "session_traffic_source_last_click.manual_campaign.medium",
    "session_campaign": "session_traffic_source_last_click.manual_campaign.campaign_name",
    **{f"own_{name}": _parameter(name) for name in ("currency", "value", "transaction_id", "tax", "shipping")},
    "transaction_id": "ecommerce.transaction_id",
    "tax": "ecommerce.tax_value",
    "shipping": "ecommerce.shipping_value",
    "refund": "ecommerce.refund_value",
    "items_text": "items",
    "item_id": "items[].item_id",
    "item_category": "items[].item_category",
    "item_brand": "items[].item_brand",
    "item_price": "items[].price",
    "item_quantity": "items[].quantity",
}


class Ga4:
    """Every row is an event, of the type ``other`` if its name has no e-commerce meaning; each of its items a row.

    The visitor is ``user_pseudo_id``, or ``user_id`` where that is missing. Numbers are rounded to four places, as the
    export writes binary fractions. There is no country, for the export has its English name and no code.
    """

    name = "ga4"
    capabilities: ClassVar[frozenset[str]] = frozenset(
        {
            *("user_id", "product_id", "transaction_id", "quantity", "unit_price", "currency", "category", "brand"),
            *("traffic_source", "medium", "campaign", "device", "order_tax", "order_shipping"),
            *("source_event_id", "source_session_id", "source_item"),
        }
    )
    required: ClassVar[tuple[str, ...]] = _REQUIRED
    expected: ClassVar[tuple[str, ...]] = _EXPECTED
    optional: ClassVar[tuple[str, ...]] = _OPTIONAL

    def __init__(self) -> None:
        self._engine: Engine | None = None

    def detect(self, sample: bytes) -> float:
        """1 if the rows have the columns of the export.

        Examples
        --------
        >>> Ga4().detect(b'{"event_timestamp": "1", "event_name": "x", "user_pseudo_id": "7.1", "items": []}\\n')
        1.0
        """
        own = set(header_of(sample)) & {*_EXPECTED, "event_bundle_sequence_id", "stream_id"}
        return confidence(sample, _REQUIRED) if len(own) > 1 else 0.0

    def read(self, engine: Engine, files: Sequence[RawFile]) -> ir.Table:
        self._engine = engine
        return engine.read_nested(files, _FIELDS, each="items", required=_REQUIRED)

    def to_events(self, raw: ir.Table) -> ir.Table:
        import ibis

        assert self._engine is not None, "read() comes first"
        none = ibis.null(str)
        micros = raw.event_timestamp.re_search(_MICROS).ifelse(raw.event_timestamp, none).cast("int64")
        event_type = raw.event_name.cases(*_EVENTS.items(), else_="other")
        of_order = event_type.isin(("purchase", "refund"))
        product = _set(raw.item_id)
        no_items = of_order & raw.source_item.isnull()
        total = ibis.coalesce((event_type == "refund").ifelse(raw.refund, none), raw.own_value)
        price = no_items.ifelse(total, raw.item_price)
        one = event_type.isin(_OF_CARTS) & (raw.source_item.notnull() | (no_items & total.notnull()))
        transaction = ibis.coalesce(_set(raw.transaction_id), _set(raw.own_transaction_id))
        tax = of_order.ifelse(ibis.coalesce(raw.tax, raw.own_tax), none)
        shipping = of_order.ifelse(ibis.coalesce(raw.shipping, raw.own_shipping), none)
        source, medium, campaign = _traffic(raw)
        events = raw.select(
            *ORIGIN,
            event_ts=plausible(self._engine.timestamp_from_micros(micros)),
            event_type=event_type,
            visitor_id=ibis.coalesce(raw.user_pseudo_id, raw.user_id),
            user_id=raw.user_id,
            product_id=product,
            transaction_id=of_order.ifelse(transaction, none),
            quantity=_number(ibis.coalesce(raw.item_quantity, one.ifelse("1", none))),
            unit_price=_number(price),
            currency=raw.own_currency.upper(),
            category=_set(raw.item_category),
            brand=_set(raw.item_brand),
            traffic_source=source,
            medium=medium,
            campaign=campaign,
            device=raw.device_category.lower(),
            order_tax=_number(tax),
            order_shipping=_number(shipping),
            source_event_id=_event_id(raw),
            source_session_id=raw.session,
            source_item=raw.source_item,
            raw_time=raw.event_timestamp,
            raw_name=raw.event_name,
            raw_quantity=raw.item_quantity,
            raw_unit_price=price,
            raw_order_tax=tax,
            raw_order_shipping=shipping,
            raw_no_items=raw.items_text.notnull() & (raw.items_text != "[]") & raw.source_item.isnull(),
        )
        rules: list[Rule] = [
            *time_rules(
                events.event_ts,
                events.raw_time.re_search(_MICROS),
                events.raw_time,
                "event_timestamp is not in microseconds since 1970, from 1990 to 2099: ",
            ),
            Rule("unknown_event_type", events.raw_name.isnull(), "event_name is empty"),
            Rule("missing_visitor_id", events.visitor_id.isnull(), "there is neither user_pseudo_id nor user_id"),
            Rule("bad_json", events.raw_no_items, "items is no list of objects"),
            Rule(
                "missing_transaction_id",
                (events.event_type == "purchase") & events.transaction_id.isnull(),
                "a purchase without ecommerce.transaction_id",
            ),
            *number_rules(events, ["quantity", "unit_price", "order_tax", "order_shipping"]),
        ]
        return with_rules(events, rules).drop([name for name in events.columns if name.startswith("raw_")])


def _set(text: ir.StringColumn) -> ir.StringColumn:
    """The text, or NULL where the export writes ``(not set)``."""
    return text.nullif(_NOT_SET)


def _number(text: ir.StringColumn) -> ir.DecimalColumn:
    """A number of the export, which may be written like ``1.5e-05``; NULL if the text is none of up to 14 digits."""
    import ibis

    none = ibis.null(str)
    return ibis.coalesce(
        rounded(text), text.re_search(_FLOAT).ifelse(text, none).cast("float64").cast("decimal(18, 4)")
    )


def _traffic(raw: ir.Table) -> tuple[Any, Any, Any]:
    """Source, medium and campaign of the first of three places that has any; of a click on an advertisement, Google's.

    ``traffic_source`` is not among them: it is how the user came the first time ever.
    """
    import ibis

    none = ibis.null(str)
    names = ("source", "medium", "campaign")
    places = [{name: _set(raw[f"{place}_{name}"]) for name in names} for place in ("own", "collected", "session")]
    there = [ibis.coalesce(*place.values()).notnull() for place in places]
    taken = {
        name: ibis.cases(*((has, place[name]) for has, place in zip(there, places, strict=True)), else_=none)
        for name in names
    }
    clicked = ibis.coalesce(raw.gclid, raw.collected_gclid).notnull()
    return clicked.ifelse("google", taken["source"]), clicked.ifelse("cpc", taken["medium"]), taken["campaign"]


def _event_id(raw: ir.Table) -> ir.StringValue:
    """What tells an event from all others, as far as the export does: it has no id of its own."""
    parts = (
        raw.user_pseudo_id, raw.event_timestamp, raw.event_name, raw.event_bundle_sequence_id, raw.batch_page_id,
        raw.batch_ordering_id, raw.batch_event_index, raw.transaction_id, raw.session,
    )  # fmt: skip
    first, *others = (part.fill_null("") for part in parts)
    for other in others:
        first = first + "/" + other
    return first
