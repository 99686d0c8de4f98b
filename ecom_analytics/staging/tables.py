"""The staged Delta tables: their schemas, their one commit point, and what of them counts.

The commit to ``events`` is the only one that matters. It carries two Delta application transactions: ``ecom.stage``,
whose version goes up by one (so that of two stagers that read the same version one fails), and
``ecom.stage/<stage id>``. Files of the other tables name the stage that wrote them, and count only if ``events``
knows it, and as long as no later stage replaced them:

* those of ``duplicates`` until a later stage judged their day;
* those of ``batches`` until a later stage wrote all rows of that table anew, into a file that ends in ``_all.parquet``;
* those of ``rejected``, ``products`` and ``categories`` as long as a row of ``batches`` names their stage.

Stage ids begin with that version, so they sort in the order of their commits.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from ecom_analytics import catalogue
from ecom_analytics.catalogue import CATALOGUE
from ecom_analytics.disk import full, is_full
from ecom_analytics.errors import BusyError, EcomError, LakeError
from ecom_analytics.events import arrow_schema
from ecom_analytics.lake import StagedFile

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import DeltaTable

    from ecom_analytics.staging.places import Place

STAGE = "ecom.stage"
PARTITIONED = ("events", "duplicates")
NULLABLE = ("first_day", "last_day")
"""Columns of ``batches`` that are NULL for a batch without an event: the range of its days, of good rows."""


def schema(table: str) -> pa.Schema:
    """Arrow schema of a staged table."""
    import pyarrow as pa

    text, integer = pa.string(), pa.int64()
    if table == "events":
        return arrow_schema()
    if table in CATALOGUE:
        return catalogue.arrow_schema(table)
    if table == "duplicates":
        own = [("kept_batch_id", text), ("kept_line", integer), ("stage_id", text)]
        session = arrow_schema().get_field_index("session_start")
        fields = [pa.field(name, kind, nullable=False) for name, kind in own]
        return pa.schema([*arrow_schema().remove(session), *fields])
    if table == "rejected":
        names = {"source": text, "batch_id": text, "source_line": integer, "raw_text": text, "rule": text,
                 "message": text, "stage_id": text}  # fmt: skip
    else:
        names = {"source": text, "batch_id": text, "source_format": text, "name": text, "bytes": integer,
                 "records": integer, "rejected": integer, "blank": integer, "erased": integer,
                 "rejected_by_rule": text, "warned_by_rule": text, "read_with": text,
                 "first_day": pa.date32(), "last_day": pa.date32(),
                 "stage_id": text, "staged_at": pa.timestamp("us", tz="UTC")}  # fmt: skip
    return pa.schema([pa.field(name, kind, nullable=name in NULLABLE) for name, kind in names.items()])


def open_table(place: Place, name: str) -> DeltaTable | None:
    """A staged table, or None if there is none yet."""
    from deltalake import DeltaTable
    from deltalake.exceptions import DeltaError, TableNotFoundError

    if not place.may_exist(name):
        return None
    try:
        return DeltaTable(place.table(name), storage_options=_options(place))
    except TableNotFoundError:
        return None
    except (DeltaError, OSError, ValueError) as error:
        raise LakeError(
            f"the staged table {place.table(name)} cannot be read: {error}",
            hint="if its files were changed by hand, restore them, or delete the folder 'staged' and stage again",
        ) from error


def create_table(place: Place, name: str, properties: dict[str, str]) -> DeltaTable:
    """A staged table, made if it is not there.

    Raises
    ------
    BusyError
        Another stager made it at the same time.
    """
    from deltalake import DeltaTable, Schema
    from deltalake.exceptions import CommitFailedError, DeltaError

    if place.in_place:
        Path(place.table(name)).mkdir(parents=True, exist_ok=True)
    try:
        DeltaTable.create(
            place.table(name),
            Schema.from_arrow(schema(name)),
            mode="ignore",
            partition_by=["event_date"] if name in PARTITIONED else None,
            configuration=dict(properties),
            raise_if_key_not_exists=False,
            storage_options=_options(place),
        )
        return DeltaTable(place.table(name), storage_options=_options(place))
    except CommitFailedError as error:
        raise _busy(name) from error
    except (DeltaError, OSError) as error:
        raise _refused(place.table(name), error) from error


def files_of(table: DeltaTable | None) -> list[StagedFile]:
    """The files of a table's snapshot."""
    import pyarrow as pa

    if table is None:
        return []
    actions = pa.table(table.get_add_actions(flatten=True))
    columns = actions.column_names
    days = actions["partition.event_date"].to_pylist() if "partition.event_date" in columns else [None] * len(actions)
    return [
        StagedFile(unquote(path), rows, size, day.isoformat() if day else None)
        for path, rows, size, day in zip(
            actions["path"].to_pylist(),
            actions["num_records"].to_pylist(),
            actions["size_bytes"].to_pylist(),
            days,
            strict=True,
        )
    ]


def commit(
    table: DeltaTable,
    name: str,
    adds: Iterable[StagedFile],
    removes: Iterable[StagedFile] = (),
    *,
    transactions: dict[str, int] | None = None,
) -> None:
    """One atomic commit of added and removed files.

    Raises
    ------
    BusyError
        If another writer committed the same application transaction first.
    """
    from deltalake import CommitProperties, Schema, Transaction
    from deltalake.exceptions import CommitFailedError
    from deltalake.transaction import AddAction, RemoveAction

    partition_by = ["event_date"] if name in PARTITIONED else []
    now = int(time.time() * 1000)

    def values(file: StagedFile) -> dict[str, str | None]:
        return {"event_date": file.day} if partition_by else {}

    actions: list[Any] = [
        AddAction(f.path, f.bytes, values(f), now, True, json.dumps({"numRecords": f.rows})) for f in adds
    ]
    actions += [RemoveAction(path=f.path, deletion_timestamp=now, data_change=True, partition_values=values(f),
                             size=f.bytes) for f in removes]  # fmt: skip
    properties = CommitProperties(
        max_commit_retries=0 if transactions else 15,
        app_transactions=[Transaction(key, version) for key, version in (transactions or {}).items()],
    )
    try:
        table.create_write_transaction(
            actions, "append", Schema.from_arrow(schema(name)), partition_by, commit_properties=properties
        )
    except CommitFailedError as error:
        raise _busy(name) from error
    except OSError as error:
        raise _refused(table.table_uri, error) from error


def _options(place: Place) -> dict[str, str] | None:
    options = place.options()
    return None if options is None else dict(options)


def _busy(name: str) -> BusyError:
    return BusyError(f"another writer changed the staged table {name} at the same time", hint="run the stage again")


def _refused(address: str, error: Exception) -> EcomError:
    """A table that cannot be written."""
    if is_full(error):
        return full(address)
    return LakeError(
        f"the staged table {address} cannot be written: {error}",
        hint="check that it is yours to write, and the network; nothing of this stage counts yet: run it again",
    )
