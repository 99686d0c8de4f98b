"""The block reader against the oracle, on input made to be nasty."""

from __future__ import annotations

import csv
import io
from typing import Any
from unittest import mock

import delimited_oracle as oracle
import pyarrow as pa
from comparing import assert_as_the_oracle_says, read_all
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ecom_analytics.reading import BadRecord, DelimitedReader, layout, raw_records

NASTY = [b"a", b"1", b",", b'"', b"\n", b"\r", b"\r\n", b"\0", b"\xc3\xa9", b"\xc3", b"\xa9", b" ", b"\t", b'""']
NASTY += [b'","']
TAME = [b"a", b"1", b",", b",", b"\n", b"\n", b'"', b'""', b'"\n', b',"']

nasty = st.lists(st.sampled_from(NASTY), max_size=60).map(b"".join)
tame = st.lists(st.sampled_from(TAME), max_size=60).map(b"".join)
headers = st.sampled_from([b"h\n", b"h,i\n", b"h,i\r\n", b'"h","i",j\n', b"h,i\r", b"\xef\xbb\xbfh,i\n", b"\n \nh,i\n"])


class Dribble(io.RawIOBase):
    """A stream that gives fewer bytes than asked for, as sockets do."""

    def __init__(self, data: bytes, most: int) -> None:
        self._inner = io.BytesIO(data)
        self._most = most

    def read(self, size: int = -1) -> bytes:
        return self._inner.read(min(size, self._most) if size >= 0 else self._most)


@settings(max_examples=1500, deadline=None)
@given(headers, nasty, st.integers(1, 64), st.integers(1, 4))
@example(b"h,i\n", b'"\n"\r', 1, 2)
def test_arbitrary_bytes_read_as_the_oracle_says(head: bytes, body: bytes, block_bytes: int, most: int) -> None:
    assert_as_the_oracle_says(head + body, block_bytes=block_bytes, max_record_lines=most)


@settings(max_examples=800, deadline=None)
@given(headers, tame, st.integers(1, 64), st.integers(1, 4))
@example(b"h,i\n", b'1,"\n"\n1,"\n"\n1,"\n\n"\n \n1,"\n"\n', 64, 2)
def test_nearly_good_bytes_read_as_the_oracle_says(head: bytes, body: bytes, block_bytes: int, most: int) -> None:
    assert_as_the_oracle_says(head + body, block_bytes=block_bytes, max_record_lines=most)


@settings(max_examples=1000, deadline=None)
@given(
    st.lists(st.lists(st.text('ab,"\n\ré', max_size=4), min_size=1, max_size=3), max_size=12),
    st.sampled_from(["\n", "\r\n"]),
    st.lists(st.tuples(st.integers(0, 400), st.sampled_from(NASTY)), max_size=3),
    st.integers(1, 300),
    st.integers(1, 4),
    st.integers(0, 2),
)
def test_damaged_csv_reads_as_the_oracle_says(
    rows: list[list[str]], end: str, damage: list[tuple[int, bytes]], block_bytes: int, most: int, trust: int
) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator=end).writerows(rows)
    data = text.getvalue().encode()
    for place, token in damage:
        data = data[:place] + token + data[place:]
    with mock.patch.multiple(layout, _TRUST=trust, _REACH=2):
        assert_as_the_oracle_says(b"h,i\n" + data, block_bytes=block_bytes, max_record_lines=most)


@settings(max_examples=300, deadline=None)
@given(nasty, st.integers(1, 64), st.sampled_from([",", ";", "\t", " ", "|"]))
def test_any_header_and_delimiter_read_as_the_oracle_says(data: bytes, block_bytes: int, delimiter: str) -> None:
    assert_as_the_oracle_says(data.replace(b",", delimiter.encode()), block_bytes=block_bytes, delimiter=delimiter)


@settings(max_examples=300, deadline=None)
@given(headers, nasty, st.integers(1, 64), st.integers(1, 4))
def test_raw_records_are_those_of_the_oracle(head: bytes, body: bytes, block_bytes: int, most: int) -> None:
    starts = oracle.read(head + body, max_record_lines=most).starts
    stream = io.BytesIO(head + body)
    assert raw_records(stream, list(starts), block_bytes=block_bytes, max_record_lines=most) == starts


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.lists(st.text('ab,";\n\r é\t', max_size=6), min_size=3, max_size=3), max_size=20),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    st.sampled_from(["\n", "\r\n"]),
    st.integers(1, 200),
)
def test_what_python_writes_is_read_back(
    rows: list[list[str]], quoting: Any, lineterminator: str, block_bytes: int
) -> None:
    # Python before 3.13 does not quote a CR on its own.
    rows = [[value.replace("\r", "") if quoting == csv.QUOTE_MINIMAL else value for value in row] for row in rows]
    text = io.StringIO(newline="")
    csv.writer(text, quoting=quoting, lineterminator=lineterminator).writerows([["x", "y", "z"], *rows])
    reader, got = read_all(text.getvalue().encode(), block_bytes=block_bytes)
    assert [fields for _, fields in got] == [[value or None for value in row] for row in rows]
    assert not reader.bad
    assert not reader.blank


@given(nasty, st.integers(1, 64), st.integers(1, 5))
def test_a_stream_may_give_less_than_asked(body: bytes, block_bytes: int, most: int) -> None:
    whole = DelimitedReader(io.BytesIO(b"h,i\n" + body), ["i"])
    dribble: Any = Dribble(b"h,i\n" + body, most)
    dribbled = DelimitedReader(dribble, ["i"], block_bytes=block_bytes)
    assert [row for batch in dribbled for row in batch.to_pylist()] == [r for b in whole for r in b.to_pylist()]
    assert dribbled.bad == whole.bad


def test_bad_records_may_be_taken_as_they_come() -> None:
    taken: list[BadRecord] = []
    reader = DelimitedReader(io.BytesIO(b"h,i\n1\n"), ["h"], on_bad=taken.append)
    assert pa.Table.from_batches(reader, schema=reader.schema).num_rows == 0
    assert [bad.line for bad in taken] == [2]
    assert reader.bad == []
