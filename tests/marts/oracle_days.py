"""The mart `daily_by` in plain Python, from the sessions and transactions of the other oracle."""

from __future__ import annotations

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
