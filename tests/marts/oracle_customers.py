"""The marts `cohorts` and `rfm` in plain Python, from the transactions, users and sessions of the other oracle."""

from __future__ import annotations

import csv
from collections import defaultdict
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

from marts_oracle import Oracle, Row, grouped

from ecom_analytics.marts import project

LENGTHS = {"day": 90, "week": 52, "month": 24}


def start_of(grain: str, day: date) -> date:
    return {"day": day, "week": day - timedelta(days=day.weekday()), "month": day.replace(day=1)}[grain]


def later(grain: str, day: date, periods: int) -> date:
    if grain == "month":
        months = day.year * 12 + day.month - 1 + periods
        return date(months // 12, months % 12 + 1, 1)
    return day + timedelta(days=periods * (7 if grain == "week" else 1))


def cohorts(oracle: Oracle) -> list[Row]:
    today = max(oracle.day(row["event_ts"]) for row in oracle.events)
    visited: dict[tuple[str, str], list[date]] = defaultdict(list)
    for row in oracle.sessions():
        visited[row["source"], row["user_id"]].append(row["session_date"])
    bought = {
        user: [row["transaction_date"] for row in rows]
        for user, rows in grouped(oracle.transactions, lambda row: (row["source"], row["user_id"])).items()
    }
    found = []
    for kind, active in (("first_visit", visited), ("first_purchase", bought)):
        for grain, length in LENGTHS.items():
            for source in {source for source, _ in active}:
                of_source = {user: days for user, days in active.items() if user[0] == source}
                firsts = {user: start_of(grain, min(days)) for user, days in of_source.items()}
                for cohort in set(firsts.values()):
                    members = {user: of_source[user] for user, first in firsts.items() if first == cohort}
                    to_date: list[Row] = []
                    for period in range(length + 1):
                        if later(grain, min(firsts.values()), period) > today:
                            break
                        found.append(_cell(oracle, kind, grain, cohort, period, today, members, to_date))
    return found


def _cell(
    oracle: Oracle,
    kind: str,
    grain: str,
    cohort: date,
    period: int,
    today: date,
    members: dict[tuple[str, str], list[date]],
    to_date: list[Row],
) -> Row:
    begins, ends = later(grain, cohort, period), later(grain, cohort, period + 1)
    source = next(iter(members))[0]
    known = source in oracle.priced and oracle.one_currency
    now = [
        row
        for row in oracle.transactions
        if (row["source"], row["user_id"]) in members and begins <= row["transaction_date"] < ends
    ]
    to_date += now
    row = {"source": source, "kind": kind, "grain": grain, "cohort": cohort, "period": period, "period_start": begins,
           "is_complete": ends <= today, "users": len(members)}  # fmt: skip
    cell = {
        "active": sum(any(begins <= day < ends for day in days) for days in members.values()),
        "active_on_or_after": sum(max(days) >= begins for days in members.values()),
        "transactions": len(now),
        "net_value": oracle.total(now, "net_value", known=known),
        "net_value_to_date": oracle.total(to_date, "net_value", known=known),
    }
    return row | (cell if begins <= today else dict.fromkeys(cell))


def rfm(oracle: Oracle) -> list[Row]:
    today = max(oracle.day(row["event_ts"]) for row in oracle.events)
    with (Path(project.folder()) / "seeds" / "rfm_segments.csv").open() as stream:
        rules = list(csv.DictReader(stream))
    found = []
    for source, orders in grouped(oracle.transactions, lambda row: row["source"]).items():
        known = source in oracle.priced and oracle.one_currency
        rows = []
        for user, own in grouped(orders, lambda row: row["user_id"]).items():
            days = sorted(row["transaction_date"] for row in own)
            second = next((row["transaction_date"] for row in own if row["customer_sequence"] == 2), None)
            first = next(row["transaction_date"] for row in own if row["customer_sequence"] == 1)
            rows.append(
                {
                    "source": source,
                    "user_id": user,
                    "first_transaction_date": days[0],
                    "last_transaction_date": days[-1],
                    "recency_days": (today - days[-1]).days,
                    "frequency": len(own),
                    "monetary": oracle.total(own, "net_value", known=known),
                    "purchase_days": len(set(days)),
                    "active_days": (days[-1] - days[0]).days,
                    "days_to_second": second and (second - first).days,
                    "age_days": (today - days[0]).days,
                }
            )
        r = _scores([-row["recency_days"] for row in rows])
        f = _scores([row["frequency"] for row in rows])
        # Without any value of one's own one is before all that have one.
        lowest = min((row["monetary"] for row in rows if row["monetary"] is not None), default=Decimal(0)) - 1
        m = _scores([lowest if row["monetary"] is None else row["monetary"] for row in rows])
        for row, r_score, f_score, m_score in zip(rows, r, f, m, strict=True):
            both = f_score if row["monetary"] is None else (f_score + m_score + 1) // 2
            [segment] = [
                rule["segment"]
                for rule in rules
                if int(rule["r_from"]) <= r_score <= int(rule["r_to"])
                and int(rule["fm_from"]) <= both <= int(rule["fm_to"])
            ]
            scores = {"r": r_score, "f": f_score, "m": None if row["monetary"] is None else m_score}
            found.append({**row, **scores, "segment": segment})
    return found


def _scores(values: list[Any]) -> list[int]:
    others = len(values) - 1
    ranks = [sum(other < value for other in values) for value in values]
    percent = [Fraction(rank, others) if others else Fraction(0) for rank in ranks]
    return [1 + sum(share >= Fraction(fifth, 5) for fifth in (1, 2, 3, 4)) for share in percent]
