"""What is known of products beside their events: the columns of the staged tables ``products`` and ``categories``.

A source format says by its attribute ``kind`` which of the two its files fill; one without is of events.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ecom_analytics.events import Column

if TYPE_CHECKING:
    import pyarrow as pa

EVENTS = "events"

_ORIGIN = (
    Column("source", "text", True, "origin", "Where the file comes from; part of every identity."),
    Column("batch_id", "text", True, "origin", "SHA-256 of the ingested file."),
    Column("source_line", "integer", True, "origin", "First physical line of the record in that file, from 1."),
    Column("ingested_at", "timestamp", True, "origin", "When the file was ingested, UTC."),
    Column("stage_id", "text", True, "origin", "The stage that wrote the row."),
)

CATALOGUE = {
    "products": (
        Column("product_id", "text", True, "fact", "The product, exactly as written."),
        Column("valid_from", "timestamp", False, "fact", "Since when the row holds, UTC; empty: always."),
        Column("name", "text", False, "fact", "Name of the product."),
        Column("category", "text", False, "fact", "Its category: an id of the category tree, or a name."),
        Column("brand", "text", False, "fact", "Its brand."),
        Column("price", "decimal", False, "fact", "Its list price, in currency. Never taken for a price paid."),
        Column("currency", "text", False, "fact", "ISO 4217 code of the price."),
        Column("available", "boolean", False, "fact", "Whether it can be had."),
        Column("property", "text", False, "fact", "Another property, by the source's name for it."),
        Column("value", "text", False, "fact", "The value of that property, exactly as written."),
        *_ORIGIN,
    ),
    "categories": (
        Column("category_id", "text", True, "fact", "The category, exactly as written."),
        Column("parent_id", "text", False, "fact", "The category above it; empty for a root."),
        Column("name", "text", False, "fact", "Name of the category."),
        *_ORIGIN,
    ),
}
"""The columns of each staged table of a catalogue. A column that a row does not fill says nothing about the product."""


def kind_of(source_format: Any) -> str:
    """What the files of a source format hold: ``events``, ``products`` or ``categories``.

    Examples
    --------
    >>> kind_of(object())
    'events'
    """
    return str(getattr(source_format, "kind", EVENTS))


def arrow_schema(table: str) -> pa.Schema:
    """Arrow schema of a staged table of the catalogue.

    Examples
    --------
    >>> arrow_schema("categories").names[:3]
    ['category_id', 'parent_id', 'name']
    """
    import pyarrow as pa

    types = {
        "text": pa.string(),
        "integer": pa.int64(),
        "decimal": pa.decimal128(18, 4),
        "timestamp": pa.timestamp("us", tz="UTC"),
        "boolean": pa.bool_(),
    }
    return pa.schema([pa.field(c.name, types[c.type], nullable=not c.required) for c in CATALOGUE[table]])
