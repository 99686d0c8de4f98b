"""A catalogue of products beside events of any format: product, name, category, brand, price and so on."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from ecom_analytics.protocols import Engine, RawFile
from ecom_analytics.rules import Rule
from ecom_analytics.source_formats.common import CLOCK, DAY, ORIGIN, header_of, with_rules

if TYPE_CHECKING:
    import ibis.expr.types as ir

NAMES = {
    "product_id": ("product_id", "productid", "product", "item_id", "itemid", "sku", "id"),
    "name": ("name", "product_name", "title"),
    "category": ("category", "product_type", "category_code", "category_id", "categoryid"),
    "brand": ("brand", "vendor", "manufacturer"),
    "price": ("price", "list_price"),
    "currency": ("currency",),
    "available": ("available", "availability", "in_stock"),
    "valid_from": ("valid_from",),
}
"""The names that each column may have in a header; of several in one file, the first that is not empty counts."""

_ALL_NAMES = tuple(name for names in NAMES.values() for name in names)
_VAGUE = {"product", "id", "name", "title", "price"}
_NOT_A_CATALOGUE = re.compile(r"event|visitor|user|session|customer|order|transaction|cart|quantity|timestamp|property")
_TIME = (
    rf"^{DAY}([T ]{CLOCK}"
    r"(\.[0-9]{1,6})?(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])?)?$"
)
_PRICE = r"^[0-9]{1,14}(\.[0-9]{1,4}0*)?( [A-Z]{3})?$"
_YES = ("1", "true", "yes", "y", "in_stock", "in stock", "available")
_NO = ("0", "false", "no", "n", "out_of_stock", "out of stock", "unavailable", "preorder", "backorder")


class Catalogue:
    """One row a product, or one row a change of it where ``valid_from`` (ISO 8601) says since when it holds.

    A row without ``valid_from`` holds always. An empty field says nothing. A price is a plain decimal number, which a
    currency may follow (``15.00 USD``, as in Google's product feeds). Column names are in :data:`NAMES`.
    """

    name = "catalogue"
    kind: Literal["products"] = "products"
    capabilities: ClassVar[frozenset[str]] = frozenset(NAMES) - {"product_id"}
    optional: ClassVar[tuple[str, ...]] = _ALL_NAMES

    def __init__(self) -> None:
        self._engine: Engine | None = None

    def detect(self, sample: bytes) -> float:
        """0.9 if the header names a product and what it is like, and nothing that is of events.

        Examples
        --------
        >>> Catalogue().detect(b"sku,title,brand,price\\n")
        0.9
        >>> Catalogue().detect(b"event_time,product_id,brand,price,user_id\\n")
        0.0
        """
        header = set(header_of(sample))
        if any(_NOT_A_CATALOGUE.search(name.lower()) for name in header):
            return 0.0
        found = {column: header.intersection(names) for column, names in NAMES.items()}
        identified, described = found.pop("product_id"), set().union(*found.values())
        if not identified or not described:
            return 0.0
        # `id,name` or `product,price` may be a list of anything
        return 0.9 if (identified | described) - _VAGUE or len(described) > 1 else 0.0

    def read(self, engine: Engine, files: Sequence[RawFile]) -> ir.Table:
        self._engine = engine
        return engine.read_delimited(files, _ALL_NAMES, optional=_ALL_NAMES)

    def to_products(self, raw: ir.Table) -> ir.Table:
        import ibis

        assert self._engine is not None, "read() comes first"
        text = ibis.null(str)
        given: dict[str, Any] = {
            column: ibis.coalesce(*(raw[name] for name in names)) for column, names in NAMES.items()
        }
        raw = raw.select(*ORIGIN, **{f"raw_{column}": value for column, value in given.items()})
        price = raw.raw_price.re_search(_PRICE).ifelse(raw.raw_price, text)
        price_currency = price.re_search(" ").ifelse(price.re_replace("^.* ", ""), text)
        available = raw.raw_available.lower()
        answers = [*((word, True) for word in _YES), *((word, False) for word in _NO)]
        products = raw.mutate(
            product_id=raw.raw_product_id,
            valid_from=_in_range(self._time(raw.raw_valid_from)),
            name=raw.raw_name,
            category=raw.raw_category,
            brand=raw.raw_brand,
            price=price.re_replace(" .*$", "").cast("decimal(18, 4)"),
            currency=ibis.coalesce(raw.raw_currency, price_currency),
            available=available.cases(*answers, else_=ibis.null("boolean")),
        )
        rules = _rules(products, self._time(products.raw_valid_from))
        return with_rules(products, rules).drop(*(f"raw_{column}" for column in NAMES))

    def _time(self, written: ir.StringColumn) -> ir.TimestampColumn:
        import ibis

        assert self._engine is not None
        return self._engine.timestamp_from_text(written.re_search(_TIME).ifelse(written, ibis.null(str)))


def _in_range(time: ir.TimestampColumn) -> Any:
    import ibis

    known = time.between(ibis.timestamp("1990-01-01 00:00:00"), ibis.timestamp("2099-12-31 23:59:59.999999"))
    return known.ifelse(time, ibis.null("timestamp(6)"))


def _rules(products: ir.Table, unbounded: ir.TimestampColumn) -> list[Rule]:
    def unread(column: str) -> Any:
        return products[f"raw_{column}"].notnull() & products[column].isnull()

    return [
        Rule(
            "missing_product_id",
            products.product_id.isnull(),
            f"no product id: each of {', '.join(NAMES['product_id'])} is empty or missing",
        ),
        Rule(
            "timestamp_out_of_range",
            products.valid_from.isnull().ifelse(unbounded.notnull(), False),
            "valid_from is not from 1990 to 2099: " + products.raw_valid_from,
        ),
        Rule(
            "bad_timestamp",
            unread("valid_from"),
            "valid_from is not an ISO 8601 time or day from 1990 to 2099: " + products.raw_valid_from,
        ),
        Rule("bad_number", unread("price"), "price is not a plain decimal number: " + products.raw_price),
        Rule("bad_availability", unread("available"), "availability is neither yes nor no: " + products.raw_available),
    ]
