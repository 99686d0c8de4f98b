"""What the first bytes of a file tell of it."""

from __future__ import annotations

import csv
import io
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecom_analytics.errors import InputError, NotLinesError
from ecom_analytics.protocols import Layout
from ecom_analytics.reading import Sample, sample_of
from ecom_analytics.reading.sample import first_records

CODECS = ["utf-8", "utf-16-le", "utf-16-be", "utf-32-le"]
MARKS = {"utf-8": b"\xef\xbb\xbf", "utf-16-le": b"\xff\xfe", "utf-16-be": b"\xfe\xff", "utf-32-le": b"\xff\xfe\0\0"}
TEXT = 'id;name;price\n1;Müller, Anna;1,50\n2;"a;b";2,50\n'


@pytest.mark.parametrize("codec", CODECS)
def test_a_byte_order_mark_names_the_encoding(codec: str) -> None:
    sample = sample_of(MARKS[codec] + TEXT.encode(codec))
    assert sample.layout == Layout(delimiter=";", encoding=codec)
    assert sample == TEXT.encode()
    assert sample.header == ("id", "name", "price")
    assert sample.records[1:] == (("1", "Müller, Anna", "1,50"), ("2", "a;b", "2,50"))
    assert sample.named[1] == {"id": "2", "name": "a;b", "price": "2,50"}


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be"])
@pytest.mark.parametrize("text", [TEXT, "id,имя\n1,Анна Каренина\n" * 20, '{"id": 1}\n'])
def test_zeros_betray_utf_16_without_a_mark(codec: str, text: str) -> None:
    sample = sample_of(text.encode(codec))
    assert sample.layout.encoding == codec
    assert sample == text.encode()


@pytest.mark.parametrize("data", [b"a,b\n1,\0\n", b"a,b\n" + b"\0" * 60, b"\0a\0b", b"\0\0\0\0\0\0", b"ab", b"\0", b""])
def test_a_few_zeros_do_not_make_utf_16(data: bytes) -> None:
    assert sample_of(data).layout.encoding == "utf-8" or data == b"\0a\0b"


def test_latin_1_only_by_choice() -> None:
    data = TEXT.encode("latin-1")
    assert sample_of(data).layout.encoding == "utf-8"
    assert sample_of(data, encoding="Latin-1").records[1][1] == "Müller, Anna"
    assert sample_of(data, encoding="Latin-1").layout.encoding == "iso8859-1"
    with pytest.raises(InputError, match="no text encoding 'latin-99'"):
        sample_of(data, encoding="latin-99")


@pytest.mark.parametrize("mark", [b"\xff\xfe", b"\xfe\xff", b""])
def test_utf_16_by_choice_is_told_by_its_mark(mark: bytes) -> None:
    codec = "utf-16-be" if mark == b"\xfe\xff" else "utf-16-le"
    assert sample_of(mark + "é".encode(codec), encoding="utf-16").layout.encoding == codec


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from(",;\t|"),
    st.integers(2, 6),
    st.lists(st.lists(st.text('ab1,;\t|"\né ', max_size=6), min_size=6, max_size=6), min_size=1, max_size=20),
    st.sampled_from(["\n", "\r\n", "\r"]),
)
def test_the_delimiter_of_any_well_formed_file_is_found(
    delimiter: str, width: int, rows: list[list[str]], end: str
) -> None:
    header = [f"column{number}" for number in range(width)]
    text = io.StringIO(newline="")
    writer = csv.writer(text, delimiter=delimiter, lineterminator=end)
    writer.writerow(header)
    body = [[value.replace("\n", "" if end == "\r" else "\n") for value in row[:width]] for row in rows]
    csv.writer(text, delimiter=delimiter, lineterminator=end, quoting=csv.QUOTE_ALL).writerows(body)
    sample = sample_of(text.getvalue().encode())
    assert sample.layout.delimiter == delimiter
    assert sample.header == tuple(header)
    assert list(sample.records[1:]) == [tuple(row) for row in body]


def test_what_does_not_split_has_the_usual_delimiter() -> None:
    assert sample_of(b"name\nAnna\n").layout == Layout()
    assert sample_of(b"").layout == Layout()
    assert sample_of(b"", delimiter="|").layout.delimiter == "|"


@pytest.mark.parametrize(
    "data",
    [
        b'{"a": 1, "b": {"c": 2}}\n{"d": 3}\n',
        b'\n {"a": 1}\n{"b": 2}\n{"d": \n',
        b'[1]\n{"a": 1}\n{"b": 1}\n{"d": 2}\n',
    ],
)
def test_json_lines_are_known_by_their_objects(data: bytes) -> None:
    sample = sample_of(data)
    assert sample.layout == Layout("json_lines")
    assert sample.header[0] == "a"
    assert "d" in sample.header or len(sample.records) == 2


def test_a_json_line_longer_than_the_sample_is_json_lines() -> None:
    assert sample_of(b'{"a": "' + b"x" * 1000, whole=False).layout.kind == "json_lines"


@pytest.mark.parametrize(
    ("data", "match"),
    [
        (json.dumps([{"a": 1}, {"a": 2}], indent=2).encode(), "one JSON array"),
        (json.dumps([{"a": 1}, {"a": 2}]).encode(), "one JSON array"),
        (b"[]", "one JSON array"),
        (json.dumps({"a": 1, "b": [1, 2, 3]}, indent=2).encode(), "JSON over several lines"),
    ],
)
def test_other_json_is_refused_with_what_to_do(data: bytes, match: str) -> None:
    with pytest.raises(NotLinesError, match=match) as caught:
        sample_of(data)
    assert "jq -c" in caught.value.hint


def test_a_csv_that_begins_with_a_bracket_is_a_csv() -> None:
    assert sample_of(b"[id],[name]\n1,2\n").header == ("[id]", "[name]")
    assert sample_of(b"{id},b\n1,2\n").header == ("{id}", "b")


@pytest.mark.parametrize(("data", "rows"), [(b"", 0), (b" \n\n", 0), (b"a,b", 1), (b"a\n \nb\n", 2), (b"a\nb\nc", 2)])
def test_rows_are_counted_no_further_than_two(data: bytes, rows: int) -> None:
    assert sample_of(data).rows == rows


@pytest.mark.parametrize("whole", [True, False])
def test_the_first_records_end_where_the_sample_breaks_one_off(whole: bool) -> None:
    data = b'a,b\n1,2\n3,"x\ny'
    assert first_records(sample_of(data, whole=whole), Layout()) == (data if whole else b"a,b\n1,2\n")
    lines = b'{"a": 1}\n{"a"'
    assert first_records(sample_of(lines, whole=whole), Layout("json_lines")) == (lines if whole else lines[:9])


@settings(max_examples=500, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes_have_a_sample_or_a_clear_error(data: bytes) -> None:
    try:
        sample = sample_of(data)
    except NotLinesError:
        return
    assert isinstance(sample, Sample)
    assert sample.startswith(first_records(sample, sample.layout))
