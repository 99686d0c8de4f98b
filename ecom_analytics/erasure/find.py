"""The records of a raw batch that are of certain visitors."""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from ecom_analytics.catalogue import EVENTS, kind_of
from ecom_analytics.engines.duckdb import DuckDBEngine
from ecom_analytics.erasure.wanted import Wanted
from ecom_analytics.lake import Batch
from ecom_analytics.protocols import RawFile
from ecom_analytics.reading import raw_text
from ecom_analytics.reading.files import open_text
from ecom_analytics.reading.parquet import ParquetReader
from ecom_analytics.reading.paths import json_text
from ecom_analytics.reading.records import TRUNCATED
from ecom_analytics.reading.source import BlockSource
from ecom_analytics.staging.formats import format_key, formats_of
from ecom_analytics.staging.rejects import as_text

if TYPE_CHECKING:
    from ecom_analytics.config import Settings
    from ecom_analytics.reading import BadRecord

_CHUNK = 4 << 20
_TEXTS = 10_000


@dataclass
class Found:
    """Records to erase of one batch.

    Attributes
    ----------
    lines : set of int
        All physical lines (or rows) of these records.
    records : int
        How many they are; a record that makes several rows counts once for each.
    rejected : int
        How many of them were rejected.
    blank : int
        How many lines will read as blank in their place.
    """

    lines: set[int] = field(default_factory=set)
    records: int = 0
    rejected: int = 0
    blank: int = 0


class Finder:
    """Looks through raw batches.

    Parameters
    ----------
    settings : Settings
    scratch : pathlib.Path
        A folder for working files.
    wanted : Wanted
    """

    def __init__(self, settings: Settings, scratch: Path, wanted: Wanted) -> None:
        self._settings = settings
        self._scratch = scratch
        self._wanted = wanted

    def find(self, batch: Batch, path: str) -> Found:
        """The records to erase of a batch, whose bytes lie at ``path``."""
        file = RawFile(batch.batch_id, batch.source, path, batch.name, batch.layout)
        rows: dict[int, int] = {}
        hits: set[int] = set()
        bad: dict[int, BadRecord] = {}
        with DuckDBEngine(self._settings, self._scratch) as engine:
            engine.reading.on_bad = lambda _, record: bad.__setitem__(record.line, record)
            broken = self._read(engine, batch, file, rows, hits)
        hits |= {line for line, text in self._texts(file, broken) if self._wanted.in_text(batch.source, text)}
        hits |= {line for line, record in bad.items() if self._wanted.in_text(batch.source, as_text(record.raw))}
        starts = sorted({*rows, *bad})
        for line in self._anywhere(file):
            at = bisect_right(starts, line)
            if at:
                hits.add(starts[at - 1])
        return self._extent(file, hits, rows, bad, broken)

    def _read(
        self, engine: DuckDBEngine, batch: Batch, file: RawFile, rows: dict[int, int], hits: set[int]
    ) -> set[int]:
        """Fill in the lines of all rows, and of those wanted; those that broke a rule."""
        source_format = formats_of([batch], [])[format_key(batch)]
        what = kind_of(source_format)
        table = getattr(source_format, f"to_{what}")(source_format.read(engine, [file]))
        ids = [name for name in ("visitor_id", "user_id") if what == EVENTS and name in table.columns]
        engine.execute(f"CREATE TEMP TABLE looked AS {engine.backend.compile(table)}")
        rows.update(engine.rows("SELECT source_line, count(*) FROM looked GROUP BY 1"))
        for name in ids:
            distinct = engine.rows(f"SELECT DISTINCT {name} FROM looked WHERE {name} IS NOT NULL")
            found = [visitor for (visitor,) in distinct if self._wanted.holds(batch.source, visitor)]
            engine.execute("SET VARIABLE wanted = $1", [found])
            lines = engine.rows(
                f"SELECT DISTINCT source_line FROM looked WHERE list_contains(getvariable('wanted')::VARCHAR[], {name})"
            )
            hits.update(line for (line,) in lines)
        return {
            line for (line,) in engine.rows("SELECT DISTINCT source_line FROM looked WHERE reject_rule IS NOT NULL")
        }

    def _texts(self, file: RawFile, lines: Collection[int]) -> Iterator[tuple[int, str]]:
        """The text of the records on these lines."""
        ordered = sorted(lines)
        for first in range(0, len(ordered), _TEXTS):
            some = ordered[first : first + _TEXTS]
            found = raw_text(file, some, max_record_lines=self._settings.max_record_lines)
            yield from ((line, as_text(raw)) for line, raw in found.items())

    def _anywhere(self, file: RawFile) -> Iterator[int]:
        """Physical lines that hold a text which may stand nowhere."""
        texts = self._wanted.anywhere()
        if not texts:
            return
        if file.layout.kind == "parquet":
            for row, record in ParquetReader(file.path):
                if any(text in json_text(record) for text in texts):
                    yield row
            return
        forms = sorted({form.encode() for text in texts for form in _forms(text, file.layout.kind)})
        with open_text(file) as stream:
            yield from lines_with(stream, forms)

    def _extent(
        self, file: RawFile, hits: set[int], rows: dict[int, int], bad: dict[int, BadRecord], broken: set[int]
    ) -> Found:
        """All lines of these records."""
        found = Found()
        if file.layout.kind == "delimited":
            texts = raw_text(file, sorted(hits), max_record_lines=self._settings.max_record_lines)
        else:
            texts = dict.fromkeys(hits, b"")
        newline = _newline(file) if hits and file.layout.kind == "delimited" else b"\n"
        for line in hits:
            lines = range(line, line + texts[line].count(newline) + 1)
            found.lines.update(lines)
            found.blank += len(lines)
            if line in bad and bad[line].rule == TRUNCATED:
                found.blank -= 1  # what is left of it is still a record that was cut short, and is answered as such
                continue
            found.records += rows.get(line, 1)
            found.rejected += line in bad or line in broken
        return found


def lines_with(stream: BinaryIO, forms: Sequence[bytes]) -> Iterator[int]:
    """Numbers, from 1, of the lines that hold one of these texts.

    Examples
    --------
    >>> import io
    >>> list(lines_with(io.BytesIO(b"a,b\\nx,77\\n77,77\\n"), [b"77"]))
    [2, 3]
    """
    source = BlockSource(stream, _CHUNK)
    newline = bytes([source.newline])
    first, final = 1, False
    pattern = re.compile(b"|".join(re.escape(form) for form in forms))
    while not final:
        data, final = source.next_block()
        at = line = 0
        last = -1
        while match := pattern.search(data, at):
            line += data.count(newline, at, match.start())
            if line != last:
                yield first + line
                last = line
            at = match.start() + 1
            line += data.count(newline, match.start(), at)
        first += data.count(newline)
    if source.loss and pattern.search(source.cut_off):
        yield first


def _forms(text: str, kind: str) -> Iterator[str]:
    """How a text may be written in a file."""
    yield text
    yield text.replace('"', '""')
    if kind == "json_lines":
        yield json.dumps(text)[1:-1]
        yield json.dumps(text, ensure_ascii=False)[1:-1]
        yield json.dumps(text)[1:-1].replace("/", "\\/")


def _newline(file: RawFile) -> bytes:
    with open_text(file) as stream:
        return bytes([BlockSource(stream, 1).newline])
