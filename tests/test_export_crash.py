"""Exports that are killed at many points, and exports that race: whoever reads sees one build, and all of it."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import exporting
import pytest
from exporting import publish_numbered, read
from warm_process import warm_process

from ecom_analytics import Exporter, Settings

if TYPE_CHECKING:
    from s3_server import S3Server

pytest_plugins = ["s3_server"]

SEED = 20261123
SERVERS = ["moto", pytest.param("ceph", marks=pytest.mark.ceph)]
ON_S3 = pytest.mark.parametrize("s3_server", SERVERS, indirect=True)
POINTS = {"folder": 50, "moto": 10, "ceph": 50}
"""The more where it costs less; the tests with Ceph have their own time."""
MORE: dict[str, Any] = {
    "export_formats": exporting.FORMATS,
    "export_partition_rows": 10,
    "keep_exports": 1,
    "threads": 1,
}


def kill_and_go_on(model: Settings, new: Callable[[int], Settings], points: int) -> None:
    """Export to the death, read, export again, and read; at each of the points.

    The destination has two exports by then: the older one is collected by the one that is killed.
    """
    chance = random.Random(SEED)
    for number in (1, 2):
        publish_numbered(model, number)
        Exporter(model.model_copy(update={"export_grace_minutes": 60})).export()
    publish_numbered(model, 3)
    killed = 0
    with warm_process(exporting.__file__) as run:
        calls = run(new(-1), call=0) or 0
        for point in range(points):
            how: dict[str, Any] = {"seconds": chance.uniform(0.02, 0.3)}
            if point % 5:
                how = {"call": 1 + point * calls // points, "after": chance.random() < 0.5}
            settings = new(point)
            killed += run(settings, **how) is None
            assert read(settings) in ((2, 2), (3, 3)), how
            Exporter(settings).export()
            assert read(settings) == (3, 3), how
            if point % 4 == 0:
                again = Exporter(settings).export()
                assert (again.exported, again.files_written) == (False, 0), how
                assert Exporter(settings).collect() == ()
    assert killed >= points * 0.6, killed


def test_an_export_killed_anywhere_leaves_a_whole_one(tmp_path: Path) -> None:
    model = Settings(home=tmp_path / "model", export_grace_minutes=0, **MORE)

    def new(point: int) -> Settings:
        place = tmp_path / f"exports{point}"
        shutil.copytree(model.exports, place)
        return model.model_copy(update={"exports": str(place)})

    kill_and_go_on(model, new, POINTS["folder"])


@ON_S3
def test_an_export_to_s3_killed_anywhere_leaves_a_whole_one(
    s3_server: S3Server, s3_bucket: str, s3_endpoint: str, tmp_path: Path
) -> None:
    import boto3

    client = boto3.client("s3", endpoint_url=s3_endpoint)
    to = f"s3://{s3_bucket}"
    model = Settings(home=tmp_path, exports=f"{to}/model", export_grace_minutes=0, s3_endpoint_url=s3_endpoint, **MORE)

    def new(point: int) -> Settings:
        for entry in client.list_objects_v2(Bucket=s3_bucket, Prefix="model/")["Contents"]:
            source = {"Bucket": s3_bucket, "Key": entry["Key"]}
            key = entry["Key"].replace("model/", f"exports{point}/", 1)
            client.copy_object(Bucket=s3_bucket, Key=key, CopySource=source)
        return model.model_copy(update={"exports": f"{to}/exports{point}"})

    kill_and_go_on(model, new, POINTS[s3_server.name])


def race(settings: Settings, seconds: float, folder: Path) -> None:
    """Four writers, a new build again and again, and a reader that never sees a mixture, nor an older build again."""
    publish_numbered(settings, 1)
    seen: list[tuple[int, int]] = []
    grace = settings.export_grace_minutes * 60
    with subprocess.Popen(
        [sys.executable, exporting.__file__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as writers:
        assert writers.stdin is not None
        assert writers.stdout is not None
        asked = {"settings": settings.environment(), "race": 4, "until": str(folder / "stop")}
        writers.stdin.write(exporting.json.dumps(asked) + "\n")
        writers.stdin.flush()
        writers.stdout.readline()
        until, build = time.monotonic() + seconds, 1
        while time.monotonic() < until:
            if len(seen) % 2:
                build += 1
                publish_numbered(settings, build)
            began = time.monotonic()
            try:
                found = read(settings)
            except FileNotFoundError:
                if time.monotonic() - began < grace:
                    raise
                continue
            if found:
                assert not seen or found >= seen[-1]
                assert not seen or found[1] >= seen[-1][1]
                seen.append(found)
        (folder / "stop").touch()
        new = int(writers.stdout.readline())
        writers.stdin.close()
    Exporter(settings).export()
    newest = read(settings)
    assert newest is not None
    assert newest[1] == build > 2
    assert new > 0
    assert newest[0] >= len(set(seen)) > 1


def test_of_writers_that_race_one_counts(tmp_path: Path) -> None:
    race(Settings(home=tmp_path / "home", export_grace_minutes=0.05, **MORE), 4, tmp_path)


@pytest.mark.parametrize("s3_server", ["ministack", SERVERS[1]], indirect=True)  # moto cannot list while it deletes
def test_of_writers_to_s3_that_race_one_counts(s3_bucket: str, s3_endpoint: str, tmp_path: Path) -> None:
    settings = Settings(
        home=tmp_path / "home",
        exports=f"s3://{s3_bucket}/marts",
        export_grace_minutes=0.05,
        s3_endpoint_url=s3_endpoint,
        **MORE,
    )
    race(settings, 6, tmp_path)
