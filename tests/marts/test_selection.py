"""Selected models are tried: built, tested, left to be looked at, never served."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest
from conftest import Stage
from staged_events import complete, event

from ecom_analytics import MartBuilder, MartError, Settings, Warehouse
from ecom_analytics.errors import NotBuiltError, TestsFailedError
from ecom_analytics.reports import BuildReport

Build = Callable[..., BuildReport]


def tables(path: Path) -> set[str]:
    with duckdb.connect(str(path), read_only=True) as connection:
        return {name for (name,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall()}


def test_what_is_selected_is_built_with_all_it_needs_and_tested(settings: Settings, stage: Stage, build: Build) -> None:
    stage(complete([event(0), event(5, "purchase", transaction_id="t")]))

    report = build(select="transactions int_event_days")

    assert not report.published
    assert report.rows == {"transactions": 1, "int_event_days": 2}
    assert report.path == settings.warehouse / "trial.duckdb"
    assert tables(report.path) == {"transactions", "int_event_days"}
    assert {"stg_events", "int_order_events"} <= report.models.keys()
    assert "users" not in report.models
    tests = [node.name for node in report.nodes if node.kind == "test"]
    assert len(tests) == report.tests > 2
    assert not any("int_order_events" in name for name in tests)  # it was only needed
    assert {node.status for node in report.nodes} == {"success", "pass"}
    with pytest.raises(NotBuiltError):
        Warehouse(settings).current()


def test_the_served_build_stays_and_the_next_one_removes_the_trial(
    settings: Settings, stage: Stage, build: Build
) -> None:
    stage(complete([event()]))
    served = build()
    stage(complete([event(), event(1)]))
    tried = build(select=["daily"])
    assert tried.rows == {"daily": 1}
    assert Warehouse(settings).current().build_id == served.build_id
    assert Warehouse(settings).sql("SELECT views FROM daily").to_pylist() == [{"views": 1}]

    assert build().published
    assert not tried.path.exists()


def test_all_but_what_is_excluded(stage: Stage, build: Build) -> None:
    stage(complete([event()]))
    report = build(exclude=["users+", "test_type:data", "cohorts", "rfm"])
    assert "sessions" in report.rows
    assert not report.rows.keys() & {"users", "cohorts", "rfm"}
    assert report.tests == 0


def test_a_failing_test_of_what_is_selected_fails_and_another_does_not(stage: Stage, build: Build) -> None:
    bad = complete([event(), event(1, visitor_id="v2")])
    for row in bad:
        row["event_type"] = "teleport"
    stage(bad)
    assert build(select="int_touched_days").tests == 0
    with pytest.raises(TestsFailedError, match="accepted_values_int_event_days_event_type"):
        build(select="int_event_days")


@pytest.mark.parametrize(
    ("select", "close"), [("sesions", "'sessions'"), ("daily +usrs", "'users'"), ("tag:none", ""), ("fnord:x", "")]
)
def test_a_selector_that_selects_nothing_is_an_error(stage: Stage, build: Build, select: str, close: str) -> None:
    stage(complete([event()]))
    with pytest.raises(MartError) as error:
        build(select=select)
    assert select.split()[-1].partition(":")[0] in error.value.message
    assert close in error.value.hint


def test_progress_counts_what_is_selected(settings: Settings, stage: Stage) -> None:
    stage(complete([event()]))
    told = []
    MartBuilder(settings, watch=told.append).build(select="daily")
    counted = [progress for progress in told if progress.total]
    assert counted[-1].done == counted[-1].total == len(counted)
