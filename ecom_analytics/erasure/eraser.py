"""The Eraser: every record of a visitor leaves the raw files, the staged tables, the builds and the exports."""

from __future__ import annotations

import hashlib
import secrets
import tempfile
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from ecom_analytics.cache import Cache
from ecom_analytics.config import Settings
from ecom_analytics.erasure import published
from ecom_analytics.erasure.blank import blanked
from ecom_analytics.erasure.candidates import candidates
from ecom_analytics.erasure.find import Finder, Found
from ecom_analytics.erasure.report import ErasedBatch, ForgetReport
from ecom_analytics.erasure.wanted import Hashed, Named, Wanted
from ecom_analytics.errors import ConfigError, NotBuiltError
from ecom_analytics.lake import Batch, batches, listed, object_name, put_in_place, record_name
from ecom_analytics.marts import MartBuilder
from ecom_analytics.progress import Progress, Watcher, ignore
from ecom_analytics.protocols import RawFile
from ecom_analytics.scratch import scratch_folder
from ecom_analytics.staging import Stager
from ecom_analytics.staging.places import Place, open_place
from ecom_analytics.staging.state import load
from ecom_analytics.staging.sweep import vacuum
from ecom_analytics.storages import open_storage
from ecom_analytics.suppression import (
    EVERY_SOURCE,
    Erasure,
    digest,
    erasures,
    make_key,
    suppressed,
    write,
)
from ecom_analytics.warehouse import Warehouse

if TYPE_CHECKING:
    from ecom_analytics.protocols import Storage


class Eraser:
    """Erases visitors from all that the settings name: lake, warehouse, exports and cache.

    A visitor's records become empty lines of the raw files, so that all other lines keep their numbers; the new files
    take the place of the old ones, which are deleted and refused from then on. The tables are staged without them, the
    marts built anew, and older builds and exports deleted. A keyed hash of the id stays in the lake, so that records of
    the visitor in files to come are not staged.

    Parameters
    ----------
    settings : Settings, optional
    watch : callable, optional
        Receives each :class:`~ecom_analytics.progress.Progress`.

    Examples
    --------
    >>> report = Eraser(settings).forget(["257597"], dry_run=False)    # doctest: +SKIP
    >>> report.records, report.complete                               # doctest: +SKIP
    (12, True)
    """

    def __init__(self, settings: Settings | None = None, *, watch: Watcher = ignore) -> None:
        self.settings = settings or Settings()
        self._watch = watch
        self._builder = MartBuilder(self.settings, watch=watch)
        self._lake: Storage = open_storage(self.settings.lake, self.settings)
        self._place: Place = open_place(self.settings)

    def forget(self, visitors: Collection[str], *, source: str | None = None, dry_run: bool = True) -> ForgetReport:
        """Erase visitors.

        Records whose visitor or user id is one of the ids are erased, and rejected records that hold one as a word.
        An id of 12 characters or more is looked for in every record's text, wherever it stands.

        Parameters
        ----------
        visitors : collection of str
            Ids, exactly as events have them.
        source : str, optional
            Only visitors of this source. By default of all sources.
        dry_run : bool
            Only say what would be erased.

        Raises
        ------
        ConfigError
            No id is given; or the key cannot be used.
        BusyError
            Another run holds the warehouse.
        EcomError
            Something cannot be read or written. What was erased by then stays so; the same call goes on.
        """
        if isinstance(visitors, str) or not visitors or not all(visitors):
            raise ConfigError("there is no visitor to forget", hint="give at least one id, as events have it")
        wanted = Named(visitors, source)
        if dry_run:
            return self._dry_run(len(visitors), wanted, source)
        with self._builder.lock():
            key, known = make_key(self.settings), erasures(self._lake)
            hashes = sorted(digest(key, source or EVERY_SOURCE, visitor) for visitor in visitors)
            found = self._find(wanted, source)
            if not {one for erasure in known for one in erasure.hashes}.issuperset(hashes):
                now = datetime.now(UTC)
                erasure_id = f"{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"
                known.append(Erasure(erasure_id, now.isoformat(), source or EVERY_SOURCE, hashes))
                write(self._lake, known[-1])
            return self._erase(len(visitors), found, known)

    def pending(self, *, dry_run: bool = True) -> ForgetReport:
        """Erase the records of visitors who were forgotten before from raw files that came later.

        They are not staged; this removes them from the raw files as well. It also ends what a killed run began.

        Parameters
        ----------
        dry_run : bool
            Only say what would be erased.

        Raises
        ------
        ConfigError, BusyError, EcomError
            As of :meth:`forget`.
        """
        known = erasures(self._lake)
        wanted = Hashed(suppressed(self.settings, self._lake))
        if dry_run:
            return self._dry_run(0, wanted, None)
        with self._builder.lock():
            found = self._find(wanted, None)
            return self._erase(0, found, known)

    def _dry_run(self, visitors: int, wanted: Wanted, source: str | None) -> ForgetReport:
        started = time.perf_counter()
        found = self._find(wanted, source)
        return ForgetReport(
            visitors=visitors,
            dry_run=True,
            records=sum(each.records for _, each in found),
            batches=tuple(_told(batch, each, "") for batch, each in found),
            builds=tuple(published.old_builds(self.settings, None)) if found else (),
            exports=tuple(filter(None, published.old_exports(self.settings))) if found else (),
            build_id=self._served(),
            complete=False,
            seconds=time.perf_counter() - started,
        )

    def _erase(self, visitors: int, found: Sequence[tuple[Batch, Found]], known: Sequence[Erasure]) -> ForgetReport:
        """Erase what was found; then nothing is left of any of these erasures, the last one being the newest."""
        started = time.perf_counter()
        if not found and all(erasure.done for erasure in known):
            return ForgetReport(visitors, False, 0, (), (), (), self._served(), True, time.perf_counter() - started)
        self._finish_replacing()
        told = [_told(batch, each, self._replace(batch, each)) for batch, each in found]
        builds, exports = published.old_builds(self.settings, None), published.old_exports(self.settings)
        self._restage()
        build_id = None
        published.remove_builds(self.settings, [])  # what is left of failed ones
        if builds:
            # Made anew: a copy of the build before could hold what was erased, in space that is free.
            build_id = self._builder.build(full_refresh=bool(found)).build_id
            builds = published.old_builds(self.settings, build_id)
            published.remove_builds(self.settings, builds)
        if exports:
            if build_id:
                published.export_anew(self.settings)
            exports = published.old_exports(self.settings, build_id)
            published.remove_exports(self.settings, exports)
        Cache(self.settings.cache, self.settings.cache_bytes).clear()
        records = sum(each.records for each in told)
        newest = known[-1]
        for erasure in known:
            if erasure is newest or not erasure.done:
                more = records if erasure is newest else 0
                write(self._lake, replace(erasure, records=erasure.records + more, done=True))
        return ForgetReport(
            visitors=visitors,
            dry_run=False,
            records=records,
            batches=tuple(told),
            builds=tuple(builds),
            exports=tuple(filter(None, exports)),
            build_id=build_id,
            complete=True,
            seconds=time.perf_counter() - started,
        )

    def _find(self, wanted: Wanted, source: str | None) -> list[tuple[Batch, Found]]:
        """The batches that hold records to erase."""
        found = []
        with self._place.hold(), self._scratch() as scratch:
            some = candidates(self.settings, self._place, scratch, batches(self._lake), wanted, source)
            finder = Finder(self.settings, scratch, wanted)
            for number, batch in enumerate(some):
                self._watch(Progress("forget", f"looking through {batch.name}", number, len(some), "files"))
                [path] = self._place.raw([batch], lambda _: None)
                each = finder.find(batch, path)
                if each.lines:
                    found.append((batch, each))
        return found

    def _replace(self, batch: Batch, found: Found) -> str:
        """Write the batch without these records, and let that take its place."""
        self._watch(Progress("forget", f"rewriting {batch.name}"))
        with self._place.hold(), self._scratch() as scratch:
            [path] = self._place.raw([batch], lambda _: None)
            file = RawFile(batch.batch_id, batch.source, path, batch.name, batch.layout)
            rewritten = scratch / "rewritten"
            with rewritten.open("wb") as to:
                blanked(file, found.lines, to)
            with rewritten.open("rb") as stream:
                new_id = hashlib.file_digest(stream, "sha256").hexdigest()
            before = batch.details.get("erased", {"records": 0, "lines": 0})
            erased = {
                "records": before["records"] + found.records,
                "lines": before["lines"] + found.blank,
            }
            details = {**batch.details, "replaces": batch.batch_id, "erased": erased}
            new = replace(batch, batch_id=new_id, bytes=rewritten.stat().st_size, details=details)
            with self._lake.create(new.object_name, if_absent=False) as to, rewritten.open("rb") as stream:
                while chunk := stream.read(1 << 20):
                    to.write(chunk)
            put_in_place(self._lake, batch, new)
        return new_id

    def _finish_replacing(self) -> None:
        """Delete what a killed run left of batches whose place others took."""
        for source, batch_id in listed(self._lake).replaced:
            self._lake.delete(record_name(source, batch_id))
            self._lake.delete(object_name(source, batch_id))

    def _restage(self) -> None:
        """Stage without the erased records, and remove all older files of the staged tables."""
        Stager(self.settings, watch=self._watch).stage()
        with self._place.hold():
            vacuum(load(self._place))

    def _served(self) -> str | None:
        try:
            return Warehouse(self.settings).current().build_id
        except NotBuiltError:
            return None

    @contextmanager
    def _scratch(self) -> Iterator[Path]:
        """A folder for working files, below the warehouse if there is one."""
        if self.settings.warehouse.is_dir():
            with scratch_folder(self.settings.warehouse) as folder:
                yield folder
        else:
            with tempfile.TemporaryDirectory(prefix="ecom-analytics-") as name:
                yield Path(name)


def _told(batch: Batch, found: Found, replaced_by: str) -> ErasedBatch:
    return ErasedBatch(batch.name, batch.source, batch.batch_id, replaced_by, found.records, found.rejected)
