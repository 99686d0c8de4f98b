"""Many files in a local folder: made durable together, and swept when their writer was killed."""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from ecom_analytics import Settings
from ecom_analytics.storages import local
from ecom_analytics.storages.local import LocalStorage


@pytest.fixture
def storage(tmp_path: Path) -> LocalStorage:
    return LocalStorage(str(tmp_path / "lake"), Settings())


@pytest.fixture
def steps(monkeypatch) -> list[str]:
    """What is synced and named, in order."""
    told: list[str] = []
    fsync, link, sync_folder = os.fsync, os.link, local._sync_folder
    monkeypatch.setattr(os, "fsync", lambda number: (told.append("bytes"), fsync(number)))
    monkeypatch.setattr(os, "link", lambda one, other: (told.append("name"), link(one, other)))

    def folder(path):
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", fsync)
            sync_folder(path)
        told.append(path.name)

    monkeypatch.setattr(local, "_sync_folder", folder)
    return told


def write(storage: LocalStorage, name: str) -> None:
    with storage.create(name) as stream:
        stream.write(name.encode())


def test_each_file_is_durable_before_its_name_and_the_folder_once_for_all(storage, steps):
    write(storage, "a/first")
    steps.clear()
    with storage.together():
        for number in range(3):
            write(storage, f"a/{number}")
    assert steps == [*["bytes", "name"] * 3, "a"]
    write(storage, "a/last")
    assert steps[-3:] == ["bytes", "name", "a"]


def test_a_name_that_is_taken_is_made_durable_too(storage, steps):
    write(storage, "a/b")
    steps.clear()
    with storage.together():
        with pytest.raises(FileExistsError):
            write(storage, "a/b")
        assert steps == []
    assert steps == ["a"]


def test_threads_write_together(storage):
    names = [f"{number % 3}/{number}" for number in range(200)]
    with storage.together(), ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda name: write(storage, name), names))
    assert list(storage.list()) == sorted(names)


def test_what_a_killed_process_left_is_swept_at_once(storage):
    code = (
        "import os, signal, sys\n"
        "from ecom_analytics import Settings\n"
        "from ecom_analytics.storages.local import LocalStorage\n"
        "with LocalStorage(sys.argv[1], Settings()).create('raw/a/b') as stream:\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(storage.root)], check=False)
    assert done.returncode == -signal.SIGKILL
    assert len(list((storage.root / "raw/a").iterdir())) == 1
    storage.tidy("raw/")
    assert list((storage.root / "raw/a").iterdir()) == []


def test_a_living_writer_is_not_swept(storage):
    other = LocalStorage(str(storage.root), Settings())
    with storage.create("raw/a") as stream:
        other.tidy("raw/")
        stream.write(b"1")
    assert list(storage.list()) == ["raw/a"]


def test_what_another_machine_writes_is_not_swept_while_it_is_young(storage):
    storage.root.mkdir()
    part = storage.root / f".a.{'0' * 12}-0123456789abcdef.part"
    part.write_bytes(b"half")
    write(storage, "b")
    assert part.exists()


def test_a_file_swept_before_it_was_locked_is_made_again(storage, monkeypatch):
    flock, swept = fcntl.flock, []

    def late(number, operation):
        if operation == fcntl.LOCK_SH and not swept:
            (part,) = storage.root.iterdir()
            swept.append(part.unlink())
        flock(number, operation)

    monkeypatch.setattr(fcntl, "flock", late)
    write(storage, "a")
    assert swept
    assert list(storage.list()) == ["a"]


def test_nothing_to_tidy(storage):
    storage.tidy("raw/shop/")
    assert not storage.root.exists()
