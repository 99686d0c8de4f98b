"""Reading a published warehouse."""

from __future__ import annotations

import json
from pathlib import Path

import duckdb
import pytest

from ecom_analytics import Settings, Warehouse
from ecom_analytics.errors import EcomError, NotBuiltError
from ecom_analytics.warehouse import CURRENT, file_name, info_name


def publish(settings: Settings, build_id: str, value: int) -> Path:
    settings.warehouse.mkdir(parents=True, exist_ok=True)
    path = settings.warehouse / file_name(build_id)
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            "CREATE TABLE daily AS SELECT ?::BIGINT AS views, TIMESTAMPTZ '2026-03-02 12:00:00Z' AS ts", [value]
        )
    info = {"build_id": build_id, "built_at": "2026-03-02T12:00:00+00:00", "marts": {"daily": {"rows": 1}}}
    (settings.warehouse / info_name(build_id)).write_text(json.dumps(info))
    (settings.warehouse / CURRENT).write_text(path.name + "\n")
    return path


def test_the_current_build_is_the_one_that_is_named(settings: Settings) -> None:
    publish(settings, "2-b", 2)
    path = publish(settings, "1-a", 1)
    warehouse = Warehouse(settings)
    assert warehouse.current().build_id == "1-a"
    assert warehouse.current().path == path
    assert warehouse.current().built_at.isoformat() == "2026-03-02T12:00:00+00:00"
    assert [build.build_id for build in warehouse.builds()] == ["2-b", "1-a"]
    assert warehouse.sql("SELECT views FROM daily").to_pylist() == [{"views": 1}]


def test_values_are_parameters(settings: Settings) -> None:
    publish(settings, "1-a", 1)
    warehouse = Warehouse(settings)
    assert warehouse.sql("SELECT ? AS x", ["'; --"]).to_pylist() == [{"x": "'; --"}]
    assert warehouse.sql("SELECT $x AS x", {"x": 7}).to_pylist() == [{"x": 7}]


def test_a_mart_is_an_ibis_table(settings: Settings) -> None:
    publish(settings, "1-a", 4)
    daily = Warehouse(settings).table("daily")
    assert daily.views.sum().execute() == 4
    assert daily.count().execute() == 1


def test_an_unknown_mart_is_an_error_that_names_the_marts(settings: Settings) -> None:
    publish(settings, "1-a", 1)
    with pytest.raises(EcomError) as error:
        Warehouse(settings).table("dayly")
    assert "'dayly'" in error.value.message
    assert "daily" in error.value.hint


def test_times_are_utc_wherever_the_reader_is(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    publish(settings, "1-a", 1)
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    assert str(Warehouse(settings).sql("SELECT ts FROM daily").schema.field("ts").type) == "timestamp[us, tz=UTC]"


@pytest.mark.parametrize(
    "query",
    [
        "SELECT * FROM read_csv('{folder}/CURRENT')",
        "COPY daily TO '{folder}/out.csv'",
        "ATTACH '{folder}/other.duckdb'",
        "SET enable_external_access = true",
        "SET threads = 1",
        "DROP TABLE daily",
        "SELECT * FROM settings",
    ],
)
def test_a_reader_reaches_the_marts_only(settings: Settings, query: str) -> None:
    publish(settings, "1-a", 1)
    with pytest.raises(duckdb.Error):
        Warehouse(settings).sql(query.format(folder=settings.warehouse))


def test_several_connections_share_a_build(settings: Settings) -> None:
    publish(settings, "1-a", 1)
    warehouse = Warehouse(settings)
    connections = [warehouse.connect() for _ in range(3)]
    publish(settings, "2-b", 2)
    connections.append(warehouse.connect())
    found = [connection.execute("SELECT views FROM daily").fetchone() for connection in connections]
    assert found == [(1,), (1,), (1,), (2,)]
    [old] = [build for build in warehouse.builds() if build.build_id == "1-a"]
    assert warehouse.connect(old).execute("SELECT views FROM daily").fetchone() == (1,)


def test_nothing_published_is_an_error_with_a_hint(settings: Settings) -> None:
    warehouse = Warehouse(settings)
    assert warehouse.builds() == []
    with pytest.raises(NotBuiltError) as error:
        warehouse.current()
    assert str(settings.warehouse) in error.value.message
    assert "ecom-analytics" in error.value.hint


def test_a_served_file_that_is_gone_is_said(settings: Settings) -> None:
    publish(settings, "1-a", 1).unlink()
    with pytest.raises(NotBuiltError, match="which is not there"):
        Warehouse(settings).connect()


def test_a_file_that_is_no_database_is_said(settings: Settings) -> None:
    publish(settings, "1-a", 1).write_bytes(b"no database" * 100)
    with pytest.raises(EcomError) as error:
        Warehouse(settings).sql("SELECT 1")
    assert "warehouse-1-a.duckdb" in error.value.message
