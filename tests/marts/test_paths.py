"""Products bought together, and visits credited with transactions: hard spots by hand."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from conftest import Stage
from staged_events import START, Event, complete, event

from ecom_analytics import MartBuilder, Settings, Warehouse
from ecom_analytics.reports import BuildReport

Build = Callable[..., BuildReport]
DAY = 24 * 60


def rows(settings: Settings, query: str) -> list[dict[str, Any]]:
    return list(Warehouse(settings).sql(query).to_pylist())


def visits(*sources: str | None, price: str = "100", **columns: Any) -> list[Event]:
    """A visit a day from each source, and a purchase a minute after the last."""
    sale = {"transaction_id": "t", "quantity": Decimal(1), "unit_price": Decimal(price)}
    made = [event(number * DAY, traffic_source=source, **columns) for number, source in enumerate(sources)]
    return [*made, event((len(sources) - 1) * DAY + 1, "purchase", **sale, **columns)]


def credited(settings: Settings, model: str) -> list[tuple[str, Decimal, Decimal]]:
    found = rows(
        settings, f"SELECT channel, credit, net_value FROM attribution WHERE model = '{model}' ORDER BY touch_ts"
    )
    return [(row["channel"].partition(" / ")[0], row["credit"], row["net_value"]) for row in found]


@pytest.mark.parametrize(
    ("sources", "parts"),
    [
        (("a",), [("a", 100)]),
        (("a", "b"), [("a", 50), ("b", 50)]),
        (("a", "b", "c"), [("a", 40), ("b", 20), ("c", 40)]),
        (("a", "b", "c", "d", "e"), [("a", 40), ("b", "6.6667"), ("c", "6.6666"), ("d", "6.6667"), ("e", 40)]),
    ],
)
def test_position_gives_the_first_and_the_last_visit_most(
    settings: Settings, stage: Stage, build: Build, sources: tuple[str, ...], parts: list[tuple[str, Any]]
) -> None:
    stage(complete(visits(*sources)))
    build()
    assert [(channel, value) for channel, _, value in credited(settings, "position")] == [
        (channel, Decimal(value)) for channel, value in parts
    ]


def test_direct_visits_get_the_credit_only_where_there_is_no_other(
    settings: Settings, stage: Stage, build: Build
) -> None:
    others = [
        dict(row, visitor_id="w", transaction_id="u" if row["transaction_id"] else None) for row in visits(None, None)
    ]
    stage(complete([*visits("mail", "ads", None, "(direct)"), *others]))
    build()
    found = {
        (row["transaction_id"], row["model"]): row["channel"]
        for row in rows(settings, "SELECT * FROM attribution WHERE model IN ('last', 'last_non_direct')")
    }
    assert found == {
        ("t", "last"): "direct",
        ("t", "last_non_direct"): "ads / (not set)",
        ("u", "last"): "direct",
        ("u", "last_non_direct"): "direct",
    }


def test_a_visit_counts_for_exactly_thirty_days(settings: Settings, stage: Stage, build: Build) -> None:
    at = START + timedelta(days=30)
    sale = {"event_type": "purchase", "transaction_id": "t", "quantity": Decimal(1), "unit_price": Decimal(9)}
    early = event(traffic_source="early", event_ts=START - timedelta(microseconds=1), visitor_id="v2")
    stage(complete([event(traffic_source="mail"), event(event_ts=at, **sale), early,
                    event(event_ts=at, visitor_id="v2", **{**sale, "transaction_id": "u"})]))  # fmt: skip
    build()
    found = rows(settings, "SELECT transaction_id, channel FROM attribution WHERE model = 'first' ORDER BY 1")
    assert [(row["transaction_id"], row["channel"]) for row in found] == [("t", "mail / (not set)"), ("u", "direct")]


def test_a_refund_of_more_than_the_value_is_credited_too(settings: Settings, stage: Stage, build: Build) -> None:
    back = {"transaction_id": "t", "quantity": Decimal(1), "unit_price": Decimal("110.0001")}
    stage(complete([*visits("a", "b", "c", price="100"), event(3 * DAY, "refund", **back)]))
    build()
    values = [value for _, _, value in credited(settings, "linear")]
    assert sum(values) == Decimal("-10.0001")
    assert values == [Decimal("-3.3334"), Decimal("-3.3333"), Decimal("-3.3334")]


def test_a_source_that_never_says_where_visits_come_from_has_no_attribution(
    settings: Settings, stage: Stage, build: Build
) -> None:
    stage(complete([*visits(None, None, source="shop"), *visits("a", source="other")]))
    build()
    assert {row["source"] for row in rows(settings, "SELECT source FROM attribution")} == {"other"}


def basket(order: str, *products: str) -> list[Event]:
    return [event(int(order) * DAY, "purchase", transaction_id=order, product_id=p) for p in products]


def test_pairs_are_counted_in_both_directions(settings: Settings, stage: Stage, build: Build) -> None:
    orders = [*basket("1", "a", "b"), *basket("2", "a", "b", "c"), *basket("3", "a"), *basket("4", "d")]
    stage(complete(orders))
    build()
    found = {
        (row["product_id"], row["other_product_id"]): (row["together"], row["support"], row["confidence"], row["lift"])
        for row in rows(settings, "SELECT * FROM affinity")
    }
    assert found == {
        ("a", "b"): (2, 0.5, pytest.approx(2 / 3), pytest.approx(4 / 3)),
        ("b", "a"): (2, 0.5, 1.0, pytest.approx(4 / 3)),
    }  # c was bought with each of them once only


def test_a_basket_that_is_too_large_makes_no_pairs_and_is_told(settings: Settings, stage: Stage) -> None:
    stage(complete([*basket("1", "a", "b", "c"), *basket("2", "a", "b"), *basket("3", "a", "b")]))
    report = MartBuilder(settings.model_copy(update={"affinity_max_products": 2})).build()
    assert [(row["product_id"], row["together"]) for row in rows(settings, "SELECT * FROM affinity ORDER BY 1")] == [
        ("a", 2),
        ("b", 2),
    ]
    assert [(check.name, check.failures) for check in report.warnings] == [("affinity_leaves_no_transaction_out", 1)]
