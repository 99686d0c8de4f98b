"""The first stage: raw files to the lake."""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, runtime_checkable

from ecom_analytics.errors import EmptyFileError, InputError, MissingFileError, UnknownFormatError
from ecom_analytics.ingest.find import Candidate, find, unreadable
from ecom_analytics.ingest.look import CONFIDENT, look, opened, recognise, refuse_empty, source_format
from ecom_analytics.ingest.slices import cut
from ecom_analytics.lake import Batch, object_name, record_name
from ecom_analytics.progress import Progress, Watcher, ignore
from ecom_analytics.protocols import Storage
from ecom_analytics.reports import IngestedBatch, IngestReport
from ecom_analytics.storages import open_storage

if TYPE_CHECKING:
    from ecom_analytics.config import Settings

_CHUNK = 1 << 20


@runtime_checkable
class NamesLast(Protocol):
    """What a storage may offer beyond :class:`~ecom_analytics.protocols.Storage`: one reading then does for two."""

    def create_named_last(self, folder: str, name: Callable[[], str]) -> AbstractContextManager[BinaryIO]: ...


@dataclass(frozen=True, slots=True)
class Source:
    """A file that will be ingested."""

    path: Path
    size: int
    kind: Any


class Ingestor:
    """Copies raw files to the lake: bytes unchanged, each content once.

    A batch is known by the SHA-256 of its bytes: the same bytes under another name or on another day are the same
    batch, and its first record stays. The bytes are written before the record, so a batch that has a record is whole.

    Parameters
    ----------
    settings : Settings, optional
    watch : callable, optional
        Receives :class:`~ecom_analytics.progress.Progress`.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from ecom_analytics import Ingestor, Settings
    >>> home = Path(tempfile.mkdtemp())
    >>> _ = (home / "events.csv").write_text(
    ...     "timestamp,visitorid,event,itemid,transactionid\\n1433221332117,257597,view,355908,\\n")
    >>> ingestor = Ingestor(Settings(home=home))
    >>> report = ingestor.ingest(home / "events.csv")
    >>> report.new, report.batches[0].source_format
    (1, 'retailrocket')
    >>> ingestor.ingest(home / "events.csv").already_present
    1
    """

    def __init__(self, settings: Settings | None = None, *, watch: Watcher = ignore) -> None:
        from ecom_analytics.config import Settings

        self.settings = settings or Settings()
        self.watch = watch

    def ingest(
        self, *paths: str | Path, source: str | None = None, source_format: str | None = None, daily: bool = False
    ) -> IngestReport:
        """Copy files to the lake.

        Every file is looked at before the first one is copied, so a bad argument leaves the lake as it was.

        Parameters
        ----------
        *paths : str or pathlib.Path
            Files, glob patterns, and folders, of which all files below that look like events are taken.
        source, source_format : str, optional
            Instead of those of the settings.
        daily : bool
            Slice each file into its days (of the settings' time zone) first, as a shop's nightly drops would come.

        Raises
        ------
        MissingFileError, EmptyFileError, UnknownFormatError, InputError
            A file cannot be used; nothing of the call is in the lake.
        LakeError, StorageFullError
            The lake cannot be written; what was copied before stays and is found again by the next call.
        """
        from ecom_analytics.config import Settings

        started = time.monotonic()
        if not paths:
            raise MissingFileError("there is no file to ingest", hint="name at least one file or folder")
        chosen = {"source": source, "source_format": source_format}
        values = {key: value for key, value in chosen.items() if value is not None}
        settings = Settings(**{**self.settings.model_dump(), **values}) if values else self.settings
        sources = _sources(paths, settings, self.watch)
        work = _Work(settings, open_storage(settings.lake, settings), self.watch, sum(file.size for file in sources))
        results: list[IngestedBatch] = []
        for file in sources:
            results.extend(work.daily(file) if daily else [work.whole(file)])
        new = sum(result.new for result in results)
        return IngestReport(
            files=len(results),
            new=new,
            already_present=len(results) - new,
            bytes=sum(result.bytes for result in results),
            seconds=time.monotonic() - started,
            batches=tuple(results),
        )


class _Work:
    """One call of ``ingest``."""

    def __init__(self, settings: Settings, lake: Storage, watch: Watcher, total: int) -> None:
        self.settings = settings
        self.lake = lake
        self.watch = watch
        self.total = total
        self.done = 0

    def whole(self, file: Source) -> IngestedBatch:
        """One file as one batch."""
        told, digest = self.done, hashlib.sha256()
        if isinstance(self.lake, NamesLast):
            folder = object_name(self.settings.source, "x").rpartition("/")[0]
            with suppress(FileExistsError), self.lake.create_named_last(folder, digest.hexdigest) as to:
                for chunk in self._chunks(file):
                    digest.update(chunk)
                    to.write(chunk)
        else:
            for chunk in self._chunks(file, share=0.5):
                digest.update(chunk)
            self._upload(file, digest.hexdigest())
        self._at(file, told + file.size)
        return self.record(file.kind.name, file.path.name, digest.hexdigest(), file.size)

    def daily(self, file: Source) -> list[IngestedBatch]:
        """One file as a batch for each of its days; their records come when all their bytes are in the lake."""
        settings, digest, told = self.settings, hashlib.sha256(), self.done
        before = _state(file.path.stat())

        def read(data: bytes) -> None:
            digest.update(data)
            self._at(file, min(self.done + len(data), told + file.size))

        with tempfile.TemporaryDirectory(prefix="ecom-analytics-") as folder:
            slices = cut(file.path, file.kind, settings.zone, Path(folder), settings.max_record_lines, read)
            if before != _state(file.path.stat()) or before[0] != file.size:
                raise _changed(file.path)
            for piece in slices:
                self._upload(Source(piece.path, piece.size, file.kind), piece.sha, share=0)
        self._at(file, told + file.size)
        details = {"sliced_from": digest.hexdigest()}
        return [
            self.record(file.kind.name, piece.name, piece.sha, piece.size, **details, day=piece.day.isoformat())
            for piece in slices
        ]

    def record(self, source_format: str, name: str, sha: str, size: int, **details: Any) -> IngestedBatch:
        """Write the record of a batch whose bytes are there, unless it has one."""
        source = self.settings.source
        now = datetime.now(UTC).isoformat(timespec="microseconds")
        batch = Batch(sha, source, source_format, name, size, now, details)
        new = not self.lake.exists(batch.record_name)
        if new:
            try:
                with self.lake.create(batch.record_name) as to:
                    to.write(batch.to_json())
            except FileExistsError:  # another run was faster
                new = False
        if not new:
            with self.lake.open(record_name(source, sha)) as stream:
                batch = Batch.from_json(stream.read(), self.lake.uri(batch.record_name))
        return IngestedBatch(sha, source, batch.source_format, name, size, new)

    def _upload(self, file: Source, sha: str, share: float = 0.5) -> None:
        """Copy a file whose hash is known; it must still have that hash."""
        name = object_name(self.settings.source, sha)
        if self.lake.exists(name):
            return
        digest = hashlib.sha256()
        with suppress(FileExistsError), self.lake.create(name) as to:
            for chunk in self._chunks(file, share):
                digest.update(chunk)
                to.write(chunk)
            if digest.hexdigest() != sha:
                raise _changed(file.path)

    def _chunks(self, file: Source, share: float = 1.0) -> Iterator[bytes]:
        """The bytes of a file, which must not change meanwhile."""
        with opened(file.path) as stream:
            before, got, told = _state(os.fstat(stream.fileno())), 0, self.done
            try:
                while chunk := stream.read(_CHUNK):
                    yield chunk
                    got += len(chunk)
                    self._at(file, told + int(got * share))
            except OSError as error:
                raise unreadable(file.path, error) from error
            if got != file.size or before != _state(os.fstat(stream.fileno())):
                raise _changed(file.path)

    def _at(self, file: Source, done: int) -> None:
        self.done = done
        self.watch(Progress("ingest", f"ingesting {file.path.name}", done, self.total, "bytes"))


def _sources(paths: tuple[str | Path, ...], settings: Settings, watch: Watcher) -> list[Source]:
    """The files to ingest, all of them looked at."""
    lake = None if "://" in settings.lake else Path(settings.lake)
    sources = []
    taken: set[Path] = set()
    for candidate in find(paths, lake):
        source = _judge(candidate, settings.source_format)
        if source is not None:
            sources.append(source)
            taken.add(candidate.folder or candidate.path)
        else:
            watch(Progress("ingest", f"left out {candidate.path}: it does not look like events"))
    for path in (Path(path).expanduser() for path in paths):
        if not sources or (path.is_dir() and path not in taken and not _covered(path, sources)):
            raise MissingFileError(
                f"{str(path)!r} holds no file of events",
                hint="name the files themselves, with their format, if it does",
                path=str(path),
            )
    return sources


def _covered(folder: Path, sources: list[Source]) -> bool:
    """Whether files of the folder were taken under another argument."""
    real = Path(os.path.realpath(folder))
    return any(Path(os.path.realpath(source.path)).is_relative_to(real) for source in sources)


def _judge(candidate: Candidate, chosen: str) -> Source | None:
    """The file as a source; None for one that merely lies in a folder and does not look like events."""
    path = candidate.path
    sample = look(path)
    try:
        if chosen == "auto":
            kind = recognise(sample, path) if sample.lines else None
        else:
            kind = source_format(chosen)
            if candidate.folder is not None and float(kind.detect(sample.data)) <= CONFIDENT:
                return None
        refuse_empty(sample, kind, path)
    except (EmptyFileError, UnknownFormatError):
        if candidate.folder is not None:
            return None
        raise
    return Source(path, path.stat().st_size, kind)


def _state(stat: os.stat_result) -> tuple[int, int]:
    """What changes when a file is written to."""
    return stat.st_size, stat.st_mtime_ns


def _changed(path: Path) -> InputError:
    return InputError(
        f"{str(path)!r} changed while it was read",
        hint="wait until it is written completely, then run it again",
        path=str(path),
    )
