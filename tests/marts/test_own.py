"""The user's own dbt models beside ours."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Stage
from staged_events import complete, event

from ecom_analytics import MartBuilder, MartError, Settings, Warehouse
from ecom_analytics.errors import ConfigError, TestsFailedError
from ecom_analytics.reports import BuildReport

EXAMPLE = Path(__file__).parents[2] / "examples" / "own_models"


@pytest.fixture
def models(tmp_path: Path) -> Callable[..., Path]:
    """Make a folder of these files."""

    def make(**files: str) -> Path:
        folder = tmp_path / "own"
        for name, text in files.items():
            path = folder / name.replace("__", "/").replace("_yml", ".yml").replace("_sql", ".sql").replace(
                "_csv", ".csv"
            )
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return folder

    return make


def build(settings: Settings, folder: Path) -> BuildReport:
    return MartBuilder(settings.model_copy(update={"models": folder})).build()


def test_the_example_is_built_tested_described_and_published(settings: Settings, stage: Stage) -> None:
    stage(complete([event(0), event(5, "purchase", transaction_id="t"), event(1, visitor_id="v2")]))
    plain = MartBuilder(settings).build()

    report = build(settings, EXAMPLE)

    assert report.rows == {**plain.rows, "weekday_conversion": 1}
    assert report.tests == plain.tests + 3
    assert report.models["weekday_conversion"].rows_written == 1
    warehouse = Warehouse(settings)
    assert warehouse.sql("SELECT * FROM weekday_conversion").to_pylist() == [
        {"weekday": "Monday", "sessions": 2, "converting_sessions": 1, "conversion_rate": 0.5}
    ]
    mart = warehouse.current().info["marts"]["weekday_conversion"]
    assert mart["description"].startswith("Days of the week")
    assert list(mart["columns"]) == ["weekday", "conversion_rate", "sessions", "converting_sessions"]
    assert mart["columns"]["weekday"] == {"type": "varchar", "description": "Monday to Sunday."}
    assert mart["columns"]["sessions"] == {"type": "bigint", "description": ""}


def test_what_changes_in_the_folder_is_built_again_and_nothing_else_is(
    settings: Settings, stage: Stage, models: Callable[..., Path]
) -> None:
    stage(complete([event()]))
    folder = models(one_sql="select 1 as number")
    first = build(settings, folder)
    assert not build(settings, folder).built

    models(one_sql="select 2 as number")
    second = build(settings, folder)
    assert second.built
    assert Warehouse(settings).sql("SELECT number FROM one").to_pylist() == [{"number": 2}]

    (folder / "one.sql").rename(folder / "two.sql")
    third = build(settings, folder)
    assert "one" not in third.rows
    assert third.rows["two"] == 1
    assert MartBuilder(settings).build().rows.keys() == first.rows.keys() - {"one"}


def test_own_models_are_built_anew_when_ours_replace_touched_keys(
    settings: Settings, stage: Stage, models: Callable[..., Path]
) -> None:
    folder = models(
        counted_sql="select count(*) as sessions from {{ ref('sessions') }}",
        grown_sql="{{ config(materialized='incremental') }} select max(views) as views from {{ ref('daily') }}",
    )
    before = stage(complete([event(1440 * day) for day in range(10)]))
    build(settings, folder)
    after = stage(complete([event(1440 * 10)]))
    after.files[:0] = before.files

    report = build(settings, folder)

    assert report.models["sessions"].rows_written == 1
    assert Warehouse(settings).sql("SELECT sessions FROM counted").to_pylist() == [{"sessions": 11}]
    assert report.rows["grown"] == 2  # dbt's own meaning of incremental


def test_a_folder_with_models_in_it_brings_macros_tests_and_seeds(
    settings: Settings, stage: Stage, models: Callable[..., Path]
) -> None:
    stage(complete([event()]))
    folder = models(
        models__helper_sql="{{ config(meta={'published': false}) }} select * from {{ ref('daily') }}",
        models__passing_sql="{{ config(materialized='ephemeral') }} select * from {{ ref('helper') }}",
        models__doubled_sql="select {{ twice('views') }} as views from {{ ref('passing') }}",
        macros__twice_sql="{% macro twice(column) %}2 * {{ column }}{% endmacro %}",
        tests__never_negative_sql="select * from {{ ref('doubled') }} where views < (table {{ ref('limits') }})",
        seeds__limits_csv="n\n1\n",
    )
    report = build(settings, folder)
    assert report.rows["doubled"] == 1
    assert not report.rows.keys() & {"helper", "limits"}
    assert [node.status for node in report.nodes if node.name == "never_negative"] == ["pass"]
    assert Warehouse(settings).sql("SELECT views FROM doubled").to_pylist() == [{"views": 2}]


def test_a_failing_test_or_model_of_the_user_publishes_nothing(
    settings: Settings, stage: Stage, models: Callable[..., Path]
) -> None:
    stage(complete([event()]))
    folder = models(
        one_sql="select 1 as number",
        one_yml="models: [{name: one, data_tests: [{ecom_analytics.holds: {arguments: {condition: number = 2}}}]}]",
    )
    with pytest.raises(TestsFailedError, match="holds_one_number_2"):
        build(settings, folder)
    models(one_sql="select nothing as number from {{ ref('daily') }}", one_yml="{}")
    with pytest.raises(MartError, match=r'model one failed: .*"nothing" not found') as failed:
        build(settings, folder)
    assert "select nothing as number" in Path(failed.value.facts["compiled"]["one"]).read_text()


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({}, "is no folder"),
        ({"notes_yml": "{}"}, "holds no model"),
        ({"daily_sql": "select 1"}, "daily.sql has the name of a model of ecom_analytics"),
        ({"deep__int_sources_sql": "select 1"}, "int_sources.sql has the name of a model"),
        ({"one_sql": "{{ config(schema='other') }} select 1"}, "one.sql would be built as warehouse.main_other.one"),
        ({"one_sql": "{{ config(alias='daily_2') }} select 1"}, "one.sql would be built as warehouse.main.daily_2"),
    ],
)
def test_what_cannot_be_added_is_said(
    settings: Settings, stage: Stage, models: Callable[..., Path], files: dict[str, str], message: str
) -> None:
    stage(complete([event()]))
    with pytest.raises(ConfigError) as error:
        build(settings, models(**files))
    assert message in error.value.message
    assert error.value.hint
    assert error.value.facts["key"] == "models"


@pytest.mark.parametrize(
    ("sql", "message"),
    [("select * from {{ ref('session_s') }}", "session_s"), ("select * from {{ ref('stg_events') }}", "protected")],
)
def test_a_model_that_reads_what_is_not_there_or_not_public_is_named(
    settings: Settings, stage: Stage, models: Callable[..., Path], sql: str, message: str
) -> None:
    stage(complete([event()]))
    with pytest.raises(MartError, match="model.own.one") as error:
        build(settings, models(one_sql=sql))
    assert message in error.value.message
