"""The generator: the shape it promises, the same bytes for the same arguments, and a ledger that tells the truth."""

from __future__ import annotations

import csv
import gzip
import json
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecom_analytics.errors import ConfigError
from ecom_analytics.generate import generate
from ecom_analytics.generate.faults import KINDS

MINUTE = 60_000


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    path = tmp_path_factory.mktemp("rocket") / "events.csv"
    generate(path, events=30_000, days=20)
    return rows_of(path)


def test_the_same_arguments_give_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a.csv", "b.csv", "c.csv", "d.csv.gz", "e.csv.gz")]
    for path, seed in zip(paths, (3, 3, 4, 3, 3), strict=True):
        generate(path, like="shop", events=3_000, days=5, seed=seed, faults=True)
    a, b, c, d, e = (path.read_bytes() for path in paths)
    assert a == b != c
    assert d == e
    assert gzip.decompress(d) == a


def test_its_own_size_has_the_published_counts(tmp_path: Path) -> None:
    report = generate(tmp_path / "events.csv")
    duckdb = pytest.importorskip("duckdb")
    with duckdb.connect(config={"threads": 2}) as con:
        con.execute("CREATE TABLE events AS FROM read_csv($1, all_varchar = true)", [str(report.path)])
        counts = con.execute(
            "SELECT count(*), count(DISTINCT visitorid), count(DISTINCT itemid), count(DISTINCT transactionid), "
            "count(DISTINCT epoch_ms(timestamp::BIGINT)::DATE) FROM events"
        ).fetchone()
        (distinct,) = con.execute("SELECT count(*) FROM (SELECT DISTINCT * FROM events)").fetchone()
        types = dict(con.execute("SELECT event, count(*) FROM events GROUP BY 1").fetchall())
    assert counts == (2_756_101, 1_407_580, 235_061, 17_672, 138)
    assert counts[0] - distinct == 460
    assert types == {"view": 2_664_312, "addtocart": 69_332, "transaction": 22_457} == report.by_type


def test_rows_are_sorted_by_time(small: list[dict[str, str]]) -> None:
    times = [int(row["timestamp"]) for row in small]
    assert times == sorted(times)


def test_a_purchase_follows_a_view_of_its_item_in_the_session_and_mostly_an_add_to_cart(
    small: list[dict[str, str]],
) -> None:
    seen: dict[tuple[str, str, str], list[int]] = defaultdict(list)
    purchases = carted = 0
    for row in small:
        key = (row["visitorid"], row["itemid"])
        at = int(row["timestamp"])
        if row["event"] == "transaction":
            purchases += 1
            assert any(at - then < 6 * 60 * MINUTE for then in seen[(*key, "view")]), row
            carted += bool(seen[(*key, "addtocart")])
        elif row["event"] == "addtocart":
            assert seen[(*key, "view")], row
        seen[(*key, row["event"])].append(at)
    assert purchases == 244
    assert 0.7 < carted / purchases <= 1


def test_some_transactions_have_several_lines_and_each_has_one_visitor(small: list[dict[str, str]]) -> None:
    lines = Counter(row["transactionid"] for row in small if row["transactionid"])
    visitors = defaultdict(set)
    for row in small:
        if row["transactionid"]:
            visitors[row["transactionid"]].add(row["visitorid"])
    assert max(lines.values()) > 1
    assert len(lines) == 192
    assert all(len(of) == 1 for of in visitors.values())


def test_visitors_and_items_are_heavy_tailed_and_days_have_a_rhythm(small: list[dict[str, str]]) -> None:
    items = sorted(Counter(row["itemid"] for row in small).values(), reverse=True)
    assert sum(items[: len(items) // 10]) > 0.3 * len(small)
    hours = Counter(int(row["timestamp"]) // 3_600_000 % 24 for row in small)
    assert hours[19] > 4 * hours[4]


@settings(max_examples=25, deadline=None)
@given(
    events=st.integers(10, 4_000),
    days=st.integers(1, 60),
    seed=st.integers(0, 5),
    like=st.sampled_from(["retailrocket", "shop"]),
)
def test_any_size_is_exact(
    events: int, days: int, seed: int, like: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("any") / "events.csv"
    report = generate(path, like=like, events=events, days=days, seed=seed)
    rows = rows_of(path)
    assert len(rows) == report.events == events
    assert sum(report.by_type.values()) == events
    if like == "retailrocket":
        copies = len(rows) - len({tuple(row.values()) for row in rows})
        assert copies == round(460 * events / 2_756_101)
        assert report.by_type.get("transaction", 0) == round(22_457 * events / 2_756_101)
    else:
        assert len({row["source_event_id"] for row in rows}) == events


def test_a_shop_says_one_price_a_product_and_one_origin_a_session(tmp_path: Path) -> None:
    generate(tmp_path / "shop.csv", like="shop", events=5_000, days=10)
    rows = rows_of(tmp_path / "shop.csv")
    prices, origins = defaultdict(set), defaultdict(set)
    for row in rows:
        if row["product_id"]:
            prices[row["product_id"]].add(row["unit_price"])
        origins[row["source_session_id"]].add((row["traffic_source"], row["medium"], row["device"], row["visitor_id"]))
    assert all(len(of) == 1 for of in [*prices.values(), *origins.values()])
    bought = {(row["transaction_id"], row["product_id"]) for row in rows if row["event_type"] == "purchase"}
    refunds = [row for row in rows if row["event_type"] == "refund"]
    assert refunds
    assert all((row["transaction_id"], row["product_id"]) in bought for row in refunds)


@pytest.mark.parametrize("like", ["retailrocket", "shop"])
def test_the_ledger_names_each_fault_by_line_and_text(like: Any, tmp_path: Path) -> None:
    path = tmp_path / "events.csv"
    amounts = dict.fromkeys(KINDS, 3)
    report = generate(path, like=like, events=4_000, days=12, faults=amounts)
    lines = path.read_bytes().split(b"\n")[:-1]
    *entries, summary = [json.loads(line) for line in report.ledger.read_text().splitlines()]  # type: ignore[union-attr]
    assert Counter(entry["kind"] for entry in entries) == amounts == summary["faults"]
    assert report.lines == len(lines) == summary["lines"]
    added = sum(amounts.values()) - amounts["late_events"] + amounts["duplicated_transactions"]
    assert len(lines) == 1 + 4_000 + added
    for entry in entries:
        text = lines[entry["line"] - 1]
        assert text.decode("utf-8", errors="backslashreplace") == entry["text"]
        if entry["kind"] == "duplicate_rows":
            assert lines[entry["of_line"] - 1] == text
            assert entry["of_line"] < entry["line"]
        if entry["kind"] == "duplicated_transactions":
            assert entry["transaction_id"].encode() in lines[entry["of_line"] - 1].split(b",")
        if entry["kind"] == "ragged_lines":
            assert text.count(b",") != lines[0].count(b",")
        if entry["kind"] == "late_events":
            assert entry["line"] > len(lines) - 3


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"events": 3}, "events is 3"),
        ({"days": 0}, "days is 0"),
        ({"like": "amazon"}, "amazon"),
        ({"faults": {"gremlins": 1}}, "gremlins"),
        ({"events": 20, "days": 2, "faults": {"duplicated_transactions": 5}}, "duplicated_transactions"),
    ],
)
def test_a_bad_argument_is_named_and_nothing_is_written(arguments: dict[str, Any], named: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=named):
        generate(tmp_path / "events.csv", **arguments)
    assert not list(tmp_path.iterdir())
