"""Every metric, by its written formula, is what plain Python and the other places that show it say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import Any

import oracle_carts
import oracle_customers
import pytest
import staged_events
from marts_oracle import Oracle, Row
from staged_events import complete, event
from worlds import world

import ecom_analytics.staging
from ecom_analytics import MartBuilder, Settings, Warehouse, create_app
from ecom_analytics.errors import EcomError
from ecom_analytics.metrics import catalogue, metric_values

Expected = dict[str, Any]


def expected(oracle: Oracle, start: date, end: date) -> Expected:
    """Each metric over a range, from METRICS.md."""
    sessions = [row for row in oracle.sessions() if start <= row["session_date"] <= end]
    events = [row for row in oracle.events if start <= oracle.day(row["event_ts"]) <= end]
    spans = [row for row in oracle.sessions() if row["session_date"] <= end and oracle.day(row["session_end"]) >= start]
    orders = [row for row in oracle.transactions if start <= row["transaction_date"] <= end]
    days = {(row["source"], row["source_line"]): oracle.day(row["event_ts"]) for row in oracle.events}
    lines = [row for row in oracle.lines if start <= days[row["source"], row["source_line"]] <= end]
    customers = [row for row in oracle_customers.rfm(oracle) if start <= row["first_transaction_date"] <= end]
    valued = oracle.one_currency and bool(oracle.priced)

    def kind(name: str) -> int | None:
        known = any(row["event_type"] == name for row in oracle.events)
        return sum(row["event_type"] == name for row in events) if known else None

    def money(column: str) -> Any:
        return oracle.total(orders, column, known=valued)

    def rate(part: Any, whole: Any) -> float | None:
        return None if part is None or not whole else float(Fraction(part) / Fraction(whole))

    lasted = timedelta(seconds=10)
    engaged = sum(
        row["views"] >= 2 or row["purchases"] > 0 or row["session_end"] - row["session_start"] > lasted
        for row in sessions
    )
    visitors = len({(row["source"], row["visitor_id"]) for row in spans})
    purchasers = len({(row["source"], row["visitor_id"]) for row in orders})
    converting = sum(row["transactions"] > 0 for row in sessions)
    carts = [row for row in sessions if row["add_to_carts"]]
    left = sum(not row["purchases"] for row in carts)
    again = sum(row["frequency"] >= 2 for row in customers)
    found = {
        "visitors": visitors,
        "sessions": len(sessions),
        "engaged_sessions": engaged,
        "engagement_rate": rate(engaged, len(sessions)),
        "events": len(events),
        "views": kind("view"),
        "add_to_carts": kind("add_to_cart"),
        "transactions": len(orders),
        "new_transactions": sum(row["customer_sequence"] == 1 for row in orders),
        "repeat_transactions": sum(row["customer_sequence"] > 1 for row in orders),
        "purchasers": purchasers,
        "units": oracle.total(orders, "quantity", known=bool(oracle.counted)),
        "products_sold": len({(row["source"], row["product_id"]) for row in lines if row["product_id"]}),
        "revenue": oracle.total(lines, "revenue", known=valued),
        "gross_value": money("gross_value"),
        "refunds": money("refunds"),
        "net_value": money("net_value"),
        "aov": rate(money("net_value"), len(orders)),
        "arpu": rate(money("net_value"), visitors),
        "arppu": rate(money("net_value"), purchasers),
        "converting_sessions": converting,
        "session_conversion_rate": rate(converting, len(sessions)),
        "purchaser_conversion_rate": rate(purchasers, visitors),
        "sessions_with_add": len(carts),
        "sessions_with_add_only": left,
        "session_cart_abandonment_rate": rate(left, len(carts)),
        "customers": len(customers),
        "repeat_customers": again,
        "repeat_purchase_rate": rate(again, len(customers)),
    }
    opened = [row for row in oracle_carts.carts(oracle) if start <= row["opened_date"] <= end]
    ends = Counter(row["status"] for row in opened)
    found |= {f"{status}_carts": ends[status] for status in ("purchased", "recovered", "abandoned", "emptied", "open")}
    ended = ends["purchased"] + ends["recovered"] + ends["abandoned"]
    found |= {
        "carts": len(opened),
        "ended_carts": ended,
        "cart_abandonment_rate": rate(ends["abandoned"], ended),
    }
    for length in (30, 60, 90):
        seen = [row for row in customers if row["age_days"] >= length]
        soon = sum(row["days_to_second"] is not None and row["days_to_second"] <= length for row in seen)
        found |= {
            f"customers_of_{length}_days": len(seen),
            f"repeat_customers_of_{length}_days": soon,
            f"repeat_purchase_rate_{length}_days": rate(soon, len(seen)),
        }
    return found


def build(folder: Path, events: list[Row], timezone: str = "UTC") -> tuple[Settings, Oracle]:
    settings = Settings(home=folder, timezone=timezone)
    rows = complete(events, timezone)
    snapshot = staged_events.write(folder / "staged", rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ecom_analytics.staging, "snapshot", lambda _: snapshot, raising=False)
        MartBuilder(settings).build()
    return settings, Oracle(rows, timezone)


def same(found: Expected, wanted: Expected) -> None:
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        given = found[name]
        assert (given is None) == (value is None), (name, given, value)
        if value is not None:
            assert given == (pytest.approx(value, rel=1e-12) if isinstance(value, float) else value), name


@pytest.mark.parametrize(("timezone", "currencies"), [("Europe/Berlin", ("EUR",)), ("UTC", ("EUR", "USD"))])
def test_every_metric_is_what_its_formula_says_everywhere(
    tmp_path: Path, timezone: str, currencies: tuple[str, ...]
) -> None:
    pick = Random(5)
    settings, oracle = build(tmp_path, [row for n in range(60) for row in world(f"s{n}", pick, currencies)], timezone)
    warehouse = Warehouse(settings)
    with warehouse.connect() as connection:
        names = list(catalogue(lambda query, values: connection.execute(query, values).to_arrow_table().to_pylist()))
    first = min(oracle.day(row["event_ts"]) for row in oracle.events)
    last = max(oracle.day(row["event_ts"]) for row in oracle.events)
    client = create_app(settings).test_client()
    for start, end in ((first, last), (first + timedelta(days=1), first + timedelta(days=1)), (last, last)):
        wanted = expected(oracle, start, end)
        same(metric_values(warehouse, names, start, end), wanted)
        cards = client.get(f"/api/v1/kpis?from={start}&to={end}").get_json()["data"]
        for card in cards:
            value = wanted[card["name"]]
            assert card["value"] == (None if value is None else pytest.approx(float(value))), card["name"]
    assert (metric_values(warehouse, ["net_value"], first, last)["net_value"] is None) == (len(currencies) > 1)


def test_what_adds_up_over_days_does(tmp_path: Path) -> None:
    settings, oracle = build(tmp_path, [row for n in range(40) for row in world(f"s{n}", Random(n), ("EUR",))])
    warehouse = Warehouse(settings)
    rows = warehouse.sql("SELECT name FROM metrics WHERE additivity = 'all' AND available").to_pylist()
    names = [row["name"] for row in rows]
    days = sorted({oracle.day(row["event_ts"]) for row in oracle.events})
    whole = metric_values(warehouse, names, days[0], days[-1])
    by_day = [metric_values(warehouse, names, day, day) for day in days]
    assert whole == {name: sum((day[name] or 0 for day in by_day), Decimal(0)) for name in names}
    daily = {row["date"]: row for row in warehouse.sql("SELECT * FROM daily").to_pylist()}
    for day, found in zip(days, by_day, strict=True):
        shared = daily[day].keys() & set(names)
        assert shared >= {"sessions", "views", "transactions", "net_value", "converting_sessions"}
        assert {name: found[name] for name in shared} == {name: daily[day][name] for name in shared}
        visitors = metric_values(warehouse, ["visitors"], day, day)
        assert visitors == {"visitors": daily[day]["visitors"]}


def test_what_the_data_cannot_tell_is_none_and_told_so(tmp_path: Path) -> None:
    settings, _ = build(tmp_path, [event(0, product_id="p"), event(1, "purchase", transaction_id="1")])
    warehouse = Warehouse(settings)
    day = date(2026, 3, 2)
    unknown = ["net_value", "aov", "units", "add_to_carts", "session_cart_abandonment_rate"]
    assert metric_values(warehouse, unknown, day, day) == dict.fromkeys(unknown)
    rows = warehouse.sql("SELECT name, available FROM metrics").to_pylist()
    assert {row["name"] for row in rows if not row["available"]} >= set(unknown)
    with pytest.raises(EcomError, match="'profit'"):
        metric_values(warehouse, ["profit"], day, day)


def test_a_formula_with_a_mistake_would_be_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import ecom_analytics.metrics as module

    settings, oracle = build(tmp_path, [row for n in range(20) for row in world(f"s{n}", Random(n), ("EUR",))])
    day = min(oracle.day(row["event_ts"]) for row in oracle.events)
    read: Callable[..., Any] = module.catalogue

    def mistaken(rows: Any) -> Any:
        from dataclasses import replace

        found = read(rows)
        return found | {"new_transactions": replace(found["new_transactions"], formula="count(*)")}

    monkeypatch.setattr(module, "catalogue", mistaken)
    end = day + timedelta(days=99)
    found = module.metric_values(Warehouse(settings), ["new_transactions"], day, end)
    assert found["new_transactions"] != expected(oracle, day, end)["new_transactions"]
