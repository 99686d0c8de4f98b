"""Files that are compressed, and files that are damaged."""

from __future__ import annotations

import gzip
from pathlib import Path

import pytest

from ecom_analytics.errors import InputError, MissingFileError
from ecom_analytics.reading import DelimitedReader, open_decompressed

DATA = b"a,b\n" + b"".join(b"%d,%d\n" % (number, number * 7919 % 10007) for number in range(50_000))


@pytest.mark.parametrize("name", ["events.csv", "events.csv.gz"])
def test_the_content_decides_not_the_name(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    for stored in (DATA, gzip.compress(DATA), gzip.compress(DATA[:1000]) + gzip.compress(DATA[1000:])):
        path.write_bytes(stored)
        with open_decompressed(path) as stream:
            assert stream.read() == DATA
        with open_decompressed(str(path)) as stream:
            reader = DelimitedReader(stream, ["b"], block_bytes=10_000)
            assert sum(batch.num_rows for batch in reader) == 50_000


@pytest.mark.parametrize("data", [b"", b"\x1f", b"a"])
def test_short_files_are_plain(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "short").write_bytes(data)
    with open_decompressed(tmp_path / "short") as stream:
        assert stream.read() == data


def test_no_such_file(tmp_path: Path) -> None:
    with pytest.raises(MissingFileError, match="absent"):
        open_decompressed(tmp_path / "absent")


@pytest.mark.parametrize("cut", [2, 5, 15, 1000, 100_000, -8, -1])
def test_gzip_cut_short_is_told_where_it_ends(tmp_path: Path, cut: int) -> None:
    path = tmp_path / "events.csv.gz"
    path.write_bytes(gzip.compress(DATA)[:cut])
    good = b""
    with open_decompressed(path) as stream, pytest.raises(InputError, match=r"events\.csv\.gz' is cut short") as caught:
        while chunk := stream.read(1000):
            good += chunk
    assert DATA.startswith(good)
    assert caught.value.facts["path"] == str(path)


def test_gzip_with_damage_inside_is_one_rejected_record(tmp_path: Path) -> None:
    path = tmp_path / "events.csv.gz"
    stored = bytearray(gzip.compress(DATA))
    stored[len(stored) // 2] ^= 0xFF
    path.write_bytes(stored)
    with open_decompressed(path) as stream:
        reader = DelimitedReader(stream, ["a"], block_bytes=10_000)
        rows = sum(batch.num_rows for batch in reader)
    assert reader.bad[-1].rule == "truncated"
    assert "is damaged after" in reader.bad[-1].message
    assert 10_000 < rows < 50_000


def test_closing_closes_the_file(tmp_path: Path) -> None:
    path = tmp_path / "events.csv.gz"
    path.write_bytes(gzip.compress(DATA))
    stream = open_decompressed(path)
    stream.read(10)
    stream.close()
    assert stream.closed
