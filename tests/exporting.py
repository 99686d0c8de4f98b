"""Builds made by hand, and exports in other processes, which are killed, or race.

Run as a program it is a warm process, which has imported all and started nothing, and forks one for each line that it
reads: a JSON object with ``settings`` and either ``call`` (die at that call of a hooked function, counted from 1; 0 for
never) and ``after`` (once it has returned), or ``seconds`` (die then), or ``race`` (so many processes, which export
until the file of the name ``until`` is there). It answers with a line: how often a hooked function was called, or null
if the export was killed.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import select
import signal
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from functools import wraps
from pathlib import Path
from typing import Any

FORMATS = ("parquet", "delta")


def publish(settings: Any, build_id: str, rows: int = 3, *statements: str) -> None:
    """A published build with two marts, as the warehouse has them."""
    import duckdb

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
        for statement in statements:
            connection.execute(statement)
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
    current = settings.warehouse / "CURRENT.new"
    current.write_text(path.name)
    current.replace(settings.warehouse / "CURRENT")


def publish_numbered(settings: Any, number: int) -> None:
    """A build that tells its number in both marts, in the last of three months only."""
    publish(
        settings,
        f"20260101T{number:06}Z-{number:06}",
        5,
        f"UPDATE users SET views = {number}",
        "CREATE OR REPLACE TABLE daily AS SELECT DATE '2025-12-20' + n::INTEGER AS date, n::BIGINT AS visitors "
        "FROM range(60) AS t (n)",
        f"UPDATE daily SET visitors = {number} WHERE date >= DATE '2026-02-01'",
    )


def read(settings: Any) -> tuple[int, int] | None:
    """Number of the newest manifest and of the build in it, if all that it names is there and of one build."""
    import pyarrow.parquet as pq
    from deltalake import DeltaTable

    from ecom_analytics import Exporter
    from ecom_analytics.storages import open_storage, storage_options

    storage = open_storage(settings.exports, settings)
    manifest = Exporter(settings).newest()
    if manifest is None:
        return None
    number = int(manifest.build_id[-6:])
    assert {(table.table, table.format) for table in manifest.tables} == {
        (mart, kind) for mart in ("users", "daily") for kind in FORMATS
    }
    options = dict(storage_options(settings, settings.exports))
    for table in manifest.tables:
        rows: list[dict[str, Any]] = []
        for file in table.files:
            with storage.open(file.file) as stream:
                data = stream.read()
            assert (len(data), hashlib.sha256(data).hexdigest()) == (file.bytes, file.sha256)
            rows += pq.read_table(io.BytesIO(data)).to_pylist()
        if table.format == "delta":
            address = storage.uri(f"delta/{table.table}")
            found = DeltaTable(address, version=table.version, storage_options=options).to_pyarrow_table().to_pylist()
            assert sorted(map(str, found)) == sorted(map(str, rows))
        if table.table == "users":
            assert [row["views"] for row in rows] == [number] * 5
        else:
            assert len(rows) == 60
            assert {row["visitors"] for row in rows if str(row["date"]) >= "2026-02"} == {number}
    with contextlib.suppress(FileNotFoundError), storage.open("latest.json") as stream:
        assert storage.exists(json.loads(stream.read())["manifest"])
    return manifest.number, number


def warm_up() -> None:
    """Load all that an export needs, and start nothing: what has threads does not survive a fork."""
    import deltalake.transaction
    import duckdb
    import pyarrow.dataset

    from ecom_analytics import Exporter, Settings, plugins
    from ecom_analytics.storages.s3_client import s3_client

    assert all((deltalake, duckdb, pyarrow, Exporter))
    for name in FORMATS:
        plugins.load("export_formats", name)
    plugins.load("storages", "file")
    s3_client(Settings(s3_endpoint_url="http://127.0.0.1:9"))


def main() -> None:
    warm_up()
    for line in sys.stdin:
        asked = json.loads(line)
        os.environ.update(asked["settings"])
        if "race" in asked:
            race(asked["race"], Path(asked["until"]))
            continue
        mine, theirs = os.pipe()
        pid = os.fork()
        if not pid:
            os.close(mine)
            calls = hook(asked.get("call", 0), asked.get("after", False))
            export()
            os.write(theirs, json.dumps(calls()).encode())
            os._exit(0)
        os.close(theirs)
        if "seconds" in asked and not select.select([mine], [], [], asked["seconds"])[0]:
            os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        said = os.read(mine, 100)
        os.close(mine)
        assert said or (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL), status
        print(said.decode() or "null", flush=True)


def export() -> bool:
    from ecom_analytics import Exporter

    return Exporter().export(formats=FORMATS).exported


def race(writers: int, until: Path) -> None:
    """Let some processes export until a file is there; answers how many exports were new."""
    started = []
    for _ in range(writers):
        mine, theirs = os.pipe()
        pid = os.fork()
        if not pid:
            new = 0
            while not until.exists():
                new += export()
                time.sleep(0.01)
            os.write(theirs, str(new).encode())
            os._exit(0)
        os.close(theirs)
        started.append((pid, mine))
    print("0", flush=True)
    total = 0
    for pid, mine in started:
        os.waitpid(pid, 0)
        total += int(os.read(mine, 100) or -1_000_000)
        os.close(mine)
    print(total, flush=True)


def hook(deadly: int, after: bool) -> Callable[[], int]:
    """Die at one of the calls of whatever writes; a function that tells how many there were."""
    from ecom_analytics.export import collect, exporter, manifests, writing
    from ecom_analytics.export_formats.delta import Delta
    from ecom_analytics.storages import local
    from ecom_analytics.storages.s3 import S3Storage
    from ecom_analytics.storages.s3_upload import Upload

    assert collect
    count = 0

    def deadly_call(function: Any, *arguments: Any, **more: Any) -> Any:
        nonlocal count
        count += 1
        own = count
        if own == deadly and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        result = function(*arguments, **more)
        if own == deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    holders: list[tuple[Any, str]] = [
        (writing._Counted, "write"),
        (writing.Run, "write"),
        (writing.Run, "_send"),
        (manifests, "put"),
        (exporter.manifests, "point"),
        (Delta, "commit"),
        (local, "_sync_folder"),
        (local.os, "link"),
        (Path, "replace"),
        (local.LocalStorage, "delete"),
        (S3Storage, "delete"),
        (Upload, "finish"),
    ]
    for holder, name in holders:
        function = getattr(holder, name)
        setattr(holder, name, wraps(function)(lambda *a, f=function, **k: deadly_call(f, *a, **k)))
    return lambda: count


if __name__ == "__main__":
    main()
