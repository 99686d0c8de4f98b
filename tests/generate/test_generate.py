"""The generator: the shape that it promises, at every size, and the same bytes for the same arguments."""

from __future__ import annotations

import csv
import dataclasses
import errno
import gzip
from collections import Counter, defaultdict
from datetime import UTC, date, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecom_analytics.errors import ConfigError, StorageFullError
from ecom_analytics.generate import generate, plan, sessions, writing
from ecom_analytics.generate.retailrocket import RetailRocket
from ecom_analytics.generate.shop import Shop

MINUTE, DAY = 60_000, 86_400_000
HALF_AN_HOUR = 30 * MINUTE


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as stream:
        return list(csv.DictReader(stream))


def millis(text: str) -> int:
    return int(text) if text.isdigit() else round(datetime.fromisoformat(text).timestamp() * 1000)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    path = tmp_path_factory.mktemp("rocket") / "events.csv"
    generate(path, events=30_000, days=20)
    return rows_of(path)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, str]]:
    path = tmp_path_factory.mktemp("shop") / "events.csv"
    generate(path, like="shop", events=20_000, days=14)
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
    assert (report.events, report.visitors, report.items, report.days) == (2_756_101, 1_407_580, 235_061, 138)


def test_a_purchase_follows_a_view_of_its_item_in_the_session_and_mostly_an_add_to_cart(
    small: list[dict[str, str]],
) -> None:
    session: dict[str, set[tuple[str, str]]] = {}
    last: dict[str, int] = {}
    purchases = carted = 0
    for row in small:
        visitor, at = row["visitorid"], int(row["timestamp"])
        if at - last.get(visitor, 0) > HALF_AN_HOUR:
            session[visitor] = set()
        last[visitor] = at
        if row["event"] != "view":
            assert ("view", row["itemid"]) in session[visitor], row
        if row["event"] == "transaction":
            purchases += 1
            carted += ("addtocart", row["itemid"]) in session[visitor]
        session[visitor].add((row["event"], row["itemid"]))
    assert purchases == 244
    assert 0.7 < carted / purchases <= 1


def test_some_transactions_have_several_lines_of_different_items_and_each_has_one_visitor(
    small: list[dict[str, str]],
) -> None:
    lines, visitors = defaultdict(list), defaultdict(set)
    for row in small:
        assert bool(row["transactionid"]) == (row["event"] == "transaction")
        if row["transactionid"]:
            lines[row["transactionid"]].append(row["itemid"])
            visitors[row["transactionid"]].add(row["visitorid"])
    assert len(lines) == 192
    assert max(map(len, lines.values())) > 1
    assert all(len(items) == len(set(items)) for items in lines.values())
    assert all(len(of) == 1 for of in visitors.values())


def test_visitors_and_items_are_heavy_tailed_and_some_visitors_buy_again(small: list[dict[str, str]]) -> None:
    visitors = sorted(Counter(row["visitorid"] for row in small).values())
    assert visitors[len(visitors) // 2] == 1
    assert visitors[-1] > 50
    items = sorted(Counter(row["itemid"] for row in small).values(), reverse=True)
    assert sum(items[: len(items) // 10]) > 0.3 * len(small)
    assert items[0] < 0.05 * len(small)
    orders = defaultdict(set)
    for row in small:
        if row["transactionid"]:
            orders[row["visitorid"]].add(row["transactionid"])
    assert sum(len(of) > 1 for of in orders.values()) > 5


def test_days_and_weeks_have_a_rhythm(small: list[dict[str, str]]) -> None:
    hours = Counter(int(row["timestamp"]) // 3_600_000 % 24 for row in small)
    assert hours[19] > 4 * hours[4]
    days = Counter(
        datetime.fromtimestamp(int(row["timestamp"]) / 1000, UTC).isoweekday() for row in small[: 30_000 // 20 * 14]
    )
    assert min(days, key=lambda day: days[day]) == 6


def by_session(rows: list[dict[str, str]]) -> dict[str, list[dict[str, str]]]:
    sessions = defaultdict(list)
    for row in rows:
        if row["source_session_id"]:
            sessions[row["source_session_id"]].append(row)
    return sessions


def test_a_session_of_a_shop_has_one_visitor_and_origin_and_no_long_pause(shop: list[dict[str, str]]) -> None:
    same = ("visitor_id", "user_id", "traffic_source", "medium", "campaign", "device", "country")
    sessions = by_session(shop)
    for rows in sessions.values():
        assert len({tuple(row[name] for name in same) for row in rows}) == 1
        times = [millis(row["event_ts"]) for row in rows]
        assert all(later - sooner < HALF_AN_HOUR / 1.5 for sooner, later in pairwise(times))
    buying = sum(any(row["event_type"] == "purchase" for row in rows) for rows in sessions.values())
    assert 0.02 < buying / len(sessions) < 0.04


def test_in_a_session_of_a_shop_one_thing_follows_the_other(shop: list[dict[str, str]]) -> None:
    for rows in by_session(shop).values():
        done: set[tuple[str, str]] = set()
        for row in rows:
            kind, product = row["event_type"], row["product_id"]
            if kind in ("add_to_cart", "purchase"):
                assert ("view", product) in done
            if kind == "remove_from_cart":
                assert ("add_to_cart", product) in done
            if kind == "purchase":
                assert ("checkout", "") in done
            done.add((kind, product))


def test_the_money_of_a_shop_is_consistent(shop: list[dict[str, str]]) -> None:
    offers, orders, lines = defaultdict(set), defaultdict(set), defaultdict(list)
    for row in shop:
        if row["product_id"]:
            offers[row["product_id"]].add((row["unit_price"], row["currency"], row["category"], row["brand"]))
        else:
            assert row["event_type"] in ("checkout", "search")
            assert not row["unit_price"]
        if row["event_type"] == "purchase":
            orders[row["transaction_id"]].add((row["order_discount"], row["order_tax"], row["order_shipping"]))
            lines[row["transaction_id"]].append(int(row["quantity"]) * round(100 * float(row["unit_price"])))
        else:
            assert not row["order_tax"]
    assert all(len(of) == 1 for of in [*offers.values(), *orders.values()])
    for order, [(discount, tax, shipping)] in orders.items():
        total = sum(lines[order])
        assert discount in ("0.00", f"{(total + 5) // 10 / 100:.2f}")
        assert abs(float(tax) - (total / 100 - float(discount)) * 19 / 119) < 0.0051
        assert shipping == ("0.00" if total >= 5_000 else "4.95")


def test_a_refund_is_of_a_line_that_was_bought_before(shop: list[dict[str, str]]) -> None:
    what = ("visitor_id", "transaction_id", "product_id", "quantity", "unit_price")
    bought: dict[tuple[str, ...], int] = {}
    delays = []
    for row in shop:
        line = tuple(row[name] for name in what)
        if row["event_type"] == "purchase":
            bought[line] = millis(row["event_ts"])
        elif row["event_type"] == "refund":
            delays.append(millis(row["event_ts"]) - bought.pop(line))
    assert len(delays) == 11
    assert sorted(delays)[len(delays) // 2] > DAY


@settings(max_examples=40, deadline=None)
@given(
    events=st.integers(10, 4_000),
    days=st.integers(1, 60),
    seed=st.integers(0, 5),
    like=st.sampled_from(["retailrocket", "shop"]),
    cut=st.sampled_from([plan.CHUNK_VIEWS, 50]),
)
def test_any_size_is_exact(
    events: int, days: int, seed: int, like: Any, cut: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("any") / "events.csv"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan, "CHUNK_VIEWS", cut)
        report = generate(path, like=like, events=events, days=days, seed=seed, start=date(2020, 2, 1))
    rows = rows_of(path)
    time, event, visitor, item, order = (
        ("timestamp", "event", "visitorid", "itemid", "transactionid")
        if like == "retailrocket"
        else ("event_ts", "event_type", "visitor_id", "product_id", "transaction_id")
    )
    assert len(rows) == report.events == report.lines - 1 == events
    assert Counter(row[event] for row in rows) == report.by_type
    assert len({row[visitor] for row in rows}) == report.visitors
    assert len({row[item] for row in rows} - {""}) == report.items
    times = [millis(row[time]) for row in rows]
    assert times == sorted(times)
    first = millis("2020-02-01T00:00:00Z")
    assert first <= times[0]
    assert times[-1] < first + days * DAY
    if like == "shop":
        assert len({row["source_event_id"] for row in rows}) == events
        assert report.by_type.get("purchase", 0) == round(events * 0.0095)
        assert report.visitors == round(events * 0.12)
        return

    def part(count: int) -> int:
        return round(count * events / 2_756_101)

    assert len(rows) - len({tuple(row.values()) for row in rows}) == part(460)
    assert report.by_type.get("addtocart", 0) == part(69_332)
    assert report.by_type.get("transaction", 0) == part(22_457)
    assert len({row[order] for row in rows} - {""}) == min(max(part(17_672), 1), part(22_457))
    if events >= 100:
        assert (report.visitors, report.items) == (part(1_407_580), part(235_061))


@pytest.mark.parametrize("seed", range(20))
def test_who_comes_late_on_the_last_day_is_done_before_it_ends(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plan, "CHUNK_VIEWS", 50)
    kind = RetailRocket(4_000, 1)
    shares = plan.plan(kind.totals, seed, 20_000)
    of = sessions.chunk(shares.chunks - 1, shares, kind.totals, seed)
    assert of.view_ts.max() <= of.end - sessions.LAST_MS
    assert of.view_ts.min() >= of.start


def test_no_event_of_a_shop_lies_before_the_first_view_can() -> None:
    kind = Shop(1_000, 2)
    shares = plan.plan(kind.totals, 0, 20_000)
    of = sessions.chunk(1, shares, kind.totals, 0)
    of = dataclasses.replace(of, view_ts=of.view_ts * 0 + of.start)
    rows = kind.rows(of, shares.chunks)
    assert "search" in {kind.types[code] for code in rows["kind"]}
    assert rows["ts"].min() == of.start


@settings(max_examples=200)
@given(st.lists(st.tuples(*[st.integers(0, 9)] * 3), min_size=1, max_size=8), st.integers(0, 80))
def test_shares_are_moved_into_their_bounds_and_to_the_total(numbers: list[tuple[int, int, int]], total: int) -> None:
    import numpy as np

    counts, low, room = (np.array(column) for column in zip(*numbers, strict=True))
    moved = plan.fit(counts, low, low + room, total)
    assert (low <= moved).all()
    assert (moved <= low + room).all()
    assert moved.sum() == min(max(total, low.sum()), (low + room).sum())


@pytest.mark.parametrize(
    ("arguments", "named"),
    [
        ({"events": 3}, "events is 3"),
        ({"events": 500_000_000, "days": 1}, "500000000 in 1 days"),
        ({"days": 0}, "days is 0"),
        ({"seed": -1}, "seed is -1"),
        ({"start": date(1950, 1, 1)}, "start is 1950-01-01"),
        ({"start": date(2099, 12, 1), "days": 60}, "start is 2099-12-01"),
        ({"like": "amazon"}, "amazon"),
        ({"faults": {"gremlins": 1}}, "gremlins"),
        ({"faults": {"bad_bytes": -1}}, "bad_bytes is -1"),
        ({"faults": {"bad_bytes": True}}, "bad_bytes is True"),
        ({"events": 20, "days": 2, "faults": {"duplicated_transactions": 5}}, "duplicated_transactions"),
    ],
)
def test_a_bad_argument_is_named_and_nothing_is_written(arguments: dict[str, Any], named: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=named):
        generate(tmp_path / "events.csv", **arguments)
    assert not list(tmp_path.iterdir())


def test_a_bad_place_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no folder"):
        generate(tmp_path / "nowhere" / "events.csv", events=100)
    with pytest.raises(ConfigError, match="is not a file"):
        generate(tmp_path, events=100)
    with pytest.raises(ConfigError, match="where the events go"):
        generate(tmp_path / "events.csv", events=100, ledger=tmp_path / "events.csv")


def test_a_full_disk_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "events.csv"
    path.write_text("before")

    def write(self: Any, out: Any, *_: Any) -> None:
        out.write(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(writing.Writer, "write", write)
    with pytest.raises(StorageFullError):
        generate(path, events=100, faults=True)
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_progress_is_told_up_to_the_whole(tmp_path: Path) -> None:
    told: list[tuple[int | None, int | None]] = []
    generate(tmp_path / "a.csv", events=500, days=3, watch=lambda step: told.append((step.done, step.total)))
    assert told == sorted(told)  # type: ignore[type-var]
    assert told[-1] == (500, 500)
