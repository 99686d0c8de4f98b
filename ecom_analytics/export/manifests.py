"""Numbered manifests: the one place that says what an export is."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from ecom_analytics.errors import ExportError
from ecom_analytics.protocols import Storage
from ecom_analytics.reports import plain

LATEST = "latest.json"
"""Name of the file that names the newest manifest. It may lag behind: the numbers are the truth."""

_NAME = re.compile(r"manifests/(\d{8})\.json")


@dataclass(frozen=True, slots=True)
class ExportedFile:
    """A file of an export.

    Attributes
    ----------
    file : str
        Its name below the destination.
    partition : str or None
        The month (``2026-01``) or day whose rows it holds, ``undated`` for those without a date; None if it holds all.
    rows, bytes : int
    sha256 : str
        Of its bytes.
    content : str
        A hash of its rows in any order, its columns and its format: what does not change it is not written again.
    """

    file: str
    partition: str | None
    rows: int
    bytes: int
    sha256: str
    content: str


@dataclass(frozen=True, slots=True)
class ExportedMart:
    """A mart of an export in one format.

    Attributes
    ----------
    table, format : str
    description : str
    columns : tuple of dict
        ``name``, ``type`` (DuckDB's) and ``description`` of each.
    partitioned_by : str or None
        The column of dates that it is cut by.
    written_as : str
        What the format and the cut depend on.
    version : int or None
        Version of the table, of a format that is one (Delta).
    files : tuple of ExportedFile
    """

    table: str
    format: str
    description: str
    columns: tuple[dict[str, str], ...]
    partitioned_by: str | None
    written_as: str
    version: int | None
    files: tuple[ExportedFile, ...]


@dataclass(frozen=True, slots=True)
class Manifest:
    """One export, whole.

    Attributes
    ----------
    number : int
    run_id : str
    previous : str or None
        Id of the run that wrote the manifest before it.
    build_id, built_at, exported_at : str
        The build, and when it was published and exported, UTC.
    as_of, timezone, model_version : str or None
        As of the build.
    formats : tuple of str
    tables : tuple of ExportedMart
    """

    number: int
    run_id: str
    previous: str | None
    build_id: str
    built_at: str
    exported_at: str
    as_of: str | None
    timezone: str | None
    model_version: str | None
    formats: tuple[str, ...]
    tables: tuple[ExportedMart, ...]

    @property
    def name(self) -> str:
        """Its own name below the destination."""
        return name_of(self.number)

    @property
    def files(self) -> Iterator[str]:
        """Names of all its files."""
        return (file.file for table in self.tables for file in table.files)

    def to_dict(self) -> dict[str, Any]:
        """The manifest in types that JSON knows."""
        return dict(plain(self))

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Manifest:
        """The manifest that :meth:`to_dict` told of."""
        tables = tuple(
            ExportedMart(
                **{
                    **table,
                    "columns": tuple(table["columns"]),
                    "files": tuple(ExportedFile(**file) for file in table["files"]),
                }
            )
            for table in values["tables"]
        )
        return cls(**{**values, "formats": tuple(values["formats"]), "tables": tables})


def name_of(number: int) -> str:
    """Name of a manifest below the destination.

    Examples
    --------
    >>> name_of(7)
    'manifests/00000007.json'
    """
    return f"manifests/{number:08}.json"


def numbers(storage: Storage) -> list[int]:
    """Numbers of the manifests that are there, ascending."""
    found = (_NAME.fullmatch(name) for name in storage.list("manifests/"))
    return sorted(int(match[1]) for match in found if match)


def read(storage: Storage, number: int) -> Manifest:
    """A manifest.

    Raises
    ------
    FileNotFoundError
        It was collected.
    ExportError
        It is damaged.
    """
    name = name_of(number)
    with storage.open(name) as stream:
        text = stream.read()
    try:
        return Manifest.from_dict(json.loads(text))
    except (ValueError, KeyError, TypeError) as error:
        raise ExportError(
            f"the manifest {storage.uri(name)} cannot be read: {error}",
            hint="if it was changed by hand, delete it: then the one before it is the newest",
        ) from error


def newest(storage: Storage) -> Manifest | None:
    """The manifest with the highest number; None if there is none."""
    while found := numbers(storage):
        try:
            return read(storage, found[-1])
        except FileNotFoundError:  # collected since: there are newer ones
            continue
    return None


def put(storage: Storage, manifest: Manifest) -> bool:
    """Write a manifest under its number; False, and nothing is written, if another writer took it first."""
    try:
        with storage.create(manifest.name, if_absent=True) as to:
            to.write(_json(manifest.to_dict()))
    except FileExistsError:
        return False
    if any(number > manifest.number for number in numbers(storage)) and not _goes_on_from(storage, manifest):
        # It was free because it had been there and was collected: whoever wrote it slept for long.
        storage.delete(manifest.name)
        return False
    return True


def _goes_on_from(storage: Storage, manifest: Manifest) -> bool:
    try:
        return read(storage, manifest.number + 1).previous == manifest.run_id
    except FileNotFoundError:
        return False


def point(storage: Storage) -> None:
    """Let ``latest.json`` name the newest manifest, also if a slower writer let it name an older one meanwhile."""
    for _ in range(10):
        manifest = newest(storage)
        if manifest is None:
            storage.delete(LATEST)
            return
        wanted = {"build_id": manifest.build_id, "built_at": manifest.built_at, "manifest": manifest.name}
        try:
            with storage.open(LATEST) as stream:
                if stream.read() == _json(wanted):
                    return
        except FileNotFoundError:
            pass
        with storage.create(LATEST, if_absent=False) as to:
            to.write(_json(wanted))


def _json(value: dict[str, Any]) -> bytes:
    return json.dumps(value, indent=2, ensure_ascii=False).encode() + b"\n"
