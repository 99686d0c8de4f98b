"""The block reader and the oracle, side by side."""

from __future__ import annotations

import io
from typing import Any

import delimited_oracle as oracle
import pytest

from ecom_analytics.errors import EmptyFileError, InputError
from ecom_analytics.reading import DelimitedReader

Rows = list[tuple[int, list[str | None]]]


def read_all(data: bytes, **options: Any) -> tuple[DelimitedReader, Rows]:
    """The reader, exhausted, and its rows in the order of the header; a column that is there twice is all None."""
    header = DelimitedReader(io.BytesIO(data), [], **options).header
    names = [name for name in header if header.count(name) == 1]
    reader = DelimitedReader(io.BytesIO(data), names, **options)
    rows = []
    for batch in reader:
        assert batch.schema == reader.schema
        batch.validate(full=True)
        for *values, line in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            row = dict(zip(names, values, strict=True))
            rows.append((line, [row.get(name) for name in header]))
    return reader, rows


def assert_as_the_oracle_says(data: bytes, *, block_bytes: int = 8 << 20, **options: Any) -> None:
    """Rows, rejects and counts are the oracle's."""
    expected = oracle.read(data, **options)
    if expected.header is None:
        with pytest.raises(InputError if expected.header_rule else EmptyFileError):
            DelimitedReader(io.BytesIO(data), [], block_bytes=block_bytes, **options)
        return
    reader, rows = read_all(data, block_bytes=block_bytes, **options)
    once = [expected.header.count(name) == 1 for name in expected.header]
    assert reader.header == expected.header
    assert rows == [
        (line, [value if keep else None for value, keep in zip(fields, once, strict=True)])
        for line, fields in expected.rows
    ]
    assert [(bad.line, bad.raw, bad.rule) for bad in reader.bad] == expected.bad
    assert reader.blank == expected.blank
    assert (reader.good, reader.rejected) == (len(expected.rows), len(expected.bad))
