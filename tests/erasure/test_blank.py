"""Raw files are rewritten with some lines empty; all others keep their bytes and their numbers."""

from __future__ import annotations

import gzip
import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecom_analytics.erasure import blank
from ecom_analytics.erasure.blank import blank_lines, blanked
from ecom_analytics.protocols import Layout, RawFile
from ecom_analytics.reading import BadRecord, ReadCounts, Request, read_file

ENCODINGS = ["utf-8", "latin-1", "utf-16", "utf-16-le", "utf-16-be", "utf-32-le"]


def by_hand(text: str, lines: set[int], newline: str) -> str:
    parts = text.split(newline)
    for number, part in enumerate(parts, 1):
        if number in lines:
            ends = newline == "\n" and number < len(parts) and part.endswith("\r")
            parts[number - 1] = "\r" if ends else ""
    return newline.join(parts)


@given(
    st.lists(st.text('abé,"', max_size=6), min_size=1, max_size=12),
    st.sets(st.integers(1, 14), max_size=5),
    st.sampled_from(ENCODINGS),
    st.sampled_from(["\n", "\r\n", "\r"]),
    st.sampled_from([1, 5, 1 << 20]),
)
def test_other_lines_keep_their_bytes(
    parts: list[str], lines: set[int], encoding: str, newline: str, chunk: int
) -> None:
    if newline == "\r":
        parts = ["head", *parts]
    text = newline.join(parts)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(blank, "_CHUNK", chunk)
        got = b"".join(blank_lines(io.BytesIO(text.encode(encoding)), lines, encoding))
    assert got == by_hand(text, lines, newline[-1]).encode(encoding)


CSV = Layout()


def records(path: Path, layout: Layout = CSV) -> tuple[list[tuple[object, ...]], list[BadRecord], ReadCounts]:
    counts, bad = ReadCounts(), []
    file = RawFile("0" * 64, "web", str(path), path.name, layout)
    batches = read_file(file, Request({"id": "id"}, flat=True), counts, max_record_lines=100, on_bad=bad.append)
    rows = [(row["source_line"], row["id"]) for batch in batches for row in batch.to_pylist()]
    return rows, bad, counts


def rewritten(path: Path, lines: set[int], layout: Layout = CSV) -> Path:
    new = path.with_name("new")
    with new.open("wb") as to:
        blanked(RawFile("0" * 64, "web", str(path), path.name, layout), lines, to)
    return new


def zstd(data: bytes) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        for at in range(0, len(data), 10):  # in blocks, so that what is cut off is no more than the last one
            stream.write(data[at : at + 10])
            stream.flush()
    return bytes(sink.getvalue())


@pytest.mark.parametrize("compress", [lambda data: data, gzip.compress, zstd])
def test_compressed_files_stay_compressed(compress, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_bytes(compress(b"id,x\na,1\nb,2\nc,3\n"))
    new = rewritten(path, {3})
    assert new.read_bytes()[:2] == path.read_bytes()[:2]
    assert records(new)[0] == [(2, "a"), (4, "c")]
    assert records(new)[2] == ReadCounts(records=2, bad=0, blank=1)


@pytest.mark.parametrize("compress", [gzip.compress, zstd])
@pytest.mark.parametrize("lines", [set(), {3}, {5}])
def test_what_was_cut_short_is_cut_short_again(compress, lines: set[int], tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    data = b"id,x\na,1\nb,2\nc,3\nd," + bytes(range(97, 123)) * 3
    path.write_bytes(compress(data)[:-6])
    good, bad, counts = records(path)
    assert [(record.line, record.rule) for record in bad] == [(5, "truncated")]
    new = rewritten(path, lines)
    after = records(new)
    assert after[0] == [row for row in good if row[0] not in lines]
    assert [(record.line, record.rule) for record in after[1]] == [(5, "truncated")]
    assert after[1][0].raw == (b"" if 5 in lines else bad[0].raw)
    assert after[2].records + after[2].blank == counts.records


def test_rows_of_parquet_are_null_and_blank(tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    nested = pa.array([[{"x": 1}], [], None, [{"x": 2}]], pa.list_(pa.struct([("x", pa.int64())])))
    table = pa.table({"id": ["a", "b", None, "d"], "items": nested})
    schema = pa.schema([pa.field("id", pa.string()), pa.field("items", nested.type, nullable=True)])
    pq.write_table(table.cast(schema), path, row_group_size=3)
    layout = Layout("parquet")
    once = rewritten(path, {2}, layout)
    assert records(once, layout)[0] == [(1, "a"), (3, None), (4, "d")]
    assert records(once, layout)[2] == ReadCounts(records=3, bad=0, blank=1)
    twice = once.with_name("twice")
    with twice.open("wb") as to:
        blanked(RawFile("0" * 64, "web", str(once), "", layout), {4}, to)
    assert records(twice, layout)[0] == [(1, "a"), (3, None)]
    assert pq.read_table(twice).to_pylist()[3] == {"id": None, "items": None}
    nested_request = Request({"id": "id", "x": "items[].x"}, each="items")
    counts = ReadCounts()
    batches = read_file(
        RawFile("0" * 64, "web", str(twice), "", layout), nested_request, counts, max_record_lines=1, on_bad=print
    )
    assert [row["source_line"] for batch in batches for row in batch.to_pylist()] == [1, 3]
    assert counts.blank == 2


def test_json_lines(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("".join(json.dumps({"id": letter}) + "\r\n" for letter in "abc"))
    layout = Layout("json_lines")
    new = rewritten(path, {1, 3}, layout)
    assert new.read_bytes() == b'\r\n{"id": "b"}\r\n\r\n'
    assert records(new, layout)[0] == [(2, "b")]
