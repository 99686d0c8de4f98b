"""What a build tells of each of its models and tests, and what a failed one leaves to look at."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Stage
from staged_events import complete, event

from ecom_analytics import MartBuilder, MartError, Settings, Warehouse
from ecom_analytics.errors import BuildError, TestsFailedError
from ecom_analytics.marts import failures
from ecom_analytics.marts.counting import Counts
from ecom_analytics.reports import BuildReport

Build = Callable[..., BuildReport]


def test_every_model_and_test_has_a_result_that_stays_with_the_build(
    settings: Settings, stage: Stage, build: Build
) -> None:
    stage(complete([event(0, visitor_id=f"v{number}") for number in range(7)]))

    report = build()

    users = report.models["users"]
    assert (users.kind, users.status, users.rows, users.rows_written) == ("model", "success", 7, 7)
    assert users.seconds > 0
    assert report.models["int_event_days"].rows_read == 7
    assert report.models["stg_events"].rows_read is None  # a view
    tests = [node for node in report.nodes if node.kind == "test"]
    assert len(tests) == report.tests
    assert {node.status for node in tests} == {"pass"}
    assert {node.kind for node in report.nodes} == {"model", "test", "seed"}
    assert {name: model.rows for name, model in report.models.items() if model.rows is not None} == report.rows
    assert build().nodes == report.nodes
    info = Warehouse(settings).current().info
    assert [node["name"] for node in info["nodes"]] == [node.name for node in report.nodes]
    assert json.loads(json.dumps(report.to_dict()))["nodes"] == info["nodes"]


def test_a_build_that_replaces_touched_keys_writes_their_rows_only(stage: Stage, build: Build) -> None:
    before = stage(complete([event(1440 * day, visitor_id=f"v{day}") for day in range(10)]))
    full = build()
    after = stage(complete([event(1440 * 10, visitor_id=f"new{number}") for number in range(3)]))
    after.files[:0] = before.files

    report = build()

    assert full.models["sessions"].rows_written == full.rows["sessions"] == 10
    assert report.rows["sessions"] == 13
    assert report.models["sessions"].rows_written == 3


def test_a_profile_counts_scans_as_read_and_inserts_as_written() -> None:
    scan = {"operator_type": "TABLE_SCAN", "operator_cardinality": 5}
    group = {"operator_type": "HASH_GROUP_BY", "operator_cardinality": 2, "children": [scan, scan]}
    profile = json.dumps({"children": [{"operator_type": "INSERT", "operator_cardinality": 1, "children": [group]}]})
    counts = Counts()
    counts.add("a", "/* dbt */ insert into t select 1", profile)
    counts.add("a", "/* dbt */\n create or replace TEMP table t as select 1", profile)
    counts.add("a", 'create or replace table "warehouse"."main"."sessions__placed" as select 1', profile)
    assert counts.of("a") == (30, 2)
    assert counts.of("b") == (None, None)


def test_a_failing_model_is_named_with_its_message_and_its_sql_until_the_next_good_build(
    settings: Settings, stage: Stage, build: Build, tmp_path: Path
) -> None:
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "one.sql").write_text("select nothing from {{ ref('daily') }}")
    stage(complete([event()]))

    with pytest.raises(MartError) as failed:
        MartBuilder(settings.model_copy(update={"models": tmp_path / "own"})).build()

    error = failed.value
    assert error.facts["models"] == ["one"]
    kept = Path(error.facts["compiled"]["one"])
    assert "model one failed: " in error.message
    assert '"nothing" not found' in error.message
    assert str(kept) in error.message
    assert kept.parent.parent == settings.warehouse / failures.FOLDER
    assert "{{" not in kept.read_text()
    assert isinstance(error, BuildError)

    assert build().built
    assert not kept.exists()
    assert not (settings.warehouse / failures.FOLDER).exists()


def test_the_sql_of_a_failing_test_is_kept_and_that_of_an_earlier_failure_is_not(
    settings: Settings, stage: Stage, build: Build
) -> None:
    bad = complete([event(), event(1, visitor_id="v2")])
    for row in bad:
        row["event_type"] = "teleport"
    stage(bad)
    for _ in range(2):
        with pytest.raises(TestsFailedError) as failed:
            build(force=True)
    [(name, path)] = failed.value.facts["compiled"].items()
    kept = Path(path)
    assert name == failed.value.facts["checks"][0]["name"]
    assert "teleport" not in kept.read_text()
    assert "event_type" in kept.read_text()
    assert str(kept.parent) in failed.value.hint
    assert list((settings.warehouse / failures.FOLDER).iterdir()) == [kept.parent]
