"""Snowplow's enriched events with their e-commerce contexts, flattened to a column for each.

As its warehouse loaders, the seeds of its dbt packages, and the JSON of its analytics SDKs have them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

from ecom_analytics.protocols import Engine, RawFile
from ecom_analytics.rules import Rule
from ecom_analytics.source_formats.common import (
    CLOCK,
    DAY,
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

_ACTIONS = {
    "product_view": "view",
    "add_to_cart": "add_to_cart",
    "remove_from_cart": "remove_from_cart",
    "checkout_step": "checkout",
    "transaction": "purchase",
    "refund": "refund",
}
_OF_CARTS = ("add_to_cart", "remove_from_cart", "purchase", "refund")
_DEVICES = {"computer": "desktop", "desktop": "desktop", "mobile": "mobile", "phone": "mobile", "tablet": "tablet"}
_PLATFORMS = {"mob": "mobile", "pc": "desktop"}
_MONEY = ("order_discount", "order_tax", "order_shipping")
_TIME = (
    rf"^{DAY}[ T]{CLOCK}"
    r"(\.[0-9]{1,6})?( ?UTC|Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])?$"
)

_SNOWPLOW = "com_snowplowanalytics_snowplow"
_SHOP = f"contexts_{_SNOWPLOW}_ecommerce"
_VERSIONS = ("1", "1_0_0", "1_0_1", "1_0_2", "1_0_3")


def _versions(column: str) -> tuple[str, ...]:
    """The names of a context: loaders put its whole version behind it, or the first number of that."""
    return tuple(f"{column}_{version}" for version in _VERSIONS)


_CONTEXTS = {
    "action": _versions(f"unstruct_event_{_SNOWPLOW}_ecommerce_snowplow_ecommerce_action"),
    "product": _versions(f"{_SHOP}_product"),
    "transaction": _versions(f"{_SHOP}_transaction"),
    "refund": _versions(f"{_SHOP}_refund"),
    "user": _versions(f"{_SHOP}_user"),
    "client_session": _versions(f"contexts_{_SNOWPLOW}_client_session"),
    "agent": _versions("contexts_nl_basjes_yauaa_context"),
}
_ATOMIC = (
    "event_id", "collector_tstamp", "derived_tstamp", "event_name", "platform", "user_id", "domain_userid",
    "network_userid", "domain_sessionid", "geo_country", "mkt_source", "mkt_medium", "mkt_campaign", "refr_source",
    "refr_medium", "dvce_type",
)  # fmt: skip
_UNREAD = """
app_id etl_tstamp dvce_created_tstamp event txn_id name_tracker v_tracker v_collector v_etl user_ipaddress
user_fingerprint domain_sessionidx geo_region geo_city geo_zipcode geo_latitude geo_longitude geo_region_name ip_isp
ip_organization ip_domain ip_netspeed page_url page_title page_referrer page_urlscheme page_urlhost page_urlport
page_urlpath page_urlquery page_urlfragment refr_urlscheme refr_urlhost refr_urlport refr_urlpath refr_urlquery
refr_urlfragment refr_term mkt_term mkt_content se_category se_action se_label se_property se_value tr_orderid
tr_affiliation tr_total tr_tax tr_shipping tr_city tr_state tr_country ti_orderid ti_sku ti_name ti_category
ti_price ti_quantity pp_xoffset_min pp_xoffset_max pp_yoffset_min pp_yoffset_max useragent br_name br_family
br_version br_type br_renderengine br_lang br_features_pdf br_features_flash br_features_java br_features_director
br_features_quicktime br_features_realplayer br_features_windowsmedia br_features_gears br_features_silverlight
br_cookies br_colordepth br_viewwidth br_viewheight os_name os_family os_manufacturer os_timezone dvce_ismobile
dvce_screenwidth dvce_screenheight doc_charset doc_width doc_height tr_currency tr_total_base tr_tax_base
tr_shipping_base ti_currency ti_price_base base_currency geo_timezone mkt_clickid mkt_network etl_tags
dvce_sent_tstamp refr_domain_userid refr_dvce_tstamp event_vendor event_format event_version event_fingerprint
true_tstamp load_tstamp
"""
_REQUIRED = ("event_id", "collector_tstamp", "event_name")
_OWN = ("derived_tstamp", "domain_userid", "network_userid", "v_collector", "v_etl")
_FIELDS = {
    **{name: name for name in _ATOMIC},
    "action_text": "action",
    "action_type": "action.type",
    "listed_action_type": "action[0].type",
    "products_text": "product",
    **{f"item_{name}": f"product[].{name}" for name in ("id", "category", "brand", "price", "quantity", "currency")},
    "order_id": "transaction[0].transaction_id",
    "order_currency": "transaction[0].currency",
    "discount": "transaction[0].discount_amount",
    "tax": "transaction[0].tax",
    "shipping": "transaction[0].shipping",
    "refund_order_id": "refund[0].transaction_id",
    "refund_currency": "refund[0].currency",
    "refund_amount": "refund[0].refund_amount",
    "shop_user_id": "user[0].id",
    "session_user": "client_session[0].userId",
    "session_user_id": "client_session[0].user_id",
    "session": "client_session[0].sessionId",
    "session_id": "client_session[0].session_id",
    "agent_device": "agent[0].deviceClass",
    "agent_device_class": "agent[0].device_class",
}


class Snowplow:
    """Every enriched event is one, of the type ``other`` if its e-commerce action (or ``site_search``) says no other.

    An event with a list of products becomes a row for each of them. The time is ``derived_tstamp``, else
    ``collector_tstamp``. The visitor is ``domain_userid``, else the user of the mobile session, else
    ``network_userid``.
    """

    name = "snowplow"
    capabilities: ClassVar[frozenset[str]] = frozenset(
        {
            *("user_id", "product_id", "transaction_id", "quantity", "unit_price", "currency", "category", "brand"),
            *("traffic_source", "medium", "campaign", "device", "country", *_MONEY),
            *("source_event_id", "source_session_id", "source_item"),
        }
    )
    required: ClassVar[tuple[str, ...]] = _REQUIRED
    expected: ClassVar[tuple[str, ...]] = ("derived_tstamp", "domain_userid", "domain_sessionid")
    optional: ClassVar[tuple[str, ...]] = (
        *_ATOMIC,
        *_UNREAD.split(),
        *(n for names in _CONTEXTS.values() for n in names),
    )

    def __init__(self) -> None:
        self._engine: Engine | None = None

    def detect(self, sample: bytes) -> float:
        """1 if the columns are those of enriched events.

        Examples
        --------
        >>> Snowplow().detect(b"event_id,event_name,collector_tstamp,derived_tstamp,domain_userid\\n")
        1.0
        """
        own = set(header_of(sample)) & set(_OWN)
        return confidence(sample, _REQUIRED) if len(own) > 1 else 0.0

    def read(self, engine: Engine, files: Sequence[RawFile]) -> ir.Table:
        self._engine = engine
        return engine.read_nested(files, _FIELDS, each="product", required=_REQUIRED, names=_CONTEXTS)

    def to_events(self, raw: ir.Table) -> ir.Table:
        import ibis

        assert self._engine is not None, "read() comes first"
        none = ibis.null(str)
        written = ibis.coalesce(raw.derived_tstamp, raw.collector_tstamp)
        action = ibis.coalesce(raw.action_type, raw.listed_action_type)
        searched = (raw.event_name == "site_search").ifelse("search", "other")
        event_type = ibis.coalesce(action.cases(*_ACTIONS.items(), else_=none), searched)
        refunded = event_type == "refund"
        of_order = (event_type == "purchase") | refunded
        whole_refund = refunded & raw.item_id.isnull()
        order_currency = ibis.coalesce(raw.order_currency, refunded.ifelse(raw.refund_currency, none)).upper()
        currency = ibis.coalesce(raw.item_currency.upper(), order_currency)
        price = whole_refund.ifelse(raw.refund_amount, raw.item_price)
        one = event_type.isin(_OF_CARTS) & (raw.item_id.notnull() | (whole_refund & price.notnull()))
        # an order's amounts are in the order's currency, which is not always that of its products
        comparable = of_order & (order_currency.isnull() | (order_currency == currency))
        marketed = ibis.coalesce(raw.mkt_source, raw.mkt_medium, raw.mkt_campaign).notnull()
        referred = ~marketed & (raw.refr_medium.fill_null("") != "internal")
        device = ibis.coalesce(raw.dvce_type, raw.agent_device, raw.agent_device_class)
        events = raw.select(
            *ORIGIN,
            event_ts=plausible(self._time(written)),
            event_type=event_type,
            visitor_id=ibis.coalesce(raw.domain_userid, raw.session_user, raw.session_user_id, raw.network_userid),
            user_id=ibis.coalesce(raw.user_id, raw.shop_user_id),
            product_id=raw.item_id,
            transaction_id=of_order.ifelse(
                ibis.coalesce(refunded.ifelse(raw.refund_order_id, none), raw.order_id), none
            ),
            quantity=rounded(ibis.coalesce(raw.item_quantity, one.ifelse("1", none))),
            unit_price=rounded(price),
            currency=currency,
            category=raw.item_category,
            brand=raw.item_brand,
            traffic_source=referred.ifelse(raw.refr_source, raw.mkt_source),
            medium=referred.ifelse(raw.refr_medium, raw.mkt_medium),
            campaign=raw.mkt_campaign,
            device=ibis.coalesce(
                device.lower().cases(*_DEVICES.items(), else_=none), raw.platform.cases(*_PLATFORMS.items(), else_=none)
            ),
            country=raw.geo_country.re_search("^[A-Za-z]{2}$").ifelse(raw.geo_country.upper(), none),
            **{
                f"order_{name}": comparable.ifelse(rounded(raw[name]), ibis.null("decimal(18, 4)"))
                for name in ("discount", "tax", "shipping")
            },
            source_event_id=raw.event_id,
            source_session_id=ibis.coalesce(raw.domain_sessionid, raw.session, raw.session_id),
            source_item=raw.source_item,
            raw_time=written,
            raw_quantity=raw.item_quantity,
            raw_unit_price=price,
            **{f"raw_order_{name}": comparable.ifelse(raw[name], none) for name in ("discount", "tax", "shipping")},
            raw_no_action=raw.action_text.notnull() & action.isnull(),
            raw_no_products=raw.products_text.notnull() & raw.source_item.isnull(),
        )
        rules: list[Rule] = [
            *time_rules(
                events.event_ts,
                self._time(events.raw_time).notnull(),
                events.raw_time,
                "derived_tstamp or collector_tstamp is no time such as 2022-12-22 13:25:47.677, from 1990 to 2099: ",
            ),
            Rule(
                "missing_visitor_id",
                events.visitor_id.isnull(),
                "there is no domain_userid, network_userid or user of a mobile session",
            ),
            Rule("bad_json", events.raw_no_action, "the e-commerce action is no JSON with a type"),
            Rule("bad_json", events.raw_no_products, "the product context is no JSON list of products"),
            Rule(
                "missing_transaction_id",
                (events.event_type == "purchase") & events.transaction_id.isnull(),
                "a transaction without a transaction context that has a transaction_id",
            ),
            *number_rules(events, ["quantity", "unit_price", *_MONEY]),
        ]
        return with_rules(events, rules).drop([name for name in events.columns if name.startswith("raw_")])

    def _time(self, text: ir.StringColumn) -> ir.TimestampColumn:
        import ibis

        assert self._engine is not None
        written = text.re_search(_TIME).ifelse(text.re_replace(" ?UTC$", "Z"), ibis.null(str))
        return self._engine.timestamp_from_text(written)
