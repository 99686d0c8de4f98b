"""Carts: hard spots by hand."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

from conftest import Stage
from staged_events import START, Event, complete, event

from ecom_analytics import Settings, Warehouse
from ecom_analytics.reports import BuildReport

Build = Callable[..., BuildReport]
DAY = 24 * 60
WEEK = 7 * DAY


def put(minutes: float, product: str = "p", quantity: int | None = 1, **columns: Any) -> Event:
    units = None if quantity is None else Decimal(quantity)
    return event(minutes, "add_to_cart", product_id=product, quantity=units, unit_price=Decimal(10), **columns)


def take(minutes: float, product: str = "p", quantity: int | None = 1) -> Event:
    return event(
        minutes, "remove_from_cart", product_id=product, quantity=None if quantity is None else Decimal(quantity)
    )


def buy(minutes: float, *products: str, order: str = "t", **columns: Any) -> list[Event]:
    sale = {"transaction_id": order, "quantity": Decimal(1), "unit_price": Decimal(10)}
    return [event(minutes, "purchase", product_id=product, **sale, **columns) for product in products]


def carts(settings: Settings) -> list[dict[str, Any]]:
    return list(Warehouse(settings).sql("SELECT * FROM carts ORDER BY source, visitor_id, cart_number").to_pylist())


LATER = event(10 * WEEK, visitor_id="somebody")


ENDS: list[tuple[list[Event], list[tuple[str, int, int | None]]]] = [
    ([put(0), *buy(5, "p")], [("purchased", 1, 1)]),
    ([put(0), *buy(40, "p")], [("recovered", 1, 1)]),
    ([put(0), event(29), *buy(50, "p")], [("purchased", 1, 1)]),  # one session
    ([put(0), put(1, "q"), *buy(5, "p")], [("purchased", 2, 1)]),  # in part
    ([put(0), *buy(5, "x")], [("purchased", 1, 0)]),
    ([put(0), take(5)], [("emptied", 0, None)]),
    ([put(0, quantity=2), take(5)], [("abandoned", 1, None)]),
    ([put(0, quantity=None), take(5, quantity=None)], [("emptied", 0, None)]),
    ([take(0), put(1)], [("abandoned", 1, None)]),
    ([put(0), take(5, "x"), take(6, "x")], [("abandoned", 1, None)]),
    ([put(0), take(5, quantity=3), put(6)], [("emptied", 0, None), ("abandoned", 1, None)]),
    ([put(0), put(1, "q"), take(2), take(3, "q")], [("emptied", 0, None)]),
    ([put(0), put(WEEK), *buy(2 * WEEK, "p")], [("recovered", 1, 1)]),  # 7 days exactly, twice
    ([put(0), put(WEEK + 0.0001)], [("abandoned", 1, None), ("abandoned", 1, None)]),
    ([put(0), *buy(WEEK + 0.0001, "p")], [("abandoned", 1, None)]),
    (buy(0, "p"), []),
    ([put(0), *buy(5, "p"), *buy(6, "q"), put(7)], [("purchased", 1, 1), ("abandoned", 1, None)]),
    ([put(5), take(5), put(5, "q"), *buy(5, "q")], [("purchased", 1, 1)]),  # all at one moment
]


def test_how_a_cart_ends(settings: Settings, stage: Stage, build: Build) -> None:
    moves = [{**row, "source": f"case {number:02}"} for number, (rows, _) in enumerate(ENDS) for row in rows]
    stage(complete([*moves, LATER]))
    build()
    found: dict[str, list[tuple[str, int, int | None]]] = {}
    for row in carts(settings):
        found.setdefault(row["source"], []).append((row["status"], row["items"], row["items_bought"]))
    assert found == {f"case {number:02}": expected for number, (_, expected) in enumerate(ENDS) if expected}


def test_a_cart_is_open_for_seven_days_after_the_last_move(settings: Settings, stage: Stage, build: Build) -> None:
    stage(complete([put(0), put(5, "q", visitor_id="v2"), event(WEEK + 5, visitor_id="somebody")]))
    build()
    found = carts(settings)
    assert [(row["visitor_id"], row["status"]) for row in found] == [("v1", "abandoned"), ("v2", "open")]
    assert found[0]["closed_at"] == START + timedelta(days=7)
    assert found[1]["closed_at"] is None


def test_a_cart_over_several_sessions_is_one_with_its_value(settings: Settings, stage: Stage, build: Build) -> None:
    dearer = {**put(3 * DAY, "p"), "unit_price": Decimal(12)}
    stage(complete([put(0, quantity=2), put(DAY, "q"), dearer, put(0, source="other"), LATER]))
    build()
    other, shop = carts(settings)
    assert (shop["sessions"], shop["adds"], shop["items"], shop["quantity"]) == (3, 3, 2, Decimal(4))
    assert shop["value"] == Decimal(3 * 12 + 10)
    assert (other["source"], other["adds"], other["status"]) == ("other", 1, "abandoned")
