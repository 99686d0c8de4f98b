"""Compressed data that ends too early: what comes before is read, and the loss is one rejected record."""

from __future__ import annotations

import gzip
import zlib
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecom_analytics.errors import TruncatedError
from ecom_analytics.protocols import Layout, RawFile
from ecom_analytics.reading import DelimitedReader, ReadCounts, Request, open_decompressed, raw_text, read_file

LINES = [b"id,name"] + [b"%d,%d" % (number, number * 7919 % 10_007) for number in range(3_000)]
DATA = b"\n".join(LINES) + b"\n"
OBJECTS = b"".join(b'{"id": %d}\n' % number for number in range(3_000))


def packed(kind: str, data: bytes) -> bytes:
    return gzip.compress(data, mtime=0) if kind == "gzip" else pa.compress(data, codec="zstd", asbytes=True)


def staged(path: Path, kind: Any = "delimited") -> tuple[list[dict[str, Any]], list[Any], ReadCounts, RawFile]:
    """Rows, rejected records and counts, as an engine gets them."""
    file, counts, bad = RawFile("b", "s", str(path), path.name, Layout(kind)), ReadCounts(), []
    request = Request({"id": "id"}, flat=True)
    batches = read_file(file, request, counts, max_record_lines=100, on_bad=bad.append)
    return [row for batch in batches for row in batch.to_pylist()], bad, counts, file


def readable(path: Path) -> bytes:
    """The bytes that can be read, one at a time."""
    got = bytearray()
    with open_decompressed(path) as stream, pytest.raises(TruncatedError):
        while byte := stream.read(1):
            got += byte
    return bytes(got)


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
@pytest.mark.parametrize("share", [0.3, 0.5, 0.9, 0.999])
def test_every_whole_record_before_the_cut_is_read(tmp_path: Path, kind: str, share: float) -> None:
    path = tmp_path / "events"
    # Two frames: a block of zstd is whole or not there at all.
    whole = packed(kind, DATA[:20_000]) + packed(kind, DATA[20_000:])
    path.write_bytes(whole[: int(len(whole) * share)])
    there = readable(path)
    assert DATA.startswith(there)
    lines = there.split(b"\n")
    if len(lines) < 2:
        with pytest.raises(TruncatedError):
            staged(path)
        return
    rows, bad, counts, file = staged(path)
    assert [row["id"] for row in rows] == [line.split(b",")[0].decode() for line in lines[1:-1]]
    assert [(record.line, record.raw, record.rule) for record in bad] == [(len(lines), lines[-1], "truncated")]
    assert f"cut short after {len(there)} decompressed bytes" in bad[0].message
    assert str(tmp_path) not in bad[0].message
    assert (counts.records, counts.bad, counts.blank) == (len(lines) - 1, 1, 0)
    assert raw_text(file, [2, bad[0].line], max_record_lines=100) == {2: lines[1], bad[0].line: lines[-1]}


def test_gzip_is_read_to_the_last_byte_that_zlib_has(tmp_path: Path) -> None:
    whole = gzip.compress(DATA, mtime=0)
    for cut in range(20, len(whole) - 1, 977):
        (tmp_path / "events").write_bytes(whole[:cut])
        assert readable(tmp_path / "events") == zlib.decompressobj(wbits=31).decompress(whole[:cut])


@pytest.mark.parametrize("kind", ["gzip", "zstd"])
def test_json_lines_that_are_cut_short(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "events"
    path.write_bytes(packed(kind, OBJECTS) + packed(kind, OBJECTS)[:-3])
    there = readable(path)
    rows, bad, counts, file = staged(path, "json_lines")
    lines = there.split(b"\n")
    assert len(rows) == len(lines) - 1 >= 3_000
    assert [(record.line, record.raw, record.rule) for record in bad] == [(len(lines), lines[-1], "truncated")]
    assert counts.records == len(lines)
    assert raw_text(file, [bad[0].line], max_record_lines=100) == {bad[0].line: lines[-1]}


def test_a_record_that_is_cut_within_quotes_is_kept_whole(tmp_path: Path) -> None:
    path = tmp_path / "events"
    path.write_bytes(gzip.compress(b'id,name\n1,a\n2,"b\nc', mtime=0)[:-4])
    rows, bad, counts, file = staged(path)
    assert [row["id"] for row in rows] == ["1"]
    assert [(record.line, record.raw, record.rule) for record in bad] == [(3, b'2,"b\nc', "truncated")]
    assert counts.records == 2
    assert raw_text(file, [3], max_record_lines=100) == {3: b'2,"b\nc'}


@pytest.mark.parametrize("tail", [b"garbage", b"\x1f\x8bgarbage"])
def test_what_follows_a_whole_gzip_member_is_told(tmp_path: Path, tail: bytes) -> None:
    path = tmp_path / "events"
    path.write_bytes(gzip.compress(DATA) + tail)
    rows, bad, *_ = staged(path)
    assert len(rows) == 3_000
    assert [(record.line, record.raw, record.rule) for record in bad] == [(3_002, b"", "truncated")]


def test_zeros_after_a_gzip_member_are_padding(tmp_path: Path) -> None:
    path = tmp_path / "events"
    path.write_bytes(gzip.compress(DATA) + bytes(512) + gzip.compress(b"x,y\n") + bytes(512))
    rows, bad, *_ = staged(path)
    assert (len(rows), bad) == (3_001, [])


def test_damage_in_the_checksum_is_told_after_all_records(tmp_path: Path) -> None:
    path = tmp_path / "events"
    stored = bytearray(gzip.compress(DATA))
    stored[-5] ^= 1
    path.write_bytes(stored)
    rows, bad, *_ = staged(path)
    assert len(rows) == 3_000
    assert [(record.line, record.rule) for record in bad] == [(3_002, "truncated")]
    assert "damaged" in bad[0].message


@settings(max_examples=150, deadline=None)
@given(st.data(), st.integers(1, 200))
def test_any_cut_and_any_block_size(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, block: int) -> None:
    text = b"h\n" + b"\n".join(data.draw(st.lists(st.sampled_from([b"a", b"bb", b"", b" "]), max_size=30)))
    whole = gzip.compress(text, mtime=0)
    path = tmp_path_factory.mktemp("cut") / "events"
    path.write_bytes(whole[: data.draw(st.integers(18, len(whole) - 1))])
    there = readable(path)
    *lines, last = there.split(b"\n")
    with open_decompressed(path) as stream:
        if not lines:
            with pytest.raises(TruncatedError):
                DelimitedReader(stream, ["h"], block_bytes=block)
            return
        reader = DelimitedReader(stream, ["h"], block_bytes=block)
        rows = [row["h"] for batch in reader for row in batch.to_pylist()]
    assert rows == [line.decode() for line in lines[1:] if line.strip()]
    assert reader.blank == sum(not line.strip() for line in lines[1:])
    assert [(record.line, record.raw) for record in reader.bad] == [(len(lines) + 1, last)]
