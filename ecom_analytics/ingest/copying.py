"""Copies files to the lake, many at a time: bytes first, records when the bytes are there for good."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol, runtime_checkable

from ecom_analytics.errors import InputError
from ecom_analytics.ingest.files import File, changed, unreadable
from ecom_analytics.ingest.judge import Judgement
from ecom_analytics.ingest.tasks import Task, Tasks, Told
from ecom_analytics.lake import Batch, listed, object_name, record_name, replaced_ids
from ecom_analytics.progress import Progress, Watcher
from ecom_analytics.protocols import Content, Layout, Storage
from ecom_analytics.reports import IngestedBatch

if TYPE_CHECKING:
    from ecom_analytics.config import Settings

SMALL = 1 << 20
"""Bytes of a file that is held in memory whole."""

_CHUNK = 1 << 20
_FEW = 256
"""Up to so many files, each one's record is looked for; of more, all records are listed once."""

_GROUP_FILES = 512
_GROUP_BYTES = 1 << 30


@runtime_checkable
class NamesLast(Protocol):
    """What a storage may offer beyond :class:`~ecom_analytics.protocols.Storage`: one reading then does for two."""

    def create_named_last(self, folder: str, name: Callable[[], str]) -> AbstractContextManager[BinaryIO]: ...


@runtime_checkable
class Resumes(Protocol):
    """What a storage may offer: it writes content in parts, and goes on where an earlier run was killed."""

    def put(self, name: str, content: Content, sent: Callable[[int], None]) -> bool: ...


@runtime_checkable
class SettlesTogether(Protocol):
    """What a storage may offer: what is created within the block is durable when the block ends, at less cost."""

    def together(self) -> AbstractContextManager[None]: ...


@runtime_checkable
class Tidies(Protocol):
    """What a storage may offer: to remove what killed writers left below a prefix."""

    def tidy(self, prefix: str) -> None: ...


@dataclass(frozen=True, slots=True)
class Piece:
    """What becomes a batch: a file, or a slice of one.

    Attributes
    ----------
    file : File
    kind : source format
    name : str
    sha : str
        SHA-256 of the bytes, where it is known already.
    details : dict
    told : bool
        Whether its bytes count as progress.
    judgement : Judgement, optional
        What the file was taken for.
    """

    file: File
    kind: Any
    name: str
    sha: str = ""
    details: dict[str, Any] = field(default_factory=dict)
    told: bool = True
    judgement: Judgement | None = None


class Copier:
    """Copies pieces to the lake and watches over it from the thread that made it; a context manager.

    Parameters
    ----------
    settings : Settings
    lake : Storage
    watch : callable
    total : int
        Bytes of all files.
    files : int
        How many there will be, about.
    """

    def __init__(self, settings: Settings, lake: Storage, watch: Watcher, total: int, files: int) -> None:
        self.settings = settings
        self.lake = lake
        self.watch = watch
        self.total = total
        self.done = 0
        self._listed = files > _FEW
        self._known: set[str] = set()
        self._replaced: set[str] = set()
        self._tasks = Tasks(lambda name, count: self.at(name, self.done + count))

    def __enter__(self) -> Copier:
        if isinstance(self.lake, Tidies):
            self.lake.tidy(f"raw/{self.settings.source}/")
        if self._listed:
            there = listed(self.lake, self.settings.source)
            self._known, self._replaced = ({batch_id for _, batch_id in keys} for keys in there)
        else:
            self._replaced = replaced_ids(self.lake, self.settings.source)
        return self

    def __exit__(self, *_: object) -> None:
        self._tasks.close()

    def copy(self, pieces: Sequence[Piece]) -> Iterator[IngestedBatch]:
        """Copy the pieces: their bytes, and when these are durable their records."""
        for group in _groups(pieces):
            yield from self.copy_together(group)

    def copy_together(self, pieces: list[Piece]) -> list[IngestedBatch]:
        """Copy the pieces; no record is written before the bytes of all of them are there."""
        with self._together():
            hashed = self._tasks.run([self._copying(piece) for piece in pieces])
        with self._together():
            return self._records(pieces, hashed)

    def at(self, name: str, done: int) -> None:
        """Tell how many bytes have been done."""
        self.done = done
        self.watch(Progress("ingest", f"ingesting {name}", done, self.total, "bytes"))

    def _copying(self, piece: Piece) -> Task:
        told = self._tasks.told(piece.file.name, piece.file.size if piece.told else 0)
        return Task(partial(self._bytes, piece, told), large=piece.file.size > SMALL)

    def _together(self) -> AbstractContextManager[None]:
        return self.lake.together() if isinstance(self.lake, SettlesTogether) else nullcontext()

    def _bytes(self, piece: Piece, told: Told) -> tuple[str, bool]:
        """Bring the bytes of a piece into the lake: their hash, and whether they are a batch already."""
        sha, known = self._small_bytes(piece) if piece.file.size <= SMALL else self._large_bytes(piece, told)
        told.finish()
        return sha, known

    def _small_bytes(self, piece: Piece) -> tuple[str, bool]:
        data = piece.file.read(0, piece.file.size)
        piece.file.check()
        sha = hashlib.sha256(data).hexdigest()
        if piece.sha not in ("", sha):
            raise changed(piece.file)
        self._refuse_erased(piece, sha)
        known = self._is_known(sha)
        if not known:
            with suppress(FileExistsError), self.lake.create(object_name(self.settings.source, sha)) as to:
                to.write(data)
        return sha, known

    def _large_bytes(self, piece: Piece, told: Told) -> tuple[str, bool]:
        lake, digest = self.lake, hashlib.sha256()
        if isinstance(lake, NamesLast) and not piece.sha:
            folder = object_name(self.settings.source, "x").rpartition("/")[0]
            with suppress(FileExistsError), lake.create_named_last(folder, digest.hexdigest) as to:
                for chunk in _chunks(piece.file, told):
                    digest.update(chunk)
                    to.write(chunk)
            try:
                self._refuse_erased(piece, digest.hexdigest())
            except InputError:
                lake.delete(object_name(self.settings.source, digest.hexdigest()))
                raise
            return digest.hexdigest(), self._is_known(digest.hexdigest())
        told.share = 0.5
        if not piece.sha:
            for chunk in _chunks(piece.file, told):
                digest.update(chunk)
        sha = piece.sha or digest.hexdigest()
        self._refuse_erased(piece, sha)
        known = self._is_known(sha)
        if not known:
            self._upload(piece, sha, told)
        return sha, known

    def _upload(self, piece: Piece, sha: str, told: Told) -> None:
        """Copy a file whose hash is known; it must still have that hash."""
        name = object_name(self.settings.source, sha)
        if isinstance(self.lake, Resumes):
            self.lake.put(name, piece.file, told)
        elif not self.lake.exists(name):
            digest = hashlib.sha256()
            with suppress(FileExistsError), self.lake.create(name) as to:
                for chunk in _chunks(piece.file, told):
                    digest.update(chunk)
                    to.write(chunk)
                if digest.hexdigest() != sha:
                    raise changed(piece.file)

    def _is_known(self, sha: str) -> bool:
        if self._listed or sha in self._known:
            return sha in self._known
        return self.lake.exists(record_name(self.settings.source, sha))

    def _refuse_erased(self, piece: Piece, sha: str) -> None:
        """Refuse bytes that hold records which were erased from the lake."""
        if sha in self._replaced:
            raise InputError(
                f"{piece.name!r} holds records that were erased from the lake, which has it without them",
                hint="leave it out; delete it where it lies",
                path=str(piece.file),
                batch_id=sha,
            )

    def _records(self, group: list[Piece], hashed: list[tuple[str, bool]]) -> list[IngestedBatch]:
        """Write the records of a group; of pieces with the same bytes the first one's."""
        first: dict[str, int] = {}
        for number, (sha, known) in enumerate(hashed):
            if not known and sha not in self._known:
                first.setdefault(sha, number)
        tasks = [Task(partial(self._record, group[number], sha)) for sha, number in first.items()]
        new = {number for number, made in zip(first.values(), self._tasks.run(tasks), strict=True) if made}
        self._known.update(first)
        return [
            self._told(piece, sha, number in new)
            for number, (piece, (sha, _)) in enumerate(zip(group, hashed, strict=True))
        ]

    def _told(self, piece: Piece, sha: str, new: bool) -> IngestedBatch:
        seen = piece.judgement or Judgement(piece.kind, Layout(), {})
        return IngestedBatch(
            sha,
            self.settings.source,
            piece.kind.name,
            piece.name,
            piece.file.size,
            new,
            seen.drift.new,
            seen.drift.missing,
            seen.notes,
        )

    def _record(self, piece: Piece, sha: str) -> bool:
        """Write the record of a piece whose bytes are there: whether it is ours that is there now."""
        now = datetime.now(UTC).isoformat(timespec="microseconds")
        batch = Batch(sha, self.settings.source, piece.kind.name, piece.name, piece.file.size, now, piece.details)
        text = batch.to_json()
        try:
            with self.lake.create(batch.record_name) as to:
                to.write(text)
        except FileExistsError:  # another run was faster, or a request was repeated whose answer was lost
            with self.lake.open(batch.record_name) as stream:
                return stream.read() == text
        return True


def _chunks(file: File, told: Callable[[int], None]) -> Iterator[bytes]:
    """The bytes of a file, which must be what it was when it was found."""
    got = 0
    with file.open("rb") as stream:
        try:
            while chunk := stream.read(_CHUNK):
                yield chunk
                got += len(chunk)
                told(len(chunk))
        except OSError as error:
            raise unreadable(file, error) from error
    if got != file.size:
        raise changed(file)
    file.check()


def _groups(pieces: Sequence[Piece]) -> Iterator[list[Piece]]:
    """Pieces whose records are written together."""
    group: list[Piece] = []
    size = 0
    for piece in pieces:
        group.append(piece)
        size += piece.file.size
        if len(group) >= _GROUP_FILES or size >= _GROUP_BYTES:
            yield group
            group, size = [], 0
    if group:
        yield group
