"""The marts in plain Python, from METRICS.md, to compare with."""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal
from itertools import pairwise
from typing import Any
from zoneinfo import ZoneInfo

from staged_events import Event

Row = dict[str, Any]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
RULES = "rate", "volume", "no_pause"
BOTS = {"minute": 60, "day": 2000, "hours": 12.0, "pause": 300.0}


def session_id(row: Event) -> str:
    micros = (row["session_start"] - EPOCH) // timedelta(microseconds=1)
    return hashlib.md5(f"{row['source']}|{row['visitor_id']}|{micros}".encode()).hexdigest()


def revenue(row: Event) -> Decimal | None:
    if row["quantity"] is None or row["unit_price"] is None:
        return None
    return (row["quantity"] * row["unit_price"]).quantize(Decimal("0.0001"), ROUND_HALF_UP)


def grouped(rows: Iterable[Any], key: Callable[[Any], Any]) -> dict[Any, list[Any]]:
    groups: dict[Any, list[Any]] = defaultdict(list)
    for row in rows:
        groups[key(row)].append(row)
    return groups


def known_sum(values: Iterable[Decimal | None]) -> Decimal | None:
    known = [value for value in values if value is not None]
    return sum(known, Decimal(0)) if known else None


def in_order(row: Event) -> tuple[Any, ...]:
    ties = [row["source_item"], row["product_id"], row["quantity"], row["unit_price"], row["currency"]]
    nulls_last = [(value is None, value if value is not None else 0) for value in ties]
    return row["event_ts"], row["visitor_id"], *nulls_last, row["batch_id"], row["source_line"]


def bots_of(
    events: list[Event], zone: ZoneInfo, *, minute: int, day: int, hours: float, pause: float
) -> dict[tuple[str, str], Row]:
    """The flagged visitors. Every event is the last one of a minute, and of a run."""
    found = {}
    for visitor, rows in grouped(events, lambda row: (row["source"], row["visitor_id"])).items():
        times = []
        for (moment, _, order), same in grouped(
            rows, lambda row: (row["event_ts"], row["event_type"], row["transaction_id"])
        ).items():
            lists = any(row["source_item"] is not None for row in same)
            times += [moment] * (1 if order else sum(row["source_item"] is None for row in same) + lists)
        times.sort()
        in_minute = max(sum(timedelta(0) <= last - other < timedelta(minutes=1) for other in times) for last in times)
        in_day = max(Counter(moment.astimezone(zone).date() for moment in times).values())
        starts = [
            moment for before, moment in pairwise([times[0] - timedelta(days=999), *times])
            if moment - before > timedelta(seconds=pause)
        ]  # fmt: skip
        longest = max(moment - max(start for start in starts if start <= moment) for moment in times)
        broken = [minute and in_minute > minute, day and in_day > day, hours and longest >= timedelta(hours=hours)]
        if any(broken):
            found[visitor] = {
                "rules": [rule for rule, breaks in zip(RULES, broken, strict=True) if breaks],
                "events_in_minute": in_minute,
                "events_in_day": in_day,
                "longest_run_seconds": longest // timedelta(seconds=1),
            }
    return found


class Oracle:
    """All marts of these events."""

    def __init__(
        self, events: list[Event], timezone: str = "UTC", window_minutes: float = 60, bots: Mapping[str, float] = BOTS
    ) -> None:
        self.events = events
        self.zone = ZoneInfo(timezone)
        self.window = timedelta(minutes=window_minutes)
        self.logins = {
            visitor: max((row["event_ts"], row["user_id"]) for row in rows)[1]
            for visitor, rows in grouped(
                (row for row in events if row["user_id"] is not None), lambda row: (row["source"], row["visitor_id"])
            ).items()
        }
        self.bots = bots_of(events, self.zone, **bots)
        self.transactions: list[Row] = []
        self.lines: list[Row] = []
        self.conflicts: list[Row] = []
        self._orders()
        currencies = set()
        valued = [row for row in self.lines if row["revenue"] is not None]
        for source, rows in grouped(valued, lambda row: row["source"]).items():
            named = max((row["currency"] for row in rows if row["currency"]), default="")
            currencies |= {row["currency"] or named for row in rows}
            assert source
        self.one_currency = len(currencies) <= 1
        self.priced = {row["source"] for row in events if row["unit_price"] is not None}
        self.counted = {row["source"] for row in events if row["quantity"] is not None}

    def user(self, row: Event) -> str:
        return str(self.logins.get((row["source"], row["visitor_id"]), row["visitor_id"]))

    def day(self, moment: datetime) -> Any:
        return moment.astimezone(self.zone).date()

    def _orders(self) -> None:
        bought = [row for row in self.events if row["event_type"] == "purchase"]
        refunds = [row for row in self.events if row["event_type"] == "refund" and row["transaction_id"]]
        returned = grouped(refunds, lambda row: (row["source"], row["transaction_id"]))
        orders = grouped(bought, lambda row: (row["source"], row["transaction_id"] or session_id(row)))
        for (source, transaction), rows in orders.items():
            rows.sort(key=in_order)
            first = rows[0]
            lines: dict[Any, Event] = {}
            for row in rows:
                key = row["source_item"], row["product_id"], row["quantity"], row["unit_price"]
                counts = row["visitor_id"] == first["visitor_id"] and key not in lines
                if row["source_item"] is not None:  # the event holds the whole order: only the first one counts
                    counts = counts and row["event_ts"] == first["event_ts"]
                if counts:
                    lines[key] = row
                self._conflict(transaction, first, row, counts)
            self._transaction(source, transaction, list(lines.values()), returned[source, transaction])
        for rows in grouped(self.transactions, lambda row: (row["source"], row["user_id"])).values():
            rows.sort(key=lambda row: (row["transaction_ts"], row["transaction_id"]))
            for number, row in enumerate(rows, start=1):
                row["customer_sequence"] = number

    def _conflict(self, transaction: str, first: Event, row: Event, counts: bool) -> None:
        if row["transaction_id"] is None:
            return
        if row["visitor_id"] != first["visitor_id"]:
            kind = "several_visitors"
        elif row["event_ts"] - first["event_ts"] > self.window:
            kind = "far_apart"
        else:
            return
        value = revenue(row)
        self.conflicts.append(
            {
                "source": row["source"],
                "transaction_id": transaction,
                "kind": kind,
                "line": row["source_line"],
                "visitor_id": row["visitor_id"],
                "value_left_out": value if value is None or not counts else Decimal(0),
            }
        )

    def _transaction(self, source: str, transaction: str, lines: list[Event], refunds: list[Event]) -> None:
        first = lines[0]
        for number, row in enumerate(lines, start=1):
            self.lines.append(
                {
                    "source": source,
                    "transaction_id": transaction,
                    "line_number": number,
                    "product_id": row["product_id"],
                    "quantity": row["quantity"],
                    "unit_price": row["unit_price"],
                    "revenue": revenue(row),
                    "currency": row["currency"],
                    "source_line": row["source_line"],
                }
            )
        currencies = {row["currency"] for row in [*lines, *refunds] if row["currency"] is not None}
        gross = known_sum(revenue(row) for row in lines)
        back = known_sum(revenue(row) for row in refunds)
        if back is None and gross is not None:
            back = Decimal(0)
        net = None if gross is None or back is None else gross - back
        mixed = len(currencies) > 1
        self.transactions.append(
            {
                "source": source,
                "transaction_id": transaction,
                "transaction_ts": first["event_ts"],
                "transaction_date": first["event_date"],
                "user_id": self.user(first),
                "visitor_id": first["visitor_id"],
                "session_id": session_id(first),
                "lines": len(lines),
                "quantity": known_sum(row["quantity"] for row in lines),
                "gross_value": None if mixed else gross,
                "refunds": None if mixed else back,
                "net_value": None if mixed else net,
                "currency": None if mixed else next(iter(currencies), None),
            }
        )

    def total(self, rows: list[Row], column: str, *, known: bool) -> Decimal | None:
        if not known:
            return None
        return known_sum(row[column] for row in rows) if rows else Decimal(0)

    def sessions(self) -> list[Row]:
        orders = grouped(self.transactions, lambda row: (row["source"], row["session_id"]))
        found = []
        for (source, key), rows in grouped(self.events, lambda row: (row["source"], session_id(row))).items():
            sold = orders[source, key]
            touched = [row for row in rows if row["traffic_source"] or row["medium"] or row["campaign"]]
            keys = "traffic_source", "medium", "campaign"
            touch = min(
                ((row["event_ts"], *((row[k] is None, row[k] or "") for k in keys)) for row in touched),
                default=(None, (True, ""), (True, ""), (True, "")),
            )
            found.append(
                {
                    "source": source,
                    "session_id": key,
                    "visitor_id": rows[0]["visitor_id"],
                    "user_id": self.user(rows[0]),
                    "session_start": rows[0]["session_start"],
                    "session_end": max(row["event_ts"] for row in rows),
                    "session_date": self.day(rows[0]["session_start"]),
                    "events": len(rows),
                    **self._counts(rows),
                    "purchases": sum(row["event_type"] == "purchase" for row in rows),
                    "transactions": len(sold),
                    "net_value": self.total(sold, "net_value", known=source in self.priced and self.one_currency),
                    **{k: None if missing else value for k, (missing, value) in zip(keys, touch[1:], strict=True)},
                    "device": min(((r["event_ts"], r["device"]) for r in rows if r["device"]), default=(0, None))[1],
                    "country": min(((r["event_ts"], r["country"]) for r in rows if r["country"]), default=(0, None))[1],
                    "is_bot": (source, rows[0]["visitor_id"]) in self.bots,
                }
            )
        return found

    def users(self) -> list[Row]:
        orders = grouped(self.transactions, lambda row: (row["source"], row["user_id"]))
        found = []
        for (source, user), rows in grouped(self.events, lambda row: (row["source"], self.user(row))).items():
            sold = orders[source, user]
            broken = [self.bots[who]["rules"] for who in {(source, row["visitor_id"]) for row in rows} & set(self.bots)]
            found.append(
                {
                    "source": source,
                    "user_id": user,
                    "is_bot": bool(broken),
                    "bot_rules": ", ".join(rule for rule in RULES if any(rule in rules for rules in broken)) or None,
                    "first_date": self.day(min(row["session_start"] for row in rows)),
                    "last_date": self.day(max(row["session_start"] for row in rows)),
                    "first_seen": min(row["event_ts"] for row in rows),
                    "last_seen": max(row["event_ts"] for row in rows),
                    "sessions": len({session_id(row) for row in rows}),
                    **self._counts(rows),
                    "transactions": len(sold),
                    "quantity": self.total(sold, "quantity", known=source in self.counted),
                    "net_value": self.total(sold, "net_value", known=source in self.priced and self.one_currency),
                }
            )
        return found

    def flagged(self) -> list[Row]:
        return [
            {"source": source, "visitor_id": visitor, "user_id": self.logins.get((source, visitor), visitor)}
            | {**row, "rules": ", ".join(row["rules"])}
            for (source, visitor), row in self.bots.items()
        ]

    def products(self) -> list[Row]:
        lines = grouped(self.lines, lambda row: (row["source"], row["product_id"]))
        found = []
        named = [row for row in self.events if row["product_id"] is not None]
        for (source, product), rows in grouped(named, lambda row: (row["source"], row["product_id"])).items():
            sold = lines[source, product]
            bought = [row for row in rows if row["event_type"] == "purchase"]
            found.append(
                {
                    "source": source,
                    "product_id": product,
                    "category": max(((r["event_ts"], r["category"]) for r in rows if r["category"]), default=(0, None))[
                        1
                    ],
                    "brand": max(((r["event_ts"], r["brand"]) for r in rows if r["brand"]), default=(0, None))[1],
                    **self._counts(rows),
                    "purchases": len(bought),
                    "quantity": self.total(sold, "quantity", known=source in self.counted),
                    "revenue": self.total(sold, "revenue", known=source in self.priced and self.one_currency),
                    "events": len(rows),
                    "viewers": len({row["visitor_id"] for row in rows if row["event_type"] == "view"}),
                    "buyers": len({row["visitor_id"] for row in bought}),
                }
            )
        return found

    def daily(self) -> list[Row]:
        sessions = grouped(self.sessions(), lambda row: row["session_date"])
        orders = grouped(self.transactions, lambda row: row["transaction_date"])
        found = []
        events = grouped(self.events, lambda row: self.day(row["event_ts"]))
        for number in range((max(events) - min(events)).days + 1 if events else 0):
            day = min(events) + timedelta(days=number)
            rows, sold = events.get(day, []), orders[day]
            found.append(
                {
                    "date": day,
                    "visitors": len({(row["source"], row["visitor_id"]) for row in rows}),
                    "sessions": len(sessions[day]),
                    "events": len(rows),
                    **self._counts(rows),
                    "purchasers": len({(row["source"], row["visitor_id"]) for row in sold}),
                    "converting_sessions": sum(row["transactions"] > 0 for row in sessions[day]),
                    "transactions": len(sold),
                    "quantity": self.total(sold, "quantity", known=bool(self.counted)),
                    "net_value": self.total(sold, "net_value", known=bool(self.priced) and self.one_currency),
                }
            )
        return found

    @staticmethod
    def _counts(rows: list[Event]) -> Row:
        return {
            "views": sum(row["event_type"] == "view" for row in rows),
            "add_to_carts": sum(row["event_type"] == "add_to_cart" for row in rows),
        }
