"""REES46's files: what each column becomes, and each rule with the row that breaks it."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest
from staging_rows import stage

from ecom_analytics import Ingestor, MartBuilder, Settings, Stager, Warehouse
from ecom_analytics.source_formats.rees46 import Rees46

HEADER = "event_time,event_type,product_id,category_id,category_code,brand,price,user_id,user_session"
GOOD = (
    "2019-11-01 00:00:00 UTC,view,1003461,2053013555631882655,electronics.smartphone,xiaomi,489.07,520088904,4d3b30da"
)


def test_each_column_has_its_meaning(settings: Settings) -> None:
    rows, bad = stage(
        settings,
        "auto",
        HEADER,
        GOOD,
        "2019-11-01 00:00:01.5,cart,9223372036854775808,2053013566100866035,,,0.5399999,520088904,4d3b30da",
    )
    assert bad == []
    first, second = rows
    assert first["event_ts"] == datetime(2019, 11, 1, tzinfo=UTC)
    assert (first["event_type"], first["visitor_id"], first["product_id"]) == ("view", "520088904", "1003461")
    assert (first["category"], first["brand"]) == ("electronics.smartphone", "xiaomi")
    assert (first["unit_price"], first["quantity"]) == (Decimal("489.0700"), None)
    assert first["source_session_id"] == "4d3b30da"
    assert (second["event_type"], second["product_id"]) == ("add_to_cart", "9223372036854775808")
    assert (second["category"], second["brand"]) == ("2053013566100866035", None)
    assert (second["unit_price"], second["quantity"]) == (Decimal("0.5400"), Decimal(1))


@pytest.mark.parametrize(
    ("row", "rule"),
    [
        (GOOD.replace("2019-11-01 00", "2019-11-31 00"), "bad_timestamp"),
        (GOOD.replace("2019-11-01 00:00:00 UTC", "2019-11-01"), "bad_timestamp"),
        (GOOD.replace("2019", "1970"), "timestamp_out_of_range"),
        (GOOD.replace(",view,", ",look,"), "unknown_event_type"),
        (GOOD.replace(",view,", ",,"), "unknown_event_type"),
        (GOOD.replace(",520088904,", ",,"), "missing_visitor_id"),
        (GOOD.replace(",1003461,", ",,"), "missing_product_id"),
        (GOOD.replace("489.07", "4e2"), "bad_number"),
        (GOOD.replace("489.07", "-0.01"), "negative_number"),
        (GOOD + ",x", "too_many_fields"),
    ],
)
def test_each_rule_rejects_the_row_that_breaks_it_and_only_that(row: str, rule: str, settings: Settings) -> None:
    rows, bad = stage(settings, "rees46", HEADER, GOOD, row)
    assert bad == [(3, rule)]
    assert [r["source_line"] for r in rows] == [2]


def test_purchases_of_one_session_are_one_transaction(settings: Settings) -> None:
    bought = GOOD.replace(",view,", ",purchase,")
    lines = [
        bought,
        bought.replace("00:00:00", "00:10:00").replace("1003461", "7").replace("489.07", "10.93"),
        bought.replace("00:00:00", "09:00:00"),
    ]
    path = settings.home / "2019-Nov.csv"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join([HEADER, *lines]) + "\n")
    Ingestor(settings).ingest(path)
    Stager(settings).stage()
    MartBuilder(settings).build()
    query = "SELECT lines, net_value, currency FROM transactions ORDER BY transaction_ts"
    assert Warehouse(settings).sql(query).to_pylist() == [
        {"lines": 2, "net_value": Decimal("500.0000"), "currency": None},
        {"lines": 1, "net_value": Decimal("489.0700"), "currency": None},
    ]


@pytest.mark.parametrize(
    ("header", "sure"),
    [
        (HEADER, 1.0),
        (",".join(reversed(HEADER.split(","))), 1.0),
        (HEADER.replace(",brand", "") + ",colour", 1.0),
        (HEADER.replace(",price", ""), 0.0),
        ("event_time,event_type,product_id,price,user_id", 0.0),  # could be anybody's
        (GOOD, 0.8),  # no header
    ],
)
def test_it_is_known_by_its_header_in_any_order(header: str, sure: float) -> None:
    assert Rees46().detect(header.encode() + b"\n") == sure


@pytest.mark.parametrize("text", ["2019-11-01 00:00:00 UTC", "2019-11-01 23:59:59.25", "2019-02-30 00:00:00 UTC", "x"])
def test_a_time_means_the_same_when_slicing(text: str, settings: Settings) -> None:
    rows, _ = stage(settings, "rees46", HEADER, GOOD, GOOD.replace("2019-11-01 00:00:00 UTC", text).replace("46", "47"))
    staged = {row["source_line"]: row["event_ts"] for row in rows}
    assert staged.get(3) == Rees46().timestamp(text)
