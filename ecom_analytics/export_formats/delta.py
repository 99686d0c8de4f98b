"""Rows as Delta tables, one for each mart."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from urllib.parse import unquote

from ecom_analytics.errors import ExportError
from ecom_analytics.export_formats.parquet import Parquet
from ecom_analytics.protocols import Copying, TableFile

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import DeltaTable

APPLICATION = "ecom.export"
"""The application transaction that each commit carries: of two that read the same version, one fails."""


class Delta:
    """Delta tables: Parquet files and a log, which Spark, Trino, Polars and DuckDB read at one address that stays.

    Every version of a table is one whole export of the mart. A manifest names the version that goes with it.
    """

    name = "delta"
    extension = "parquet"
    version = Parquet.version

    def copying(self, query: str, schema: pa.Schema) -> Copying:
        return Parquet().copying(query, schema)

    def write(self, rows: pa.RecordBatchReader, to: BinaryIO) -> int:
        """Write all rows to a file that :meth:`commit` can make part of a table; how many there were."""
        return Parquet().write(rows, to)

    def state(self, address: str, options: Mapping[str, str]) -> tuple[int, frozenset[str]] | None:
        table = _open(address, options)
        return None if table is None else (table.version(), frozenset(_files(table)))

    def commit(
        self,
        address: str,
        options: Mapping[str, str],
        files: Sequence[TableFile],
        schema: pa.Schema,
        base: int | None,
    ) -> int:
        """Let the table be these files; its new version.

        Raises
        ------
        FileExistsError
            Another writer made a newer version.
        ExportError
            Delta has no such type, or the table cannot be written.
        """
        from deltalake import CommitProperties, Transaction
        from deltalake.exceptions import CommitFailedError, DeltaError
        from deltalake.transaction import AddAction, RemoveAction, create_table_with_add_actions

        wanted = _schema(address, schema)
        now = int(time.time() * 1000)

        def added(file: TableFile) -> AddAction:
            return AddAction(file.path, file.bytes, {}, now, True, json.dumps({"numRecords": file.rows}))

        def told(version: int) -> CommitProperties:
            return CommitProperties(max_commit_retries=0, app_transactions=[Transaction(APPLICATION, version)])

        try:
            table = _open(address, options)
            if (None if table is None else table.version()) != base:
                raise FileExistsError(address)
            if table is None:
                if "://" not in address:
                    Path(address).mkdir(parents=True, exist_ok=True)
                create_table_with_add_actions(
                    address, wanted, list(map(added, files)), storage_options=dict(options), commit_properties=told(0)
                )
                return 0
            version = table.version() + 1
            if table.schema() != wanted:
                actions: list[Any] = list(map(added, files))  # all of them are new: the others are removed by it
                table.create_write_transaction(actions, "overwrite", wanted, commit_properties=told(version))
                return version
            there, names = _files(table), {file.path for file in files}
            actions = [added(file) for file in files if file.path not in there]
            actions += [
                RemoveAction(path=path, deletion_timestamp=now, data_change=True, partition_values={}, size=size)
                for path, size in there.items()
                if path not in names
            ]
            table.create_write_transaction(actions, "append", wanted, commit_properties=told(version))
        except CommitFailedError as error:
            raise FileExistsError(address) from error
        except DeltaError as error:
            if base is None and _open(address, options) is not None:
                raise FileExistsError(address) from error  # made meanwhile
            raise ExportError(
                f"the Delta table {address} cannot be written: {error}", hint="check the destination, then run it again"
            ) from error
        return version


def _open(address: str, options: Mapping[str, str]) -> DeltaTable | None:
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError, TableNotFoundError

    if "://" not in address and not Path(address).is_dir():
        return None  # it would warn of that
    try:
        return DeltaTable(address, storage_options=dict(options))
    except TableNotFoundError:
        return None
    except (DeltaError, OSError, ValueError) as error:
        raise ExportError(
            f"the Delta table {address} cannot be read: {error}",
            hint="if its files were changed by hand, delete its folder and export again",
        ) from error


def _files(table: DeltaTable) -> dict[str, int]:
    """Sizes of the files of a table's version."""
    import pyarrow as pa

    actions = pa.table(table.get_add_actions(flatten=True))
    paths = (unquote(path) for path in actions["path"].to_pylist())
    return dict(zip(paths, actions["size_bytes"].to_pylist(), strict=True))


def _schema(address: str, schema: pa.Schema) -> Any:
    from deltalake import Schema

    try:
        return Schema.from_arrow(schema)
    except Exception as error:  # it has no narrower one, and a traceback for its text
        mart, why = address.rstrip("/").rpartition("/")[2], str(error).partition("\n")[0]
        raise ExportError(
            f"the mart {mart!r} has a column that a Delta table cannot have: {why}", hint="export it as Parquet"
        ) from error
