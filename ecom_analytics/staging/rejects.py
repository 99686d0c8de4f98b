"""Rejected records: collected while a batch is read, with their raw text, in bounded memory."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecom_analytics.engines.duckdb import DuckDBEngine
from ecom_analytics.protocols import RawFile
from ecom_analytics.reading import BadRecord, raw_text
from ecom_analytics.staging.tables import schema

if TYPE_CHECKING:
    import pyarrow as pa

    from ecom_analytics.suppression import Suppressed

BUFFER = 50_000


def as_text(raw: bytes) -> str:
    """A record's bytes as text: what is not UTF-8 (or is NUL) is written as an escape such as ``\\xff``."""
    return raw.decode("utf-8", errors="backslashreplace").replace("\x00", "\\x00")


class RejectFile:
    """A Parquet file of rejected records. It is written only if there is one, and lies at ``path``.

    Parameters
    ----------
    path : pathlib.Path
    stage_id : str
    suppressed : Suppressed
        Visitors that were erased: a record whose text may be of one of them is not kept, but counted in ``erased``.
    """

    def __init__(self, path: Path, stage_id: str, suppressed: Suppressed) -> None:
        self.path = path
        self.rows = 0
        self.by_batch: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
        self.erased: Counter[tuple[str, str]] = Counter()
        self._stage_id = stage_id
        self._suppressed = suppressed
        self._buffer: list[dict[str, Any]] = []
        self._writer: Any = None

    def add(self, file: RawFile, line: int, raw: bytes, rule: str, message: str) -> None:
        """Add one record."""
        text = as_text(raw)
        if self._suppressed and self._suppressed.in_text(file.source, text):
            self.erased[file.source, file.batch_id] += 1
            return
        self._buffer.append(
            {
                "source": file.source,
                "batch_id": file.batch_id,
                "source_line": line,
                "raw_text": text,
                "rule": rule,
                "message": message,
                "stage_id": self._stage_id,
            }
        )
        self.rows += 1
        self.by_batch[file.source, file.batch_id][rule] += 1
        if len(self._buffer) >= BUFFER:
            self._flush()

    def add_bad(self, file: RawFile, bad: BadRecord) -> None:
        """Add a record that the reader could not split."""
        self.add(file, bad.line, bad.raw, bad.rule, bad.message)

    def add_broken(
        self, engine: DuckDBEngine, files: list[RawFile], max_record_lines: int, table: str = "parsed"
    ) -> None:
        """Add the rows of a table that break a rule, with their text from the raw batch."""
        by_batch = {(file.source, file.batch_id): file for file in files}
        query = (
            "SELECT source, batch_id, source_line, reject_rule, reject_message "
            f"FROM {table} WHERE reject_rule IS NOT NULL ORDER BY source, batch_id, source_line"
        )
        for batch in engine.execute(query).to_arrow_reader(BUFFER):
            for file, rows in _by_file(batch, by_batch):
                texts = raw_text(file, [line for line, *_ in rows], max_record_lines=max_record_lines)
                for line, rule, message in rows:
                    self.add(file, line, texts[line], rule, message)

    def close(self) -> None:
        """Write what is left."""
        if self._buffer:
            self._flush()
        if self._writer is not None:
            self._writer.close()

    def _flush(self) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        kind = schema("rejected")
        if self._writer is None:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = pq.ParquetWriter(self.path, kind, compression="zstd")
        self._writer.write_table(pa.Table.from_pylist(self._buffer, schema=kind))
        self._buffer.clear()


def _by_file(
    batch: pa.RecordBatch, files: dict[tuple[str, str], RawFile]
) -> Iterator[tuple[RawFile, list[tuple[int, str, str]]]]:
    rows = zip(*(column.to_pylist() for column in batch.columns), strict=True)
    current: tuple[str, str] | None = None
    lines: list[tuple[int, str, str]] = []
    for source, batch_id, *row in rows:
        if current is not None and (source, batch_id) != current:
            yield files[current], lines
            lines = []
        current = (source, batch_id)
        lines.append((row[0], row[1], row[2]))
    if current is not None:
        yield files[current], lines
