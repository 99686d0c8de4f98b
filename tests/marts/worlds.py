"""Random events of small worlds: few values of everything, so that they meet."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

from staged_events import Event, event

MOMENTS = [
    *(timedelta(minutes=5 * n) for n in range(50)),
    *(timedelta(hours=n) for n in range(48)),
    *(timedelta(days=n) for n in (4, 5, 12, 33, 65)),
    *(timedelta(hours=11, minutes=minute, microseconds=u) for minute in (0, 29, 59) for u in (0, 1)),
]
TYPES = ["view", "view", "add_to_cart", "add_to_cart", "remove_from_cart", "checkout", "search"]
TYPES += ["purchase", "purchase", "purchase", "refund"]


def world(source: str, pick: Random, currencies: tuple[str | None, ...]) -> list[Event]:
    """The events of one source: few values of everything, so that they meet."""
    first = datetime(2026, 3, 28, 12, tzinfo=UTC)  # Berlin's clocks go forward on the 29th
    known = {name: pick.random() < 0.5 for name in ("order", "login", "visit", "product")}
    values: dict[str, tuple[str, list[Any]]] = {
        "user_id": ("login", [None, "u1", "u2"]),
        "quantity": ("order", [None, Decimal(1), Decimal("2.5")]),
        "unit_price": ("order", [None, Decimal("3.3333"), Decimal(10)]),
        "currency": ("order", [*currencies]),
        "category": ("product", [None, "c1", "c2"]),
        "brand": ("product", [None, "b1", "b2"]),
        "traffic_source": ("visit", [None, "mail", "search"]),
        "medium": ("visit", [None, "cpc"]),
        "campaign": ("visit", [None, "spring", "sale"]),
        "device": ("visit", [None, "mobile", "desktop"]),
        "country": ("visit", [None, "DE", "FR"]),
    }
    return [
        event(
            source=source,
            event_ts=first + pick.choice(MOMENTS),
            event_type=pick.choice(TYPES),
            visitor_id=pick.choice(["v1", "v2", "v|3"]),
            product_id=pick.choice([None, "p1", "p2"]),
            source_item=pick.choice([None, None, 1, 2]),
            transaction_id=pick.choice([None, "t1", "t2"]),
            **{name: pick.choice(options) for name, (of, options) in values.items() if known[of]},
        )
        for _ in range(pick.randint(1, 25))
    ]
