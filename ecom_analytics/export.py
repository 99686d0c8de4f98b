"""The fourth stage: public marts to files.

::

    <destination>/latest.json                  names the build and its manifest; replaced at once, last of all
    <destination>/<build_id>/manifest.json     the tables, their columns, rows, sizes and hashes; after all tables
    <destination>/<build_id>/<mart>.<format>   never changes once the manifest is there

A reader that begins with ``latest.json`` sees one whole build.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from ecom_analytics import plugins
from ecom_analytics.errors import ConfigError, EcomError, ExportError, LakeError
from ecom_analytics.progress import Progress, Watcher, ignore
from ecom_analytics.protocols import ExportFormat, Storage
from ecom_analytics.reports import ExportedTable, ExportReport
from ecom_analytics.storages import open_storage
from ecom_analytics.warehouse import Build, Warehouse

if TYPE_CHECKING:
    import duckdb

    from ecom_analytics.config import Settings

LATEST = "latest.json"
"""Name of the file that names the newest export."""

_ROWS = 100_000
"""Rows that are in memory at a time."""


class Exporter:
    """Writes every public mart of the served build to a folder or to S3.

    The marts are those that dbt's project declares public. A build is exported once: if its manifest is there with the
    formats asked for, there is nothing to do.

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
    's3://shop/marts/20261123T013000Z-1a2b3c/manifest.json'
    """

    def __init__(self, settings: Settings | None = None, *, watch: Watcher = ignore) -> None:
        from ecom_analytics.config import Settings

        self.settings = settings or Settings()
        self.watch = watch

    def export(self, destination: str | Path | None = None, formats: Sequence[str] | None = None) -> ExportReport:
        """Write the served build.

        Parameters
        ----------
        destination : str or pathlib.Path, optional
            A folder, or ``s3://bucket/prefix``. Default: the setting ``exports``.
        formats : sequence of str, optional
            Names of export formats. Default: the setting ``export_formats``.

        Raises
        ------
        NotBuiltError
            There is no served build.
        PluginError
            There is no such format.
        ExportError, StorageFullError
            It could not be written; the destination names the same build as before.
        """
        started = time.monotonic()
        if isinstance(formats, str):
            raise ConfigError(f"formats is the text {formats!r}", hint=f"give a list: [{formats!r}]", value=formats)
        writers = [_writer(name) for name in dict.fromkeys(formats or self.settings.export_formats)]
        place = _address(destination or self.settings.exports)
        storage = open_storage(place, self.settings)
        with _explained(place):
            build, connection = self._open()
            with connection:
                known = _read_manifest(storage, build.build_id)
                present = {table["format"] for table in known}
                missing = [writer for writer in writers if writer.name not in present]
                known += self._write(build, connection, storage, missing)
            if missing:
                _put(storage, _manifest_name(build), _manifest(build, known))
            _point(storage, build)
        wanted = {writer.name for writer in writers}
        tables = tuple(_reported(storage, build, table) for table in known if table["format"] in wanted)
        return ExportReport(
            build_id=build.build_id,
            destination=storage.uri(),
            manifest=storage.uri(_manifest_name(build)),
            exported=bool(missing),
            tables=tables,
            bytes=sum(table.bytes for table in tables),
            seconds=time.monotonic() - started,
        )

    def _open(self) -> tuple[Build, duckdb.DuckDBPyConnection]:
        warehouse = Warehouse(self.settings)
        for _ in range(5):
            build = warehouse.current()
            try:
                return build, warehouse.connect(build)
            except FileNotFoundError:  # pruned since: another one is served now
                continue
        raise ExportError(f"the build {build.build_id} vanished before it was read", hint="run it again")

    def _write(
        self, build: Build, connection: duckdb.DuckDBPyConnection, storage: Storage, writers: list[ExportFormat]
    ) -> list[dict[str, Any]]:
        """Write every public mart in the formats; what the manifest says of them."""
        marts = Warehouse(self.settings).public_marts(build)
        tables: list[dict[str, Any]] = []
        total = len(marts) * len(writers)
        for writer in writers:
            for mart in marts:
                self.watch(Progress("export", f"exporting {mart} as {writer.name}", len(tables), total, "files"))
                tables.append(_write_table(build, connection, storage, mart, writer))
        if total:
            self.watch(Progress("export", "exported", total, total, "files"))
        return tables


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


def _write_table(
    build: Build, connection: duckdb.DuckDBPyConnection, storage: Storage, mart: str, writer: ExportFormat
) -> dict[str, Any]:
    file = f"{mart}.{writer.extension}"
    quoted = mart.replace('"', '""')
    with storage.create(f"{build.build_id}/{file}", if_absent=False) as stream:
        to = _Counted(stream)
        batches = connection.execute(f'SELECT * FROM "{quoted}"').to_arrow_reader(_ROWS)
        rows = writer.write(batches, cast(BinaryIO, to))
    known = build.info["marts"][mart]
    return {
        "table": mart,
        "format": writer.name,
        "file": file,
        "rows": rows,
        "bytes": to.size,
        "sha256": to.sha256,
        "description": known.get("description", ""),
        "columns": [{"name": name, **column} for name, column in known.get("columns", {}).items()],
    }


def _writer(name: str) -> ExportFormat:
    kind = plugins.load("export_formats", name)
    return cast(ExportFormat, kind() if isinstance(kind, type) else kind)


def _address(destination: str | Path) -> str:
    text = os.fspath(destination)
    return text.rstrip("/") if "://" in text else str(Path(text).expanduser().absolute())


def _manifest_name(build: Build) -> str:
    return f"{build.build_id}/manifest.json"


def _manifest(build: Build, tables: list[dict[str, Any]]) -> dict[str, Any]:
    known = {key: build.info.get(key) for key in ("as_of", "timezone", "model_version")}
    formats = list(dict.fromkeys(table["format"] for table in tables))
    return {
        "build_id": build.build_id,
        "built_at": build.built_at.isoformat(),
        **known,
        "formats": formats,
        "tables": tables,
    }


def _read_manifest(storage: Storage, build_id: str) -> list[dict[str, Any]]:
    """The tables of this build that are exported already."""
    name = f"{build_id}/manifest.json"
    try:
        with storage.open(name) as stream:
            tables: list[dict[str, Any]] = json.loads(stream.read())["tables"]
    except FileNotFoundError:
        return []
    except (ValueError, KeyError, TypeError) as error:
        raise ExportError(
            f"the manifest {storage.uri(name)} cannot be read: {error}", hint="delete it to export the build again"
        ) from error
    return tables


def _point(storage: Storage, build: Build) -> None:
    """Let ``latest.json`` name the build."""
    latest = {"build_id": build.build_id, "built_at": build.built_at.isoformat(), "manifest": _manifest_name(build)}
    try:
        with storage.open(LATEST) as stream:
            if stream.read() == _json(latest):
                return
    except FileNotFoundError:
        pass
    _put(storage, LATEST, latest)


def _put(storage: Storage, name: str, value: dict[str, Any]) -> None:
    with storage.create(name, if_absent=False) as to:
        to.write(_json(value))


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, indent=2, ensure_ascii=False).encode() + b"\n"


def _reported(storage: Storage, build: Build, table: dict[str, Any]) -> ExportedTable:
    facts = {key: table[key] for key in ("table", "format", "rows", "bytes", "sha256")}
    return ExportedTable(uri=storage.uri(f"{build.build_id}/{table['file']}"), **facts)


@contextmanager
def _explained(place: str) -> Iterator[None]:
    """Raise :class:`ExportError` for whatever stops an export and has no words of its own."""
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
