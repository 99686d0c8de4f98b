"""What the beginning of a file tells: how its bytes are cut into records, and what the first of them are."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ecom_analytics.errors import NotLinesError
from ecom_analytics.protocols import Layout
from ecom_analytics.reading.encoding import UTF_8, codec_name
from ecom_analytics.reading.records import CR, LF, Dialect, check_record, split_record

SAMPLE = 64 * 1024
"""Bytes, decompressed, that a file is judged by."""

AUTO = "auto"
DELIMITERS = ",;\t|"
RECORDS = 50
"""Records that are looked at."""

PARQUET = b"PAR1"
BOM = b"\xef\xbb\xbf"

_MARKS = ((b"\xff\xfe\0\0", "utf-32-le"), (b"\0\0\xfe\xff", "utf-32-be"), (b"\xff\xfe", "utf-16-le"),
          (b"\xfe\xff", "utf-16-be"), (BOM, UTF_8))  # fmt: skip


class Sample(bytes):
    """The first 64 kB of a file: decompressed, as UTF-8, without a byte order mark; of Parquet, the bytes as they are.

    Attributes
    ----------
    compression : str
        ``gzip``, ``zstd``, or nothing.
    layout : Layout
    records : tuple
        The first records: of a delimited file tuples of texts, its header (if it has one) among them; of JSON Lines
        and Parquet dicts. Those that cannot be split are left out.
    header : tuple of str
        Of a delimited file the trimmed fields of its first record, or :attr:`Layout.columns`; of Parquet the names of
        its columns; of JSON Lines the keys of the first records, in the order of their appearance.
    rows : int
        0, 1 or 2: records and broken lines, counted no further than two, in the whole file. The header is one of them.
    whole : bool
        There is no more of the file than this.
    loss : str
        How the compressed data is damaged within the sample, if it is.

    Examples
    --------
    >>> sample = sample_of(b"id;name\\n1;Anna\\n")
    >>> sample.header, sample.layout.delimiter, sample.records[1]
    (('id', 'name'), ';', ('1', 'Anna'))
    >>> sample_of(b'{"user": {"id": 7}, "event": "view"}\\n').header
    ('user', 'event')
    """

    compression: str = ""
    layout: Layout = Layout()
    records: tuple[Any, ...] = ()
    header: tuple[str, ...] = ()
    rows: int = 0
    whole: bool = True
    loss: str = ""

    @property
    def named(self) -> tuple[dict[str, Any], ...]:
        """The first records by their columns; those of another width are left out.

        Examples
        --------
        >>> sample_of(b"id;name\\n1;Anna\\n").named
        ({'id': '1', 'name': 'Anna'},)
        """
        if self.layout.kind != "delimited":
            return self.records
        rows = self.records if self.layout.columns else self.records[1:]
        return tuple(dict(zip(self.header, row, strict=True)) for row in rows if len(row) == len(self.header))


def as_sample(data: bytes) -> Sample:
    """A sample as it is; other bytes looked at as if they were a whole file."""
    return data if isinstance(data, Sample) else sample_of(data)


def sample_of(
    data: bytes,
    *,
    encoding: str = AUTO,
    delimiter: str = AUTO,
    columns: Sequence[str] | None = None,
    whole: bool = True,
) -> Sample:
    """Look at the first bytes of a file, decompressed; it is not Parquet.

    Parameters
    ----------
    data : bytes
    encoding, delimiter : str
        As chosen, or ``auto``.
    columns : sequence of str, optional
        Names of the columns of a delimited file that has no header.
    whole : bool
        There is no more of the file than this.

    Raises
    ------
    InputError
        It is JSON, but not one object a line; or the encoding is unknown.
    """
    codec = encoding_of(data) if encoding == AUTO else _chosen(encoding, data)
    text = data if codec == UTF_8 else data.decode(codec, errors="replace").encode()
    text = text.removeprefix(BOM)
    newline = _newline(text)
    complete = text if whole else text[: text.rfind(newline) + 1] or text
    sample = Sample(text)
    objects = _objects(complete, newline) if delimiter == AUTO and columns is None else None
    if objects is not None:
        sample.layout = Layout("json_lines", encoding=codec)
        sample.records = tuple(objects)
        sample.header = keys_of(objects)
    else:
        names = None if columns is None else tuple(columns)
        mark = delimiter_of(complete, newline) if delimiter == AUTO else delimiter
        sample.layout = Layout(delimiter=mark, encoding=codec, columns=names)
        sample.records = tuple(_split(complete, mark, newline))
        sample.header = names or tuple(field.strip() for field in (sample.records or ((),))[0])
    sample.rows, sample.whole = _count(text, newline), whole
    return sample


def encoding_of(data: bytes) -> str:
    """The encoding that a byte order mark names, or that zeros betray; else UTF-8.

    Examples
    --------
    >>> encoding_of("id,name".encode("utf-16-be")), encoding_of(b"id,name"), encoding_of(b"\\xff\\xfei\\0")
    ('utf-16-be', 'utf-8', 'utf-16-le')
    """
    for mark, codec in _MARKS:
        if data.startswith(mark):
            return codec
    # Text of any script has its line ends, delimiters and digits below 256: every second byte of those is 0.
    head = data[:512]
    even, odd = head[::2].count(0), head[1::2].count(0)
    if len(head) < 4 or min(even, odd) * 20 > max(even, odd) or max(even, odd) * 5 < len(head[::2]):
        return UTF_8
    codec = "utf-16-le" if odd > even else "utf-16-be"
    text = head[: len(head) // 2 * 2].decode(codec, errors="replace")
    western = sum(char < "\u2000" for char in text)  # two bytes of ASCII, taken for one character, are above that
    return UTF_8 if "\0" in text or "\ufffd" in text[:-1] or western * 2 < len(text) else codec


def _chosen(encoding: str, data: bytes) -> str:
    """The codec of an encoding that was chosen; a byte order mark tells which UTF-16 it is."""
    codec = codec_name(encoding)
    if codec in ("utf-16", "utf-32"):
        seen = encoding_of(data)
        return seen if seen.startswith(codec) else f"{codec}-le"
    return codec


def delimiter_of(text: bytes, newline: int = LF) -> str:
    """The delimiter by which the most records have as many fields as the first; a comma if there is none.

    Examples
    --------
    >>> delimiter_of(b'id;price;name\\n1;1,50;"a;b"\\n2;2,50;c\\n')
    ';'
    """
    splits = [mark for mark in DELIMITERS if len(next(iter(_split(text, mark, newline)), ())) > 1]
    if len(splits) < 2:
        return splits[0] if splits else ","
    found = []
    for place, mark in enumerate(splits):
        widths = [len(record) for record in _split(text, mark, newline)]
        found.append((widths.count(widths[0]) / len(widths), widths[0], -place))
    return splits[-max(found)[2]]


def _split(text: bytes, delimiter: str, newline: int) -> Iterable[tuple[str, ...]]:
    """The first records; a line whose quotes are wrong is left out."""
    dialect = Dialect(ord(delimiter), newline)
    spaces = dialect.spaces()
    start, found = 0, 0
    while start < len(text) and found < RECORDS:
        record = split_record(text, start, dialect, final=True)
        assert record is not None
        blank = not text[start : record.end].strip(spaces)
        start = record.next
        if record.fields is not None and not blank:
            found += 1
            yield tuple(field.decode(errors="replace") for field in record.fields)


def _objects(text: bytes, newline: int) -> list[dict[str, Any]] | None:
    """The objects of JSON Lines; None if that is not what the text is."""
    begin = text.lstrip()
    if begin[:1] not in (b"{", b"["):
        return None
    lines = [line for line in text.split(bytes([newline]), RECORDS)[:RECORDS] if line.strip()]
    values = [_json(line) for line in lines]
    objects = [value for value in values if isinstance(value, dict)]
    if len(objects) * 2 >= len(lines):
        return objects
    if begin[:1] == b"[" and (isinstance(values[0], list) or begin[1:].lstrip()[:1] in (b"{", b"", b"]")):
        raise _no_lines("one JSON array", "jq -c '.[]'")
    if begin[:1] == b"{" and (begin[1:].lstrip()[:1] in (b'"', b"}", b"")):
        if len(lines) == 1:
            return []  # a line that is longer than the sample
        raise _no_lines("JSON over several lines", "jq -c .")
    return None


def _json(line: bytes) -> Any:
    try:
        return json.loads(line)
    except (ValueError, RecursionError):
        return None


def _no_lines(what: str, command: str) -> NotLinesError:
    return NotLinesError(
        f"it is {what}, and not JSON Lines", hint=f"write one object a line, for example with: {command} FILE"
    )


def keys_of(records: Iterable[Mapping[str, Any]]) -> tuple[str, ...]:
    """All keys of records, in the order of their appearance."""
    return tuple(dict.fromkeys(key for record in records for key in record))


def _count(text: bytes, newline: int) -> int:
    """Lines that are not blank, counted no further than two."""
    start = lines = 0
    while start < len(text) and lines < 2:
        end = text.find(newline, start)
        end = len(text) if end < 0 else end
        lines += bool(text[start:end].strip())
        start = end + 1
    return lines


def first_records(sample: Sample, layout: Layout) -> bytes:
    """The bytes of the first records, the header and broken lines among them, as far as they are whole."""
    newline = _newline(sample)
    dialect = Dialect(ord(layout.delimiter) if layout.kind == "delimited" else 0, newline)
    start = 0
    for _ in range(RECORDS + 1):
        if layout.kind == "json_lines":
            end = sample.find(bytes([newline]), start) + 1 or (len(sample) if sample.whole else start)
        else:
            record = split_record(sample, start, dialect, final=sample.whole)
            whole = record is not None and (sample.whole or sample[record.next - 1] == newline)
            end = record.next if record is not None and whole else start
        if end == start:
            break
        start = end
    return bytes(sample[:start])


def _newline(text: bytes) -> int:
    return CR if LF not in text and CR in text else LF


def header_fault(sample: Sample) -> str:
    """Why the first record of a delimited sample cannot be its header; nothing if it can."""
    newline = _newline(sample)
    dialect = Dialect(ord(sample.layout.delimiter), newline)
    start = 0
    while start < len(sample):
        record = split_record(sample, start, dialect, final=True)
        assert record is not None
        raw = sample[start : record.end]
        if raw.strip(dialect.spaces()):
            wrong = check_record(record, raw, len(record.fields or ()))
            return wrong[1] if wrong else ""
        start = record.next
    return "there is none"
