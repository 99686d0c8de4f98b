"""Bots: flagged by measures of a visitor's events, whatever files they came in; nothing is deleted."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from unittest import mock

import pytest
import staged_events
from conftest import Stage
from hypothesis import Phase, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from marts_oracle import RULES, Oracle
from staged_events import Event, complete, event
from test_marts import Build, rows_of, same

import ecom_analytics.staging
from ecom_analytics import Ingestor, MartBuilder, Pipeline, Settings
from ecom_analytics.generate import generate

ZONE = "Europe/Berlin"


def steady(visitor: str, pick: Random, first: datetime, seconds: float) -> Iterator[Event]:
    """Events of a visitor with gaps of about so many seconds, some of exactly so many, and now and then a pause."""
    moment = first + timedelta(seconds=pick.uniform(0, 86_400))
    for _ in range(pick.randint(1, 40)):
        order = pick.random() < 0.1
        for item in range(pick.choice([1, 1, 1, 1, 1, 9])):
            yield event(
                event_ts=moment,
                event_type="purchase" if order else "view",
                visitor_id=visitor,
                product_id=f"p{item}",
                transaction_id=f"t{pick.randint(1, 3)}" if order else None,
                source_item=pick.choice([None, item + 1]),
            )
        moment += timedelta(
            seconds=pick.choice([0, 1e-6, seconds - 1e-6, seconds, seconds, seconds + 1e-6, seconds / 2])
        )
        if pick.random() < 0.05:
            moment += timedelta(hours=pick.choice([0.5, 7, 40]))


@pytest.mark.parametrize("timeout", [30, 0.5, 0.1])
def test_flags_are_what_plain_python_finds_under_any_thresholds(timeout: float) -> None:
    # Sessions tell who is measured at all, so the timeout is a part of it: also one that is shorter than a pause.
    @hypothesis_settings(max_examples=2, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
    @given(st.integers(0, 2**32))
    def holds(seed: int) -> None:
        pick = Random(seed)
        pause = pick.choice([20.0, 60.0, 400.0])
        bots = {
            "minute": pick.choice([3, 8, 20]),
            "day": pick.choice([15, 40, 70]),
            "hours": pick.choice([2, 10]) * pause / 3600,
            "pause": pause,
        }
        off = pick.choice([*RULES, "none"])
        bots |= {"rate": {"minute": 0}, "volume": {"day": 0}, "no_pause": {"hours": 0}}.get(off, {})
        first = datetime(2026, 3, 28, 12, tzinfo=UTC)  # 23 hours later Berlin's clocks go forward
        visitors = [steady(f"v{n}", pick, first, pick.choice([1, 60, pause])) for n in range(150)]
        events = complete((row for rows in visitors for row in rows), ZONE, timeout)
        with tempfile.TemporaryDirectory() as folder:
            settings = Settings(
                home=Path(folder),
                timezone=ZONE,
                session_timeout_minutes=timeout,
                bot_events_per_minute=bots["minute"],
                bot_events_per_day=bots["day"],
                bot_hours_without_pause=bots["hours"],
                bot_pause_seconds=pause,
            )
            snapshot = staged_events.write(Path(folder) / "staged", events)
            with mock.patch.object(ecom_analytics.staging, "snapshot", return_value=snapshot, create=True):
                MartBuilder(settings).build()
            oracle = Oracle(events, ZONE, bots=bots)
            assert 0 < len(oracle.bots) < 150
            assert {rule for row in oracle.bots.values() for rule in row["rules"]} == set(RULES) - {off}
            same(rows_of(settings, "bots"), oracle.flagged(), ("source", "visitor_id"))
            same(rows_of(settings, "sessions"), oracle.sessions(), ("source", "session_id"))
            same(rows_of(settings, "users"), oracle.users(), ("source", "user_id"))

    holds()


def test_a_bot_is_flagged_in_all_its_sessions_and_counted_as_before(
    settings: Settings, stage: Stage, build: Build
) -> None:
    fast = [event(n / 120, visitor_id="fast", product_id=str(n)) for n in range(200)]
    stage(
        complete([*fast, event(600, visitor_id="fast"), event(visitor_id="slow"), event(visitor_id="u", user_id="u")])
    )
    report = build()
    flags = [(row["visitor_id"], row["events"], row["is_bot"]) for row in rows_of(settings, "sessions")]
    assert sorted(flags) == [("fast", 1, True), ("fast", 200, True), ("slow", 1, False), ("u", 1, False)]
    [bot] = rows_of(settings, "bots")
    assert (bot["visitor_id"], bot["rules"], bot["events_in_minute"], bot["events_in_day"]) == (
        "fast",
        "rate",
        120,
        201,
    )
    assert {row["user_id"]: row["bot_rules"] for row in rows_of(settings, "users")} == {
        "fast": "rate",
        "slow": None,
        "u": None,
    }
    assert [row["visitors"] for row in rows_of(settings, "daily")] == [3]
    assert report.rows["bots"] == 1


def test_a_basket_of_a_hundred_lines_is_no_bot(settings: Settings, stage: Stage, build: Build) -> None:
    order = [event(0, "purchase", product_id=str(n), transaction_id="t") for n in range(100)]
    shown = [event(1, "view", visitor_id="v2", product_id=str(n), source_item=n + 1) for n in range(100)]
    apart = [event(1, "view", visitor_id="v3", product_id=str(n)) for n in range(61)]
    stage(complete([*order, *shown, *apart]))
    build()
    assert [row["visitor_id"] for row in rows_of(settings, "bots")] == ["v3"]


def test_without_rules_nobody_is_a_bot(settings: Settings, stage: Stage) -> None:
    stage(complete(event(visitor_id="fast", product_id=str(n)) for n in range(3_000)))
    off = {"bot_events_per_minute": 0, "bot_events_per_day": 0, "bot_hours_without_pause": 0}
    MartBuilder(settings.model_copy(update=off)).build()
    assert rows_of(settings, "bots") == []
    assert [row["is_bot"] for row in rows_of(settings, "sessions")] == [False]


def test_an_injected_bot_is_flagged_and_nobody_else_in_whatever_order_its_files_come(tmp_path: Path) -> None:
    generate(tmp_path / "all.csv", like="retailrocket", events=20_000, days=3, faults={"bots": 2})
    head, *lines = (tmp_path / "all.csv").read_text().splitlines(keepends=True)
    Random(7).shuffle(lines)  # so every session of the bots is cut into many, and joined by what comes later
    for part in range(4):
        (tmp_path / f"{part}.csv").write_text(head + "".join(lines[part::4]))

    whole, parts = Settings(home=tmp_path / "whole"), Settings(home=tmp_path / "parts")
    Pipeline(whole).run(tmp_path / "all.csv")
    for part in range(4):
        Ingestor(parts).ingest(tmp_path / f"{part}.csv")
        ecom_analytics.Stager(parts).stage()
    MartBuilder(parts).build()

    flagged = rows_of(whole, "bots")
    assert [(row["rules"], row["longest_run_seconds"] >= 12 * 3600) for row in flagged] == [
        ("volume, no_pause", True)
    ] * 2
    *faults, _ = map(json.loads, (tmp_path / "all.csv.faults.jsonl").read_text().splitlines())
    assert {row["visitor_id"] for row in flagged} == {fault["visitor_id"] for fault in faults}
    for mart, key in {"bots": "visitor_id", "sessions": "session_id", "users": "user_id"}.items():
        same(rows_of(parts, mart), rows_of(whole, mart), ("source", key))


def test_real_visitors_are_no_bots(tmp_path: Path, shared_data: Path) -> None:
    settings = Settings(home=tmp_path)
    Pipeline(settings).run(shared_data / "retailrocket_real_sample" / "events.csv")
    assert rows_of(settings, "bots") == []
