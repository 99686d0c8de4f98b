"""Read delimited text exactly: every byte of the input is a good record, a rejected one or a blank line.

The rules, in one place:

* Text is UTF-8; a byte order mark before the header is dropped. Text in another encoding is made UTF-8 on its way in,
  and so are the raw bytes of its rejected records; what cannot be decoded makes its record ``bad_encoding``.
* A physical line ends at LF or CRLF, and is numbered from 1. A CR elsewhere is data. Only a file whose first 64 kB
  hold a CR and no LF (old Mac) ends its lines at CR; there, LF is data.
* A field is quoted only if its first byte is ``"``. Inside, ``""`` is a quote, and delimiters and line ends are data.
  The closing quote must be directly followed by the delimiter or the end of a line. In a field that is not quoted,
  ``"`` is data.
* A record is a line, or as many as its quoted fields need, at most ``max_record_lines``; its number is that of its
  first line. If its quotes do not close properly in that span, its first line alone is rejected (``bad_quoting``) and
  reading resumes at the next physical line.
* A record with a NUL byte (``nul_byte``), with bytes that are not UTF-8 (``bad_encoding``), or with more or fewer
  fields than the header (``too_many_fields``, ``too_few_fields``) is rejected, for the first of these that holds.
* A line of nothing but spaces, tabs and CR, outside quotes, is blank. The delimiter never counts as such a space.
* An empty field is NULL, quoted or not.
* Bytes may be compressed with gzip (one member or several) or zstd (one frame or several); they tell so themselves.
  Where such data is cut short or damaged, all whole records before that place are read. What there is of the record in
  which the data ends, be it nothing, is one rejected record of the rule ``truncated``, at its first line; its message
  tells how many decompressed bytes could be read.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

_WHERE = {
    "BadRecord": "records",
    "DelimitedReader": "blocks",
    "JsonLinesReader": "json_lines",
    "ParquetReader": "parquet",
    "ReadCounts": "files",
    "Sample": "sample",
    "Request": "files",
    "line_text": "files",
    "open_decompressed": "compression",
    "raw_records": "raw",
    "raw_text": "files",
    "read_file": "files",
    "sample_of": "sample",
}

__all__ = [
    "BadRecord",
    "DelimitedReader",
    "JsonLinesReader",
    "ParquetReader",
    "ReadCounts",
    "Request",
    "Sample",
    "line_text",
    "open_decompressed",
    "raw_records",
    "raw_text",
    "read_file",
    "sample_of",
]

if TYPE_CHECKING:
    from ecom_analytics.reading.blocks import DelimitedReader
    from ecom_analytics.reading.compression import open_decompressed
    from ecom_analytics.reading.files import ReadCounts, Request, line_text, raw_text, read_file
    from ecom_analytics.reading.json_lines import JsonLinesReader
    from ecom_analytics.reading.parquet import ParquetReader
    from ecom_analytics.reading.raw import raw_records
    from ecom_analytics.reading.records import BadRecord
    from ecom_analytics.reading.sample import Sample, sample_of


def __getattr__(name: str) -> Any:
    try:
        module = _WHERE[name]
    except KeyError:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}") from None
    value = getattr(import_module(f"{__name__}.{module}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
