"""Every layout, encoding and compression, against slow oracles; and files that others collected because they hurt."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import delimited_oracle as oracle
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecom_analytics.errors import EcomError
from ecom_analytics.ingest.look import look
from ecom_analytics.protocols import Layout, RawFile
from ecom_analytics.reading import DelimitedReader, ReadCounts, Request, open_decompressed, raw_text, read_file
from ecom_analytics.reading.encoding import Transcoded

FOLDERS = ["csv_spectrum", "nasty_agate", "nasty_csvkit", "nasty_frictionless", "otto_recsys"]
HEADER = ["h", "i"]
PIECES = ["a", "1", ";", ",", "\t", '"', '""', "\n", "\n", "\r\n", "\r", "\0", "é", "Ж", "😀", " ", "\ud800", '"\n"']
LINES = [
    '{"h": "a"}',
    '{"h": 14418.0, "i": {"x": 1}}',
    "",
    " ",
    "[1]",
    '{"h"',
    "é",
    '{"h": "é\\u2028"}',
    "\ud800",
    "{}",
]
CODECS = ["utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "latin-1"]


def packed(data: bytes, kind: str, cut: int) -> bytes:
    """The data as it is, or compressed in two members or frames."""
    if kind == "gzip":
        return gzip.compress(data[:cut], mtime=0) + gzip.compress(data[cut:], mtime=0)
    if kind == "zstd":
        return b"".join(pa.compress(part, codec="zstd", asbytes=True) for part in (data[:cut], data[cut:]))
    return data


def encoded(text: str, codec: str) -> tuple[bytes, bytes]:
    """The text in an encoding, and as the UTF-8 that the reader makes of that; surrogates are what is broken in it."""
    if codec == "latin-1":
        text = text.encode("latin-1", errors="ignore").decode("latin-1")
    data = text.encode(codec, errors="ignore" if codec == "latin-1" else "surrogatepass")
    # A broken unit of UTF-16 or UTF-32 becomes as many broken bytes; UTF-8's are left as they are.
    return data, Transcoded(_Once(data), codec).read() if codec != "utf-8" else data


class _Once:
    def __init__(self, data: bytes) -> None:
        self._data = data

    def read(self, size: int) -> bytes:
        data, self._data = self._data[:size], self._data[size:]
        return data


def read(path: Path, layout: Layout, columns: list[str]) -> tuple[list[tuple[Any, ...]], list[Any], ReadCounts]:
    file, counts, bad = RawFile("b", "s", str(path), path.name, layout), ReadCounts(), []
    request = Request({name: name for name in columns}, flat=True)
    rows = []
    for batch in read_file(file, request, counts, max_record_lines=100, on_bad=bad.append):
        *values, lines = (column.to_pylist() for column in batch.columns)
        rows += [(line, list(row)) for line, *row in zip(lines, *values, strict=True)]
    assert raw_text(file, [record.line for record in bad], max_record_lines=100) == {r.line: r.raw for r in bad}
    assert counts.records == len(rows) + len(bad)
    return rows, bad, counts


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=40).map("".join), st.sampled_from(CODECS), st.data())
def test_delimited_text_is_read_as_the_oracle_says(
    tmp_path_factory: pytest.TempPathFactory, text: str, codec: str, draw: st.DataObject
) -> None:
    delimiter = draw.draw(st.sampled_from([",", ";", "\t"]))
    with_header = draw.draw(st.booleans())
    data, as_utf_8 = encoded((delimiter.join(HEADER) + "\n") * with_header + text, codec)
    path = tmp_path_factory.getbasetemp() / "delimited"
    path.write_bytes(packed(data, draw.draw(st.sampled_from(["", "gzip", "zstd"])), draw.draw(st.integers(0, 30))))
    layout = Layout("delimited", delimiter, codec, None if with_header else tuple(HEADER))
    head = b"" if with_header else (delimiter.join(HEADER) + "\n").encode()
    if not with_header and b"\n" not in as_utf_8 and b"\r" in as_utf_8:
        return  # an old Mac file: the header that the oracle needs would end its lines otherwise
    expected = oracle.read(head + as_utf_8, delimiter=delimiter)
    shift = 0 if with_header else 1
    rows, bad, counts = read(path, layout, HEADER)
    assert rows == [(line - shift, fields) for line, fields in expected.rows]
    assert [(r.line, r.raw, r.rule) for r in bad] == [(line - shift, raw, rule) for line, raw, rule in expected.bad]
    assert counts.blank == expected.blank


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(LINES), max_size=20), st.sampled_from(CODECS), st.data())
def test_json_lines_are_read_as_pythons_json_says(
    tmp_path_factory: pytest.TempPathFactory, lines: list[str], codec: str, draw: st.DataObject
) -> None:
    end = draw.draw(st.sampled_from(["\n", "\r\n"]))
    data, as_utf_8 = encoded(end.join(lines) + end * draw.draw(st.booleans()), codec)
    path = tmp_path_factory.getbasetemp() / "lines"
    path.write_bytes(packed(data, draw.draw(st.sampled_from(["", "gzip", "zstd"])), draw.draw(st.integers(0, 30))))
    rows, bad, counts = read(path, Layout("json_lines", encoding=codec), ["h"])
    good, rejected, blank = [], [], 0
    whole = as_utf_8.split(b"\n")
    for number, line in enumerate(whole if whole[-1] else whole[:-1], 1):
        try:
            value = json.loads(line.decode(), parse_float=str)
        except UnicodeDecodeError:
            rejected.append((number, "bad_encoding"))
        except ValueError:
            blank += not line.strip()
            rejected += [(number, "bad_json")] * bool(line.strip())
        else:
            if isinstance(value, dict):
                good.append((number, [value.get("h")]))
            else:
                rejected.append((number, "bad_json"))
    assert rows == good
    assert [(record.line, record.rule) for record in bad] == rejected
    assert counts.blank == blank


@pytest.mark.parametrize("folder", FOLDERS)
def test_nasty_files_are_read_whole_or_refused_by_name(shared_data: Path, folder: str) -> None:
    paths = [path for path in sorted((shared_data / folder).rglob("*")) if path.is_file()]
    read_whole, refused = 0, []
    for path in paths:
        try:
            sample = look(path)
        except EcomError as error:
            refused.append((path, error))
            continue
        layout, columns = sample.layout, list(dict.fromkeys(sample.header))
        if layout.kind != "delimited":
            file, counts, bad = RawFile("b", "s", str(path), path.name, layout), ReadCounts(), []
            rows = sum(len(batch) for batch in read_file(file, Request({name: name for name in columns}, flat=True),
                                                         counts, max_record_lines=100, on_bad=bad.append))  # fmt: skip
            lines = len(path.read_bytes().rstrip(b"\n").split(b"\n")) if layout.kind == "json_lines" else rows
            assert rows + len(bad) + counts.blank == counts.records + counts.blank == lines
            read_whole += 1
            continue
        with open_decompressed(path) as stream:
            data = stream.read()
        text = data if layout.encoding == "utf-8" else data.decode(layout.encoding).encode()
        if len(text) > 200_000:
            continue
        expected = oracle.read(text, delimiter=layout.delimiter)
        if expected.header is None or expected.header_rule:
            with pytest.raises(EcomError, match=path.name.replace("[", r"\[")):
                read(path, layout, [])
            continue
        assert expected.header == list(sample.header), path
        once = [name for name in expected.header if expected.header.count(name) == 1]
        rows_read, bad, counts = read(path, layout, once)
        where = [expected.header.index(name) for name in once]
        assert rows_read == [(line, [fields[at] for at in where]) for line, fields in expected.rows], path
        assert [(r.line, r.raw, r.rule) for r in bad] == expected.bad, path
        assert counts.blank == expected.blank
        read_whole += 1
    assert read_whole > len(paths) / 2
    assert all(str(path) in error.message and error.hint for path, error in refused)


TWINS = {
    "nasty_csvkit/examples/test_utf16_big.csv": [["1", "2", "3"], ["4", "5", "ʤ"]],
    "nasty_csvkit/examples/test_utf16_little.csv": [["1", "2", "3"], ["4", "5", "ʤ"]],
    "nasty_csvkit/examples/test_utf8_bom.csv": [["1", "2", "3"], ["4", "5", "ʤ"]],
    "nasty_csvkit/examples/dummy.tsv": [["1", "2", "3"]],
    "nasty_frictionless/data/table-delimiter.csv": [["1", "english"], ["2", "中国人"]],
    "nasty_frictionless/data/compression/implicit-gz.csv": [["1", "english"], ["2", "中国人"]],
    "nasty_frictionless/data/issue-1009-semicolon.csv": [["0123", "c"]],
}


@pytest.mark.parametrize("name", TWINS)
def test_files_in_other_layouts_hold_what_their_twins_do(shared_data: Path, name: str) -> None:
    path = shared_data / name
    sample = look(path)
    rows, bad, _ = read(path, sample.layout, list(sample.header))
    assert ([fields for _, fields in rows], bad) == (TWINS[name], [])


def test_latin_1_and_greek_by_choice(shared_data: Path) -> None:
    path = shared_data / "nasty_csvkit" / "examples" / "test_latin1.csv"
    assert [r.rule for r in read(path, Layout(), ["c"])[1]] == ["bad_encoding"]
    assert read(path, Layout(encoding="latin-1"), ["c"])[0] == [(2, ["3"]), (3, ["©"])]
    greek = shared_data / "nasty_frictionless" / "data" / "table-infer-iso-8859-7.csv"
    names = [row[0] for _, row in read(greek, Layout(encoding="iso8859-7"), ["name"])[0]]
    assert names == ["Λεωνιδας", "Αλεξανδρος", "Μυρων", "Ευστοργιος"]


def test_a_zip_archive_is_refused_with_what_to_do(shared_data: Path) -> None:
    path = shared_data / "nasty_frictionless" / "data" / "compression" / "implicit-zip.csv"
    with pytest.raises(EcomError, match="is a zip archive") as caught:
        look(path)
    assert "unpack it" in caught.value.hint


def test_a_wanted_line_at_the_start_of_a_block_is_found() -> None:
    import io

    from ecom_analytics.reading.raw import raw_lines

    assert raw_lines(io.BytesIO(b"a\nbb\nc\n"), [2], block_bytes=1) == {2: b"bb"}


def test_an_incremental_reader_stays_the_same_however_little_the_stream_gives(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(gzip.compress("h,i\n1,é\n2,😀\n".encode("utf-16-le")))
    with open_decompressed(path) as stream:
        text = Transcoded(stream, "utf-16-le")
        got = b"".join(iter(lambda: text.read(1), b""))
    assert got.decode() == "h,i\n1,é\n2,😀\n"
    with open_decompressed(path) as stream:
        rows = [b.to_pylist() for b in DelimitedReader(Transcoded(stream, "utf-16-le"), ["i"], block_bytes=1)]
    assert [row["i"] for batch in rows for row in batch] == ["é", "😀"]
