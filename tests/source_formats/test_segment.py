"""Segment's calls: what each becomes, and each rule with the line that breaks it."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from staging_rows import stage

from ecom_analytics import MartBuilder, Settings, Warehouse
from ecom_analytics.source_formats.segment import Segment

AT = "2026-03-02T10:00:00.123Z"


def call(event: str | None = "Product Viewed", properties: dict[str, Any] | None = None, **fields: Any) -> str:
    """One call, as Segment writes it."""
    kind = {"type": "track", "event": event} if event else {"type": "page"}
    usual = {"anonymousId": "a1", "userId": None, "timestamp": AT, "messageId": f"m-{event}"}
    return json.dumps({**kind, **usual, "properties": properties or {}, **fields})


ORDER = {
    "order_id": "50314b8e9bcf000000000000",
    "total": 27.5,
    "currency": "usd",
    "shipping": 3,
    "tax": 2,
    "discount": 2.5,
    "products": [
        {"product_id": "507f1f77bcf86cd799439011", "price": 19, "quantity": 1, "category": "Games", "brand": "Hasbro"},
        {"sku": "46493-32", "price": "3.00", "quantity": 2},
        {"product_id": "507f1f77bcf86cd799439011", "price": 19, "quantity": 1, "category": "Games", "brand": "Hasbro"},
    ],
}


def lines_of(settings: Settings, *lines: str) -> tuple[list[dict[str, Any]], list[tuple[int, str]]]:
    return stage(settings, "segment", *lines, name="calls.jsonl")


def test_an_order_is_a_row_for_each_product(settings: Settings) -> None:
    rows, bad = lines_of(settings, call("Order Completed", ORDER, userId="u1"))
    assert bad == []
    assert [(r["source_line"], r["source_item"], r["product_id"]) for r in rows] == [
        (1, 1, "507f1f77bcf86cd799439011"), (1, 2, "46493-32"), (1, 3, "507f1f77bcf86cd799439011"),
    ]  # fmt: skip
    first = rows[0]
    assert first["event_ts"] == datetime(2026, 3, 2, 10, 0, 0, 123_000, UTC)
    assert (first["event_type"], first["transaction_id"]) == ("purchase", ORDER["order_id"])
    assert (first["visitor_id"], first["user_id"]) == ("a1", "u1")
    assert (first["unit_price"], first["quantity"], first["currency"]) == (Decimal(19), Decimal(1), "USD")
    assert (first["order_shipping"], first["order_tax"], first["order_discount"]) == (3, 2, Decimal("2.5"))
    assert (first["category"], first["brand"], first["source_event_id"]) == ("Games", "Hasbro", "m-Order Completed")


def test_an_order_sent_again_counts_once_and_a_refund_is_taken_off(settings: Settings) -> None:
    again = call("Order Completed", ORDER, timestamp="2026-03-02T12:00:00Z", messageId="another")
    refund = {"order_id": ORDER["order_id"], "total": 10, "currency": "USD"}
    back = call("Order Refunded", refund, timestamp="2026-03-03T12:00:00Z")
    rows, bad = lines_of(settings, call("Order Completed", ORDER), again, back)
    assert bad == []
    assert len(rows) == 7
    MartBuilder(settings).build()
    query = "SELECT lines, gross_value, refunds, net_value FROM transactions"
    assert Warehouse(settings).sql(query).to_pylist() == [
        {"lines": 3, "gross_value": Decimal(44), "refunds": Decimal(10), "net_value": Decimal(34)}
    ]


@pytest.mark.parametrize(
    ("event", "meaning"),
    [
        ("Product Viewed", "view"), ("product_viewed", "view"), ("PRODUCT  VIEWED", "view"),
        ("Product Added", "add_to_cart"), ("Product Removed", "remove_from_cart"), ("Checkout Started", "checkout"),
        ("Checkout Step Completed", "checkout"), ("Payment Info Entered", "checkout"), ("Products Searched", "search"),
        ("Product Clicked", "other"), ("Cart Viewed", "other"), ("Anything Else", "other"), (None, "other"),
    ],
)  # fmt: skip
def test_names_of_events(event: str | None, meaning: str, settings: Settings) -> None:
    rows, bad = lines_of(settings, call(event, {"product_id": "p1"}))
    assert bad == []
    assert [r["event_type"] for r in rows] == [meaning]


def test_a_product_in_the_properties_and_what_is_around_it(settings: Settings) -> None:
    context = {
        "campaign": {"source": "mail", "medium": "email", "name": "spring"},
        "device": {"type": "ios"},
        "location": {"country": "de"},
    }
    properties = {"product_id": 18446744073709551617, "price": 2.345678, "category": "Games"}
    rows, _ = lines_of(
        settings,
        call("Product Added", properties, context=context),
        call("Product Viewed", {"sku": "s1"}, timestamp=None, originalTimestamp="2026-03-02T11:00:00+0100"),
        call("Products Searched", {}, timestamp="2026-03-02T10:00:00.123456789-00:30", anonymousId=None, userId="u1"),
    )
    added, viewed, searched = rows
    assert (added["product_id"], added["unit_price"]) == ("18446744073709551617", Decimal("2.3457"))
    assert (added["quantity"], added["source_item"]) == (Decimal(1), None)
    assert (added["traffic_source"], added["medium"], added["campaign"]) == ("mail", "email", "spring")
    assert (added["device"], added["country"]) == ("mobile", "DE")
    assert viewed["event_ts"] == datetime(2026, 3, 2, 10, tzinfo=UTC)
    assert (viewed["product_id"], viewed["quantity"]) == ("s1", None)
    assert searched["event_ts"] == datetime(2026, 3, 2, 10, 30, 0, 123_456, UTC)
    assert (searched["visitor_id"], searched["product_id"]) == ("u1", None)


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        (call(timestamp="yesterday"), "bad_timestamp"),
        (call(timestamp=None), "bad_timestamp"),
        (call(timestamp="2026-02-30T10:00:00Z"), "bad_timestamp"),
        (call(anonymousId=""), "missing_visitor_id"),
        (call("Order Completed", {"products": []}), "missing_transaction_id"),
        (call(properties={"price": "free"}), "bad_number"),
        (call(properties={"quantity": -1}), "negative_number"),
        (call("Order Completed", {"order_id": "1", "tax": "x"}), "bad_number"),
        (call()[:-1], "bad_json"),
        ("[1]", "bad_json"),
    ],
)
def test_each_rule_rejects_the_line_that_breaks_it_and_only_that(line: str, rule: str, settings: Settings) -> None:
    rows, bad = lines_of(settings, call("Product Added"), line)
    assert bad == [(2, rule)]
    assert [r["source_line"] for r in rows] == [1]


@pytest.mark.parametrize(
    ("sample", "sure"),
    [
        (call() + "\n" + call(None) + "\n" + call()[:30], 0.95),
        (call(anonymousId=None, messageId=None), 0.0),
        ('{"type": "click", "anonymousId": "a"}', 0.0),
        ("timestamp,visitorid,event,itemid,transactionid\n", 0.0),
        ("", 0.0),
    ],
)
def test_it_is_known_by_its_first_lines(sample: str, sure: float) -> None:
    assert Segment().detect(sample.encode()) == sure
