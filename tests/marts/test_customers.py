"""Customers: hard spots by hand, and the lifetimes of CDNOW's customers as published."""

from __future__ import annotations

import csv
from collections.abc import Callable
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from conftest import Stage
from staged_events import complete, event

from ecom_analytics import Pipeline, Settings, Warehouse
from ecom_analytics.marts import project
from ecom_analytics.reports import BuildReport

Build = Callable[..., BuildReport]

MAPPING = """
[event_ts]
path = "day"
format = "%Y%m%d"
[columns]
visitor_id = "customer"
event_type = {value = "purchase"}
transaction_id = "order"
quantity = "cds"
unit_price = "dollars"
"""


def rows(settings: Settings, query: str) -> list[dict[str, Any]]:
    return list(Warehouse(settings).sql(query).to_pylist())


def bought(day: int, user: str, price: int | None = 10, **columns: Any) -> dict[str, Any]:
    return event(
        event_type="purchase",
        event_ts=datetime(2026, 3, day, 12, tzinfo=UTC),
        visitor_id=user,
        transaction_id=f"{user}{day}",
        quantity=Decimal(1),
        unit_price=None if price is None else Decimal(price),
        **columns,
    )


def test_lifetimes_are_those_published_of_cdnow(tmp_path: Path, shared_data: Path) -> None:
    folder = shared_data / "cdnow_lifetimes"
    with (folder / "CDNOW_sample.txt").open() as stream:
        orders = [line.split() for line in stream if line.strip()]
    with (tmp_path / "orders.csv").open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["order", "customer", "day", "cds", "dollars"])
        for number, (_, customer, day, cds, dollars) in enumerate(orders):
            if day <= "19970930":
                writer.writerow([number, int(customer), day, cds, dollars])
    (tmp_path / "cdnow.toml").write_text(MAPPING)
    settings = Settings(home=tmp_path / "home", mapping=tmp_path / "cdnow.toml")
    Pipeline(settings).run(tmp_path / "orders.csv", export=False)

    found = {
        row["user_id"]: (row["purchase_days"] - 1, round(row["active_days"] / 7, 2), round(row["age_days"] / 7, 2))
        for row in rows(settings, "SELECT user_id, purchase_days, active_days, age_days FROM rfm")
    }
    with (folder / "cdnow_customers_summary.csv").open() as stream:
        published = {
            row["ID"]: (int(row["frequency"]), float(row["recency"]), float(row["T"])) for row in csv.DictReader(stream)
        }
    assert len(published) == 2357
    assert found == published


def test_a_single_customer_has_the_lowest_scores_and_no_second_order(
    settings: Settings, stage: Stage, build: Build
) -> None:
    stage(complete([bought(2, "a"), event(event_ts=datetime(2026, 3, 9, 1, tzinfo=UTC))]))
    build()
    [row] = rows(settings, "SELECT * FROM rfm")
    assert (row["r"], row["f"], row["m"], row["segment"]) == (1, 1, 1, "lost")
    assert (row["recency_days"], row["age_days"], row["days_to_second"]) == (7, 7, None)


def test_ties_share_a_score_and_a_fifth_begins_exactly_at_its_share(
    settings: Settings, stage: Stage, build: Build
) -> None:
    # Six customers: percent ranks 0, .2, .4, .4, .8, 1.
    prices = {"a": 1, "b": 2, "c": 3, "d": 3, "e": 5, "f": 6}
    stage(complete([bought(2, user, price) for user, price in prices.items()]))
    build()
    found = {row["user_id"]: (row["r"], row["f"], row["m"]) for row in rows(settings, "SELECT * FROM rfm")}
    assert {user: m for user, (_, _, m) in found.items()} == {"a": 1, "b": 2, "c": 3, "d": 3, "e": 5, "f": 5}
    assert {(r, f) for r, f, _ in found.values()} == {(1, 1)}


def test_without_prices_there_is_no_value_and_still_a_segment(settings: Settings, stage: Stage, build: Build) -> None:
    stage(complete([bought(2, "a", None), bought(3, "a", None), bought(3, "b", None)]))
    build()
    found = {row["user_id"]: row for row in rows(settings, "SELECT * FROM rfm")}
    assert {row["m"] for row in found.values()} == {row["monetary"] for row in found.values()} == {None}
    assert (found["a"]["segment"], found["b"]["segment"]) == ("cannot_lose", "lost")  # as recent as each other
    assert (found["a"]["f"], found["b"]["f"]) == (5, 1)


def test_every_pair_of_scores_has_one_segment() -> None:
    with (Path(project.folder()) / "seeds" / "rfm_segments.csv").open() as stream:
        rules = list(csv.DictReader(stream))
    for r in range(1, 6):
        for fm in range(1, 6):
            fit = [
                rule["segment"]
                for rule in rules
                if int(rule["r_from"]) <= r <= int(rule["r_to"]) and int(rule["fm_from"]) <= fm <= int(rule["fm_to"])
            ]
            assert len(fit) == 1, (r, fm, fit)


def test_a_cohorts_cells_are_null_until_their_period_begins(settings: Settings, stage: Stage, build: Build) -> None:
    stage(complete([bought(2, "a"), bought(9, "a", 5), bought(9, "b", 7)]))
    build()
    found = rows(
        settings,
        "SELECT * FROM cohorts WHERE kind = 'first_purchase' AND grain = 'week' ORDER BY cohort, period",
    )
    cells = [
        tuple(
            row[name]
            for name in ("cohort", "period", "active", "active_on_or_after", "net_value_to_date", "is_complete")
        )
        for row in found
    ]
    first, second = date(2026, 3, 2), date(2026, 3, 9)
    assert cells == [
        (first, 0, 1, 1, Decimal(10), True),
        (first, 1, 1, 1, Decimal(15), False),
        (second, 0, 1, 1, Decimal(7), False),
        (second, 1, None, None, None, False),
    ]
