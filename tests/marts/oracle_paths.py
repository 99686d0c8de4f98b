"""The marts `affinity` and `attribution` in plain Python, from the transactions and sessions of the other oracle."""

from __future__ import annotations

from collections import Counter
from datetime import timedelta
from decimal import ROUND_HALF_UP, Decimal
from fractions import Fraction
from itertools import permutations

from marts_oracle import Oracle, Row, grouped


def affinity(oracle: Oracle, least: int, most: int = 200) -> list[Row]:
    found = []
    for source, transactions in grouped(oracle.transactions, lambda row: row["source"]).items():
        lines = [row for row in oracle.lines if row["source"] == source and row["product_id"] is not None]
        baskets = [
            {row["product_id"] for row in rows} for rows in grouped(lines, lambda row: row["transaction_id"]).values()
        ]
        alone = Counter(product for basket in baskets for product in basket)
        together = Counter(pair for basket in baskets if len(basket) <= most for pair in permutations(basket, 2))
        found += [
            {
                "source": source,
                "product_id": one,
                "other_product_id": other,
                "together": count,
                "transactions": alone[one],
                "other_transactions": alone[other],
                "support": count / len(transactions),
                "confidence": count / alone[one],
                "lift": count * len(transactions) / (alone[one] * alone[other]),
            }
            for (one, other), count in together.items()
            if count >= least
        ]
    return found


def direct(visit: Row) -> bool:
    written = (visit["traffic_source"], visit["medium"], visit["campaign"])
    nothing = ({None, "direct", "(direct)"}, {None, "none", "(none)"}, {None, "(none)", "(direct)", "(not set)"})
    return all(value in empty for value, empty in zip(written, nothing, strict=True))


def shares(path: list[Row]) -> dict[str, list[Fraction]]:
    """The share of each visit, by model."""
    count = len(path)
    only = [[Fraction(n == chosen) for n in range(count)] for chosen in range(count)]
    speaking = [n for n, visit in enumerate(path) if not direct(visit)]
    if count <= 2:
        position = [Fraction(1, count)] * count
    else:
        position = [Fraction(2, 5), *[Fraction(1, 5 * (count - 2))] * (count - 2), Fraction(2, 5)]
    return {
        "first": only[0],
        "last": only[-1],
        "last_non_direct": only[speaking[-1] if speaking else -1],
        "linear": [Fraction(1, count)] * count,
        "position": position,
    }


def parted(value: Decimal, parts: list[Fraction], places: str) -> list[Decimal]:
    """The value in these parts, none of them with more places: what is due so far, rounded, less what was given."""
    given: list[Decimal] = []
    for number in range(1, len(parts) + 1):
        due = sum(parts[:number]) * Fraction(value)
        rounded = (Decimal(due.numerator) / Decimal(due.denominator)).quantize(Decimal(places), ROUND_HALF_UP)
        given.append(rounded - sum(given, Decimal(0)))
    return given


def attribution(oracle: Oracle, days: float = 30) -> list[Row]:
    known = {row["source"] for row in oracle.events if row["traffic_source"] or row["medium"] or row["campaign"]}
    visits = grouped(oracle.sessions(), lambda row: (row["source"], row["visitor_id"]))
    found = []
    for order in oracle.transactions:
        if order["source"] not in known:
            continue
        path = sorted(
            (
                visit
                for visit in visits[order["source"], order["visitor_id"]]
                if timedelta(0) <= order["transaction_ts"] - visit["session_start"] <= timedelta(days=days)
            ),
            key=lambda visit: visit["session_start"],
        )
        for model, parts in shares(path).items():
            shares_of_one = parted(Decimal(1), parts, "0.00000001")
            value = order["net_value"]
            values = [None] * len(path) if value is None else parted(value, parts, "0.0001")
            found += [
                {
                    "source": order["source"],
                    "transaction_id": order["transaction_id"],
                    "model": model,
                    "touch_number": number,
                    "touches": len(path),
                    "session_id": visit["session_id"],
                    "credit": credit,
                    "net_value": given,
                }
                for number, (visit, part, credit, given) in enumerate(
                    zip(path, parts, shares_of_one, values, strict=True), 1
                )
                if part
            ]
    return found
