"""Each rule of the built-in source formats, proven by the row that breaks it."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from staging_rows import stage

from ecom_analytics import Settings, plugins

ROCKET = "timestamp,visitorid,event,itemid,transactionid"
GOOD_ROCKET = "1433221332117,257597,view,355908,"
SHOP = "event_ts,event_type,visitor_id,product_id,quantity,unit_price"
GOOD_SHOP = "2026-01-05T10:00:00Z,view,v1,p1,1,9.99"


@pytest.mark.parametrize(
    ("row", "rule"),
    [
        (",257597,view,355908,", "bad_timestamp"),
        ("-5,257597,view,355908,", "bad_timestamp"),
        ("soon,257597,view,355908,", "bad_timestamp"),
        ("14332213321171433221332117,257597,view,355908,", "bad_timestamp"),
        ("1433221332,257597,view,355908,", "timestamp_out_of_range"),  # seconds: 1970
        ("4102444800000,257597,view,355908,", "timestamp_out_of_range"),  # 2100
        ("1433221332117,,view,355908,", "missing_visitor_id"),
        ("1433221332117,257597,viewed,355908,", "unknown_event_type"),
        ("1433221332117,257597,,355908,", "unknown_event_type"),
        ("1433221332117,257597,view,,", "missing_product_id"),
        ("1433221332117,257597,transaction,355908,", "missing_transaction_id"),
        ("1433221332117,257597,view,355908", "too_few_fields"),
        ("1433221332117,257597,view,355908,,", "too_many_fields"),
        ('1433221332117,"257597,view,355908,', "bad_quoting"),
    ],
)
def test_retailrocket_rejects_what_breaks_a_rule_and_only_that(row: str, rule: str, settings: Settings) -> None:
    rows, bad = stage(settings, "retailrocket", ROCKET, GOOD_ROCKET, row)
    assert bad == [(3, rule)]
    assert [r["source_line"] for r in rows] == [2]


def test_retailrocket_keeps_ids_exactly(settings: Settings) -> None:
    rows, bad = stage(
        settings,
        "retailrocket",
        ROCKET,
        "1433221332117,9223372036854775807,transaction,007,14418.0",
        "1433221332118,18446744073709551617,view,1.50,",
        "1433221332119.0,12.0,view,a.0,",
    )
    assert bad == []
    assert [(r["visitor_id"], r["product_id"], r["transaction_id"]) for r in rows] == [
        ("9223372036854775807", "007", "14418"),
        ("18446744073709551617", "1.50", None),
        ("12", "a.0", None),
    ]
    assert rows[0]["event_ts"] == datetime(2015, 6, 2, 5, 2, 12, 117_000, UTC)
    assert rows[2]["event_ts"] == datetime(2015, 6, 2, 5, 2, 12, 119_000, UTC)
    assert [r["event_type"] for r in rows] == ["purchase", "view", "view"]


@pytest.mark.parametrize(
    ("row", "rule"),
    [
        ("2026-01-05,view,v1,p1,1,9.99", "bad_timestamp"),
        ("2026-02-30T10:00:00Z,view,v1,p1,1,9.99", "bad_timestamp"),
        ("2026-01-05T25:00:00Z,view,v1,p1,1,9.99", "bad_timestamp"),
        ("1989-12-31T23:59:59Z,view,v1,p1,1,9.99", "timestamp_out_of_range"),
        ("2100-01-01T00:00:00Z,view,v1,p1,1,9.99", "timestamp_out_of_range"),
        ("2026-01-05T10:00:00Z,look,v1,p1,1,9.99", "unknown_event_type"),
        ("2026-01-05T10:00:00Z,view,,p1,1,9.99", "missing_visitor_id"),
        ("2026-01-05T10:00:00Z,view,v1,p1,one,9.99", "bad_number"),
        ("2026-01-05T10:00:00Z,view,v1,p1,1,9.99999", "bad_number"),  # would be rounded
        ("2026-01-05T10:00:00Z,view,v1,p1,1,1e3", "bad_number"),
        ("2026-01-05T10:00:00Z,view,v1,p1,1,999999999999999", "bad_number"),
        ("2026-01-05T10:00:00Z,view,v1,p1,-1,9.99", "negative_number"),
        ("2026-01-05T10:00:00Z,view,v1,p1,1,-0.0001", "negative_number"),
    ],
)
def test_canonical_rejects_what_breaks_a_rule_and_only_that(row: str, rule: str, settings: Settings) -> None:
    rows, bad = stage(settings, "canonical", SHOP, GOOD_SHOP, row)
    assert bad == [(3, rule)]
    assert [r["source_line"] for r in rows] == [2]


def test_canonical_reads_offsets_and_exact_decimals(settings: Settings) -> None:
    rows, bad = stage(
        settings,
        "canonical",
        SHOP,
        "2026-01-05T10:00:00.123456+02:00,view,v1,p1,0.5,99999999999999.9999",
        "2026-01-05 10:00:00,view,v2,p1,,1.10000",
    )
    assert bad == []
    assert rows[0]["event_ts"] == datetime(2026, 1, 5, 8, 0, 0, 123_456, UTC)
    assert (rows[0]["quantity"], rows[0]["unit_price"]) == (Decimal("0.5000"), Decimal("99999999999999.9999"))
    assert rows[1]["event_ts"] == datetime(2026, 1, 5, 10, tzinfo=UTC)
    assert (rows[1]["quantity"], rows[1]["unit_price"]) == (None, Decimal("1.1000"))


def test_equal_products_of_one_record_are_no_duplicates_but_the_same_order_sent_again_is(settings: Settings) -> None:
    header = "event_ts,event_type,visitor_id,product_id,transaction_id,source_item,source_event_id"
    order = [f"2026-01-05T10:00:00Z,purchase,v1,p1,t1,{item},{{id}}" for item in (1, 2)]
    for event_id in ("", "e1"):
        home = Settings(home=settings.home / (event_id or "none"))
        rows, bad = stage(home, "canonical", header, *(line.format(id=event_id) for line in [*order, *order]))
        assert bad == []
        assert [(r["source_line"], r["source_item"]) for r in rows] == [(2, 1), (3, 2)]


def test_a_source_item_is_a_whole_number_from_1(settings: Settings) -> None:
    header = "event_ts,event_type,visitor_id,source_item"
    items = ("7", "1.5", "010", "0", "00", "999999999999999999", "1000000000000000000", "-1")
    rows, bad = stage(settings, "canonical", header, *(f"2026-01-05T10:00:00Z,view,v1,{item}" for item in items))
    assert [r["source_item"] for r in rows] == [7, 10, 999_999_999_999_999_999]
    assert bad == [(line, "bad_number") for line in (3, 5, 6, 8, 9)]


TIMES = [
    "2026-01-05T10:00:00Z", "2026-01-05 10:00:00.5", "2026-12-31T23:59:59.999999-11:00", "2024-02-29T00:00:00Z",
    "2023-02-29T00:00:00Z", "2026-01-05T10:00:00+14:00", "2026-01-05T24:00:00Z", "2026-01-05T10:00:60Z",
    "2099-12-31T23:59:59.999999Z", "2100-01-01T00:00:00Z", "1990-01-01T00:00:00Z", "1990-01-01T00:00:00+00:01",
    "2026-1-5T10:00:00Z", "x", "2026-01-05T10:00Z", " 2026-01-05T10:00:00Z", "2026-01-05T10:00:00.1234567Z",
    "633830400000", "631152000000", "631151999999", "4102444799999", "4102444800000", "1433221332117.0",
    "1433221332117.5", "+1433221332117", "1433221332117 ", "٣٤٣٣٢٢١٣٣٢١١٧",
]  # fmt: skip


@pytest.mark.parametrize("name", ["retailrocket", "canonical"])
def test_a_time_means_the_same_when_slicing_and_when_staging(name: str, settings: Settings) -> None:
    """``timestamp`` (which cuts files into days) and the staging expression are two writings of one rule."""
    header, row = (ROCKET, "{},1,view,2,") if name == "retailrocket" else (SHOP, "{},view,v,p,1,1")
    rows, _ = stage(settings, name, header, *(row.format(text) for text in TIMES))
    staged = {r["source_line"]: r["event_ts"] for r in rows}
    source_format = plugins.load("source_formats", name)()
    for line, text in enumerate(TIMES, 2):
        assert staged.get(line) == source_format.timestamp(text), text


@pytest.mark.parametrize("name", plugins.names("source_formats"))
def test_each_format_tells_its_files_from_the_others(name: str, tmp_path: Path) -> None:
    samples = {"retailrocket": ROCKET, "canonical": SHOP}
    for other, header in samples.items():
        confidence = plugins.load("source_formats", name)().detect((header + "\n").encode())
        assert (confidence > 0.5) == (other == name)
    assert plugins.load("source_formats", name)().detect(b"\x00\xff\xfe") == 0
