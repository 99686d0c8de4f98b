"""One record, split byte by byte: the slow and exact way, for the lines that the fast way does not take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

LF, CR, QUOTE = 10, 13, 34

TOO_FEW_FIELDS = "too_few_fields"
TOO_MANY_FIELDS = "too_many_fields"
BAD_QUOTING = "bad_quoting"
BAD_ENCODING = "bad_encoding"
NUL_BYTE = "nul_byte"
TRUNCATED = "truncated"


@dataclass(frozen=True, slots=True)
class BadRecord:
    """A record that cannot be split.

    Attributes
    ----------
    line : int
        Its first physical line, from 1.
    raw : bytes
        Its bytes, unchanged, without the end of its last line.
    rule : str
        ``too_few_fields``, ``too_many_fields``, ``bad_quoting``, ``bad_encoding``, ``nul_byte`` or ``truncated``.
    message : str
        What is wrong with it, in a sentence.
    """

    line: int
    raw: bytes
    rule: str
    message: str


@dataclass(frozen=True, slots=True)
class Dialect:
    """How lines and fields are told apart in one file.

    Attributes
    ----------
    delimiter : int
        The byte between fields.
    newline : int
        The byte that ends a line: LF, or CR in a file without LF. With LF, a CR right before it belongs to it.
    max_record_lines : int
        The most lines that one record may have.
    """

    delimiter: int = 44
    newline: int = LF
    max_record_lines: int = 100

    def spaces(self) -> bytes:
        """The bytes that a blank line may hold."""
        return bytes(b for b in b" \t\r\n" if b != self.delimiter)

    def content_end(self, data: bytes, start: int, end: int) -> int:
        """Where the content of the line from ``start`` stops, its newline (or the end of the data) being at ``end``."""
        if self.newline == LF and end > start and data[end - 1] == CR:
            return end - 1
        return end


class Record(NamedTuple):
    """A record found in a block of bytes.

    Attributes
    ----------
    fields : list of bytes or None
        Its fields without quotes; None if its quotes are wrong: then it is one line, and is rejected.
    end : int
        Where its content stops.
    next : int
        Where the next line starts.
    lines : int
        Physical lines that it takes.
    fault : str
        What is wrong with its quotes.
    """

    fields: list[bytes] | None
    end: int
    next: int
    lines: int
    fault: str = ""


def split_record(data: bytes, start: int, dialect: Dialect, *, final: bool) -> Record | None:
    """Split the record that begins at ``start``.

    Parameters
    ----------
    data : bytes
        Whole lines; the last one may lack its newline if ``final``.
    start : int
        Where a line starts, outside quotes.
    dialect : Dialect
    final : bool
        Nothing follows ``data``.

    Returns
    -------
    Record or None
        None if more data is needed to tell.

    Examples
    --------
    >>> split_record(b'7,"a ""b""\\nc"\\n', 0, Dialect(), final=True).fields
    [b'7', b'a "b"\\nc']
    >>> split_record(b'7,"a"b\\n', 0, Dialect(), final=True).fault
    'text follows the closing quote of field 2'
    """
    end = _line_end(data, start, dialect)
    content = dialect.content_end(data, start, end)
    if data.find(QUOTE, start, content) < 0:
        fields = data[start:content].split(bytes((dialect.delimiter,)))
        return Record(fields, content, min(end + 1, len(data)), 1)
    fields = []
    position, lines = start, 1
    while True:
        if position < end and data[position] == QUOTE:
            close = _closing_quote(data, position, lines, dialect, final=final)
            if close is None:
                return None
            after, lines = close
            if after < 0:
                return _first_line(
                    data, start, dialect, f"quoted field {len(fields) + 1} does not close within {_span(dialect)}"
                )
            value = data[position + 1 : after - 1].replace(b'""', b'"')
            end = _line_end(data, after, dialect)
            content = dialect.content_end(data, after, end)
            if after < content and data[after] != dialect.delimiter:
                return _first_line(data, start, dialect, f"text follows the closing quote of field {len(fields) + 1}")
        else:
            content = dialect.content_end(data, position, end)
            after = data.find(dialect.delimiter, position, content)
            after = content if after < 0 else after
            value = data[position:after]
        fields.append(value)
        if after == content:
            return Record(fields, content, min(end + 1, len(data)), lines)
        position = after + 1


def _closing_quote(data: bytes, start: int, lines: int, dialect: Dialect, *, final: bool) -> tuple[int, int] | None:
    """Position after the quote that closes the field opened at ``start``, and the record's lines by then.

    The position is -1 if there is none within the lines allowed; None if more data is needed to tell.
    """
    seen = position = start + 1
    while True:
        quote = data.find(QUOTE, position)
        lines += data.count(dialect.newline, seen, quote if quote >= 0 else len(data))
        if lines > dialect.max_record_lines:
            return -1, lines
        if quote < 0:
            return (-1, lines) if final else None
        if data[quote + 1 : quote + 2] != b'"':
            return quote + 1, lines
        seen = position = quote + 2


def _line_end(data: bytes, start: int, dialect: Dialect) -> int:
    end = data.find(dialect.newline, start)
    return len(data) if end < 0 else end


def _first_line(data: bytes, start: int, dialect: Dialect, fault: str) -> Record:
    end = _line_end(data, start, dialect)
    return Record(None, dialect.content_end(data, start, end), min(end + 1, len(data)), 1, fault)


def _span(dialect: Dialect) -> str:
    return "its line" if dialect.max_record_lines == 1 else f"{dialect.max_record_lines} lines"


def check_record(record: Record, raw: bytes, width: int) -> tuple[str, str] | None:
    """The rule that the record breaks and a message; None if it is good."""
    if record.fields is None:
        return BAD_QUOTING, record.fault
    if b"\0" in raw:
        return NUL_BYTE, f"NUL byte at byte {raw.index(0) + 1} of the record"
    try:
        raw.decode()
    except UnicodeDecodeError as error:
        return BAD_ENCODING, f"not UTF-8 at byte {error.start + 1} of the record (0x{raw[error.start]:02x})"
    return check_width(len(record.fields), width)


def check_width(fields: int, width: int) -> tuple[str, str] | None:
    """As :func:`check_record`, for the number of fields alone."""
    if fields == width:
        return None
    rule = TOO_FEW_FIELDS if fields < width else TOO_MANY_FIELDS
    return rule, f"{fields} field{'s'[: fields != 1]} where the header has {width}"
