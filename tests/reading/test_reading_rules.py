"""The rules of the block reader, one by one."""

from __future__ import annotations

import io
from typing import Any

import pytest

from ecom_analytics.errors import EmptyFileError, InputError
from ecom_analytics.reading import DelimitedReader, raw_records
from ecom_analytics.reading.layout import lay_out
from ecom_analytics.reading.lines import find_lines
from ecom_analytics.reading.records import Dialect

ROW = {"a": "1", "b": "x", "source_line": 2}


def reader_of(data: bytes, columns: tuple[str, ...] = ("a", "b"), **options: Any) -> DelimitedReader:
    return DelimitedReader(io.BytesIO(data), columns, **options)


def rows_of(reader: DelimitedReader) -> list[dict[str, Any]]:
    return [row for batch in reader for row in batch.to_pylist()]


def test_columns_come_in_the_order_asked_for_and_others_are_left_out() -> None:
    reader = reader_of(b"c,b,a\n3,x,1\n")
    assert rows_of(reader) == [ROW]
    assert reader.schema.names == ["a", "b", "source_line"]
    assert reader.header == ["c", "b", "a"]


def test_columns_left_out_still_count_as_fields() -> None:
    reader = reader_of(b"a,b,c\n1,x\n1,x,2\n1,x,2,3\n")
    assert [row["source_line"] for row in rows_of(reader)] == [3]
    assert [(bad.line, bad.rule) for bad in reader.bad] == [(2, "too_few_fields"), (4, "too_many_fields")]
    assert reader.bad[1].message == "4 fields where the header has 3"


@pytest.mark.parametrize("bad", [b"1,x,\0", b"1,x,\xe9"])
def test_a_record_broken_in_a_column_left_out_is_rejected(bad: bytes) -> None:
    reader = reader_of(b"a,b,c\n" + bad + b"\n")
    assert rows_of(reader) == []
    assert [record.raw for record in reader.bad] == [bad]


def test_an_optional_column_may_be_missing_and_comes_after_the_others() -> None:
    assert rows_of(reader_of(b"b,a\nx,1\n", optional=["z"])) == [{**ROW, "z": None}]
    assert reader_of(b"b,a,z\n", optional=["z"]).schema.names == ["a", "b", "z", "source_line"]
    assert reader_of(b"b,a,z\n", columns=("z", "a"), optional=["z"]).schema.names == ["z", "a", "source_line"]


def test_only_the_line_numbers_may_be_asked_for() -> None:
    assert rows_of(reader_of(b"a,b\n1,\n\n2,y\n", columns=())) == [{"source_line": 2}, {"source_line": 4}]


def test_a_missing_column_is_named_with_the_header() -> None:
    with pytest.raises(InputError, match="no column 'b' in the header: a, B") as caught:
        reader_of(b"a,B\n1,2\n")
    assert caught.value.facts["column"] == "b"


def test_a_column_there_twice_is_an_error_only_if_asked_for() -> None:
    with pytest.raises(InputError, match="2 columns 'b'"):
        reader_of(b"a,b,b\n1,2,3\n")
    assert rows_of(reader_of(b"a,b,b\n1,2,3\n", columns=("a",))) == [{"a": "1", "source_line": 2}]


@pytest.mark.parametrize("data", [b"", b"\n", b" \r\n\t\n", b"\xef\xbb\xbf", b"\xef\xbb\xbf\n"])
@pytest.mark.parametrize("block_bytes", [1, 1000])
def test_an_input_without_a_header_is_empty(data: bytes, block_bytes: int) -> None:
    with pytest.raises(EmptyFileError):
        reader_of(data, block_bytes=block_bytes)


@pytest.mark.parametrize("data", ["a,b\n1,x\n".encode("utf-16"), b"a,\xe9\n", b'"a,b\n1,x\n', b"a,b\0\n"])
def test_a_header_that_cannot_be_read_is_an_error(data: bytes) -> None:
    with pytest.raises(InputError, match="the header in line 1 cannot be read"):
        reader_of(data)


def test_a_header_alone_has_no_records() -> None:
    reader = reader_of(b"a,b")
    assert rows_of(reader) == []
    assert (reader.records, reader.blank) == (0, 0)


@pytest.mark.parametrize(
    "header", [b"\xef\xbb\xbfa,b\n", b'"a","b"\n', b" a ,b\t\n", b"a,b\r\n", b'\xef\xbb\xbf"a",b\n']
)
def test_a_header_may_be_quoted_or_spaced_and_have_a_byte_order_mark(header: bytes) -> None:
    assert rows_of(reader_of(header + b"1,x\n")) == [ROW]


def test_blank_lines_before_the_header_count() -> None:
    reader = reader_of(b"\n \na,b\n1,x\n")
    assert rows_of(reader) == [{**ROW, "source_line": 4}]
    assert reader.blank == 2


@pytest.mark.parametrize(
    ("line", "value"),
    [
        (b"1,", None),
        (b'1,""', None),
        (b"1, ", " "),
        (b'1,""""', '"'),
        (b'1,"x""y"', 'x"y'),
        (b'1,"x,y"', "x,y"),
        (b'1,"x\ny"', "x\ny"),
        (b'1,"x\r\n\r\ny"', "x\r\n\r\ny"),
        (b'1,5" disk', '5" disk'),
        (b'1, "x"', ' "x"'),
        (b"1,x\ry", "x\ry"),
        (b'1,"x\ry"', "x\ry"),
        (b"1,\r", None),
        (b"1,\r\r", "\r"),
        ("1,é€😀".encode(), "é€😀"),
        (b"1,NULL", "NULL"),
        (b"1,\\", "\\"),
    ],
)
@pytest.mark.parametrize("after", [b"", b"\n", b"\r\n", b"\n2,y\n", b'\n"2",y\n'])
@pytest.mark.parametrize("block_bytes", [1, 1000])
def test_a_good_field(line: bytes, value: str | None, after: bytes, block_bytes: int) -> None:
    reader = reader_of(b"a,b\n" + line + after, block_bytes=block_bytes)
    if line.endswith(b"\r") and after == b"\r\n":
        value = (value or "") + "\r"
    assert rows_of(reader)[0] == {"a": "1", "b": value, "source_line": 2}
    assert not reader.bad
    assert not reader.blank


@pytest.mark.parametrize(
    ("line", "rule", "message"),
    [
        (b"1", "too_few_fields", "1 field where the header has 2"),
        (b"1,x,", "too_many_fields", "3 fields where the header has 2"),
        (b'1,"x" ', "bad_quoting", "text follows the closing quote of field 2"),
        (b'1,"x', "bad_quoting", "quoted field 2 does not close within 3 lines"),
        (b'"1', "bad_quoting", "quoted field 1 does not close within 3 lines"),
        (b"1,\0", "nul_byte", "NUL byte at byte 3 of the record"),
        (b"1,x\xe9y", "bad_encoding", "not UTF-8 at byte 4 of the record (0xe9)"),
        (b"1,\xed\xa0\x80", "bad_encoding", "not UTF-8 at byte 3 of the record (0xed)"),
        (b"\0\xe9", "nul_byte", "NUL byte at byte 1 of the record"),
    ],
)
@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_a_bad_line_is_rejected_alone(line: bytes, rule: str, message: str, end: bytes) -> None:
    reader = reader_of(end.join([b"a,b", line, b"1,x", b"", b"1,x", b"1,x"]) + end, max_record_lines=3)
    assert [row["source_line"] for row in rows_of(reader)] == [3, 5, 6]
    assert [(bad.line, bad.raw, bad.rule, bad.message) for bad in reader.bad] == [(2, line, rule, message)]
    assert (reader.records, reader.good, reader.rejected, reader.blank) == (4, 3, 1, 1)


def test_a_record_may_have_as_many_lines_as_allowed_and_no_more() -> None:
    data = b'a,b\n1,"x\n\ny"\n2,z\n'
    assert [row["source_line"] for row in rows_of(reader_of(data, max_record_lines=3))] == [2, 5]
    reader = reader_of(data, max_record_lines=2)
    assert [row["source_line"] for row in rows_of(reader)] == [5]
    # `y"` is a line of its own then, with one field.
    assert [(bad.line, bad.rule) for bad in reader.bad] == [(2, "bad_quoting"), (4, "too_few_fields")]
    assert reader.blank == 1


def test_one_open_quote_costs_one_line_of_a_long_file() -> None:
    lines = [b"%d,x" % number for number in range(5000)]
    lines[1000] = b'1000,"x'
    reader = reader_of(b"a,b\n" + b"\n".join(lines), block_bytes=4096)
    assert len(rows_of(reader)) == 4999
    assert [bad.line for bad in reader.bad] == [1002]


def test_many_records_of_several_lines_keep_their_numbers() -> None:
    data = b"a,b\n" + b"".join(b'%d,"x\n\n ""y"""\n' % number for number in range(5000))
    reader = reader_of(data, block_bytes=10_000)
    rows = rows_of(reader)
    assert [row["source_line"] for row in rows] == list(range(2, 15_002, 3))
    assert {row["b"] for row in rows} == {'x\n\n "y"'}
    assert [row["a"] for row in rows] == [str(number) for number in range(5000)]


def test_a_record_of_several_lines_and_the_wrong_width_is_kept_whole() -> None:
    data = b"a,b\n" + b'1,"x\ny"\n' * 5 + b'1,"x\ny",\n' + b'1,"x\ny"\n'
    reader = reader_of(data)
    assert len(rows_of(reader)) == 6
    assert [(bad.line, bad.raw, bad.rule) for bad in reader.bad] == [(12, b'1,"x\ny",', "too_many_fields")]


def test_lines_may_end_at_cr_alone() -> None:
    reader = reader_of(b'a,b\r1,x\r\r2,"y\rz"\r3\r')
    assert rows_of(reader) == [ROW, {"a": "2", "b": "y\rz", "source_line": 4}]
    assert [bad.line for bad in reader.bad] == [6]
    assert reader.blank == 1


@pytest.mark.parametrize("block_bytes", [1, 1000])
def test_a_blank_line_of_a_single_column_is_blank(block_bytes: int) -> None:
    reader = reader_of(b'a\n1\n\n  \n""\n\t\n2', columns=("a",), block_bytes=block_bytes)
    assert [(row["a"], row["source_line"]) for row in rows_of(reader)] == [("1", 2), (None, 5), ("2", 7)]
    assert reader.blank == 3


def test_a_line_of_delimiters_is_no_blank_line() -> None:
    reader = reader_of(b"a\tb\n\t\n \n", delimiter="\t")
    assert rows_of(reader) == [{"a": None, "b": None, "source_line": 2}]
    assert reader.blank == 1


@pytest.mark.parametrize("delimiter", ["", ",,", '"', "\n", "\0", "é"])
def test_a_delimiter_that_cannot_be_is_an_error(delimiter: str) -> None:
    with pytest.raises(InputError, match="delimiter"):
        reader_of(b"a,b\n", delimiter=delimiter)


def test_batches_are_about_a_block_long_and_in_the_order_of_lines() -> None:
    lines = [b'%d,"x\ny"' % i if i % 7 == 0 else b"%d,\r" % i if i % 5 == 0 else b"%d," % i for i in range(3000)]
    batches = list(reader_of(b"a,b\n" + b"\n".join(lines), block_bytes=2000))
    assert max(batch.num_rows for batch in batches) < 1000
    values = [int(row["a"]) for batch in batches for row in batch.to_pylist()]
    numbers = [row["source_line"] for batch in batches for row in batch.to_pylist()]
    assert values == list(range(3000))
    assert numbers == sorted(set(numbers))


def test_raw_records_of_lines_that_are_not_there_are_an_error() -> None:
    with pytest.raises(InputError, match="there is no line 4 in the input: it has 3"):
        raw_records(io.BytesIO(b"a\n1\n2\n"), [2, 4])
    with pytest.raises(InputError, match="no line 0"):
        raw_records(io.BytesIO(b"a\n1\n2\n"), [0])
    assert raw_records(io.BytesIO(b""), []) == {}


def test_raw_records_agree_with_what_the_reader_rejected() -> None:
    data = b'a,b\r\n1\r\n"x\r\ny"\r\n"z\r\n1,\0\r\n1,\xff\r\n'
    reader = reader_of(data, max_record_lines=2)
    assert rows_of(reader) == []
    raw = raw_records(io.BytesIO(data), [bad.line for bad in reader.bad], max_record_lines=2)
    assert raw == {bad.line: bad.raw for bad in reader.bad}
    assert raw[3] == b'"x\r\ny"'


@pytest.mark.parametrize(
    "data",
    [
        b'"1","x"\r\n2,y\r\n',
        b'1,"x ""y"""\n"","""",\n',
        b'1,5" disk\n2,"x"\n',
        '1\n\n \n1,2,3\n"é",é'.encode(),
    ],
)
def test_well_formed_lines_go_the_fast_way(data: bytes) -> None:
    layout = lay_out(data, find_lines(data, Dialect()), Dialect(), final=True)
    assert not layout.slow
    assert (layout.fast | layout.blank).all()


def test_records_of_several_lines_go_the_fast_way_after_the_first_few() -> None:
    data = b'1,"x\n\ny"\n' * 100
    layout = lay_out(data, find_lines(data, Dialect()), Dialect(), final=True)
    assert len(layout.slow) < 5
    assert layout.starts.sum() == 100 - len(layout.slow)
