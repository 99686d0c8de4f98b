"""Layout of the data lake: where raw batches and staged tables lie, and what a batch's record says."""

from __future__ import annotations

import builtins
import json
from collections.abc import Container, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

from ecom_analytics.errors import LakeError
from ecom_analytics.protocols import Layout, Storage

STAGED = ("events", "duplicates", "rejected", "batches", "products", "categories")
"""The staged Delta tables, ``<lake>/staged/<name>``."""

BatchKey = tuple[str, str]
"""Source and id of a batch."""

_READERS = 16
"""Records that are read at a time, from a lake whose every answer takes a while."""

_RECORDS = 1024
"""Records that are waited for at a time."""


@dataclass(frozen=True, slots=True)
class Batch:
    """One ingested file, as its record ``raw/<source>/batches/<sha256>.json`` says.

    The record is written after the bytes, so a batch that has one is whole. It changes only when it is corrected how
    the bytes are to be read.

    Attributes
    ----------
    batch_id : str
        SHA-256 of the bytes.
    source : str
    source_format : str
    name : str
        Name of the file when the lake first saw these bytes.
    bytes : int
    ingested_at : str
        ISO 8601, UTC.
    details : dict
        What else is known: ``layout``, where it is not a comma-separated UTF-8 file with a header; under
        the name of the source format what that wants to know when the batch is read; for a slice,
        ``sliced_from`` (SHA-256 of the whole file) and ``day``; where records of a visitor were erased,
        ``replaces`` (the batch whose place it took) and ``erased``: how many ``records``, and on how many ``lines``,
        which are empty now.
    """

    batch_id: str
    source: str
    source_format: str
    name: str
    bytes: int
    ingested_at: str
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def layout(self) -> Layout:
        """How the bytes are cut into records, as it was seen when they were ingested."""
        return Layout.from_dict(self.details.get("layout", {}))

    @property
    def object_name(self) -> str:
        return object_name(self.source, self.batch_id)

    @property
    def record_name(self) -> str:
        return record_name(self.source, self.batch_id)

    def to_json(self) -> builtins.bytes:
        return json.dumps(asdict(self), indent=2, sort_keys=True).encode() + b"\n"

    @classmethod
    def from_json(cls, text: builtins.bytes, where: str) -> Batch:
        try:
            return cls(**json.loads(text))
        except (ValueError, TypeError) as error:
            raise LakeError(
                f"the batch record {where} cannot be read: {error}",
                hint="restore it from a backup, or delete it and ingest the file again",
            ) from error


@dataclass(frozen=True, slots=True)
class StagedFile:
    """One Parquet file of a staged table.

    Attributes
    ----------
    path : str
        Relative to the table's folder. The name begins with the id of the stage that wrote it, and ``_``.
    rows, bytes : int
    day : str or None
        ISO date of its partition.
    """

    path: str
    rows: int
    bytes: int
    day: str | None

    @property
    def stage_id(self) -> str:
        return Path(self.path).name.split("_", 1)[0]


def object_name(source: str, batch_id: str) -> str:
    """Name of a batch's bytes, relative to the lake."""
    return f"raw/{source}/objects/{batch_id}"


def record_name(source: str, batch_id: str) -> str:
    """Name of a batch's record, relative to the lake."""
    return f"raw/{source}/batches/{batch_id}.json"


def replaced_name(source: str, batch_id: str) -> str:
    """Name of what says that another batch took the place of this one, relative to the lake."""
    return f"raw/{source}/replaced/{batch_id}.json"


def put_in_place(lake: Storage, old: Batch, new: Batch) -> None:
    """Let a batch, whose bytes are in the lake, take the place of another, whose bytes and record are removed.

    A process that dies on the way leaves either the old batch or the new one in its place. Calling it again ends it.

    Parameters
    ----------
    lake : Storage
    old, new : Batch
        ``new.details["replaces"]`` is the id of the old one.
    """
    with lake.create(new.record_name, if_absent=False) as to:
        to.write(new.to_json())
    with lake.create(replaced_name(old.source, old.batch_id), if_absent=False) as to:
        to.write(json.dumps({"replaced_by": new.batch_id}).encode() + b"\n")
    lake.delete(old.record_name)
    lake.delete(old.object_name)


class Listed(NamedTuple):
    """The names of batches: (source, batch_id) of each one that counts, and of each whose place another one took."""

    batches: set[BatchKey]
    replaced: set[BatchKey]


def listed(lake: Storage, source: str = "") -> Listed:
    """Every whole batch of the lake or of one source, and those that no longer count; by listing only.

    Examples
    --------
    >>> import tempfile
    >>> from ecom_analytics import Settings
    >>> from ecom_analytics.storages import open_storage
    >>> listed(open_storage(tempfile.mkdtemp(), Settings()))
    Listed(batches=set(), replaced=set())
    """
    found: dict[str, set[BatchKey]] = {"batches": set(), "replaced": set()}
    prefixes = [f"raw/{source}/{kind}/" for kind in found] if source else ["raw/"]
    for prefix in prefixes:
        for name in lake.list(prefix):
            parts = name.split("/")
            if len(parts) == 4 and parts[2] in found and parts[3].endswith(".json"):
                found[parts[2]].add((parts[1], parts[3].removesuffix(".json")))
    return Listed(found["batches"] - found["replaced"], found["replaced"])


def replaced_ids(lake: Storage, source: str) -> set[str]:
    """Ids of the batches of a source that no longer count, by one short listing."""
    names = lake.list(replaced_name(source, "").removesuffix(".json"))
    return {name.rpartition("/")[2].removesuffix(".json") for name in names}


def batches(lake: Storage, known: Container[BatchKey] = (), *, among: Listed | None = None) -> Iterator[Batch]:
    """Every whole batch of the lake that counts, ordered by source and id.

    A batch that takes the place of another (its details name it as ``replaces``) counts from the moment that the lake
    says so of the other one (:func:`replaced_name`), which from then on does not.

    Parameters
    ----------
    lake : Storage
    known : container of (source, batch_id), optional
        Batches to leave out; their records are not opened. The others' are read several at a time.
    among : Listed, optional
        What :func:`listed` found, if it was called already.
    """
    there = among or listed(lake)
    wanted = iter(key for key in sorted(there.batches) if key not in known)
    with ThreadPoolExecutor(_READERS, "batch-records") as pool:
        while some := list(islice(wanted, _RECORDS)):
            for batch in pool.map(partial(read_batch, lake), some):
                old = batch.details.get("replaces")
                if old is None or (batch.source, old) in there.replaced:
                    yield batch


def read_batch(lake: Storage, key: BatchKey) -> Batch:
    """The batch of that source and id, as its record says.

    Raises
    ------
    LakeError
        The record is damaged.
    FileNotFoundError
        There is none.
    """
    name = record_name(*key)
    with lake.open(name) as stream:
        return Batch.from_json(stream.read(), lake.uri(name))
