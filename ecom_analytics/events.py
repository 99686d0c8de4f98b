"""The canonical event: the one place that names its columns and their types.

Everything else (staging, the Delta tables, Pandera's schema, the docs) is derived from :data:`COLUMNS`.
Importing this module costs nothing: Arrow is imported only by :func:`arrow_schema`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import pyarrow as pa

EVENT_TYPES = ("view", "add_to_cart", "remove_from_cart", "checkout", "purchase", "refund", "search", "other")
"""What an event can be."""


class Column(NamedTuple):
    """One column of the canonical event.

    Attributes
    ----------
    name : str
    type : str
        One of ``text``, ``integer``, ``decimal`` (18 digits, 4 after the point), ``timestamp`` (microseconds, UTC)
        and ``date`` (a day in the store's time zone).
    required : bool
        Never NULL in a staged event.
    meaning : str
        ``event`` for what happened (two events equal in all of these are the same event), ``derived`` for what
        staging computes from it, ``origin`` for where the row was read.
    description : str
    """

    name: str
    type: str
    required: bool
    meaning: str
    description: str


COLUMNS = (
    Column("event_ts", "timestamp", True, "event", "When it happened, UTC, to the microsecond."),
    Column("event_date", "date", True, "derived", "The day of event_ts in the store's time zone."),
    Column("event_type", "text", True, "event", "One of " + ", ".join(EVENT_TYPES) + "."),
    Column("visitor_id", "text", True, "event", "The source's anonymous visitor id, exactly as written."),
    Column("user_id", "text", False, "event", "The login id, where the source has one."),
    Column("product_id", "text", False, "event", "The product, exactly as written."),
    Column("transaction_id", "text", False, "event", "The order id, exactly as written."),
    Column("quantity", "decimal", False, "event", "Units of the product."),
    Column("unit_price", "decimal", False, "event", "Price of one unit, in currency."),
    Column("currency", "text", False, "event", "ISO 4217 code."),
    Column("category", "text", False, "event", "Product category."),
    Column("brand", "text", False, "event", "Product brand."),
    Column("traffic_source", "text", False, "event", "Where the visit came from (utm_source)."),
    Column("medium", "text", False, "event", "By what kind of link (utm_medium)."),
    Column("campaign", "text", False, "event", "Campaign (utm_campaign)."),
    Column("device", "text", False, "event", "Kind of device: desktop, mobile, tablet."),
    Column("country", "text", False, "event", "ISO 3166-1 alpha-2 code."),
    Column("order_discount", "decimal", False, "event", "Discount on the whole order."),
    Column("order_tax", "decimal", False, "event", "Tax on the whole order."),
    Column("order_shipping", "decimal", False, "event", "Shipping of the whole order."),
    Column("source_event_id", "text", False, "event", "The source's own event id."),
    Column("source_session_id", "text", False, "event", "The source's own session id."),
    Column("source_item", "integer", False, "event", "Position of the product in a record that has several, from 1."),
    Column("session_start", "timestamp", True, "derived", "Time of the first event of the event's session, UTC."),
    Column("source", "text", True, "event", "Where events come from; part of every identity."),
    Column("batch_id", "text", True, "origin", "SHA-256 of the ingested file."),
    Column("source_line", "integer", True, "origin", "First physical line of the record in that file, from 1."),
)

NAMES = tuple(column.name for column in COLUMNS)
"""All canonical columns, in order."""

IDENTITY = tuple(column.name for column in COLUMNS if column.meaning == "event")
"""The columns that make two events the same event."""


def arrow_schema() -> pa.Schema:
    """Arrow schema of a staged event.

    Examples
    --------
    >>> arrow_schema().field("event_ts").type
    TimestampType(timestamp[us, tz=UTC])
    """
    import pyarrow as pa

    types = {
        "text": pa.string(),
        "integer": pa.int64(),
        "decimal": pa.decimal128(18, 4),
        "timestamp": pa.timestamp("us", tz="UTC"),
        "date": pa.date32(),
    }
    return pa.schema([pa.field(c.name, types[c.type], nullable=not c.required) for c in COLUMNS])
