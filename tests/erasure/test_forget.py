"""Nothing of a forgotten visitor is left, and everything of the others is."""

from __future__ import annotations

import gzip
import json
import random
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from staged_rows import HEADER

from ecom_analytics import Eraser, Ingestor, MartBuilder, Pipeline, Settings, Stager, Warehouse
from ecom_analytics.cli import main
from ecom_analytics.erasure import eraser as eraser_module
from ecom_analytics.errors import BusyError, ConfigError, InputError
from ecom_analytics.lake import batches
from ecom_analytics.reading import open_decompressed
from ecom_analytics.staging import snapshot
from ecom_analytics.staging.places import open_place
from ecom_analytics.staging.state import load
from ecom_analytics.storages import open_storage
from ecom_analytics.suppression import erasures

pytest_plugins = ["s3_server"]

pytestmark = pytest.mark.long

LONG = "1f7c9a52-3b1e-4c55-9a0e-7f21d0c3b4aa"
SHORT = "7"

MAPPING = """
[file]
encoding = "latin-1"

[event_ts]
path = "zeit"

[columns]
visitor_id = "wer"
event_type = { path = "was", map = { ansicht = "view" } }
category = "sparte"
"""


def files(folder: Path, *, without: bool = False) -> dict[str, Path]:
    """A file of each kind with records of both visitors, marked by ``!``, and of others.

    With ``without`` the marked records are empty lines, as if nobody had ever been there.
    """
    folder.mkdir(exist_ok=True)

    def lines(*records: str) -> str:
        text = ""
        for record in records:
            is_theirs = record.startswith("!")
            text += "\n" * (record.count("\n") + 1) if is_theirs and without else record.removeprefix("!") + "\n"
        return text

    shop = lines(
        f"!2026-01-05T10:00:00Z,view,{SHORT},p,",
        f"!2026-01-05T10:05:00Z,view,{LONG},p,",
        "2026-01-05T10:06:00Z,view,w,p,",
        '!2026-01-05T10:07:00Z,view,"7","two\nlines",',
        f"!nonsense,view,{SHORT},p,",
        f"!cut;{SHORT};short",
        "nonsense,view,77,p7,",
        "",
        f'!2026-01-05T23:50:00Z,view,w,"of {LONG}",',
        '2026-01-06T00:10:00Z,purchase,w,"two\nlines",',
        "2026-01-05T10:06:00Z,view,w,p,",
    )
    found = {name: folder / f"{name}.csv" for name in ("plain", "zipped", "rocket", "segment", "latin", "parquet")}
    found["plain"].write_text(HEADER + shop)
    found["zipped"].write_bytes(gzip.compress((HEADER + shop.replace("T10:", "T12:")).encode()))
    found["rocket"].write_text(
        "timestamp,visitorid,event,itemid,transactionid\n"
        + lines("!1767607200000,7.0,view,1,", "1767607260000,77,view,7,", "!1767607320000,7,transaction,7,7")
    )
    events = [
        {"type": "track", "event": "Product Viewed", "messageId": str(n), "timestamp": f"2026-01-05T1{n}:00:00Z",
         "anonymousId": visitor, "userId": user, "properties": {"product_id": "p", "url": url}}
        for n, (visitor, user, url) in enumerate(
            [("a", SHORT, "/"), (LONG, None, "/"), ("b", None, f"/?u={LONG}"), ("c", None, "/7")])
    ]  # fmt: skip
    marks = ["!", "!", "!", ""]
    found["segment"].write_text(
        lines(*(mark + json.dumps(event) for mark, event in zip(marks, events, strict=True)), f'!{{"broken": "{LONG}"')
    )
    found["latin"].write_bytes(
        (
            "zeit,was,wer,sparte\n"
            + lines(f"!2026-01-08 10:00:00,ansicht,{LONG},Söcken", "2026-01-08 10:01:00,ansicht,ü,Hüte")
        ).encode("latin-1")
    )
    (folder / "latin.toml").write_text(MAPPING)
    table = pa.table(
        {
            "event_ts": [f"2026-01-07T10:0{minute}:00Z" for minute in range(3)],
            "event_type": ["view"] * 3,
            "visitor_id": [SHORT, LONG, "w"],
            "product_id": ["p"] * 3,
        }
    )
    if without:
        erased = {b"ecom_analytics.erased_rows": b"[1, 2]"}
        table = table.take(pa.array([None, None, 2])).replace_schema_metadata(erased)
    pq.write_table(table, found["parquet"])
    return found


def ingest_all(settings: Settings, folder: Path, *, without: bool = False) -> dict[str, Path]:
    found = files(folder, without=without)
    for name, path in found.items():
        mapping = folder / "latin.toml" if name == "latin" else None
        Ingestor(Settings(**{**settings.model_dump(), "mapping": mapping})).ingest(path, source=name)
    return found


def staged(settings: Settings) -> dict[str, set[tuple[Any, ...]]]:
    """What is staged, a file being told by its source."""
    state = load(open_place(settings))
    columns = {
        "events": "source, source_line, event_ts::VARCHAR, event_type, visitor_id, product_id, session_start::VARCHAR",
        "duplicates": "source, source_line, kept_line",
        "rejected": "source, source_line, rule, raw_text",
    }
    files_of = {
        "events": [file for files in state.events.values() for file in files],
        "duplicates": [file for files in state.duplicates.values() for file in files],
        "rejected": state.rejected,
    }
    found: dict[str, set[tuple[Any, ...]]] = {}
    with state.place.hold():
        for name, some in files_of.items():
            paths = state.place.paths([f"{name}/{file.path}" for file in some])
            rows = duckdb.read_parquet(paths, union_by_name=True).select(columns[name]).fetchall() if paths else []
            found[name] = set(rows)
            assert len(rows) == len(found[name])
    return found


def everything(settings: Settings) -> Iterator[tuple[str, bytes]]:
    """Every file below home but the key, decompressed; Parquet and databases as the text of their rows too."""
    for path in sorted(settings.home.rglob("*")):
        if not path.is_file() or path.is_symlink():
            continue
        with open_decompressed(path) as stream:
            data = stream.read()
        yield str(path), data
        if data.startswith(b"PAR1"):
            with pq.ParquetFile(path) as file:
                yield f"{path} (rows)", str(file.read().to_pylist()).encode()
        if path.suffix == ".duckdb":
            with duckdb.connect(str(path), read_only=True) as connection:
                for (table,) in connection.execute("SELECT table_name FROM duckdb_tables()").fetchall():
                    yield f"{path} ({table})", str(connection.table(table).fetchall()).encode()


def ids_left(settings: Settings) -> set[str]:
    """All visitor and user ids of the staged tables and of the marts, and the words of rejected records."""
    found: set[str] = set()
    for table in ("events", "duplicates", "rejected"):
        rows = duckdb.sql(
            f"SELECT * FROM read_parquet('{settings.lake}/staged/{table}/**/*.parquet', union_by_name = true)"
        )
        for name in {"visitor_id", "user_id"} & set(rows.columns):
            found.update(value for (value,) in rows.select(name).fetchall() if value)
        if "raw_text" in rows.columns:
            for (text,) in rows.select("raw_text").fetchall():
                found.update(text.replace('"', ",").replace(";", ",").split(","))
    with duckdb.connect(str(Warehouse(settings).current().path), read_only=True) as connection:
        for table, column in connection.execute(
            "SELECT table_name, column_name FROM duckdb_columns() WHERE column_name IN ('visitor_id', 'user_id')"
        ).fetchall():
            found.update(v for (v,) in connection.execute(f'SELECT "{column}" FROM "{table}"').fetchall() if v)
    return found


def tree(folder: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != ".lock"}


def builds_exported(settings: Settings) -> set[str]:
    """The builds that manifests name, where each file there belongs to an export."""
    exports = Path(settings.exports)
    manifests = [json.loads(path.read_text()) for path in exports.glob("manifests/*.json")]
    named = {file["file"] for manifest in manifests for table in manifest["tables"] for file in table["files"]}
    assert {str(path.relative_to(exports)) for path in exports.glob("runs/**/*.*")} == named
    assert json.loads((exports / "latest.json").read_text())["build_id"] == manifests[-1]["build_id"]
    return {manifest["build_id"] for manifest in manifests}


def test_nothing_of_them_is_left(settings: Settings, tmp_path: Path) -> None:
    found = ingest_all(settings, tmp_path / "drop")
    Pipeline(settings).run(export=True)
    first = Warehouse(settings).current().build_id
    records = snapshot(settings).account.records
    assert {SHORT, LONG} <= ids_left(settings)

    planned = Eraser(settings).forget([SHORT, LONG])
    report = Eraser(settings).forget([SHORT, LONG], dry_run=False)

    assert not ids_left(settings) & {SHORT, LONG}
    assert [name for name, data in everything(settings) if LONG.encode() in data] == []
    assert report.records == planned.records == 2 * 6 + 2 + 4 + 1 + 2
    assert {batch.name: batch.rejected for batch in report.batches} == {
        path.name: {"plain": 2, "zipped": 2, "segment": 1}.get(name, 0) for name, path in found.items()
    }
    assert (report.builds, report.exports, report.complete) == ((first,), (first,), True)
    assert [path.stem for path in settings.warehouse.glob("warehouse-*.duckdb")] == [f"warehouse-{report.build_id}"]
    assert builds_exported(settings) == {report.build_id}

    clean = Settings(home=tmp_path / "clean")
    ingest_all(clean, tmp_path / "clean-drop", without=True)
    Stager(clean).stage()
    assert staged(settings) == staged(clean)
    account = snapshot(settings).account
    assert account.adds_up
    assert (account.records, account.erased, account.blank) == (records, report.records, 2)

    assert Eraser(settings).forget([SHORT, LONG], dry_run=False).records == 0
    assert len(erasures(open_storage(settings.lake, settings))) == 1


def test_a_dry_run_changes_nothing(settings: Settings, tmp_path: Path) -> None:
    ingest_all(settings, tmp_path / "drop")
    Pipeline(settings).run(export=True)
    before = tree(settings.home)
    report = Eraser(settings).forget([LONG])
    assert (report.dry_run, report.complete, report.records > 5) == (True, False, True)
    assert tree(settings.home) == before
    result = CliRunner().invoke(main, ["forget", LONG, "--home", str(settings.home)])
    assert result.exit_code == 0, result.output
    assert json.loads(result.output.splitlines()[-1])["records"] == report.records
    assert tree(settings.home) == before


def test_only_the_visitor_of_that_source(settings: Settings, tmp_path: Path) -> None:
    ingest_all(settings, tmp_path / "drop")
    Stager(settings).stage()
    before = staged(settings)
    report = Eraser(settings).forget([SHORT], source="rocket", dry_run=False)
    assert [(batch.source, batch.records) for batch in report.batches] == [("rocket", 2)]
    after = staged(settings)
    assert before["events"] - after["events"] == {
        row for row in before["events"] if row[0] == "rocket" and row[4] == "7"
    }
    assert after["rejected"] == before["rejected"]
    assert report.build_id is None


def test_the_old_bytes_are_refused(settings: Settings, tmp_path: Path) -> None:
    found = ingest_all(settings, tmp_path / "drop")
    Stager(settings).stage()
    Eraser(settings).forget([SHORT], dry_run=False)
    before = tree(Path(settings.lake))
    with pytest.raises(InputError, match="'plain.csv' holds records that were erased") as caught:
        Ingestor(settings).ingest(found["plain"], source="plain")
    assert "leave it out" in caught.value.hint
    assert tree(Path(settings.lake)) == before


def test_files_to_come_are_suppressed_and_then_rewritten(settings: Settings, tmp_path: Path) -> None:
    ingest_all(settings, tmp_path / "drop")
    Stager(settings).stage()
    Eraser(settings).forget([SHORT, LONG], dry_run=False)
    before = staged(settings)
    late = tmp_path / "late.csv"
    late.write_text(
        HEADER + f"2026-01-05T10:01:00Z,view,{SHORT},p,\n2026-01-05T10:02:00Z,view,new,p,\nno,view,{SHORT},p,\n"
        f"no,view,{LONG},p,\n2026-01-05T10:02:00Z,view,{LONG},p,\n"
    )
    Ingestor(settings).ingest(late, source="late")
    report = Stager(settings).stage()
    assert (report.new_records, report.rejected - len(before["rejected"])) == (5, 0)
    assert {row[:2] for row in staged(settings)["events"] - before["events"]} == {("late", 3)}
    assert LONG.encode() in b"".join(data for _, data in everything(settings))

    assert Eraser(settings).pending().records == 4
    done = Eraser(settings).pending(dry_run=False)
    assert [(batch.name, batch.records, batch.rejected) for batch in done.batches] == [("late.csv", 4, 2)]
    assert [name for name, data in everything(settings) if LONG.encode() in data] == []
    again = snapshot(settings).account
    assert (again.erased, again.staged, again.adds_up) == (report.erased, report.staged, True)
    assert Eraser(settings).pending(dry_run=False).records == 0


def test_another_visitor_is_forgotten_later(settings: Settings, tmp_path: Path) -> None:
    ingest_all(settings, tmp_path / "drop")
    Stager(settings).stage()
    Eraser(settings).forget([SHORT], dry_run=False)
    Eraser(settings).forget([LONG], dry_run=False)
    clean = Settings(home=tmp_path / "clean")
    ingest_all(clean, tmp_path / "clean-drop", without=True)
    Stager(clean).stage()
    assert staged(settings) == staged(clean)
    assert snapshot(settings).account.erased == 21
    assert len(list(batches(open_storage(settings.lake, settings)))) == 6


@pytest.mark.parametrize("seed", range(10))
def test_forgetting_equals_never_having_seen(seed: int, settings: Settings, tmp_path: Path) -> None:
    chance = random.Random(seed)
    clean = Settings(home=tmp_path / "clean")
    for number in range(chance.randint(1, 4)):
        rows = [
            f"2026-01-0{chance.choice('56')}T{chance.choice(['00', '23'])}:{chance.randint(0, 59):02}:00Z,view,"
            f"{chance.choice('7vw')},p,{chance.choice(['', '', 'x'])}"
            for _ in range(chance.randint(1, 12))
        ]
        for home, some in ((settings, rows), (clean, ["" if ",7," in row else row for row in rows])):
            path = home.home / f"{number}.csv"
            path.parent.mkdir(exist_ok=True)
            path.write_text(HEADER + "\n".join(some) + "\n")
            if any(some):
                Ingestor(home).ingest(path, source=f"s{number}", source_format="canonical")
        if chance.random() < 0.5:
            Stager(settings).stage()
    Eraser(settings).forget(["7"], dry_run=False)
    Stager(clean).stage()
    assert staged(settings) == staged(clean)
    assert snapshot(settings).account.adds_up


def test_no_key_no_stage(settings: Settings, tmp_path: Path) -> None:
    ingest_all(settings, tmp_path / "drop")
    Stager(settings).stage()
    Eraser(settings).forget([SHORT], dry_run=False)
    assert stat.S_IMODE(settings.erasure_key.stat().st_mode) == 0o600
    key = settings.erasure_key.read_bytes()
    assert not any(key in data or key.hex().encode() in data for data in tree(Path(settings.lake)).values())
    settings.erasure_key.unlink()
    late = tmp_path / "late.csv"
    late.write_text(HEADER + f"2026-01-05T10:01:00Z,view,{SHORT},p,\n")
    Ingestor(settings).ingest(late, source="late")
    before = staged(settings)
    with pytest.raises(ConfigError, match="the key to tell them by is not there") as caught:
        Stager(settings).stage()
    assert "restore the key" in caught.value.hint
    assert staged(settings) == before


def test_the_key_may_not_lie_in_the_lake(settings: Settings, tmp_path: Path) -> None:
    ingest_all(settings, tmp_path / "drop")
    unsafe = Settings(home=settings.home, erasure_key=Path(settings.lake) / "key")
    before = tree(settings.home)
    with pytest.raises(ConfigError, match="would lie in the lake"):
        Eraser(unsafe).forget([SHORT], dry_run=False)
    assert tree(settings.home) == before
    with pytest.raises(ConfigError, match="a local file"):
        Settings(erasure_key="s3://bucket/key")


@pytest.mark.parametrize("visitors", [[], [""], "7"])
def test_nobody_is_an_error(visitors: Any, settings: Settings) -> None:
    with pytest.raises(ConfigError, match="no visitor to forget"):
        Eraser(settings).forget(visitors)


def test_another_run_is_left_in_peace(settings: Settings, tmp_path: Path) -> None:
    ingest_all(settings, tmp_path / "drop")
    before = tree(Path(settings.lake))
    with MartBuilder(settings).lock(), pytest.raises(BusyError):
        Eraser(settings).forget([SHORT], dry_run=False)
    assert tree(Path(settings.lake)) == before


@pytest.mark.parametrize(
    ("step", "again"),
    [
        ("put_in_place", "forget"),
        ("put_in_place", "pending"),
        ("Stager", "pending"),
        ("vacuum", "forget"),
        ("published.remove_builds", "pending"),
        ("published.export_anew", "forget"),
        ("write", "forget"),
    ],
)
def test_what_a_dead_run_left_is_finished(
    step: str, again: str, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest_all(settings, tmp_path / "drop")
    Pipeline(settings).run(export=True)

    class Dies(BaseException):
        pass

    holder: Any = eraser_module
    for part in step.split(".")[:-1]:
        holder = getattr(holder, part)
    name, calls = step.rpartition(".")[2], 0
    real = getattr(holder, name)

    def deadly(*arguments: Any, **more: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == 2 or name not in ("put_in_place", "write"):
            raise Dies
        return real(*arguments, **more)

    with monkeypatch.context() as patch:
        patch.setattr(holder, name, deadly)
        with pytest.raises(Dies):
            Eraser(settings).forget([SHORT, LONG], dry_run=False)
    eraser = Eraser(settings)
    report = eraser.forget([SHORT, LONG], dry_run=False) if again == "forget" else eraser.pending(dry_run=False)
    assert report.complete
    if again == "forget":
        assert [name for name, data in everything(settings) if LONG.encode() in data] == []
    assert not ids_left(settings) & {SHORT, LONG}
    assert all(erasure.done for erasure in erasures(open_storage(settings.lake, settings)))
    assert snapshot(settings).account.adds_up
    assert builds_exported(settings) == {report.build_id}


@pytest.mark.parametrize("s3_server", ["moto"], indirect=True)
def test_on_s3(s3_bucket: str, s3_endpoint: str, tmp_path: Path) -> None:
    settings = Settings(
        home=tmp_path / "home",
        lake=f"s3://{s3_bucket}/lake",
        exports=f"s3://{s3_bucket}/marts",
        s3_endpoint_url=s3_endpoint,
    )
    ingest_all(settings, tmp_path / "drop")
    Pipeline(settings).run(export=True)

    report = Eraser(settings).forget([SHORT, LONG], dry_run=False)

    assert report.records == 21
    clean = Settings(home=tmp_path / "clean")
    ingest_all(clean, tmp_path / "clean-drop", without=True)
    Stager(clean).stage()
    assert staged(settings) == staged(clean)
    assert LONG.encode() not in b"".join(data for _, data in everything(settings))
    client = boto3.client("s3", endpoint_url=s3_endpoint)
    copy = tmp_path / "copy"
    keys = [entry["Key"] for entry in client.list_objects_v2(Bucket=s3_bucket)["Contents"]]
    for key in keys:
        (copy / key).parent.mkdir(parents=True, exist_ok=True)
        client.download_file(s3_bucket, key, str(copy / key))
    assert LONG.encode() not in b"".join(data for _, data in everything(Settings(home=copy)))
    assert {key.split("/")[1] for key in keys if key.startswith("marts/")} == {"latest.json", "manifests", "runs"}
    copied = Settings(home=copy, exports=str(copy / "marts"))
    assert builds_exported(copied) == {report.build_id}
