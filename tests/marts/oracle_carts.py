"""The mart `carts` in plain Python: one move after the other, as somebody at the shelf would count."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from marts_oracle import Oracle, Row, grouped, session_id
from staged_events import Event

RANKS = {"add_to_cart": 1, "remove_from_cart": 2, "purchase": 3}


@dataclass
class Cart:
    first: Event
    content: dict[str | None, Decimal] = field(default_factory=dict)
    prices: dict[str | None, tuple[Any, Decimal]] = field(default_factory=dict)
    moves: list[Event] = field(default_factory=list)
    status: str = "open"
    closed_at: datetime | None = None
    transaction: str | None = None


def order_of(row: Event) -> tuple[Any, ...]:
    product = row["product_id"]
    return row["event_ts"], RANKS[row["event_type"]], product is not None, product or "", row.get("order") or ""


def moves_of(rows: list[Event]) -> list[Event]:
    """A visitor's adds and removals, equal ones of a moment as one, and each transaction once, in order."""
    moves = []
    for same in grouped(
        (row for row in rows if row["event_type"] in ("add_to_cart", "remove_from_cart")),
        lambda row: (row["event_ts"], row["event_type"], row["product_id"]),
    ).values():
        prices = [row["unit_price"] for row in same if row["unit_price"] is not None]
        quantity = sum((Decimal(1) if row["quantity"] is None else row["quantity"] for row in same), Decimal(0))
        moves.append({**same[0], "quantity": quantity, "unit_price": max(prices, default=None), "events": len(same)})
    bought = [row for row in rows if row["event_type"] == "purchase"]
    for order, same in grouped(bought, lambda row: row["transaction_id"] or session_id(row)).items():
        first = min(same, key=lambda row: row["event_ts"])
        moves.append({**first, "order": order, "product_id": None, "bought": {row["product_id"] for row in same}})
    return sorted(moves, key=order_of)


def carts(oracle: Oracle, days: float = 7) -> list[Row]:
    idle = timedelta(days=days)
    as_of = max(row["event_ts"] for row in oracle.events)
    found = []
    for (source, visitor), rows in grouped(oracle.events, lambda row: (row["source"], row["visitor_id"])).items():
        mine: list[Cart] = []
        now: Cart | None = None
        last: datetime | None = None
        for move in moves_of(rows):
            if now and last and move["event_ts"] - last > idle:
                now.status, now.closed_at = "abandoned", now.moves[-1]["event_ts"] + idle
                now = None
            last = move["event_ts"]
            kind, product = move["event_type"], move["product_id"]
            if kind == "purchase":
                if now:
                    same = session_id(move) == session_id(now.moves[-1])
                    now.status, now.closed_at = "purchased" if same else "recovered", move["event_ts"]
                    now.transaction = move["order"]
                    now.first["bought"] = move["bought"]
                now = None
                continue
            if now is None:
                if kind == "remove_from_cart":
                    continue
                now = Cart(dict(move))
                mine.append(now)
            now.moves.append(move)
            before = now.content.get(product, Decimal(0))
            change = move["quantity"] if kind == "add_to_cart" else -move["quantity"]
            now.content[product] = max(before + change, Decimal(0))
            if move["unit_price"] is not None:
                now.prices[product] = (order_of(move), move["unit_price"])
            if kind == "remove_from_cart" and before > 0 and not any(now.content.values()):
                now.status, now.closed_at = "emptied", move["event_ts"]
                now = None
        if now and as_of - now.moves[-1]["event_ts"] > idle:
            now.status, now.closed_at = "abandoned", now.moves[-1]["event_ts"] + idle
        for number, cart in enumerate(mine, 1):
            found.append(_row(oracle, source, visitor, number, cart))
    return found


def _row(oracle: Oracle, source: str, visitor: str, number: int, cart: Cart) -> Row:
    held = {product for product, quantity in cart.content.items() if quantity > 0}
    values = [
        (cart.content[product] * price).quantize(Decimal("0.0001"), "ROUND_HALF_UP")
        for product, (_, price) in cart.prices.items()
    ]
    known = source in oracle.priced and oracle.one_currency
    return {
        "source": source,
        "visitor_id": visitor,
        "cart_number": number,
        "user_id": oracle.user(cart.first),
        "status": cart.status,
        "opened_at": cart.first["event_ts"],
        "opened_date": cart.first["event_date"],
        "opened_session_id": session_id(cart.first),
        "last_activity_at": cart.moves[-1]["event_ts"],
        "closed_at": cart.closed_at,
        "transaction_id": cart.transaction,
        "sessions": len({session_id(move) for move in cart.moves}),
        "adds": sum(move["events"] for move in cart.moves if move["event_type"] == "add_to_cart"),
        "removes": sum(move["events"] for move in cart.moves if move["event_type"] == "remove_from_cart"),
        "items": len(held),
        "items_bought": None if cart.transaction is None else len(held & (cart.first["bought"] - {None})),
        "quantity": sum(cart.content.values(), Decimal(0)),
        "value": sum(values, Decimal(0)) if known and values else None,
        "is_bot": (source, visitor) in oracle.bots,
    }
