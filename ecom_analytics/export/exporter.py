"""The Exporter: the public marts of the served build, at a destination of files."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from ecom_analytics.errors import ConfigError, EcomError, ExportError, LakeError
from ecom_analytics.export import manifests
from ecom_analytics.export.attempts import Work, until_one_counts
from ecom_analytics.export.collect import collect
from ecom_analytics.export.manifests import Manifest
from ecom_analytics.export.writing import Run, writer_of
from ecom_analytics.progress import Watcher, ignore
from ecom_analytics.protocols import Storage
from ecom_analytics.reports import ExportedTable, ExportReport
from ecom_analytics.scratch import scratch_folder
from ecom_analytics.storages import open_storage
from ecom_analytics.warehouse import Warehouse

if TYPE_CHECKING:
    from ecom_analytics.config import Settings


class Exporter:
    """Writes public marts of the served build to a folder or to S3.

    The marts are those that dbt's project declares public. Only what changed since the export before is written; if
    nothing did, nothing is.

    Parameters
    ----------
    settings : Settings, optional
    watch : callable, optional
        Receives :class:`~ecom_analytics.progress.Progress`.

    Examples
    --------
    >>> from ecom_analytics import Exporter, Settings
    >>> report = Exporter(Settings()).export("s3://shop/marts", ["parquet", "csv"])    # doctest: +SKIP
    >>> report.manifest                                                                # doctest: +SKIP
    's3://shop/marts/manifests/00000007.json'
    """

    def __init__(self, settings: Settings | None = None, *, watch: Watcher = ignore) -> None:
        from ecom_analytics.config import Settings

        self.settings = settings or Settings()
        self.watch = watch

    def export(
        self,
        destination: str | Path | None = None,
        formats: Sequence[str] | None = None,
        select: Sequence[str] | None = None,
    ) -> ExportReport:
        """Write the served build.

        What an export of the same build wrote in other formats, or of other marts, stays part of the newest one.

        Parameters
        ----------
        destination : str or pathlib.Path, optional
            A folder, or ``s3://bucket/prefix``. Default: the setting ``exports``.
        formats : sequence of str, optional
            Names of export formats. Default: the setting ``export_formats``.
        select : sequence of str, optional
            Names of marts. Default: all public ones.

        Raises
        ------
        NotBuiltError
            There is no served build.
        PluginError
            There is no such format.
        ConfigError
            There is no such mart.
        BusyError
            Other writers to this destination were faster, again and again.
        ExportError, StorageFullError
            It could not be written; the newest export there is the one before, and whole.
        """
        started = time.monotonic()
        writers = [
            writer_of(name, self.settings) for name in _names("formats", formats or self.settings.export_formats)
        ]
        place = _address(destination or self.settings.exports)
        storage = open_storage(place, self.settings)
        marts = _names("select", select or ())
        Warehouse(self.settings).current()
        with _explained(place, storage), _scratch(self.settings) as scratch:
            run = Run(storage, scratch, self.settings.threads)
            try:
                work = Work(self.settings, self.watch, storage, run, writers, marts)
                manifest, new = until_one_counts(work)
            finally:
                run.close()
            manifests.point(storage)
            collect(storage, self.settings)
        asked = {writer.name for writer in writers}
        tables = tuple(
            ExportedTable(
                mart.table, mart.format, storage.uri(file.file), file.rows, file.bytes, file.sha256, file.partition
            )
            for mart in manifest.tables
            if mart.format in asked and (not marts or mart.table in marts)
            for file in mart.files
        )
        return ExportReport(
            build_id=manifest.build_id,
            destination=storage.uri(),
            manifest=storage.uri(manifest.name),
            exported=new,
            tables=tables,
            bytes=sum(table.bytes for table in tables),
            seconds=time.monotonic() - started,
            files_written=len(run.written),
        )

    def newest(self, destination: str | Path | None = None) -> Manifest | None:
        """The newest export at a destination; None if there is none.

        Examples
        --------
        >>> manifest = Exporter(Settings()).newest("s3://shop/marts")                      # doctest: +SKIP
        >>> [file.file for mart in manifest.tables for file in mart.files]                 # doctest: +SKIP
        ['runs/20261123T013000Z-1a2b3c/affinity.parquet', ...]
        """
        place = _address(destination or self.settings.exports)
        storage = open_storage(place, self.settings)
        with _explained(place, storage):
            return manifests.newest(storage)

    def collect(self, destination: str | Path | None = None) -> tuple[str, ...]:
        """Delete old exports at a destination, as the settings say; names of what was deleted.

        Every export does it at its end.
        """
        place = _address(destination or self.settings.exports)
        storage = open_storage(place, self.settings)
        with _explained(place, storage):
            return collect(storage, self.settings)


def _names(what: str, names: Sequence[str]) -> list[str]:
    if isinstance(names, str):
        raise ConfigError(f"{what} is the text {names!r}", hint=f"give a list: [{names!r}]", value=names)
    return list(dict.fromkeys(names))


def _address(destination: str | Path) -> str:
    text = os.fspath(destination)
    return text.rstrip("/") if "://" in text else str(Path(text).expanduser().absolute())


@contextmanager
def _scratch(settings: Settings) -> Iterator[Path]:
    """A folder for files on their way: below the warehouse, or where the system has such, if we may not write there."""
    with ExitStack() as stack:
        try:
            folder = stack.enter_context(scratch_folder(settings.warehouse))
        except PermissionError:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ecom-analytics-")))
        yield folder


@contextmanager
def _explained(place: str, storage: Storage) -> Iterator[None]:
    """Raise :class:`ExportError` for whatever stops an export and has no words of its own; say what is there."""
    try:
        with _in_our_words(place):
            yield
    except EcomError as error:
        error.hint = "; ".join(filter(None, (error.hint, _what_is_there(place, storage))))
        raise


@contextmanager
def _in_our_words(place: str) -> Iterator[None]:
    import duckdb
    import pyarrow as pa

    try:
        yield
    except LakeError as error:
        raise ExportError(f"cannot export to {place}: {error.message}", hint=error.hint, **error.facts) from error
    except EcomError:
        raise
    except duckdb.Error as error:
        raise ExportError(
            f"cannot read the build that is to be exported to {place}: {error}", hint="build it again, then export"
        ) from error
    except (OSError, pa.ArrowException) as error:
        raise ExportError(
            f"cannot export to {place}: {error}", hint="check the destination, then run it again"
        ) from error


def _what_is_there(place: str, storage: Storage) -> str:
    with suppress(EcomError, OSError):
        there = manifests.newest(storage)
        if there is None:
            return f"there is no export in {place}"
        return f"the newest export in {place} is number {there.number}, of build {there.build_id}, and whole"
    return ""
