"""The bytes of chosen records, in a second pass."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import BinaryIO

from ecom_analytics.errors import InputError
from ecom_analytics.reading.blocks import make_dialect
from ecom_analytics.reading.lines import find_lines
from ecom_analytics.reading.records import split_record
from ecom_analytics.reading.source import BlockSource


def raw_records(
    stream: BinaryIO,
    lines: Sequence[int],
    *,
    delimiter: str = ",",
    max_record_lines: int = 100,
    block_bytes: int = 8 << 20,
) -> dict[int, bytes]:
    """Find the bytes of the records that begin on the given lines.

    Parameters
    ----------
    stream : BinaryIO
        The decompressed bytes, from the start of the file.
    lines : sequence of int
        First physical lines, from 1, in any order, as :class:`DelimitedReader` told them, under the same settings.

    Returns
    -------
    dict of int to bytes
        For each line, the record's bytes, unchanged, without the end of its last line.

    Raises
    ------
    InputError
        The stream has no such line.

    Examples
    --------
    >>> import io
    >>> raw_records(io.BytesIO(b'a,b\\n1,"x\\ny"\\n2,z\\n'), [4, 2])
    {2: b'1,"x\\ny"', 4: b'2,z'}
    """
    wanted = sorted(set(lines))
    if wanted and wanted[0] < 1:
        raise InputError(f"there is no line {wanted[0]}", hint="lines are counted from 1", line=wanted[0])
    found: dict[int, bytes] = {}
    source = BlockSource(stream, block_bytes)
    dialect = make_dialect(delimiter, source.newline, max_record_lines)
    first, done, final, carry = 1, 0, False, b""
    while done < len(wanted) and not final:
        data, final = source.next_block(carry)
        index = find_lines(data, dialect)
        taken = len(index)
        here = bisect_right(wanted, first + len(index) - 1)
        for line in wanted[done:here]:
            start = int(index.starts[line - first])
            record = split_record(data, start, dialect, final=final and not source.loss)
            if record is None and final:
                found[line] = source.last_record(data[start:])
                done += 1
                break
            if record is None:
                taken = line - first
                break
            found[line] = data[start : record.end]
            done += 1
        carry = data[index.starts[taken] :] if taken < len(index) else b""
        first += taken
    if done < len(wanted) and source.loss and wanted[done] == first:
        found[first] = source.last_record(b"")
        done += 1
    if done < len(wanted):
        raise InputError(
            f"there is no line {wanted[done]} in the input: it has {first - 1}",
            hint="read the same bytes as before",
            line=wanted[done],
        )
    return found


def raw_lines(stream: BinaryIO, lines: Sequence[int], *, block_bytes: int = 8 << 20) -> dict[int, bytes]:
    """The bytes of physical lines, without their ends, whatever is on them.

    Examples
    --------
    >>> import io
    >>> raw_lines(io.BytesIO(b'{}\\n[1]\\r\\n'), [2])
    {2: b'[1]'}
    """
    wanted = set(lines)
    found: dict[int, bytes] = {}
    source = BlockSource(stream, block_bytes)
    line, final = 1, False
    while not final and len(found) < len(wanted):
        data, final = source.next_block()
        parts = data.split(bytes([source.newline]))
        if not parts[-1]:
            parts.pop()
        for raw in parts:
            if line in wanted:
                found[line] = raw.removesuffix(b"\r")
            line += 1
    if source.loss and line in wanted:
        found[line] = source.last_record(b"")
    return found
