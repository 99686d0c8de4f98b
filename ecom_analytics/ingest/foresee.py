"""What a file would bring: how many records, and of which days; by all of it, or by parts of it. Nothing is written."""

from __future__ import annotations

import hashlib
import math
import tempfile
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecom_analytics.catalogue import EVENTS, kind_of
from ecom_analytics.ingest.copying import Piece
from ecom_analytics.ingest.files import File
from ecom_analytics.ingest.look import copy_rows, decompressed, opened
from ecom_analytics.lake import BatchKey
from ecom_analytics.protocols import Layout, RawFile
from ecom_analytics.source_formats.rule_set import RuleSet

if TYPE_CHECKING:
    from ecom_analytics.config import Settings

WHOLE = 8 << 20
"""Bytes, decompressed, up to which all of a file is looked at."""

SPOTS = 8
"""Places at which a larger file is looked at, the beginning and the end among them."""

SPOT = 256 << 10
"""Bytes that are read at each."""

_CHUNK = 1 << 20
_STEP = 64 << 10


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What a file would bring.

    Attributes
    ----------
    name : str
    path : str
    bytes : int
    source_format : str
    known : bool
        Whether the lake holds these bytes already.
    records : int or None
        How many; None if the lake knows them.
    days : tuple of datetime.date
        Days of its events that were seen.
    exact : bool
        Whether all of the file was looked at; else ``records`` is an estimate, and there may be other days.
    """

    name: str
    path: str
    bytes: int
    source_format: str
    known: bool
    records: int | None = None
    days: tuple[date, ...] = ()
    exact: bool = True


def foresee(
    piece: Piece, settings: Settings, known: Collection[BatchKey], sizes: Collection[int] | None = None
) -> Foreseen:
    """Look at a file.

    Parameters
    ----------
    piece : Piece
    settings : Settings
    known : collection of (source, batch_id)
        The batches of the lake.
    sizes : collection of int, optional
        Sizes of these: a file of another one need not be read to its end.
    """
    file = piece.file
    told = Foreseen(piece.name, str(file), file.size, piece.kind.name, known=False)
    if (sizes is None or file.size in sizes) and (settings.source, _sha(file)) in known:
        return replace(told, known=True)
    layout = piece.judgement.layout if piece.judgement else Layout()
    with tempfile.TemporaryDirectory(prefix="ecom-analytics-") as folder:
        path = Path(folder, "parts")
        share = _rows_of_parquet(file, path) if layout.kind == "parquet" else _parts(file, path, layout)
        records, days = _read(path, piece, layout, settings, Path(folder))
    return replace(told, records=math.ceil(records / share), days=days, exact=share == 1)


def _sha(file: File) -> str:
    digest, at = hashlib.sha256(), 0
    while at < file.size:
        data = file.read(at, min(_CHUNK, file.size - at))
        digest.update(data)
        at += len(data)
    return digest.hexdigest()


def _parts(file: File, to: Path, layout: Layout) -> float:
    """Write whole lines of some places of a file; the share of its bytes that they are."""
    with opened(file) as stream:
        plain = decompressed(stream, file)
        first = plain.read(WHOLE)
        while len(first) < WHOLE and (more := plain.read(WHOLE - len(first))):
            first += more
        is_whole = len(first) < WHOLE or not plain.read(1)
        is_compressed = plain is not stream
    if is_whole:
        to.write_bytes(first)
        return 1.0
    wide = layout.encoding.lower().replace("-", "").startswith(("utf16", "utf32"))
    first = first[: first.rfind(b"\n") + 1] if not wide else first
    if is_compressed or wide:  # what comes later cannot be reached without all that comes before it
        to.write_bytes(first)
        return _share_of_text(file, len(first)) if is_compressed else len(first) / file.size
    head = first[: first.find(b"\n", SPOT) + 1]
    parts, got = [head], len(head)
    for spot in range(1, SPOTS):
        start = len(head) + (file.size - SPOT - len(head)) * spot // (SPOTS - 1)
        data = file.read(start, min(SPOT, file.size - start))
        begin, end = data.find(b"\n") + 1, data.rfind(b"\n") + 1
        if start + len(data) == file.size:
            end = len(data)
        parts.append(data[begin:end])
        got += max(end - begin, 0)
    to.write_bytes(b"".join(parts))
    return got / file.size


def _share_of_text(file: File, read: int) -> float:
    """The share of a compressed file's text that these first bytes are, if it goes on as it began."""
    with opened(file) as stream:
        counted = _Counting(stream)
        plain = decompressed(stream, file, counted)  # type: ignore[arg-type]
        text = compressed = 0
        while data := plain.read(_STEP):
            if counted.count > compressed and text > read:
                return read / text * compressed / file.size  # what came before is the text of these bytes
            text, compressed = text + len(data), counted.count
    return read / text


class _Counting:
    """Counts the bytes that are read of a stream."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream
        self.count = 0

    def read(self, size: int = -1) -> bytes:
        data: bytes = self._stream.read(size)
        self.count += len(data)
        return data


def _rows_of_parquet(file: File, to: Path) -> float:
    """Write the first rows of a Parquet file; the share of all that they are."""
    import pyarrow.parquet as pq

    from ecom_analytics.ingest.look import random_access

    rows = pq.ParquetFile(random_access(file)).metadata.num_rows
    wanted = max(1, rows if file.size <= WHOLE else rows * WHOLE // file.size)
    copy_rows(file, to, wanted)
    return wanted / rows if rows else 1.0


def _read(path: Path, piece: Piece, layout: Layout, settings: Settings, folder: Path) -> tuple[int, tuple[date, ...]]:
    """Run the records through the format's own expressions, on an engine that is thrown away."""
    from ecom_analytics.engines.duckdb import DuckDBEngine

    raw = RawFile("0" * 64, settings.source, str(path), piece.name, layout)
    with DuckDBEngine(settings, folder) as engine:
        engine.reading.on_bad = lambda _, record: None
        rows = piece.kind.read(engine, [raw])
        if kind_of(piece.kind) != EVENTS:
            engine.execute(f"CREATE TEMP TABLE foreseen AS {engine.backend.compile(rows)}")
            days = []
        else:
            table = RuleSet(settings, piece.kind.name).to_events(piece.kind, rows)
            days = engine.rows(
                "SELECT CAST(timezone($1, event_ts) AS DATE) AS day "
                f"FROM ({engine.backend.compile(table)}) AS t WHERE reject_rule IS NULL GROUP BY 1 ORDER BY 1",
                [settings.timezone],
            )
        counts = next(iter(engine.reading.counts.values()))
    return counts.records + counts.blank, tuple(day for (day,) in days)
