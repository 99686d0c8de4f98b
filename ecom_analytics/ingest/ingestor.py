"""The first stage: raw files to the lake."""

from __future__ import annotations

import hashlib
import os
import tempfile
import time
from collections.abc import Collection, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ecom_analytics.catalogue import EVENTS, kind_of
from ecom_analytics.errors import EmptyFileError, MissingFileError, NotLinesError, UnknownFormatError
from ecom_analytics.ingest.copying import Copier, Piece
from ecom_analytics.ingest.correct import correct, details_of
from ecom_analytics.ingest.files import LocalFile
from ecom_analytics.ingest.find import Candidate, find, real_name
from ecom_analytics.ingest.judge import judge, with_mapping
from ecom_analytics.ingest.look import look
from ecom_analytics.ingest.slices import cut
from ecom_analytics.lake import Batch, listed
from ecom_analytics.progress import Progress, Watcher, ignore
from ecom_analytics.protocols import Layout
from ecom_analytics.reports import IngestedBatch, IngestReport
from ecom_analytics.storages import open_storage

if TYPE_CHECKING:
    from ecom_analytics.config import Settings
    from ecom_analytics.ingest.explain import Explanation
    from ecom_analytics.ingest.foresee import Foreseen

_LOOKERS = 16
"""Files that are looked at together: one in S3 takes a while to answer."""


class Ingestor:
    """Copies raw files to the lake: bytes unchanged, each content once.

    A batch is known by the SHA-256 of its bytes: the same bytes under another name or on another day are the same
    batch, and its first record stays. The bytes are written before the record, so a batch that has a record is whole.
    Many small files are copied at a time. A run that was killed is repaired by the next one with the same files; what
    was sent of a large file to S3 by then is not sent again.

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
            Files, glob patterns, and folders, of which all files below that look like events are taken; each local or
            ``s3://bucket/…``.
        source, source_format : str, optional
            Instead of those of the settings.
        daily : bool
            Slice each file of events into its days (of the settings' time zone) first, as a shop's nightly drops would
            come. Catalogues stay whole.

        Raises
        ------
        MissingFileError, EmptyFileError, UnknownFormatError, InputError
            A file cannot be used; nothing of the call is in the lake.
        LakeError, StorageFullError
            The lake cannot be written; what was copied before stays and is found again by the next call.
        """
        started = time.monotonic()
        settings = self._settings(paths, source, source_format)
        pieces = _sources(paths, settings, self.watch)
        lake, total = open_storage(settings.lake, settings), sum(piece.file.size for piece in pieces)
        results: list[IngestedBatch] = []
        with Copier(settings, lake, self.watch, total, len(pieces)) as copier:
            if daily:
                for piece in pieces:
                    is_cut = kind_of(piece.kind) == EVENTS
                    results.extend(_daily(piece, copier) if is_cut else copier.copy([piece]))
            else:
                results.extend(copier.copy(pieces))
        new = sum(result.new for result in results)
        return IngestReport(
            files=len(results),
            new=new,
            already_present=len(results) - new,
            bytes=sum(result.bytes for result in results),
            seconds=time.monotonic() - started,
            batches=tuple(results),
        )

    def foresee(
        self,
        *paths: str | Path,
        source: str | None = None,
        source_format: str | None = None,
        sizes: Collection[int] | None = None,
    ) -> tuple[Foreseen, ...]:
        """Say what each file would bring: whether it is new, how many records, of which days; nothing is written.

        Files of more than 8 MB are looked at in some places, so that their records are estimated.

        Parameters
        ----------
        *paths, source, source_format
            As for :meth:`ingest`.
        sizes : collection of int, optional
            Bytes of each batch of the lake: a file of another size need not be read to its end to know that it is new.

        Raises
        ------
        MissingFileError, EmptyFileError, UnknownFormatError, InputError
            A file cannot be used.
        """
        from ecom_analytics.ingest.foresee import foresee

        settings = self._settings(paths, source, source_format)
        known = listed(open_storage(settings.lake, settings), settings.source).batches
        return tuple(foresee(piece, settings, known, sizes) for piece in _sources(paths, settings, self.watch))

    def explain(
        self, *paths: str | Path, source: str | None = None, source_format: str | None = None, events: int = 5
    ) -> tuple[Explanation, ...]:
        """Say what each file would be taken for, and what its first records would become; nothing is written.

        Parameters
        ----------
        *paths : str or pathlib.Path
            As for :meth:`ingest`. A file that would be refused is explained as well.
        source, source_format : str, optional
            Instead of those of the settings.
        events : int
            How many canonical events, and rejected records, to show at most.

        Raises
        ------
        MissingFileError
            There is no such file.

        Examples
        --------
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp(), "drop.csv")
        >>> _ = path.write_text("timestamp;visitorid;event;itemid;transactionid\\n1433221332117;7;view;355908;\\n")
        >>> seen = Ingestor().explain(path)[0]
        >>> seen.source_format, seen.delimiter, seen.events[0]["product_id"]
        ('retailrocket', ';', '355908')
        """
        from ecom_analytics.ingest.explain import explain

        settings = self._settings(paths, source, source_format)
        return tuple(explain(candidate.file, settings, events) for candidate in find(paths, settings))

    def correct(self, batches: Iterable[tuple[str, str]]) -> list[Batch]:
        """Write down anew how batches of the lake are to be read, after a mapping or another setting was corrected.

        The settings ``source_format``, ``mapping``, ``encoding``, ``delimiter`` and ``header`` are looked at. The bytes
        stay as they are. :meth:`ecom_analytics.Stager.replay` then reads such batches again.

        Parameters
        ----------
        batches : iterable of (source, batch_id)
            A batch of another format that the chosen one does not recognise is left alone.

        Returns
        -------
        list of Batch
            Those whose records changed.

        Raises
        ------
        InputError
            A batch cannot be read that way; no record was changed.

        Examples
        --------
        >>> import tempfile
        >>> from ecom_analytics import Settings
        >>> home = tempfile.mkdtemp()
        >>> path = Path(home, "drop.csv")
        >>> _ = path.write_text("timestamp,visitorid,event,itemid,transactionid\\n1433221332117,7,view,8,\\n")
        >>> [batch] = Ingestor(Settings(home=home)).ingest(path).batches
        >>> settings = Settings(home=home, encoding="latin-1")
        >>> [corrected] = Ingestor(settings).correct([(batch.source, batch.batch_id)])
        >>> corrected.layout.encoding
        'iso8859-1'
        """
        return correct(with_mapping(self.settings), batches)

    def _settings(self, paths: tuple[str | Path, ...], source: str | None, source_format: str | None) -> Settings:
        """The settings of one call."""
        from ecom_analytics.config import Settings

        if not paths:
            raise MissingFileError("there is no file to ingest", hint="name at least one file or folder")
        chosen = {"source": source, "source_format": source_format}
        values = {key: value for key, value in chosen.items() if value is not None}
        return with_mapping(Settings(**{**self.settings.model_dump(), **values}) if values else self.settings)


def _daily(piece: Piece, copier: Copier) -> list[IngestedBatch]:
    """One file as a batch for each of its days; their records come when all their bytes are in the lake."""
    settings, digest, told, file = copier.settings, hashlib.sha256(), copier.done, piece.file

    def read(data: bytes) -> None:
        digest.update(data)
        copier.at(file.name, min(copier.done + len(data), told + file.size))

    with tempfile.TemporaryDirectory(prefix="ecom-analytics-") as folder:
        layout = piece.judgement.layout if piece.judgement else Layout()
        slices = cut(file, piece.kind, layout, settings.zone, Path(folder), settings.max_record_lines, read)
        file.check()
        whole = digest.hexdigest()
        copied = copier.copy_together(
            [
                Piece(
                    LocalFile.of(part.path),
                    piece.kind,
                    part.name,
                    part.sha,
                    {**piece.details, "sliced_from": whole, "day": part.day.isoformat()},
                    told=False,
                    judgement=piece.judgement,
                )
                for part in slices
            ]
        )
    copier.at(file.name, told + file.size)
    return copied


def _sources(paths: tuple[str | Path, ...], settings: Settings, watch: Watcher) -> list[Piece]:
    """The files to ingest, all of them looked at."""
    candidates = find(paths, settings)
    with ThreadPoolExecutor(_LOOKERS, "look") as pool:
        try:
            judged = list(pool.map(partial(_judge, settings=settings), candidates))
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise
    pieces = []
    for candidate, piece in zip(candidates, judged, strict=True):
        if piece is not None:
            pieces.append(piece)
        else:
            watch(Progress("ingest", f"left out {candidate.file}: it does not look like events"))
    folders = {candidate.folder for candidate in candidates}
    taken = {candidate.folder for candidate, piece in zip(candidates, judged, strict=True) if piece is not None}
    for path in paths:
        text = os.path.expanduser(os.fspath(path))
        folder = f"{text.rstrip('/')}/" if text.startswith("s3://") else str(Path(text))
        left_out = folder not in taken and (folder in folders or os.path.isdir(folder))
        if not pieces or (left_out and not _covered(folder, pieces)):
            raise MissingFileError(
                f"{text!r} holds no file of events",
                hint="name the files themselves, with their format, if it does",
                path=text,
            )
    return pieces


def _covered(folder: str, pieces: list[Piece]) -> bool:
    """Whether files of the folder were taken, under another argument."""
    real = folder if folder.startswith("s3://") else f"{os.path.realpath(folder)}/"
    return any(real_name(piece.file).startswith(real) for piece in pieces)


def _judge(candidate: Candidate, settings: Settings) -> Piece | None:
    """The file as a source; None for one that merely lies in a folder and does not look like events."""
    file, by_chance = candidate.file, bool(candidate.folder)
    try:
        sample = look(file, settings)
        found = judge(sample, file, settings, by_chance=by_chance)
    except (EmptyFileError, UnknownFormatError, NotLinesError):
        if by_chance:
            return None
        raise
    return Piece(file, found.kind, file.name, details=details_of(found), judgement=found)
