"""The staged tables on S3 are those that a local lake gives, whichever way their files are read."""

from __future__ import annotations

import os
import shutil
import threading
from pathlib import Path
from typing import Any

import boto3
import pytest
from staged_rows import ingest, staged_rows

from ecom_analytics import Settings, Stager
from ecom_analytics.engines import httpfs
from ecom_analytics.errors import LakeError
from ecom_analytics.staging import attempt, local_files, rejected, snapshot
from ecom_analytics.staging.remote import RemotePlace

pytest_plugins = ["s3_server"]

FIRST = ["2026-01-05T23:50:00Z,view,v,p,", "2026-01-05T23:50:00Z,view,v,p,", "2026-01-06T00:05:00Z,view,v,p,x",
         "2026-01-08T10:00:00Z,purchase,w,p,", "nonsense,view,v,p,"]  # fmt: skip
LATE = ["2026-01-05T23:30:00Z,view,v,q,", "2026-01-06T00:01:00Z,view,v,q,x", "broken"]

NO_HTTPFS = "no httpfs extension of DuckDB's version is installed"
needs_httpfs = pytest.mark.skipif(httpfs.extension_file() is None, reason=NO_HTTPFS)

with_moto = pytest.mark.parametrize("s3_server", ["moto"], indirect=True)


@pytest.fixture
def on_s3(s3_bucket: str, s3_endpoint: str, tmp_path: Path) -> Settings:
    return Settings(home=tmp_path / "s3", lake=f"s3://{s3_bucket}/shop/lake", s3_endpoint_url=s3_endpoint)


@pytest.fixture(params=["cache", pytest.param("httpfs", marks=needs_httpfs)])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How DuckDB reads staged files: fetched first, or by itself."""
    if request.param == "cache":
        monkeypatch.setattr(httpfs, "extension_file", lambda: None)
    return str(request.param)


@pytest.fixture
def fetched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of what is fetched into the cache."""
    names: list[str] = []
    fetch = RemotePlace._fetch

    def noted(self: RemotePlace, name: str, cached_name: str) -> Path:
        names.append(name)
        return fetch(self, name, cached_name)

    monkeypatch.setattr(RemotePlace, "_fetch", noted)
    return names


def objects(settings: Settings) -> list[str]:
    client = boto3.client("s3", endpoint_url=settings.s3_endpoint_url)
    bucket, _, prefix = settings.lake.removeprefix("s3://").partition("/")
    return [entry["Key"][len(prefix) + 1 :] for entry in client.list_objects_v2(Bucket=bucket).get("Contents", [])]


def test_a_lake_on_s3_is_staged_as_a_local_one(
    way: str, settings: Settings, on_s3: Settings, tmp_path: Path, fetched: list[str]
) -> None:
    for number, rows in enumerate((FIRST, LATE)):
        reports = []
        for each in (settings, on_s3):
            ingest(each, tmp_path, f"{number}.csv", rows)
            fetched.clear()
            report = Stager(each).stage().to_dict()
            reports.append({key: value for key, value in report.items() if key not in ("seconds", "stage_id")})
        assert reports[0] == reports[1]
        read = {name for name in fetched if name.startswith("staged/events")}
        assert bool(read) == (number == 1 and way == "cache")
        assert staged_rows(on_s3) == staged_rows(settings)
        shutil.rmtree(on_s3.cache)  # as another machine would find things
    assert staged_rows(settings)["duplicates"]


@with_moto
def test_what_was_staged_here_is_not_fetched_again(on_s3: Settings, tmp_path: Path, fetched: list[str]) -> None:
    ingest(on_s3, tmp_path, "first.csv", FIRST)
    Stager(on_s3).stage()
    assert [name.split("/")[0] for name in fetched] == ["raw"]
    with local_files(on_s3, snapshot(on_s3)) as files:
        assert len(files) == 3
        assert all(Path(file).is_file() for file in files)
    assert len(fetched) == 1
    assert [path.name for path in on_s3.warehouse.iterdir()] == [], "the scratch folder is gone"


@with_moto
def test_a_stage_that_has_nothing_to_do_writes_nothing(on_s3: Settings, tmp_path: Path) -> None:
    assert Stager(on_s3).stage().records == 0
    assert objects(on_s3) == []
    ingest(on_s3, tmp_path, "first.csv", FIRST)
    first = Stager(on_s3).stage()
    before = objects(on_s3)
    again = Stager(on_s3).stage()
    assert (again.stage_id, again.records, again.version) == (None, first.records, 1)
    assert objects(on_s3) == before


@with_moto
def test_snapshot_and_rejected_tell_of_a_lake_on_s3(on_s3: Settings, tmp_path: Path) -> None:
    ingest(on_s3, tmp_path, "first.csv", FIRST)
    Stager(on_s3).stage()
    staged = snapshot(on_s3)
    assert all(file.startswith(f"{on_s3.lake}/staged/events/event_date=2026-01-") for file in staged.files)
    assert (staged.account.staged, staged.account.duplicates, staged.account.rejected) == (3, 1, 1)
    count, (row,) = rejected(on_s3)
    assert (count, row["name"], row["source_line"], row["raw_text"]) == (1, "first.csv", 6, "nonsense,view,v,p,")


@pytest.mark.parametrize("before", [True, False], ids=["tables are there", "nothing is there"])
def test_of_two_stagers_on_s3_at_once_one_commits_and_the_other_computes_anew(
    before: bool, on_s3: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each has a machine, so a cache, of its own. They touch different days, which Delta alone would let pass."""
    if before:
        ingest(on_s3, tmp_path, "first.csv", FIRST[:1])
        Stager(on_s3).stage()
    ingest(on_s3, tmp_path, "second.csv", FIRST[3:4])
    together, attempts = threading.Barrier(2, timeout=60), []
    compute = attempt.Attempt.compute

    def computed(self: Any, scratch: Path) -> Any:
        judged = compute(self, scratch)
        attempts.append(1)
        if len(attempts) <= 2:
            together.wait()
        return judged

    monkeypatch.setattr(attempt.Attempt, "compute", computed)
    reports: list[Any] = []

    def stage(number: int) -> None:
        home = tmp_path / f"machine-{number}"
        reports.append(Stager(on_s3.model_copy(update={"cache": home / "c", "warehouse": home / "w"})).stage())

    threads = [threading.Thread(target=stage, args=(number,)) for number in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(report.new_batches for report in reports) == [0, 1]
    assert [report.staged for report in reports] == [1 + before] * 2
    assert snapshot(on_s3).account.records == 1 + before
    assert len([name for name in objects(on_s3) if name.startswith("staged/events/event_date")]) == 1 + before


def test_a_commit_of_another_stager_before_the_tables_are_opened_is_seen(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The other one has done all between this one's computing and its commit."""
    ingest(settings, tmp_path, "first.csv", FIRST)
    compute, others = attempt.Attempt.compute, []

    def computed(self: Any, scratch: Path) -> Any:
        judged = compute(self, scratch)
        if not others:
            others.append(1)
            others.append(Stager(settings).stage())
        return judged

    monkeypatch.setattr(attempt.Attempt, "compute", computed)
    report = Stager(settings).stage()
    assert (report.new_batches, others[1].new_batches) == (0, 1)
    assert snapshot(settings).account.records == len(FIRST)


@with_moto
def test_a_stager_whose_files_another_one_swept_computes_anew(
    on_s3: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ingest(on_s3, tmp_path, "first.csv", FIRST)
    publish, others = RemotePlace.publish, []

    def published(self: Any, names: Any, workshop: Path) -> None:
        publish(self, names, workshop)
        if not others:
            others.append(1)
            others.append(Stager(on_s3).stage())
            raise OSError("what was swept is missed")

    monkeypatch.setattr(RemotePlace, "publish", published)
    assert Stager(on_s3).stage().new_batches == 0
    assert snapshot(on_s3).account.records == len(FIRST)


@with_moto
def test_a_bucket_that_is_not_there_is_told(on_s3: Settings) -> None:
    with pytest.raises(LakeError, match="nowhere") as caught:
        Stager(on_s3.model_copy(update={"lake": "s3://nowhere/lake"})).stage()
    assert caught.value.hint


@with_moto
def test_a_staged_file_that_someone_deleted_is_named(on_s3: Settings, tmp_path: Path) -> None:
    ingest(on_s3, tmp_path, "first.csv", FIRST)
    Stager(on_s3).stage()
    staged = snapshot(on_s3)
    bucket, _, key = staged.files[0].removeprefix("s3://").partition("/")
    boto3.client("s3", endpoint_url=on_s3.s3_endpoint_url).delete_object(Bucket=bucket, Key=key)
    shutil.rmtree(on_s3.cache)
    with pytest.raises(LakeError, match=Path(key).name), local_files(on_s3, staged):
        pass


@with_moto
@needs_httpfs
def test_no_error_of_duckdb_shows_credentials(
    settings: Settings, s3_endpoint: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    import duckdb

    from ecom_analytics.engines.duckdb import DuckDBEngine
    from ecom_analytics.storages import storage_options

    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hush'hush")
    monkeypatch.setenv("AWS_SESSION_TOKEN", "token'token")
    asked = Settings(home=tmp_path, lake="s3://nowhere/lake", s3_endpoint_url=s3_endpoint)
    with DuckDBEngine(settings, tmp_path) as engine:
        options = storage_options(asked)
        assert httpfs.open_s3(engine, "nowhere", options)
        with pytest.raises(duckdb.Error) as caught:
            engine.rows("SELECT * FROM read_parquet('s3://nowhere/x.parquet')")
        with pytest.raises(duckdb.Error) as refused:
            httpfs.open_s3(engine, "nowhere", {**options, "AWS_REGION": 1})  # type: ignore[dict-item]
            engine.execute("CREATE SECRET lake (TYPE s3, SECRET $secret)", {"secret": options["AWS_SECRET_ACCESS_KEY"]})
        shown = f"{caught.value}{refused.value}{engine.rows('SELECT * FROM duckdb_secrets()')}"
        assert "hush" not in shown
        assert "token'token" not in shown


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (
            {"AWS_ENDPOINT_URL": "http://127.0.0.1:9000", "AWS_REGION": "eu-1"},
            {"ENDPOINT": "127.0.0.1:9000", "URL_STYLE": "path", "USE_SSL": False, "REGION": "eu-1"},
        ),
        (
            {"AWS_ENDPOINT_URL": "https://shop.s3.example.org/", "AWS_VIRTUAL_HOSTED_STYLE_REQUEST": "true"},
            {"ENDPOINT": "s3.example.org", "URL_STYLE": "vhost", "USE_SSL": True},
        ),
        ({"AWS_VIRTUAL_HOSTED_STYLE_REQUEST": "true"}, {"URL_STYLE": "vhost", "USE_SSL": True}),
    ],
)
def test_duckdb_is_told_where_the_bucket_is(options: dict[str, str], wanted: dict[str, Any]) -> None:
    assert httpfs._secret("shop", options) == {"SCOPE": "s3://shop"} | wanted


@with_moto
def test_memory_of_uploads_is_bounded(on_s3: Settings, tmp_path: Path) -> None:
    """Files larger than a part go one by one, in parts; they arrive whole."""
    from ecom_analytics.staging.places import open_place

    place = open_place(on_s3)
    names = [f"events/event_date=2026-01-0{day}/00000001-{'0' * 32}_x.parquet" for day in range(1, 4)]
    sizes = {names[0]: 17_000_000, names[1]: 9_000_000, names[2]: 10}
    for name, size in sizes.items():
        file = tmp_path / "work" / name
        file.parent.mkdir(parents=True)
        file.write_bytes(os.urandom(size))
    content = {name: (tmp_path / "work" / name).read_bytes() for name in names}
    with place.hold():
        place.publish(names, tmp_path / "work")
        assert sorted(place.listing("events")) == sorted(names)
    shutil.rmtree(on_s3.cache)
    with place.hold():
        assert {name: Path(path).read_bytes() for name, path in zip(names, place.paths(names), strict=True)} == content


@with_moto
def test_batches_on_s3_are_read_again(on_s3: Settings, way: str, fetched: list[str], tmp_path: Path) -> None:
    for name, rows in {"a.csv": FIRST, "b.csv": LATE, "c.csv": ["2026-03-01T10:00:00Z,view,v,p,"]}.items():
        ingest(on_s3, tmp_path, name, rows)
        Stager(on_s3).stage()
    before = staged_rows(on_s3)
    shutil.rmtree(on_s3.cache)
    fetched.clear()
    report = Stager(on_s3).replay()
    assert (report.replayed_batches, report.new_batches) == (2, 0)
    assert not any("2026-03-01" in name for name in fetched)
    assert staged_rows(on_s3) == before
