"""One run of an export: it writes files under an id of its own, several at a time."""

from __future__ import annotations

import hashlib
import io
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from pathlib import Path
from threading import BoundedSemaphore
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from ecom_analytics import plugins
from ecom_analytics.disk import told_when_full
from ecom_analytics.errors import ExportError
from ecom_analytics.export.manifests import ExportedFile
from ecom_analytics.export.parts import CutMart, Part
from ecom_analytics.export_formats.copying import literal, quoted
from ecom_analytics.ids import new_id
from ecom_analytics.protocols import CopiedFormat, Copying, ExportFormat, Storage, TableFormat

if TYPE_CHECKING:
    import duckdb

    from ecom_analytics.config import Settings

BUILD = "build"
"""The name under which a connection has the build."""

NUMBER = "__ecom_analytics_part"
"""The column by which DuckDB tells parts, which is in no file."""

AT_ONCE = 50
"""Parts of a mart that are written at once."""

ROWS = 100_000
"""Rows that are in memory at a time, of a format that DuckDB does not write."""

SENDING = 4
"""Files that are under way to the destination at a time."""

COPYING = 2
"""Files that DuckDB writes at a time: one alone, of a month, does not keep all cores busy."""

Key = tuple[str, str, str | None, str]
"""Mart, format, partition and content: two files of the same key are the same."""


def writer_of(name: str, settings: Settings) -> ExportFormat:
    """The export format of a name, as the settings say.

    Raises
    ------
    PluginError
        There is none.
    """
    kind = plugins.load("export_formats", name)
    if hasattr(kind, "from_settings"):
        return cast(ExportFormat, kind.from_settings(settings))
    return cast(ExportFormat, kind() if isinstance(kind, type) else kind)


class Run:
    """Writes files, each at most once, and forgets none.

    Parameters
    ----------
    storage : Storage
    scratch : pathlib.Path
        Where DuckDB writes files that go to the destination then.
    threads : int
        As of the settings.
    """

    def __init__(self, storage: Storage, scratch: Path, threads: int) -> None:
        self.run_id = new_id()
        self.written: dict[Key, ExportedFile] = {}
        self._storage = storage
        self.scratch = scratch
        self._pool = ThreadPoolExecutor(SENDING, "export")
        self._copying = BoundedSemaphore(min(COPYING, threads))
        self._sent: deque[Future[dict[Key, ExportedFile]]] = deque()
        self._names: list[str] = []

    @contextmanager
    def writing(self) -> Iterator[None]:
        """All that is written meanwhile is at the destination, durably, when the block ends."""
        together: Callable[[], Any] = getattr(self._storage, "together", nullcontext)
        try:
            with together():
                yield
                while self._sent:
                    self._take()
        finally:
            for future in self._sent:
                future.cancel()
            while self._sent:
                future = self._sent.popleft()
                if not future.cancelled():
                    future.exception()  # it must not write on while its files are dropped

    def write(
        self, connection: duckdb.DuckDBPyConnection, mart: CutMart, parts: list[tuple[Part, Key]], writer: ExportFormat
    ) -> None:
        """Write the rows of some parts of a mart, each to a file."""
        names = [self._name(mart, part, writer) for part, _ in parts]
        self._names += names
        if not isinstance(writer, CopiedFormat):
            for name, (part, key) in zip(names, parts, strict=True):
                with self._storage.create(name, if_absent=False) as stream:
                    to = _Counted(stream)
                    rows = writer.write(connection.execute(part.query).to_arrow_reader(ROWS), cast(BinaryIO, to))
                self.written[key] = ExportedFile(name, part.partition, rows, to.size, to.sha256, key[3])
            return
        while len(self._sent) >= SENDING:
            self._take()
        path = self.scratch / f"{len(self._names)}"
        future = self._pool.submit(self._copied, connection.cursor(), mart, parts, writer, path, names)
        self._sent.append(future)

    def drop(self, kept: set[str]) -> None:
        """Delete what was written under the run's id, but for some files, and for those of tables."""
        for name in self._names:
            if name.startswith(f"runs/{self.run_id}/") and name not in kept:
                self._storage.delete(name)

    def close(self) -> None:
        """Stop the threads."""
        self._pool.shutdown(wait=True)

    def _name(self, mart: CutMart, part: Part, writer: ExportFormat) -> str:
        if isinstance(writer, TableFormat):
            return f"{writer.name}/{mart.name}/{self.run_id}-{part.partition or 'all'}.{writer.extension}"
        stem = mart.name if part.partition is None else f"{mart.name}/{part.partition}"
        return f"runs/{self.run_id}/{stem}.{writer.extension}"

    def _take(self) -> None:
        self.written.update(self._sent.popleft().result())

    def _copied(
        self,
        cursor: duckdb.DuckDBPyConnection,
        mart: CutMart,
        parts: list[tuple[Part, Key]],
        writer: CopiedFormat,
        path: Path,
        names: list[str],
    ) -> dict[Key, ExportedFile]:
        head = writer.copying("", mart.schema).head
        with cursor, self._copying, told_when_full(self.scratch):
            cursor.execute(f"USE {BUILD}")
            paths = copy_parts(cursor, mart, [part for part, _ in parts], writer, path)
        return {
            key: self._send(file, head, name, part, key[3])
            for file, name, (part, key) in zip(paths, names, parts, strict=True)
        }

    def _send(self, path: Path, head: bytes, name: str, part: Part, content: str) -> ExportedFile:
        with self._storage.create(name, if_absent=False) as stream:
            to = _Counted(stream)
            to.write(head)
            with path.open("rb") as source:
                while data := source.read(1 << 20):
                    to.write(data)
        path.unlink()
        return ExportedFile(name, part.partition, part.rows, to.size, to.sha256, content)


def copy_parts(
    cursor: duckdb.DuckDBPyConnection, mart: CutMart, parts: list[Part], writer: CopiedFormat, path: Path
) -> list[Path]:
    """Let DuckDB write a file for each part: all of them from one look at the mart, which is not sorted by its date."""
    import pyarrow as pa

    if len(parts) == 1 or not writer.copying(parts[0].query, mart.schema).can_partition:
        path.mkdir()
        for part in parts:
            _copy(cursor, writer.copying(part.query, mart.schema), path / f"{part.number}", "", part.rows)
        return [path / f"{part.number}" for part in parts]
    query = f"SELECT *, {mart.number} AS {NUMBER} FROM {quoted(mart.name)}"
    if len(parts) < len(mart.parts):
        query += f" WHERE {mart.number} IN ({', '.join(str(part.number) for part in parts)})"
    copying = writer.copying(query, mart.schema.append(pa.field(NUMBER, pa.int64())))
    _copy(cursor, copying, path, f", PARTITION_BY ({NUMBER})", sum(part.rows for part in parts))
    found = []
    for part in parts:
        files = list((path / f"{NUMBER}={part.number}").iterdir())
        if len(files) > 1:
            files = [path / f"{part.number}"]
            _copy(cursor, writer.copying(part.query, mart.schema), files[0], "", part.rows)
        found += files
    return found


def _copy(cursor: duckdb.DuckDBPyConnection, copying: Copying, path: Path, more: str, rows: int) -> None:
    counted = cursor.execute(f"COPY ({copying.query}) TO {literal(str(path))} ({copying.options}{more})").fetchone()
    if counted is None or counted[0] != rows:
        raise ExportError(
            f"{counted and counted[0]} rows were written of {rows}", hint="report it: a mart is cut wrongly by its date"
        )


class _Counted(io.RawIOBase):
    """Passes bytes on, and counts and hashes them."""

    def __init__(self, to: BinaryIO) -> None:
        self._to = to
        self._digest = hashlib.sha256()
        self.size = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self.size

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        self._to.write(view)
        self._digest.update(view)
        self.size += len(view)
        return len(view)

    @property
    def sha256(self) -> str:
        return self._digest.hexdigest()
