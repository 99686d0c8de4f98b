"""The Exporter: public marts, whole builds only, the manifest last, and nothing that is there already."""

from __future__ import annotations

import csv
import errno
import hashlib
import io
import json
import os
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.csv as arrow_csv
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable
from exporting import publish

from ecom_analytics import Exporter, Settings, plugins
from ecom_analytics.errors import ConfigError, ExportError, NotBuiltError, PluginError, StorageFullError
from ecom_analytics.export_formats.csv import Csv
from ecom_analytics.export_formats.delta import Delta
from ecom_analytics.export_formats.jsonl import JsonLines
from ecom_analytics.export_formats.parquet import Parquet
from ecom_analytics.marts import project
from ecom_analytics.protocols import TableFile, TableFormat
from ecom_analytics.storages import open_storage, storage_options
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

    def test_for_a_spreadsheet(self):
        values = ["=1+1", "+1", "-1", "@x", "\tx", "\rx", "\nx", "", None, "NULL", "a=b", "'"]
        table = pa.table({"@text": values, "number": [-1] * len(values)})
        lines = self.written(Csv(bom=True, escape_formulas=True, null="NULL"), table).decode("utf-8-sig")
        assert self.written(Csv(bom=True), table).startswith(b"\xef\xbb\xbf@text,number\n")
        assert lines.startswith("'@text,number\n")
        texts = ["'=1+1", "'+1", "'-1", "'@x", "'\tx", "'\rx", "'\nx", "", "NULL", "NULL", "a=b", "'"]
        assert list(csv.reader(io.StringIO(lines, newline="")))[1:] == [[text, "-1"] for text in texts]
        assert '\nNULL,-1\n"NULL",-1\n' in lines

    def test_options_are_settings(self, tmp_path):
        made = Csv.from_settings(Settings(home=tmp_path, csv_bom=True, csv_escape_formulas=True, csv_null="\\N"))
        assert (made.bom, made.escape_formulas, made.null) == (True, True, "\\N")
        assert made.version != Csv().version
        with pytest.raises(ConfigError, match="csv_null"):
            Settings(home=tmp_path, csv_null='"')

    def test_refuses_what_csv_cannot_hold(self, export_format):
        with pytest.raises(ExportError, match="'nested' of type list") as caught:
            self.written(export_format, pa.table({"nested": [[1]]}))
        assert caught.value.hint


def from_jsonl(data: bytes, schema: pa.Schema) -> pa.Table:
    def value(text: object, kind: pa.DataType) -> object:
        if isinstance(text, str) and (pa.types.is_timestamp(kind) or pa.types.is_date(kind)):
            found = datetime.fromisoformat(text)
            return found.date() if pa.types.is_date(kind) else found
        return float(text) if isinstance(text, Decimal) and pa.types.is_floating(kind) else text

    # Not splitlines, which takes more for the end of a line.
    rows = [json.loads(line, parse_float=Decimal) for line in data.decode().split("\n") if line]
    return pa.table(
        {field.name: pa.array([value(row[field.name], field.type) for row in rows], field.type) for field in schema}
    )


class TestJsonLines(ExportFormatContract):
    @pytest.fixture
    def export_format(self) -> JsonLines:
        return JsonLines()

    def read_back(self, data, schema):
        return from_jsonl(data, schema)

    def test_looks_as_promised(self, export_format):
        table = pa.table(
            {
                "at": pa.array([datetime(2015, 6, 2, 5, 2, 12, 117000)], pa.timestamp("us", tz="UTC")),
                "text": ['say "é"\n'],
                "none": pa.array([None], pa.int64()),
                "no number": [float("nan")],
                "nested": [[1, 2]],
            }
        )
        assert self.written(export_format, table).decode() == (
            '{"at":"2015-06-02T05:02:12.117000Z","text":"say \\"é\\"\\n","none":null,"no number":null,"nested":[1,2]}\n'
        )


class TestDelta(ExportFormatContract):
    @pytest.fixture
    def export_format(self) -> Delta:
        return Delta()

    def read_back(self, data, schema):
        return pq.read_table(io.BytesIO(data)).cast(schema)

    def test_keeps_the_protocol_of_tables(self, export_format):
        assert isinstance(export_format, TableFormat)
        assert not isinstance(Parquet(), TableFormat)

    def test_of_two_that_read_the_same_version_one_fails(self, export_format, tmp_path):
        table, address = pa.table({"n": [1]}), str(tmp_path / "delta")
        pq.write_table(table, tmp_path / "x.parquet")
        files = [TableFile(f"{name}.parquet", 1, 1) for name in "abc"]
        assert export_format.state(address, {}) is None
        assert export_format.commit(address, {}, files[:1], table.schema, None) == 0
        with pytest.raises(FileExistsError):
            export_format.commit(address, {}, files[1:], table.schema, None)
        assert export_format.commit(address, {}, files[1:], table.schema, 0) == 1
        with pytest.raises(FileExistsError):
            export_format.commit(address, {}, files[:1], table.schema, 0)
        assert export_format.state(address, {}) == (1, {"b.parquet", "c.parquet"})

    def test_a_type_that_delta_has_not(self, export_format, tmp_path):
        with pytest.raises(ExportError, match="mart 'times' has a column") as caught:
            export_format.commit(str(tmp_path / "times"), {}, [], pa.schema([("at", pa.time64("us"))]), None)
        assert "\n" not in caught.value.message


BUILDS = ("20260101T000000Z-aaaaaa", "20260102T000000Z-bbbbbb")


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


def latest(folder: Path) -> dict:
    return json.loads((folder / json.loads((folder / "latest.json").read_text())["manifest"]).read_text())


def rows_of(folder: Path, manifest: dict) -> dict[tuple[str, str], int]:
    return {
        (table["table"], table["format"]): sum(file["rows"] for file in table["files"]) for table in manifest["tables"]
    }


def test_every_public_mart_in_every_format(settings, exports):
    report = Exporter(settings).export(formats=["parquet", "csv", "jsonl"])
    [run] = [path.name for path in (exports / "runs").iterdir()]
    kinds = ("csv", "jsonl", "parquet")
    assert files(exports) == [
        "latest.json",
        "manifests/00000001.json",
        *(f"runs/{run}/{mart}.{kind}" for mart in ("daily", "users") for kind in kinds),
    ]
    assert (report.build_id, report.destination, report.exported) == (BUILDS[0], str(exports), True)
    assert report.manifest == str(exports / "manifests/00000001.json")
    assert {(table.table, table.format, table.rows) for table in report.tables} == {
        (mart, kind, rows) for mart, rows in (("daily", 1), ("users", 3)) for kind in kinds
    }
    assert report.bytes == sum(table.bytes for table in report.tables)
    assert report.files_written == 6


def test_the_manifest_is_true(settings, exports):
    Exporter(settings).export(formats=["parquet", "csv"])
    named = json.loads((exports / "latest.json").read_text())
    assert named == {
        "build_id": BUILDS[0],
        "built_at": "2026-01-01T00:00:00+00:00",
        "manifest": "manifests/00000001.json",
    }
    manifest = latest(exports)
    assert (manifest["as_of"], manifest["formats"]) == ("2015-06-02T05:02:12.117000+00:00", ["csv", "parquet"])
    assert len(manifest["tables"]) == 4
    for table in manifest["tables"]:
        [file] = table["files"]
        data = (exports / file["file"]).read_bytes()
        assert (file["bytes"], file["sha256"]) == (len(data), hashlib.sha256(data).hexdigest())
    users = next(table for table in manifest["tables"] if table["table"] == "users")
    assert users["description"] == "One row a user."
    assert users["columns"][0] == {"name": "source", "type": "VARCHAR", "description": "Where events come from."}
    assert [(column["name"], column["type"]) for column in users["columns"]][-1] == ("net_value", "DECIMAL(18,4)")
    assert Exporter(settings).newest().to_dict() == manifest


def test_some_marts(settings, exports):
    report = Exporter(settings).export(select=["daily"])
    assert [table.table for table in report.tables] == ["daily"]
    assert rows_of(exports, latest(exports)) == {("daily", "parquet"): 1}
    assert [table.table for table in Exporter(settings).export(select=["users"]).tables] == ["users"]
    assert set(rows_of(exports, latest(exports))) == {("daily", "parquet"), ("users", "parquet")}
    with pytest.raises(ConfigError, match="no public mart 'private'") as caught:
        Exporter(settings).export(select=["private"])
    assert "daily, users" in caught.value.hint
    with pytest.raises(ConfigError, match="select is the text"):
        Exporter(settings).export(select="daily")


def test_rows_come_back_as_they_were(settings, exports):
    Exporter(settings).export(formats=["parquet", "csv", "jsonl", "delta"])
    place = {
        table["format"]: table["files"][0]["file"] for table in latest(exports)["tables"] if table["table"] == "users"
    }
    parquet = pq.read_table(exports / place["parquet"])
    assert parquet.schema.field("first_seen").type == pa.timestamp("us", tz="UTC")
    assert parquet.schema.field("net_value").type == pa.decimal128(18, 4)
    with duckdb.connect(str(settings.warehouse / f"warehouse-{BUILDS[0]}.duckdb"), read_only=True) as connection:
        rows = connection.execute("SELECT user_id, views, net_value FROM users").fetchall()
    assert [(row["user_id"], row["views"], row["net_value"]) for row in parquet.to_pylist()] == rows
    assert from_csv((exports / place["csv"]).read_bytes(), parquet.schema).equals(parquet)
    assert from_jsonl((exports / place["jsonl"]).read_bytes(), parquet.schema).equals(parquet)
    assert DeltaTable(exports / "delta/users").to_pyarrow_table().equals(parquet)


def test_more_rows_than_one_batch(settings, exports):
    publish(settings, BUILDS[1], rows=250_000)
    Exporter(settings).export()
    [name] = [name for name in files(exports) if name.endswith("/users.parquet")]
    file = pq.ParquetFile(exports / name)
    assert (file.metadata.num_rows, file.metadata.num_row_groups > 1) == (250_000, True)
    assert file.read().column("views").to_pylist() == list(range(250_000))


def test_a_mart_without_a_row(settings, exports):
    publish(settings, BUILDS[1], rows=0)
    report = Exporter(settings).export(formats=["parquet", "csv", "jsonl", "delta"], select=["users"])
    assert [table.rows for table in report.tables] == [0] * 4
    assert DeltaTable(exports / "delta/users").to_pyarrow_table().num_rows == 0


def test_to_s3(settings, s3_endpoint, s3_bucket):
    settings = settings.model_copy(update={"s3_endpoint_url": s3_endpoint})
    to = f"s3://{s3_bucket}/marts"
    report = Exporter(settings).export(f"{to}/", ["parquet", "csv", "delta"])
    assert report.manifest == f"{to}/manifests/00000001.json"
    storage = open_storage(to, settings)
    table = next(table for table in report.tables if (table.table, table.format) == ("users", "parquet"))
    with storage.open(table.uri.removeprefix(f"{to}/")) as stream:
        data = stream.read()
    assert pq.read_table(io.BytesIO(data)).num_rows == 3
    assert table.sha256 == hashlib.sha256(data).hexdigest()
    options = storage_options(settings, to)
    assert DeltaTable(f"{to}/delta/users", storage_options=options).to_pyarrow_table().num_rows == 3
    assert not Exporter(settings).export(to, ["parquet", "delta"]).exported
    publish(settings, BUILDS[1], rows=5)
    assert Exporter(settings).export(to, ["parquet", "delta"]).files_written == 2
    assert DeltaTable(f"{to}/delta/users", storage_options=options).to_pyarrow_table().num_rows == 5


class TestOnce:
    def test_a_second_time_there_is_nothing_to_do(self, settings, exports, monkeypatch):
        first = Exporter(settings).export(formats=["parquet", "delta"])
        before = files(exports)
        monkeypatch.setattr(LocalStorage, "create", None)
        second = Exporter(settings).export(formats=["parquet", "delta"])
        assert (first.exported, second.exported, second.files_written) == (True, False, 0)
        assert second.tables == first.tables
        assert files(exports) == before

    def test_a_format_can_be_added(self, settings):
        first = Exporter(settings).export(formats=["parquet"])
        second = Exporter(settings).export(formats=["csv"])
        assert {table.format for table in second.tables} == {"csv"}
        assert second.files_written == 2
        both = Exporter(settings).export(formats=["csv", "parquet"])
        assert not both.exported
        assert set(both.tables) == {*first.tables, *second.tables}

    def test_a_new_build_writes_what_changed(self, settings, exports):
        first = Exporter(settings).export(formats=["parquet", "delta"])
        publish(settings, BUILDS[1], rows=4)
        second = Exporter(settings).export(formats=["parquet", "delta"])
        assert (second.exported, second.files_written) == (True, 2)
        daily = {table for table in first.tables if table.table == "daily"}
        assert daily == {table for table in second.tables if table.table == "daily"}
        manifest = latest(exports)
        assert (manifest["number"], manifest["build_id"]) == (2, BUILDS[1])
        versions = {table["table"]: table["version"] for table in manifest["tables"] if table["format"] == "delta"}
        assert versions == {"daily": 0, "users": 1}
        assert DeltaTable(exports / "delta/users").to_pyarrow_table().num_rows == 4
        assert DeltaTable(exports / "delta/users", version=0).to_pyarrow_table().num_rows == 3

    def test_a_build_of_the_same_rows_in_another_order_writes_no_file(self, settings, exports):
        Exporter(settings).export()
        publish(settings, BUILDS[1])
        with duckdb.connect(str(settings.warehouse / f"warehouse-{BUILDS[1]}.duckdb")) as connection:
            connection.execute("CREATE OR REPLACE TABLE users AS SELECT * FROM users ORDER BY user_id DESC")
        report = Exporter(settings).export()
        assert (report.exported, report.files_written) == (True, 0)
        assert latest(exports)["build_id"] == BUILDS[1]

    @pytest.mark.parametrize(
        "change",
        [
            "UPDATE users SET views = views + 1 WHERE user_id = 'u1'",
            "UPDATE users SET net_value = NULL WHERE user_id = 'u0'",
            "INSERT INTO users FROM users WHERE user_id = 'u0'",
            "ALTER TABLE users RENAME COLUMN views TO looks",
            "ALTER TABLE users ALTER COLUMN views TYPE INTEGER",
            "UPDATE users SET views = 3 - views",
        ],
    )
    def test_any_change_is_seen(self, settings, exports, change):
        Exporter(settings).export()
        publish(settings, BUILDS[1])
        with duckdb.connect(str(settings.warehouse / f"warehouse-{BUILDS[1]}.duckdb")) as connection:
            connection.execute(change)
        assert Exporter(settings).export().files_written == 1

    def test_other_options_write_again(self, settings):
        Exporter(settings).export(formats=["csv"])
        assert Exporter(settings.model_copy(update={"csv_bom": True})).export(formats=["csv"]).files_written == 2

    def test_after_a_rollback_the_latest_is_the_served_one(self, settings, exports):
        Exporter(settings).export()
        publish(settings, BUILDS[1], rows=4)
        Exporter(settings).export()
        (settings.warehouse / "CURRENT").write_text(f"warehouse-{BUILDS[0]}.duckdb")
        Exporter(settings).export()
        assert (latest(exports)["number"], latest(exports)["build_id"]) == (3, BUILDS[0])
        assert rows_of(exports, latest(exports))["users", "parquet"] == 3

    def test_the_same_build_gives_the_same_bytes(self, settings, tmp_path):
        one, two = (
            {
                (t.table, t.format): t.sha256
                for t in Exporter(settings).export(tmp_path / name, ["parquet", "csv"]).tables
            }
            for name in "ab"
        )
        assert one == two


class TestPartitions:
    @pytest.fixture
    def settings(self, tmp_path):
        settings = Settings(home=tmp_path, export_partition_rows=10)
        self.publish(settings, BUILDS[0])
        return settings

    def publish(self, settings, build, change="SELECT 1"):
        publish(settings, build)
        with duckdb.connect(str(settings.warehouse / f"warehouse-{build}.duckdb")) as connection:
            connection.execute(
                "CREATE OR REPLACE TABLE daily AS SELECT DATE '2025-12-30' + n::INTEGER AS date, n::BIGINT AS visitors "
                "FROM range(40) AS t (n) UNION ALL SELECT NULL, 7"
            )
            connection.execute(change)

    def daily(self, exports, kind="parquet"):
        return next(t for t in latest(exports)["tables"] if (t["table"], t["format"]) == ("daily", kind))

    def test_a_mart_with_a_date_is_cut_by_month(self, settings, exports):
        Exporter(settings).export(formats=["parquet", "csv", "delta"])
        daily = self.daily(exports)
        assert daily["partitioned_by"] == "date"
        assert {file["partition"]: file["rows"] for file in daily["files"]} == {
            "2025-12": 2, "2026-01": 31, "2026-02": 7, "undated": 1,
        }  # fmt: skip
        rows = [row for file in daily["files"] for row in pq.read_table(exports / file["file"]).to_pylist()]
        assert sorted(row["visitors"] for row in rows) == sorted([*range(40), 7])
        january = pq.read_table(exports / daily["files"][1]["file"]).column("date").to_pylist()
        assert (min(january), max(january)) == (date(2026, 1, 1), date(2026, 1, 31))
        assert DeltaTable(exports / "delta/daily").to_pyarrow_table().num_rows == 41

    def test_only_changed_months_are_written(self, settings, exports):
        Exporter(settings).export(formats=["parquet", "delta"])
        before = {file["partition"]: file for file in self.daily(exports)["files"]}
        self.publish(settings, BUILDS[1], "UPDATE daily SET visitors = 0 WHERE date = DATE '2026-02-03'")
        assert Exporter(settings).export(formats=["parquet", "delta"]).files_written == 2
        after = {file["partition"]: file for file in self.daily(exports)["files"]}
        assert {month for month in after if after[month] != before[month]} == {"2026-02"}
        assert DeltaTable(exports / "delta/daily").to_pyarrow_table().num_rows == 41
        assert len(DeltaTable(exports / "delta/daily").file_uris()) == 4

    @pytest.mark.parametrize("grain", ["month", "day"])
    def test_dates_that_are_none(self, settings, exports, grain):
        settings = settings.model_copy(update={"export_partitions": grain})
        self.publish(
            settings, BUILDS[1], "INSERT INTO daily VALUES ('infinity', 1), ('-infinity', 1), ('0001-01-01', 1)"
        )
        Exporter(settings).export(formats=["csv"])
        files = {file["partition"]: file["rows"] for file in self.daily(exports, "csv")["files"]}
        assert (files["undated"], sum(files.values())) == (3, 44)
        assert files["0001-01" if grain == "month" else "0001-01-01"] == 1
        self.publish(settings, "20260103T000000Z-cccccc", "INSERT INTO daily VALUES (DATE '0044-03-15 (BC)', 1)")
        Exporter(settings).export(formats=["csv"])
        assert [(file["partition"], file["rows"]) for file in self.daily(exports, "csv")["files"]] == [(None, 42)]

    def test_more_months_than_are_written_at_once(self, settings, exports):
        self.publish(settings, BUILDS[1], "UPDATE daily SET date = DATE '2000-01-01' + INTERVAL (visitors * 40) DAY")
        settings = settings.model_copy(update={"export_partitions": "day"})
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("ecom_analytics.export.attempts.AT_ONCE", 7)
            Exporter(settings).export(formats=["jsonl", "csv"])
        for kind in ("jsonl", "csv"):
            daily = self.daily(exports, kind)
            assert (len(daily["files"]), sum(file["rows"] for file in daily["files"])) == (40, 41)
            for file in daily["files"]:
                assert file["partition"] in (exports / file["file"]).read_text()
                assert "__ecom" not in (exports / file["file"]).read_text()

    def test_a_month_that_is_gone_is_named_no_more(self, settings, exports):
        Exporter(settings).export(formats=["delta"])
        self.publish(settings, BUILDS[1], "DELETE FROM daily WHERE date < DATE '2026-01-01'")
        assert Exporter(settings).export(formats=["delta"]).files_written == 0
        assert [file["partition"] for file in self.daily(exports, "delta")["files"]] == [
            "2026-01",
            "2026-02",
            "undated",
        ]
        assert DeltaTable(exports / "delta/daily").to_pyarrow_table().num_rows == 39

    @pytest.mark.parametrize(
        ("more", "parts"),
        [({"export_partitions": "day"}, 41), ({"export_partitions": "none"}, 1), ({"export_partition_rows": 41}, 1)],
    )
    def test_settings(self, settings, exports, more, parts):
        Exporter(settings.model_copy(update=more)).export()
        files = self.daily(exports)["files"]
        assert (len(files), sum(file["rows"] for file in files)) == (parts, 41)

    @pytest.mark.parametrize(("said", "by"), [("other_day", "other_day"), (False, None), ("visitors", None)])
    def test_a_mart_may_say_its_date(self, settings, exports, said, by):
        self.publish(settings, BUILDS[1], "ALTER TABLE daily ADD COLUMN other_day DATE")
        path = settings.warehouse / f"warehouse-{BUILDS[1]}.json"
        info = json.loads(path.read_text())
        info["marts"]["daily"]["partition_by"] = said
        path.write_text(json.dumps(info))
        Exporter(settings).export()
        assert self.daily(exports)["partitioned_by"] == by


@pytest.mark.parametrize(
    ("meta", "known"),
    [({"partition_by": "day"}, {"partition_by": "day"}), ({"partition_by": False}, {"partition_by": False}), ({}, {})],
)
def test_a_model_names_its_date_by_its_meta(meta, known):
    node = {"description": " A mart. ", "columns": {}, "config": {"meta": meta}}
    assert project._mart(node) == {"description": "A mart.", "columns": {}, **known}


class TestCollection:
    """Old exports go, and never a file that a kept one needs."""

    def export(self, settings, count, **more):
        for number in range(count):
            publish(settings, f"2026010{number + 1}T000000Z-dddddd", rows=number + 1)
            Exporter(settings.model_copy(update=more)).export(formats=["parquet", "delta"])

    def check(self, exports, numbers):
        there = [json.loads((exports / f"manifests/{number:08}.json").read_text()) for number in numbers]
        assert [name for name in files(exports) if name.startswith("manifests/")] == [
            f"manifests/{number:08}.json" for number in numbers
        ]
        named = {file["file"] for manifest in there for table in manifest["tables"] for file in table["files"]}
        assert {name for name in files(exports) if name.endswith(".parquet")} == named
        for manifest in there:
            users = next(t for t in manifest["tables"] if (t["table"], t["format"]) == ("users", "delta"))
            table = DeltaTable(exports / "delta/users", version=users["version"])
            assert table.to_pyarrow_table().num_rows == manifest["number"]

    def test_by_count(self, settings, exports):
        self.export(settings, 5, export_grace_minutes=0, keep_exports=2)
        self.check(exports, [4, 5])
        assert all(path.iterdir() for path in (exports / "runs").iterdir())

    def test_whoever_reads_has_time(self, settings, exports):
        self.export(settings, 5, keep_exports=1)
        self.check(exports, [1, 2, 3, 4, 5])

    def test_by_age(self, settings, exports):
        self.export(settings, 3, export_grace_minutes=0, keep_exports=10)
        manifest = exports / "manifests/00000002.json"
        manifest.write_text(manifest.read_text().replace('"exported_at": "20', '"exported_at": "19'))
        Exporter(settings.model_copy(update={"export_grace_minutes": 0, "keep_exports_days": 30})).collect()
        self.check(exports, [2, 3])

    def test_what_dead_runs_left_goes_after_a_day(self, settings, exports):
        self.export(settings, 1)
        now = f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-aaaaaa"
        for run in ("20260101T000000Z-aaaaaa", now):
            for name in (f"runs/{run}/users.parquet", f"delta/users/{run}-all.parquet"):
                (exports / name).parent.mkdir(exist_ok=True)
                (exports / name).write_text("")
        (exports / "delta/users/mine.txt").write_text("")
        deleted = Exporter(settings).collect()
        assert set(deleted) == {
            "runs/20260101T000000Z-aaaaaa/users.parquet",
            "delta/users/20260101T000000Z-aaaaaa-all.parquet",
        }
        assert (exports / f"runs/{now}/users.parquet").exists()

    def test_a_table_that_no_manifest_names_any_more_can_still_be_read(self, settings, exports):
        more = {"export_grace_minutes": 0, "keep_exports": 1}
        settings = settings.model_copy(update=more)
        Exporter(settings).export(formats=["delta"])
        for build in (BUILDS[1], "20260103T000000Z-cccccc"):
            publish(settings, build, rows=9)
            Exporter(settings).export(formats=["csv"])
        assert DeltaTable(exports / "delta/users").to_pyarrow_table().num_rows == 3


class TestFailure:
    def test_a_mart_that_fails_leaves_no_manifest(self, settings, exports):
        info = settings.warehouse / f"warehouse-{BUILDS[0]}.json"
        broken = json.loads(info.read_text())
        broken["marts"]["vanished"] = {"rows": 1}
        info.write_text(json.dumps(broken))
        with pytest.raises(ExportError, match="vanished") as caught:
            Exporter(settings).export()
        assert f"there is no export in {exports}" in caught.value.hint
        assert files(exports) == []

    def test_a_failed_export_leaves_the_latest_one(self, settings, exports, monkeypatch):
        Exporter(settings).export()
        before = (exports / "latest.json").read_bytes()
        publish(settings, BUILDS[1])

        def failing(self, query, schema):
            raise pa.ArrowInvalid("no such thing")

        with monkeypatch.context() as patch, pytest.raises(ExportError, match="no such thing") as caught:
            patch.setattr(Csv, "copying", failing)
            Exporter(settings).export(formats=["parquet", "csv"])
        assert f"the newest export in {exports} is number 1, of build {BUILDS[0]}, and whole" in caught.value.hint
        assert (exports / "latest.json").read_bytes() == before
        assert len(files(exports)) == 4
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
        (exports / "manifests/00000001.json").write_text("{}")
        with pytest.raises(ExportError, match="00000001.json cannot be read") as caught:
            Exporter(settings).export()
        assert caught.value.hint

    def test_nothing_built(self, tmp_path):
        with pytest.raises(NotBuiltError):
            Exporter(Settings(home=tmp_path / "empty")).export()

    def test_a_plug_in_that_writes_itself(self, settings, exports, monkeypatch):
        class Names:
            name = extension = "names"

            def write(self, rows, to):
                to.write(",".join(rows.schema.names).encode())
                return sum(batch.num_rows for batch in rows)

        load = plugins.load
        monkeypatch.setattr(plugins, "load", lambda kind, name: Names if name == "names" else load(kind, name))
        report = Exporter(settings).export(formats=["names"])
        assert [Path(table.uri).read_text() for table in report.tables if table.table == "daily"] == ["date,visitors"]
        assert {table.rows for table in report.tables} == {1, 3}

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
