"""The doctor finds what would make a run fail, and says what to do."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections import namedtuple
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from exporting import publish

from ecom_analytics import MartBuilder, Settings, Warehouse, doctor
from ecom_analytics.doctor import Examined, examine
from ecom_analytics.storages.local import LocalStorage

pytest_plugins = ["s3_server"]


def found(settings: Settings) -> dict[str, Examined]:
    return {one.name: one for one in examine(settings).examined}


def test_a_new_place_is_healthy_and_left_as_it_was(settings: Settings) -> None:
    report = examine(settings)
    assert report.healthy
    assert {one.status for one in report.examined} == {"ok"}
    assert not [path for path in settings.home.rglob("*") if path.is_file() and path.name != ".lock"]


def test_a_built_place_is_healthy(settings: Settings) -> None:
    publish(settings, "20260101T000000Z-000001")
    assert found(settings)["served build"].status == "ok"
    assert "20260101T000000Z-000001" in found(settings)["served build"].message


def _no_lake(settings: Settings, patch: pytest.MonkeyPatch) -> Settings:
    settings.home.mkdir()
    Path(settings.lake).write_text("in the way")
    return settings


def _missing_mapping(settings: Settings, patch: pytest.MonkeyPatch) -> Settings:
    return settings.model_copy(update={"mapping": settings.home / "none.toml"})


def _unknown_hook(settings: Settings, patch: pytest.MonkeyPatch) -> Settings:
    return settings.model_copy(update={"hooks": ("pigeon",)})


def _little_disk(settings: Settings, patch: pytest.MonkeyPatch) -> Settings:
    usage = namedtuple("usage", "total used free")
    patch.setattr(shutil, "disk_usage", lambda path: usage(10**12, 10**12, 10**8))
    return settings


def _old_package(settings: Settings, patch: pytest.MonkeyPatch) -> Settings:
    real = doctor.version
    patch.setattr(doctor, "version", lambda name: "1.4.0" if name == "duckdb" else real(name))
    return settings


def _broken_pointer(settings: Settings, patch: pytest.MonkeyPatch) -> Settings:
    settings.warehouse.mkdir(parents=True)
    (settings.warehouse / "CURRENT").write_text("warehouse-1.duckdb\n")
    return settings


def _damaged_build(settings: Settings, patch: pytest.MonkeyPatch) -> Settings:
    publish(settings, "20260101T000000Z-000001")
    Warehouse(settings).current().path.write_bytes(b"nothing")
    return settings


def _clock_went_back(settings: Settings, patch: pytest.MonkeyPatch) -> Settings:
    publish(settings, "20260101T000000Z-000001")
    path = settings.warehouse / "warehouse-20260101T000000Z-000001.json"
    info = json.loads(path.read_text())
    info["built_at"] = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    path.write_text(json.dumps(info))
    return settings


def _writes_over(settings: Settings, patch: pytest.MonkeyPatch) -> Settings:
    real = LocalStorage.create
    patch.setattr(LocalStorage, "create", lambda self, name, if_absent=True: real(self, name, if_absent=False))
    return settings


@pytest.mark.parametrize(
    ("spoil", "name", "words"),
    [
        (_no_lake, "lake", "lake"),
        (_missing_mapping, "settings", "none.toml"),
        (_unknown_hook, "settings", "pigeon"),
        (_little_disk, "disk", "0.1 GB are free"),
        (_old_package, "packages", "duckdb is 1.4.0, and must be <1.6,>=1.5.5"),
        (_broken_pointer, "warehouse", "warehouse-1.duckdb"),
        (_damaged_build, "warehouse", "warehouse-20260101T000000Z-000001.duckdb"),
        (_clock_went_back, "clock", "the served build is of"),
        (_writes_over, "lake", "writes over what is there"),
    ],
)
def test_what_would_fail_is_found_and_said_what_to_do(
    spoil: Callable[[Settings, pytest.MonkeyPatch], Settings],
    name: str,
    words: str,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    report = examine(spoil(settings, monkeypatch))
    assert not report.healthy
    wrong = [one for one in report.examined if one.status == "fail" and one.name == name]
    assert any(words in one.message for one in wrong), report
    assert all(one.hint for one in wrong)


def test_a_run_under_way_is_only_told(settings: Settings) -> None:
    inside, done = threading.Event(), threading.Event()

    def hold() -> None:
        with MartBuilder(settings).lock():
            inside.set()
            done.wait(30)

    thread = threading.Thread(target=hold)
    thread.start()
    assert inside.wait(30)
    report = examine(settings)
    done.set()
    thread.join()
    assert report.healthy
    assert "another run holds the warehouse" in {one.message[:31] for one in report.examined if one.status == "warn"}


def test_too_much_memory_is_only_told(settings: Settings) -> None:
    report = examine(settings.model_copy(update={"memory_limit": "900TB"}))
    assert report.healthy
    assert [one.name for one in report.examined if one.status == "warn"] == ["memory"]


@pytest.mark.parametrize("s3_server", ["moto"], indirect=True)
@pytest.mark.parametrize(("bucket", "healthy"), [(True, True), (False, False)])
def test_a_lake_on_s3_is_reached_or_not(
    bucket: bool, healthy: bool, s3_bucket: str, s3_endpoint: str, tmp_path: Path
) -> None:
    name = s3_bucket if bucket else "nothing-of-this-name"
    settings = Settings(home=tmp_path, lake=f"s3://{name}/lake", s3_endpoint_url=s3_endpoint)
    report = examine(settings)
    assert report.healthy == healthy, report
    assert all(one.hint for one in report.examined if one.status == "fail")


def test_the_command_ends_with_1_if_something_fails(tmp_path: Path) -> None:
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "lake").write_text("in the way")
    for home, code in ((tmp_path / "good", 0), (tmp_path / "bad", 1)):
        done = subprocess.run(
            [sys.executable, "-m", "ecom_analytics", "doctor", "--home", str(home)],
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            env=os.environ,
        )
        assert done.returncode == code, done.stdout + done.stderr
        assert json.loads(done.stdout.splitlines()[-1])["healthy"] == (code == 0)
