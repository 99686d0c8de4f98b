"""RetailRocket's files beside the events: ``item_properties_part1.csv``, ``…_part2.csv`` and ``category_tree.csv``."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar, Literal

from ecom_analytics.protocols import Engine, RawFile
from ecom_analytics.rules import Rule
from ecom_analytics.source_formats.common import ORIGIN, confidence, time_rules, with_rules
from ecom_analytics.source_formats.retailrocket import BAD_TIMESTAMP, MILLIS, identifier, millis_of, time_of

if TYPE_CHECKING:
    import ibis.expr.types as ir

_ITEM_COLUMNS = ("timestamp", "itemid", "property", "value")
_TREE_COLUMNS = ("categoryid", "parentid")


class RetailRocketItems:
    """``timestamp,itemid,property,value``: what a property of a product was from that time on.

    ``categoryid`` is the product's category and ``available`` (0 or 1) whether it could be had. Every other property
    is kept under its own name, with its value as written: they are hashed.
    """

    name = "retailrocket_items"
    kind: Literal["products"] = "products"
    capabilities: ClassVar[frozenset[str]] = frozenset({"category", "available", "property", "value"})
    required: ClassVar[tuple[str, ...]] = _ITEM_COLUMNS
    columns: ClassVar[tuple[str, ...]] = _ITEM_COLUMNS
    first_row: ClassVar[dict[str, str]] = {
        "timestamp": MILLIS,
        "itemid": "[0-9]+",
        "property": "[0-9]+|categoryid|available",
    }
    timestamp_column = "timestamp"

    def __init__(self) -> None:
        self._engine: Engine | None = None

    def detect(self, sample: bytes) -> float:
        """1 if the header has all columns of the format; 0.8 if there is none, but the first row looks like its own.

        Examples
        --------
        >>> RetailRocketItems().detect(b"timestamp,itemid,property,value\\n")
        1.0
        """
        return confidence(sample, self.required, columns=self.columns, first_row=self.first_row)

    def timestamp(self, text: str) -> datetime | None:
        """The time that ``text`` in :attr:`timestamp_column` means, or None."""
        return time_of(text)

    def read(self, engine: Engine, files: Sequence[RawFile]) -> ir.Table:
        self._engine = engine
        return engine.read_delimited(files, _ITEM_COLUMNS)

    def to_products(self, raw: ir.Table) -> ir.Table:
        import ibis

        assert self._engine is not None, "read() comes first"
        text = ibis.null(str)
        value = identifier(raw.value)
        available = value.cases(("1", True), ("0", False), else_=ibis.null("boolean"))
        is_other = ~raw.property.isin(["categoryid", "available"])
        products = raw.select(
            *ORIGIN,
            product_id=identifier(raw.itemid),
            valid_from=self._engine.timestamp_from_millis(millis_of(raw.timestamp)),
            category=(raw.property == "categoryid").ifelse(value, text),
            available=(raw.property == "available").ifelse(available, ibis.null("boolean")),
            property=is_other.ifelse(raw.property, text),
            value=is_other.ifelse(raw.value, text),
            raw_timestamp=raw.timestamp,
            raw_property=raw.property,
            raw_value=raw.value,
        )
        said = products.raw_value.fill_null("")
        rules: list[Rule] = [
            *time_rules(
                products.valid_from, products.raw_timestamp.re_search(MILLIS), products.raw_timestamp, BAD_TIMESTAMP
            ),
            Rule("missing_product_id", products.product_id.isnull(), "itemid is empty"),
            Rule("missing_property", products.raw_property.isnull(), "property is empty"),
            Rule(
                "missing_category",
                (products.raw_property == "categoryid") & products.category.isnull(),
                "the value of categoryid is empty",
            ),
            Rule(
                "bad_availability",
                (products.raw_property == "available") & products.available.isnull(),
                "available is neither 0 nor 1: " + said,
            ),
        ]
        return with_rules(products, rules).drop("raw_timestamp", "raw_property", "raw_value")


class RetailRocketCategories:
    """``categoryid,parentid``: the category above each category; a root has none."""

    name = "retailrocket_categories"
    kind: Literal["categories"] = "categories"
    capabilities: ClassVar[frozenset[str]] = frozenset({"parent_id"})
    required: ClassVar[tuple[str, ...]] = _TREE_COLUMNS

    def detect(self, sample: bytes) -> float:
        """1 if the header has both columns of the format.

        Examples
        --------
        >>> RetailRocketCategories().detect(b"categoryid,parentid\\n")
        1.0
        """
        return confidence(sample, self.required)

    def read(self, engine: Engine, files: Sequence[RawFile]) -> ir.Table:
        return engine.read_delimited(files, _TREE_COLUMNS)

    def to_categories(self, raw: ir.Table) -> ir.Table:
        categories = raw.select(*ORIGIN, category_id=identifier(raw.categoryid), parent_id=identifier(raw.parentid))
        rules: list[Rule] = [
            Rule("missing_category_id", categories.category_id.isnull(), "categoryid is empty"),
            Rule(
                "category_below_itself",
                categories.category_id == categories.parent_id,
                "a category is its own parent: " + categories.category_id.fill_null(""),
            ),
        ]
        return with_rules(categories, rules)
