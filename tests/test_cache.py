"""The cache: bounded, shared by threads and processes, never half-written."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from ecom_analytics import Settings
from ecom_analytics.cache import Cache
from ecom_analytics.errors import ConfigError, LakeError

URI = "s3://shop/lake/raw"


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache", limit=1_000)


def put(cache: Cache, number: int, size: int = 400) -> None:
    with cache.put(f"{URI}/{number}", "etag", "copy") as stream:
        stream.write(bytes(size))


def kept(cache: Cache) -> set[int]:
    """Looks without using."""
    return {n for n in range(20) if cache.place(f"{URI}/{n}", "etag", "copy").exists()}


def copies(cache: Cache) -> list[Path]:
    return [path for path in cache.folder.glob("[!.]*/**/*") if path.is_file()]


def test_a_copy_is_found_by_address_and_etag_and_whole(cache: Cache) -> None:
    assert cache.find(URI, "a", "day=1/copy", 3) is None
    with cache.hold(), cache.put(URI, "a", "day=1/copy") as stream:
        stream.write(b"abc")
    path = cache.find(URI, "a", "day=1/copy", 3)
    assert path is not None
    assert (path.read_bytes(), path.parts[-2:]) == (b"abc", ("day=1", "copy"))
    assert cache.find(URI, "b", "day=1/copy", 3) is None, "the object has changed"
    assert cache.find(URI + "x", "a", "day=1/copy", 3) is None
    assert cache.find(URI, "a", "day=1/copy", 4) is None, "it is not as long as it should be"


def test_the_least_recently_used_go_first(cache: Cache) -> None:
    for number in range(2):
        with cache.hold():
            put(cache, number)
    with cache.hold():
        assert cache.find(f"{URI}/0", "etag", "copy", 400)
    with cache.hold():
        put(cache, 2)
    assert kept(cache) == {0, 2}
    time.sleep(0.05)  # a file's time is as coarse as the system's clock tick
    with Cache(cache.folder, limit=0).hold():
        assert not kept(cache)
    assert [path.name for path in cache.folder.iterdir() if path.is_dir()] == [".leases"]


def test_what_is_in_use_stays_beyond_the_limit(cache: Cache) -> None:
    with cache.hold():
        for number in range(5):
            put(cache, number)
        with Cache(cache.folder, limit=1_000).hold():  # another one comes and goes
            put(cache, 5)
        assert kept(cache) == set(range(6))
    assert kept(cache) == {4, 5}


def test_what_a_block_that_failed_wrote_does_not_appear(cache: Cache) -> None:
    with cache.hold():
        with pytest.raises(ZeroDivisionError), cache.put(URI, "a", "copy") as stream:
            stream.write(b"half")
            _ = 1 / 0
        assert copies(cache) == []


def test_a_file_is_moved_in(cache: Cache, tmp_path: Path) -> None:
    file = tmp_path / "new.parquet"
    file.write_bytes(b"abc")
    with cache.hold():
        cache.adopt(file, URI, "a", "copy")
        assert not file.exists()
        found = cache.find(URI, "a", "copy", 3)
    assert found is not None
    assert found.read_bytes() == b"abc"


@pytest.mark.skipif(not os.path.isdir("/dev/shm"), reason="needs /dev/shm")
def test_a_file_of_another_disk_is_copied_in(cache: Cache) -> None:
    import tempfile

    with tempfile.NamedTemporaryFile(dir="/dev/shm") as file, cache.hold():
        file.write(b"abc")
        file.flush()
        cache.adopt(Path(file.name), URI, "a", "copy")
        assert cache.find(URI, "a", "copy", 3)


def test_a_process_that_was_killed_holds_nothing_and_its_parts_are_removed(cache: Cache) -> None:
    code = (
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from ecom_analytics.cache import Cache\n"
        "cache = Cache(Path(sys.argv[1]), 1_000)\n"
        "with cache.hold():\n"
        "    for number in range(5):\n"
        "        with cache.put(f'{sys.argv[2]}/{number}', 'etag', 'copy') as stream:\n"
        "            stream.write(bytes(400))\n"
        "    with cache.put('s3://half', 'etag', 'copy') as stream:\n"
        "        stream.write(b'half')\n"
        "        os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(cache.folder), URI], check=False)
    assert done.returncode == -signal.SIGKILL
    assert cache.find("s3://half", "etag", "copy", 4) is None
    assert len(copies(cache)) == 6
    with cache.hold():
        pass
    assert kept(cache) == {3, 4}
    assert len(copies(cache)) == 2
    assert list((cache.folder / ".leases").iterdir()) == []


def test_threads_that_put_find_and_throw_out_never_miss_what_they_hold(cache: Cache) -> None:
    problems: list[str] = []
    until = time.monotonic() + 1.5

    def work(own: int) -> None:
        mine = Cache(cache.folder, limit=500)
        while time.monotonic() < until:
            with mine.hold():
                for number in (own, 19):
                    path = mine.find(f"{URI}/{number}", "etag", "copy", 400)
                    if path is None:
                        put(mine, number)
                        path = mine.place(f"{URI}/{number}", "etag", "copy")
                    time.sleep(0.001)
                    if not path.exists():
                        problems.append(f"{number} is gone")

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []


@pytest.fixture
def no_folder(tmp_path: Path) -> Path:
    path = tmp_path / "file"
    path.write_text("no folder")
    return path


def test_a_folder_that_cannot_be_used_is_told(no_folder: Path) -> None:
    with pytest.raises(LakeError, match=str(no_folder)) as caught, Cache(no_folder, 1_000).hold():
        pass
    assert caught.value.hint


@pytest.mark.parametrize(("limit", "wanted"), [("20GB", 20e9), ("1.5 KiB", 1536), ("1mb", 1e6), ("2TiB", 2**41)])
def test_the_limit_is_a_size(limit: str, wanted: float) -> None:
    assert Settings(cache_limit=limit).cache_bytes == wanted


def test_the_cache_lies_in_home_and_on_this_machine(tmp_path: Path) -> None:
    assert Settings(home=tmp_path).cache == tmp_path / "cache"
    for key in ("cache", "warehouse"):
        with pytest.raises(ConfigError, match=key):
            Settings(**{key: "s3://bucket/folder"})  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="cache_limit"):
        Settings(cache_limit="much")
