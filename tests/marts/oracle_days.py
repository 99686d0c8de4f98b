"""The marts of days in plain Python, from the events, sessions and transactions of the other oracle."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta
from typing import Any

from marts_oracle import Oracle, Row, grouped, session_id

OF_SESSIONS = ("traffic_source", "medium", "campaign", "device", "country")


def daily_by(oracle: Oracle) -> list[Row]:
    sessions = {(row["source"], row["session_id"]): row for row in oracle.sessions()}
    days = {
        (oracle.day(row["event_ts"]), row["source"], session_id(row)): sessions[row["source"], session_id(row)]
        for row in oracle.events
    }
    found = []
    for dimension in ("source", "is_bot", *OF_SESSIONS):
        known = {row["source"] for row in oracle.events if dimension not in OF_SESSIONS or row[dimension] is not None}

        def value(session: Row, dimension: str = dimension) -> Any:
            return str(session[dimension]).lower() if dimension == "is_bot" else session[dimension]

        active = grouped(days.items(), lambda item: (item[0][0], item[0][1], value(item[1])))
        started = grouped(sessions.values(), lambda row: (row["session_date"], row["source"], value(row)))
        bought = grouped(
            oracle.transactions,
            lambda row: (row["transaction_date"], row["source"], value(sessions[row["source"], row["session_id"]])),
        )
        for key in active.keys() | started.keys() | bought.keys():
            day, source, what = key
            if source not in known:
                continue
            orders = bought[key]
            valued = source in oracle.priced and oracle.one_currency
            found.append(
                {
                    "date": day,
                    "source": source,
                    "dimension": dimension,
                    "value": what,
                    "visitors": len({session["visitor_id"] for _, session in active[key]}),
                    "sessions": len(started[key]),
                    "converting_sessions": sum(row["transactions"] > 0 for row in started[key]),
                    "purchasers": len({row["visitor_id"] for row in orders}),
                    "transactions": len(orders),
                    "quantity": oracle.total(orders, "quantity", known=source in oracle.counted),
                    "net_value": oracle.total(orders, "net_value", known=valued),
                    "revenue": None,
                }
            )
    return found


def of_lines(oracle: Oracle, lines: list[Row]) -> list[Row]:
    """The rows of category and brand, from the lines of the mart, whose attributes have tests of their own."""
    found = []
    for dimension in ("category", "brand"):
        known = {row["source"] for row in oracle.events if row[dimension] is not None}
        groups = grouped(lines, lambda row, dimension=dimension: (row["event_date"], row["source"], row[dimension]))
        for (day, source, value), rows in groups.items():
            if source in known:
                nothing = dict.fromkeys(("visitors", "sessions", "converting_sessions", "purchasers", "net_value"))
                valued = source in oracle.priced and oracle.one_currency
                found.append(
                    {
                        "date": day,
                        "source": source,
                        "dimension": dimension,
                        "value": value,
                        "transactions": len({row["transaction_id"] for row in rows}),
                        "quantity": oracle.total(rows, "quantity", known=source in oracle.counted),
                        "revenue": oracle.total(rows, "revenue", known=valued),
                        **nothing,
                    }
                )
    return found


def products(oracle: Oracle, lines: list[Row]) -> list[Row]:
    """The mart `daily_products`."""
    found = []
    events = [row for row in oracle.events if row["product_id"] is not None]
    sold = grouped(lines, lambda row: (row["event_date"], row["source"], row["product_id"]))
    for key, rows in grouped(
        events, lambda row: (oracle.day(row["event_ts"]), row["source"], row["product_id"])
    ).items():
        day, source, product = key
        types = [row["event_type"] for row in rows]
        valued = source in oracle.priced and oracle.one_currency
        found.append(
            {
                "date": day,
                "source": source,
                "product_id": product,
                "events": len(rows),
                "views": types.count("view"),
                "add_to_carts": types.count("add_to_cart"),
                "purchases": types.count("purchase"),
                "lines": len(sold[key]),
                "quantity": oracle.total(sold[key], "quantity", known=source in oracle.counted),
                "revenue": oracle.total(sold[key], "revenue", known=valued),
            }
        )
    return found


def visitors(oracle: Oracle) -> list[Row]:
    """The mart `daily_visitors`."""
    days: dict[tuple[str, str, bool], set[date]] = {}
    for row in oracle.sessions():
        spanned = (oracle.day(row["session_end"]) - row["session_date"]).days
        seen = days.setdefault((row["source"], row["visitor_id"], row["is_bot"]), set())
        seen |= {row["session_date"] + timedelta(days=n) for n in range(spanned + 1)}
    found: Counter[tuple[str, bool, date, date | None]] = Counter()
    for (source, _, is_bot), seen in days.items():
        ordered = sorted(seen)
        found.update((source, is_bot, day, before) for day, before in zip(ordered, [None, *ordered], strict=False))
    return [
        {"source": source, "is_bot": is_bot, "date": day, "date_before": before, "visitors": count}
        for (source, is_bot, day, before), count in found.items()
    ]
