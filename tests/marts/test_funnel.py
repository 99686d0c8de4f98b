"""Funnels against brute force: every way of every session and visitor is tried."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from conftest import Stage
from marts_oracle import grouped, session_id
from staged_events import START, Event, complete, event

from ecom_analytics import MartBuilder, Settings, Warehouse
from ecom_analytics.errors import EcomError
from ecom_analytics.funnels import STEPS, funnel

MOMENTS = [timedelta(minutes=n) for n in (0, 0, 5, 10, 29, 30, 31, 40, 55, 90, 130)]
MOMENTS += [timedelta(hours=24, microseconds=n) for n in (0, 1)] + [timedelta(hours=25), timedelta(hours=50)]
TYPES = ["view", "view", "view", "add_to_cart", "add_to_cart", "checkout", "purchase", "search", "remove_from_cart"]
START_AT = datetime(2026, 3, 2, 23, 40, tzinfo=UTC)


def rank(row: Event) -> tuple[Any, ...]:
    kind = row["event_type"]
    return row["event_ts"], STEPS.index(kind) if kind in STEPS else len(STEPS)


def furthest(rows: list[Event], steps: Sequence[str], order: str, window: timedelta | None) -> set[int]:
    """Which steps this unit reached, by trying every way."""
    reached: set[int] = set()
    types = [row["event_type"] for row in rows]

    def go(path: list[int]) -> None:
        reached.add(len(path) - 1)
        if len(path) == len(steps):
            return
        for there in range(path[-1] + 1, len(rows)):
            late = window is not None and rows[there]["event_ts"] - rows[path[0]]["event_ts"] > window
            between = set(types[path[-1] + 1 : there]) - {types[path[-1]], steps[len(path)]}
            if types[there] == steps[len(path)] and not late and not (order == "strict" and between):
                go([*path, there])

    for entry, kind in enumerate(types):
        if kind != steps[0]:
            continue
        if order != "flexible":
            go([entry])
            continue
        reached.add(0)
        for number, step in enumerate(steps[1:], 1):
            for there in range(entry + 1, len(rows)):
                late = window is not None and rows[there]["event_ts"] - rows[entry]["event_ts"] > window
                if types[there] == step and not late:
                    reached.add(number)
    return reached


def history(source: str, visitor: str, pick: Random) -> list[Event]:
    return [
        event(
            event_ts=START_AT + pick.choice(MOMENTS), event_type=pick.choice(TYPES), visitor_id=visitor, source=source
        )
        for _ in range(pick.randint(1, 9))
    ]


@pytest.fixture(scope="module")
def histories(tmp_path_factory: pytest.TempPathFactory) -> tuple[Settings, list[Event]]:
    import staged_events

    import ecom_analytics.staging

    pick = Random(11)
    folder = tmp_path_factory.mktemp("funnel")
    settings = Settings(home=folder / "home", timezone="Europe/Berlin")
    events = [row for n in range(400) for v in "abc" for row in history(f"s{n}", v, pick)]
    rows = complete(events, settings.timezone)
    snapshot = staged_events.write(folder / "staged", rows)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ecom_analytics.staging, "snapshot", lambda _: snapshot, raising=False)
        MartBuilder(settings).build()
    return settings, rows


@pytest.mark.parametrize("unit", ["session", "visitor"])
@pytest.mark.parametrize("order", ["sequential", "strict", "flexible"])
def test_a_funnel_is_what_trying_every_way_finds(
    histories: tuple[Settings, list[Event]], unit: str, order: str
) -> None:
    settings, events = histories
    first_day = {key: min(r["event_date"] for r in rows) for key, rows in grouped(events, session_id).items()}
    asked = [
        (("view", "add_to_cart", "purchase"), None, None, None),
        (("view", "add_to_cart", "purchase"), timedelta(minutes=30), None, None),
        (("view", "add_to_cart", "checkout", "purchase"), timedelta(hours=24), None, None),
        (("add_to_cart", "purchase"), timedelta(minutes=25), None, None),
        (("purchase", "view"), None, None, None),
        (("view", "add_to_cart", "purchase"), timedelta(days=2), date(2026, 3, 3), date(2026, 3, 4)),
    ]
    for steps, window, start, end in asked:
        chosen = [
            row
            for row in events
            if (start is None or first_day[session_id(row)] >= start)
            and (end is None or first_day[session_id(row)] <= end)
        ]
        units = grouped(chosen, session_id if unit == "session" else lambda row: (row["source"], row["visitor_id"]))
        found = funnel(Warehouse(settings), steps=steps, unit=unit, order=order, window=window, start=start, end=end)
        reached = [furthest(sorted(rows, key=rank), steps, order, window) for rows in units.values()]
        expected = [sum(number in of_unit for of_unit in reached) for number in range(len(steps))]
        assert [step.reached for step in found.steps] == expected, (steps, window)
        first_events = sum(row["event_type"] == steps[0] for row in chosen)
        assert found.steps[0].events == first_events
        assert all(step.events >= step.reached for step in found.steps)
        assert expected[1] > 20


SHOP = [
    event(0, "view"), event(10, "view"), event(35, "add_to_cart"), event(36, "search"), event(40, "purchase"),
    event(0, "view", "v2"), event(0, "view", "v3"), event(40 * 24, "view", "v3"),
]  # fmt: skip


def reached(settings: Settings, **asked: Any) -> list[int | None]:
    return [step.reached for step in funnel(Warehouse(settings), **asked).steps]


def test_the_window_is_counted_from_any_entry_and_its_end_belongs_to_it(settings: Settings, stage: Stage) -> None:
    stage(complete(SHOP))
    MartBuilder(settings).build()
    assert reached(settings) == [4, 1, 1]
    assert reached(settings, unit="visitor") == [3, 1, 1]
    assert reached(settings, window=timedelta(minutes=30)) == [4, 1, 1]  # from the second view
    assert reached(settings, window=timedelta(minutes=30) - timedelta(microseconds=1)) == [4, 1, 0]
    assert reached(settings, order="strict") == [4, 1, 0]
    assert reached(settings, start=START.date() + timedelta(days=1)) == [1, 0, 0]


def test_what_the_data_cannot_tell_is_none_and_a_rate_of_nothing_too(settings: Settings, stage: Stage) -> None:
    stage(complete(SHOP))
    MartBuilder(settings).build()
    found = funnel(Warehouse(settings), steps=("view", "checkout", "purchase"), order="flexible")
    view, checkout, purchase = found.steps
    assert (checkout.reached, checkout.events, checkout.step_rate, checkout.dropped) == (None, None, None, None)
    assert (purchase.reached, purchase.step_rate, purchase.overall_rate, purchase.dropped) == (1, 0.25, 0.25, 3)
    assert (view.step_rate, view.overall_rate, view.events) == (None, 1.0, 5)
    nobody = funnel(Warehouse(settings), start=date(2030, 1, 1))
    assert [(step.reached, step.overall_rate) for step in nobody.steps] == [(0, None)] * 3


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": ("view",)}, {"steps": ("view", "view")}, {"steps": ("view", "wish")}, {"unit": "user"},
        {"order": "loose"}, {"window": timedelta(0)},
    ],
)  # fmt: skip
def test_what_is_no_funnel_is_refused_before_anything_is_read(tmp_path: Path, wrong: dict[str, Any]) -> None:
    with pytest.raises(EcomError):
        funnel(Warehouse(Settings(home=tmp_path)), **wrong)
