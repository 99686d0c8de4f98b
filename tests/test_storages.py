"""Storages: the contract for each, and what each does with errors of its own."""

from __future__ import annotations

import errno
import os
import resource
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ecom_analytics import Settings
from ecom_analytics.errors import LakeError, PluginError, StorageFullError
from ecom_analytics.storages import open_storage
from ecom_analytics.storages.local import LocalStorage
from ecom_analytics.testing.storages import StorageContract


class TestLocalStorage(StorageContract):
    @pytest.fixture
    def storage(self, tmp_path: Path) -> LocalStorage:
        return LocalStorage(str(tmp_path / "lake"), Settings())

    @pytest.fixture
    def files(self, tmp_path: Path):
        return lambda: sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file())

    def test_leaves_no_hidden_file(self, storage, files):
        with storage.create("a/b") as stream:
            stream.write(b"1")
        with pytest.raises(FileExistsError), storage.create("a/b") as stream:
            stream.write(b"2")
        with pytest.raises(KeyboardInterrupt), storage.create("a/c") as stream:
            stream.write(b"3")
            raise KeyboardInterrupt
        assert files() == ["lake/a/b"]

    def test_named_last(self, storage, files):
        for data in (b"1", b"2"):
            try:
                with storage.create_named_last("a", lambda: "same") as stream:
                    stream.write(data)
            except FileExistsError:
                assert data == b"2"
        assert files() == ["lake/a/same"]
        assert (storage.root / "a/same").read_bytes() == b"1"

    def test_full_disk(self, storage, files, monkeypatch):
        def full(_):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        with pytest.raises(StorageFullError, match="No space left") as caught, storage.create("a") as stream:
            stream.write(b"1")
            monkeypatch.setattr(os, "fsync", full)
        assert "free some space" in caught.value.hint
        assert files() == []

    def test_full_disk_for_real(self, tmp_path):
        """A file size limit is the nearest thing to a full disk that needs no root."""
        code = (
            "import sys\n"
            "from ecom_analytics import Settings\n"
            "from ecom_analytics.errors import StorageFullError\n"
            "from ecom_analytics.storages.local import LocalStorage\n"
            "try:\n"
            "    with LocalStorage(sys.argv[1], Settings()).create('a') as stream:\n"
            "        for _ in range(100): stream.write(b'x' * 1000)\n"
            "except StorageFullError: sys.exit(7)\n"
        )
        result = subprocess.run(
            [sys.executable, "-c", code, str(tmp_path / "lake")],
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096)),
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
            check=False,
        )
        assert result.returncode == 7
        assert [path for path in (tmp_path / "lake").rglob("*") if path.is_file()] == []

    def test_permission_is_explained(self, storage, monkeypatch):
        def denied(*_, **__):
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

        monkeypatch.setattr(os, "open", denied)
        with pytest.raises(LakeError, match="Permission denied") as caught, storage.create("a"):
            pass
        assert "permissions" in caught.value.hint

    def test_a_file_where_the_lake_should_be(self, tmp_path):
        (tmp_path / "lake").write_text("not a folder")
        storage = LocalStorage(str(tmp_path / "lake"), Settings())
        with pytest.raises(LakeError, match="Not a directory"), storage.create("a/b"):
            pass
        assert list(storage.list()) == []

    def test_what_a_killed_writer_left_is_hidden_and_swept(self, tmp_path, files):
        folder = tmp_path / "lake" / "a"
        folder.mkdir(parents=True)
        old, young = folder / ".b.0123.part", folder / ".b.4567.part"
        for path in (old, young):
            path.write_bytes(b"half")
        os.utime(old, (time.time() - 7200, time.time() - 7200))
        storage = LocalStorage(str(tmp_path / "lake"), Settings())
        assert list(storage.list()) == []
        with storage.create("a/b") as stream:
            stream.write(b"1")
        assert files() == ["lake/a/.b.4567.part", "lake/a/b"]

    def test_a_living_writer_is_not_swept(self, tmp_path):
        writer, other = (LocalStorage(str(tmp_path), Settings()) for _ in range(2))
        with writer.create("a/b") as stream:
            stream.write(b"1")
            (part,) = (tmp_path / "a").iterdir()
            os.utime(part, (time.time() - 7200, time.time() - 7200))
            with other.create("a/c") as second:
                second.write(b"2")
        assert list(writer.list()) == ["a/b", "a/c"]


def test_the_scheme_picks_the_storage(tmp_path):
    assert isinstance(open_storage(str(tmp_path), Settings()), LocalStorage)
    assert open_storage(f"file://{tmp_path}", Settings()).uri("a") == str(tmp_path / "a")


def test_an_unknown_scheme_names_the_known_ones():
    with pytest.raises(PluginError, match="'ftp'") as caught:
        open_storage("ftp://host/folder", Settings())
    assert "file, s3" in caught.value.hint
