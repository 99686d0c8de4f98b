"""The marts against plain Python."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from random import Random
from typing import Any
from unittest import mock

import oracle_carts
import oracle_customers
import oracle_days
import oracle_paths
import pytest
import staged_events
from conftest import Stage
from hypothesis import Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from marts_oracle import Oracle, Row
from staged_events import complete, event
from worlds import world

import ecom_analytics.staging
from ecom_analytics import MartBuilder, Settings, Warehouse
from ecom_analytics.events import COLUMNS, EVENT_TYPES
from ecom_analytics.reports import BuildReport

Build = Callable[..., BuildReport]


def rows_of(settings: Settings, mart: str) -> list[Row]:
    return list(Warehouse(settings).sql(f'SELECT * FROM "{mart}"').to_pylist())


def same(found: list[Row], expected: list[Row], key: tuple[str, ...]) -> None:
    """The rows have the expected columns' values; columns that the oracle does not know are not compared."""
    columns = expected[0].keys() if expected else key

    def keyed(rows: list[Row]) -> dict[Any, Row]:
        by_key = {tuple(row[name] for name in key): {name: row[name] for name in columns} for row in rows}
        assert len(by_key) == len(rows)
        return by_key

    assert keyed(found) == keyed(expected)


def check(settings: Settings, oracle: Oracle) -> None:
    same(rows_of(settings, "transactions"), oracle.transactions, ("source", "transaction_id"))
    same(rows_of(settings, "transaction_lines"), oracle.lines, ("source", "transaction_id", "line_number"))
    same(rows_of(settings, "conflicts"), oracle.conflicts, ("source", "line"))
    same(rows_of(settings, "sessions"), oracle.sessions(), ("source", "session_id"))
    same(rows_of(settings, "users"), oracle.users(), ("source", "user_id"))
    same(rows_of(settings, "bots"), oracle.flagged(), ("source", "visitor_id"))
    same(rows_of(settings, "products"), oracle.products(), ("source", "product_id"))
    same(rows_of(settings, "daily"), oracle.daily(), ("date",))
    days = oracle_days.daily_by(oracle) + oracle_days.of_lines(oracle, rows_of(settings, "transaction_lines"))
    same(rows_of(settings, "daily_by"), days, ("date", "source", "dimension", "value"))
    products = oracle_days.products(oracle, rows_of(settings, "transaction_lines"))
    same(rows_of(settings, "daily_products"), products, ("date", "source", "product_id"))
    day = ("source", "is_bot", "date", "date_before")
    same(rows_of(settings, "daily_visitors"), oracle_days.visitors(oracle), day)
    key = ("source", "kind", "grain", "cohort", "period")
    same(rows_of(settings, "cohorts"), oracle_customers.cohorts(oracle), key)
    same(rows_of(settings, "rfm"), oracle_customers.rfm(oracle), ("source", "user_id"))
    same(rows_of(settings, "carts"), oracle_carts.carts(oracle), ("source", "visitor_id", "cart_number"))
    pair = ("source", "product_id", "other_product_id")
    same(rows_of(settings, "affinity"), oracle_paths.affinity(oracle, settings.affinity_min_together), pair)
    touch = ("source", "transaction_id", "model", "touch_number")
    same(rows_of(settings, "attribution"), oracle_paths.attribution(oracle), touch)


@pytest.mark.parametrize(("timezone", "currencies"), [("UTC", ("EUR",)), ("Europe/Berlin", ("EUR", "USD", None))])
def test_marts_are_what_plain_python_makes_of_random_events(timezone: str, currencies: tuple[str | None, ...]) -> None:
    # A build takes seconds, so that each example is many sources: each a small world of its own.
    @hypothesis_settings(max_examples=2, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
    @given(st.integers(0, 2**32))
    def holds(seed: int) -> None:
        pick = Random(seed)
        events = complete([row for n in range(200) for row in world(f"s{n}", pick, currencies)], timezone)
        with tempfile.TemporaryDirectory() as folder:
            settings = Settings(home=Path(folder), timezone=timezone, affinity_min_together=1)
            snapshot = staged_events.write(Path(folder) / "staged", events)
            with mock.patch.object(ecom_analytics.staging, "snapshot", return_value=snapshot, create=True):
                MartBuilder(settings).build()
            oracle = Oracle(events, timezone)
            assert {row["kind"] for row in oracle.conflicts} == {"several_visitors", "far_apart"}
            assert oracle.one_currency == (len(currencies) == 1)
            check(settings, oracle)

    holds()


def test_a_transaction_id_of_two_visitors_is_kept_once_and_reported(
    settings: Settings, stage: Stage, build: Build
) -> None:
    sale = {"transaction_id": "17", "quantity": Decimal(1), "currency": "EUR"}
    first = event(0, "purchase", "anna", product_id="p1", unit_price=Decimal(20), source_line=5, **sale)
    other = event(10, "purchase", "bert", product_id="p2", unit_price=Decimal(7), source_line=9, **sale)
    stage(complete([first, other]), names={"a" * 64: "monday.csv"})

    report = build()

    [transaction] = rows_of(settings, "transactions")
    assert (transaction["visitor_id"], transaction["lines"], transaction["net_value"]) == ("anna", 1, Decimal(20))
    [conflict] = rows_of(settings, "conflicts")
    assert conflict["kind"] == "several_visitors"
    assert (conflict["file"], conflict["line"], conflict["visitor_id"]) == ("monday.csv", 9, "bert")
    assert conflict["value_left_out"] == Decimal(7)
    assert conflict["message"] == (
        "transaction 17 is of visitor anna at 2026-03-02 12:00:00+00 (monday.csv, line 5); "
        "visitor bert used the id at 2026-03-02 12:10:00+00, left out"
    )
    assert report.conflicts == 1


@pytest.mark.parametrize(("minutes", "kinds"), [(60, []), (60.0001, ["far_apart"])])
def test_a_transaction_id_is_in_conflict_when_used_later_than_the_window(
    settings: Settings, stage: Stage, build: Build, minutes: float, kinds: list[str]
) -> None:
    sale = {"transaction_id": "17", "product_id": "p1", "quantity": Decimal(2), "unit_price": Decimal(5)}
    stage(complete([event(0, "purchase", **sale), event(minutes, "purchase", **sale)]))

    build()

    [transaction] = rows_of(settings, "transactions")
    assert (transaction["lines"], transaction["gross_value"]) == (1, Decimal(10))
    conflicts = rows_of(settings, "conflicts")
    assert [row["kind"] for row in conflicts] == kinds
    assert [row["value_left_out"] for row in conflicts] == [Decimal(10)] * len(kinds)


def test_what_a_source_cannot_give_is_null_and_never_0(settings: Settings, stage: Stage, build: Build) -> None:
    stage(complete([event(0, product_id="p"), event(1, "purchase", product_id="p", transaction_id="1")]))

    build()

    for mart, columns in {
        "transactions": ["quantity", "gross_value", "refunds", "net_value", "currency"],
        "users": ["quantity", "net_value"],
        "products": ["quantity", "revenue", "category", "brand"],
        "sessions": ["net_value", "traffic_source", "device"],
        "daily": ["quantity", "net_value"],
    }.items():
        [row] = rows_of(settings, mart)
        assert {name: row[name] for name in columns} == dict.fromkeys(columns)
    available = {row["capability"] for row in rows_of(settings, "capabilities") if row["available"]}
    assert available == {"product_id", "transaction_id", "view", "purchase"}
    assert Warehouse(settings).current().info["capabilities"] == {"shop": sorted(available)}


def test_capabilities_are_all_optional_columns_and_event_types(settings: Settings, stage: Stage, build: Build) -> None:
    stage(complete([event()]))
    build()
    optional = {column.name for column in COLUMNS if not column.required}
    assert {row["capability"] for row in rows_of(settings, "capabilities")} == optional | set(EVENT_TYPES)


def test_an_empty_lake_builds_empty_marts(settings: Settings, stage: Stage, build: Build) -> None:
    stage([])
    report = build()
    assert {mart for mart, rows in report.rows.items() if rows} == {"metrics"}
    assert report.as_of is None


def test_event_keys_tell_events_apart_and_know_equal_ones() -> None:
    import duckdb

    from ecom_analytics.marts.lake import events_query

    rows = complete([event(0, product_id="a", category="b"), event(0, product_id="ab"), event(0, category="ab")])
    with tempfile.TemporaryDirectory() as folder:
        first = staged_events.write(Path(folder), rows)
        again = staged_events.write(Path(folder), [{**row, "source_line": 99} for row in rows], 2)
        keys = [
            [key for (key,) in duckdb.sql(f"SELECT event_key FROM ({events_query(s.files)}) ORDER BY 1").fetchall()]
            for s in (first, again)
        ]
    assert keys[0] == keys[1]
    assert len(set(keys[0])) == 3


def test_two_payments_and_a_refund_do_not_multiply_each_other(settings: Settings, stage: Stage, build: Build) -> None:
    sale = {"transaction_id": "17", "quantity": Decimal(1)}
    stage(
        complete(
            [
                event(0, "purchase", product_id="p", unit_price=Decimal(20), **sale),
                event(1, "purchase", product_id="q", unit_price=Decimal(5), **sale),
                event(60 * 24, "refund", product_id="p", unit_price=Decimal(4), **sale),
                event(60 * 48, "refund", product_id="q", unit_price=Decimal(1), **sale),
            ]
        )
    )

    build()

    [transaction] = rows_of(settings, "transactions")
    assert [transaction[name] for name in ("lines", "gross_value", "refunds", "net_value")] == [2, 25, 5, 20]
    for mart in ("users", "daily"):
        assert sum(row["net_value"] for row in rows_of(settings, mart)) == 20
    assert sum(row["net_value"] for row in rows_of(settings, "sessions")) == 20
    assert sum(row["revenue"] for row in rows_of(settings, "products")) == 25
