"""The Exporter: every public mart, whole builds only, the manifest last."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq
import pytest

from ecom_analytics import Exporter, Settings
from ecom_analytics.errors import ConfigError, ExportError, NotBuiltError, PluginError, StorageFullError
from ecom_analytics.export_formats.csv import Csv
from ecom_analytics.export_formats.parquet import Parquet
from ecom_analytics.storages import open_storage
from ecom_analytics.storages.local import LocalStorage
from ecom_analytics.testing.export_formats import ExportFormatContract

pytest_plugins = ["s3_server"]


def from_csv(data: bytes, schema: pa.Schema) -> pa.Table:
    options = arrow_csv.ConvertOptions(
        column_types=schema, null_values=[""], strings_can_be_null=True, quoted_strings_can_be_null=False
    )
    return arrow_csv.read_csv(
        io.BytesIO(data), convert_options=options, parse_options=arrow_csv.ParseOptions(newlines_in_values=True)
    )


class TestParquet(ExportFormatContract):
    @pytest.fixture
    def export_format(self) -> Parquet:
        return Parquet()

    def read_back(self, data, schema):
        table = pq.read_table(io.BytesIO(data))
        assert table.schema == schema
        return table


class TestCsv(ExportFormatContract):
    @pytest.fixture
    def export_format(self) -> Csv:
        return Csv()

    def read_back(self, data, schema):
        return from_csv(data, schema)

    def test_looks_as_promised(self, export_format):
        table = pa.table(
            {
                "at": pa.array([datetime(2015, 6, 2, 5, 2, 12, 117000)], pa.timestamp("us", tz="UTC")),
                'odd, "name"': [None],
                "text": ["=1+1"],
                "yes": [True],
            }
        )
        assert self.written(export_format, table).decode() == (
            'at,"odd, ""name""",text,yes\n"2015-06-02T05:02:12.117000Z",,"=1+1",true\n'
        )

    def test_refuses_what_csv_cannot_hold(self, export_format):
        with pytest.raises(ExportError, match="'nested' of type list") as caught:
            self.written(export_format, pa.table({"nested": [[1]]}))
        assert caught.value.hint


BUILDS = ("20260101T000000Z-aaaaaa", "20260102T000000Z-bbbbbb")


def publish(settings: Settings, build_id: str, rows: int = 3) -> None:
    """A published build with two marts, as the warehouse has them."""
    settings.warehouse.mkdir(parents=True, exist_ok=True)
    path = settings.warehouse / f"warehouse-{build_id}.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            """
            CREATE TABLE users AS
            SELECT 'shop' AS source, 'u' || n AS user_id, TIMESTAMPTZ '2015-06-02 05:02:12.117+00' AS first_seen,
                   n::BIGINT AS views, CASE WHEN n % 2 = 0 THEN (n / 3)::DECIMAL(18, 4) END AS net_value
            FROM range(?) AS t (n)
            """,
            [rows],
        )
        connection.execute("CREATE TABLE daily AS SELECT DATE '2015-06-02' AS date, 1::BIGINT AS visitors")
        connection.execute("CREATE TABLE private AS SELECT 1 AS secret")
    columns = {"source": {"type": "VARCHAR", "description": "Where events come from."}}
    info = {
        "build_id": build_id,
        "built_at": datetime(2026, 1, 1, tzinfo=UTC).isoformat(),
        "as_of": "2015-06-02T05:02:12.117000+00:00",
        "timezone": "UTC",
        "model_version": "0.1.0",
        "marts": {
            "users": {"rows": rows, "description": "One row a user.", "columns": columns},
            "daily": {"rows": 1, "description": "One row a day.", "columns": {}},
        },
    }
    path.with_suffix(".json").write_text(json.dumps(info))
    (settings.warehouse / "CURRENT").write_text(path.name)


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    settings = Settings(home=tmp_path)
    publish(settings, BUILDS[0])
    return settings


@pytest.fixture
def exports(settings: Settings) -> Path:
    return Path(settings.exports)


def files(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_every_public_mart_in_every_format(settings, exports):
    report = Exporter(settings).export(formats=["parquet", "csv"])
    build = BUILDS[0]
    assert files(exports) == [
        *(f"{build}/{name}" for name in ("daily.csv", "daily.parquet", "manifest.json", "users.csv", "users.parquet")),
        "latest.json",
    ]
    assert (report.build_id, report.destination, report.exported) == (build, str(exports), True)
    assert report.manifest == str(exports / build / "manifest.json")
    assert {(table.table, table.format, table.rows) for table in report.tables} == {
        (mart, kind, rows) for mart, rows in (("daily", 1), ("users", 3)) for kind in ("parquet", "csv")
    }
    assert report.bytes == sum(table.bytes for table in report.tables)


def test_the_manifest_is_true(settings, exports):
    Exporter(settings).export(formats=["parquet", "csv"])
    latest = json.loads((exports / "latest.json").read_text())
    assert latest["build_id"] == BUILDS[0]
    manifest = json.loads((exports / latest["manifest"]).read_text())
    assert (manifest["as_of"], manifest["formats"]) == ("2015-06-02T05:02:12.117000+00:00", ["parquet", "csv"])
    assert len(manifest["tables"]) == 4
    for table in manifest["tables"]:
        data = (exports / BUILDS[0] / table["file"]).read_bytes()
        assert (table["bytes"], table["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
    users = next(table for table in manifest["tables"] if table["table"] == "users")
    assert users["description"] == "One row a user."
    assert users["columns"] == [{"name": "source", "type": "VARCHAR", "description": "Where events come from."}]


def test_rows_come_back_as_they_were(settings, exports):
    Exporter(settings).export(formats=["parquet", "csv"])
    parquet = pq.read_table(exports / BUILDS[0] / "users.parquet")
    assert parquet.schema.field("first_seen").type == pa.timestamp("us", tz="UTC")
    assert parquet.schema.field("net_value").type == pa.decimal128(18, 4)
    with duckdb.connect(str(settings.warehouse / f"warehouse-{BUILDS[0]}.duckdb"), read_only=True) as connection:
        rows = connection.execute("SELECT user_id, views, net_value FROM users").fetchall()
    assert [(row["user_id"], row["views"], row["net_value"]) for row in parquet.to_pylist()] == rows
    assert from_csv((exports / BUILDS[0] / "users.csv").read_bytes(), parquet.schema).equals(parquet)


def test_more_rows_than_one_batch(settings, exports):
    publish(settings, BUILDS[1], rows=250_000)
    Exporter(settings).export()
    file = pq.ParquetFile(exports / BUILDS[1] / "users.parquet")
    assert (file.metadata.num_rows, file.metadata.num_row_groups > 1) == (250_000, True)
    assert file.read().column("views").to_pylist() == list(range(250_000))


def test_to_s3(settings, s3_endpoint, s3_bucket):
    settings = settings.model_copy(update={"s3_endpoint_url": s3_endpoint})
    report = Exporter(settings).export(f"s3://{s3_bucket}/marts/", ["parquet", "csv"])
    assert report.manifest == f"s3://{s3_bucket}/marts/{BUILDS[0]}/manifest.json"
    storage = open_storage(f"s3://{s3_bucket}/marts", settings)
    assert len(list(storage.list())) == 6
    with storage.open(f"{BUILDS[0]}/users.parquet") as stream:
        data = stream.read()
    assert pq.read_table(io.BytesIO(data)).num_rows == 3
    table = next(table for table in report.tables if (table.table, table.format) == ("users", "parquet"))
    assert (table.sha256, table.uri) == (hashlib.sha256(data).hexdigest(), storage.uri(f"{BUILDS[0]}/users.parquet"))
    assert not Exporter(settings).export(f"s3://{s3_bucket}/marts").exported


class TestOnce:
    def test_a_second_time_there_is_nothing_to_do(self, settings, monkeypatch):
        first = Exporter(settings).export()
        monkeypatch.setattr(LocalStorage, "create", None)
        second = Exporter(settings).export()
        assert (first.exported, second.exported) == (True, False)
        assert second.tables == first.tables

    def test_a_format_can_be_added(self, settings, exports):
        first = Exporter(settings).export(formats=["parquet"])
        modified = (exports / BUILDS[0] / "users.parquet").stat().st_mtime_ns
        second = Exporter(settings).export(formats=["csv"])
        assert {table.format for table in second.tables} == {"csv"}
        assert (exports / BUILDS[0] / "users.parquet").stat().st_mtime_ns == modified
        both = Exporter(settings).export(formats=["csv", "parquet"])
        assert not both.exported
        assert set(both.tables) == {*first.tables, *second.tables}

    def test_a_new_build_lies_beside_the_old_one(self, settings, exports):
        Exporter(settings).export()
        publish(settings, BUILDS[1])
        assert Exporter(settings).export().exported
        assert json.loads((exports / "latest.json").read_text())["build_id"] == BUILDS[1]
        assert (exports / BUILDS[0] / "manifest.json").exists()

    def test_after_a_rollback_the_latest_is_the_served_one(self, settings, exports):
        Exporter(settings).export()
        publish(settings, BUILDS[1])
        Exporter(settings).export()
        (settings.warehouse / "CURRENT").write_text(f"warehouse-{BUILDS[0]}.duckdb")
        assert not Exporter(settings).export().exported
        assert json.loads((exports / "latest.json").read_text())["build_id"] == BUILDS[0]

    def test_the_same_build_gives_the_same_bytes(self, settings, tmp_path):
        for name in ("one", "two"):
            Exporter(settings).export(tmp_path / name, ["parquet", "csv"])
        assert files(tmp_path / "one") == files(tmp_path / "two")
        for name in files(tmp_path / "one"):
            assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


class TestFailure:
    def test_a_mart_that_fails_leaves_no_manifest(self, settings, exports):
        info = settings.warehouse / f"warehouse-{BUILDS[0]}.json"
        broken = json.loads(info.read_text())
        broken["marts"]["vanished"] = {"rows": 1}
        info.write_text(json.dumps(broken))
        with pytest.raises(ExportError, match="vanished") as caught:
            Exporter(settings).export()
        assert caught.value.hint
        assert not [name for name in files(exports) if name.endswith(".json")]

    def test_a_failed_export_leaves_the_latest_one(self, settings, exports, monkeypatch):
        Exporter(settings).export()
        before = (exports / "latest.json").read_bytes()
        publish(settings, BUILDS[1])

        def failing(self, rows, to):
            to.write(b"half")
            raise pa.ArrowInvalid("no such thing")

        with monkeypatch.context() as patch, pytest.raises(ExportError, match="no such thing"):
            patch.setattr(Parquet, "write", failing)
            Exporter(settings).export()
        assert (exports / "latest.json").read_bytes() == before
        assert not (exports / BUILDS[1] / "daily.parquet").exists()
        assert Exporter(settings).export().exported

    @pytest.mark.parametrize("kind", ["parquet", "csv"])
    def test_full_disk(self, settings, exports, monkeypatch, kind):
        create = LocalStorage.create

        class Full(io.RawIOBase):
            def write(self, _):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        from contextlib import contextmanager

        @contextmanager
        def full(self, name, *, if_absent=True):
            with create(self, name, if_absent=if_absent):
                yield Full()

        monkeypatch.setattr(LocalStorage, "create", full)
        with pytest.raises(StorageFullError, match="disk is full"):
            Exporter(settings).export(formats=[kind])
        assert files(exports) == []

    def test_destination_below_a_file(self, settings, tmp_path):
        (tmp_path / "file").write_text("")
        with pytest.raises(ExportError, match="Not a directory"):
            Exporter(settings).export(tmp_path / "file" / "exports")

    def test_missing_bucket(self, settings, s3_endpoint):
        settings = settings.model_copy(update={"s3_endpoint_url": s3_endpoint})
        with pytest.raises(ExportError, match="NoSuchBucket"):
            Exporter(settings).export("s3://nosuchbucket/marts")

    def test_damaged_manifest(self, settings, exports):
        Exporter(settings).export()
        (exports / BUILDS[0] / "manifest.json").write_text("{}")
        with pytest.raises(ExportError, match="manifest.json cannot be read"):
            Exporter(settings).export()

    def test_nothing_built(self, tmp_path):
        with pytest.raises(NotBuiltError):
            Exporter(Settings(home=tmp_path / "empty")).export()

    def test_unknown_format(self, settings, exports):
        with pytest.raises(PluginError, match="'xlsx'"):
            Exporter(settings).export(formats=["xlsx"])
        assert not exports.exists()

    def test_formats_as_one_text(self, settings):
        with pytest.raises(ConfigError, match="'csv'"):
            Exporter(settings).export(formats="csv")


def test_progress_ends_at_the_total(settings):
    seen = []
    Exporter(settings, watch=seen.append).export(formats=["parquet", "csv"])
    assert [(step.done, step.total) for step in seen] == [(done, 4) for done in range(5)]
    assert {(step.stage, step.unit) for step in seen} == {("export", "files")}
