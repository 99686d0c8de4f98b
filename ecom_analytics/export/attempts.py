"""What is to be written, computed against the newest manifest; and again as long as another writer is faster."""

from __future__ import annotations

import contextlib
import hashlib
import random
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING

from ecom_analytics.errors import BusyError, ConfigError, EcomError, ExportError
from ecom_analytics.export import manifests
from ecom_analytics.export.manifests import ExportedFile, ExportedMart, Manifest
from ecom_analytics.export.parts import CutMart, Part, cut, rule
from ecom_analytics.export.writing import AT_ONCE, BUILD, Key, Run
from ecom_analytics.export_formats.copying import literal, quoted
from ecom_analytics.progress import Progress, Watcher
from ecom_analytics.protocols import ExportFormat, Storage, TableFile, TableFormat
from ecom_analytics.storages import storage_options
from ecom_analytics.warehouse import Build, Warehouse

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from ecom_analytics.config import Settings

ATTEMPTS = 30
"""How often an export is computed again because another writer was faster."""


@dataclass(frozen=True)
class Work:
    """What one call of the Exporter is to do. No ``marts`` are all."""

    settings: Settings
    watch: Watcher
    storage: Storage
    run: Run
    writers: list[ExportFormat]
    marts: list[str]


def until_one_counts(work: Work) -> tuple[Manifest, bool]:
    """The manifest that counts, and whether it is new.

    Raises
    ------
    BusyError
        Other writers were faster, again and again.
    """
    for number in range(ATTEMPTS):
        # Read before the build is: so no older build can come after a newer one.
        base = manifests.newest(work.storage)
        try:
            manifest = _Attempt(work, base).manifest()
        except FileExistsError:  # a table has a newer version than was read
            manifest = None
        except BaseException:
            _drop(work)
            raise
        if manifest is not None and base is not None and _same(manifest, base):
            work.run.drop(set(base.files))
            return base, False
        if manifest is not None and manifests.put(work.storage, manifest):
            work.run.drop(set(manifest.files))
            return manifest, True
        time.sleep(random.uniform(0, 0.05 * (number + 1)))  # noqa: S311
    _drop(work)
    raise BusyError(
        f"other writers to {work.storage.uri()} were faster {ATTEMPTS} times",
        hint="let one of them do it, or run it later",
    )


def _drop(work: Work) -> None:
    """Delete what no manifest names. What cannot be deleted now is collected later."""
    with contextlib.suppress(EcomError, OSError):
        work.run.drop(set())


def _same(one: Manifest, other: Manifest) -> bool:
    return (one.build_id, one.tables) == (other.build_id, other.tables)


class _Attempt:
    """One computation: from the served build and the newest manifest to the one after it."""

    def __init__(self, work: Work, base: Manifest | None) -> None:
        self._work = work
        self._base = base
        self._known = {(table.table, table.format): table for table in base.tables} if base else {}
        self._build, self._connection = _open(work)
        self._marts: list[str] = []
        self._is_same_build = base is not None and base.build_id == self._build.build_id

    def manifest(self) -> Manifest:
        """The next manifest. All files that it names are there, and all versions of tables."""
        base, build = self._base, self._build
        with self._connection:
            self._marts = _selected(build, self._work.marts)
            tables = dict(self._known) if self._is_same_build else {}
            tables |= self._written()
            for writer in self._work.writers:
                if isinstance(writer, TableFormat):
                    for mart in self._marts:
                        tables[mart, writer.name] = self._committed(writer, tables[mart, writer.name])
        return Manifest(
            number=base.number + 1 if base else 1,
            run_id=self._work.run.run_id,
            previous=base.run_id if base else None,
            build_id=build.build_id,
            built_at=build.built_at.isoformat(),
            exported_at=datetime.now(UTC).isoformat(timespec="microseconds"),
            as_of=build.info.get("as_of"),
            timezone=build.info.get("timezone"),
            model_version=build.info.get("model_version"),
            formats=tuple(sorted({kind for _, kind in tables})),
            tables=tuple(tables[key] for key in sorted(tables)),
        )

    def _written(self) -> dict[tuple[str, str], ExportedMart]:
        """The marts that the newest manifest does not have of this build; their new files are written."""
        work, settings = self._work, self._work.settings
        versions = {writer.name: f"{rule(settings)}; {getattr(writer, 'version', '')}" for writer in work.writers}
        asked = [(mart, writer) for writer in work.writers for mart in self._marts]
        fresh = [(mart, writer) for mart, writer in asked if not self._has(mart, writer.name, versions[writer.name])]
        cuts: dict[str, CutMart] = {}
        for mart, _ in fresh:
            if mart not in cuts:
                cuts[mart] = cut(self._connection, settings, mart, self._build.info["marts"][mart])
        parts = [
            (cuts[mart], part, writer, _key(mart, part, writer, versions))
            for mart, writer in fresh
            for part in cuts[mart].parts
        ]
        there = self._there()
        self._write([one for one in parts if one[3] not in there])
        there = work.run.written | there
        return {
            (mart, writer.name): ExportedMart(
                table=mart,
                format=writer.name,
                description=cuts[mart].description,
                columns=cuts[mart].columns,
                partitioned_by=cuts[mart].partitioned_by,
                written_as=versions[writer.name],
                version=None,
                files=tuple(there[_key(mart, part, writer, versions)] for part in cuts[mart].parts),
            )
            for mart, writer in fresh
        }

    def _has(self, mart: str, kind: str, version: str) -> bool:
        known = self._known.get((mart, kind))
        return self._is_same_build and known is not None and known.written_as == version

    def _there(self) -> dict[Key, ExportedFile]:
        """The files of the newest manifest. Those of an older one could be collected at any time."""
        return {
            (table.table, table.format, file.partition, file.content): file
            for table in self._known.values()
            for file in table.files
        }

    def _write(self, parts: list[tuple[CutMart, Part, ExportFormat, Key]]) -> None:
        work, done = self._work, 0
        together: dict[tuple[str, str, int], list[tuple[CutMart, Part, ExportFormat, Key]]] = {}
        for place, one in enumerate(one for one in parts if one[3] not in work.run.written):
            mart, _, writer, _ = one
            together.setdefault((mart.name, writer.name, place // AT_ONCE), []).append(one)
        # The largest first: the others fill the gaps at the end.
        jobs = sorted(together.values(), key=lambda some: -sum(one[1].rows for one in some))
        total = sum(map(len, jobs))
        with work.run.writing():
            for some in jobs:
                mart, _, writer, _ = some[0]
                work.watch(Progress("export", f"exporting {mart.name} as {writer.name}", done, total, "files"))
                work.run.write(self._connection, mart, [(part, key) for _, part, _, key in some], writer)
                done += len(some)
        if jobs:
            work.watch(Progress("export", "exported", total, total, "files"))

    def _committed(self, writer: TableFormat, table: ExportedMart) -> ExportedMart:
        """The mart with the version of its table that has just these files; made if it is not the newest one.

        Raises
        ------
        FileExistsError
            Another writer made a newer version meanwhile.
        """
        place = f"{writer.name}/{table.table}"
        address = self._work.storage.uri(place)
        options = self._options
        files = [TableFile(file.file.removeprefix(f"{place}/"), file.rows, file.bytes) for file in table.files]
        state = writer.state(address, options)
        if state is not None and state[1] == {file.path for file in files}:
            before = self._known.get((table.table, table.format))
            kept = before.version if before is not None and before.files == table.files else None
            return replace(table, version=state[0] if kept is None else kept)
        base = None if state is None else state[0]
        return replace(table, version=writer.commit(address, options, files, self._schema(table.table), base))

    @cached_property
    def _options(self) -> dict[str, str]:
        """How tables are reached, with credentials of when the first one is committed."""
        return storage_options(self._work.settings, self._work.storage.uri())

    def _schema(self, mart: str) -> pa.Schema:
        return self._connection.execute(f"SELECT * FROM {quoted(mart)} LIMIT 0").to_arrow_table().schema


def _key(mart: str, part: Part, writer: ExportFormat, versions: Mapping[str, str]) -> Key:
    content = hashlib.sha256(f"{part.content} {versions[writer.name]}".encode()).hexdigest()
    return mart, writer.name, part.partition, content


def _open(work: Work) -> tuple[Build, duckdb.DuckDBPyConnection]:
    """The served build, and a connection that can read it and write files."""
    import duckdb

    settings = work.settings
    for _ in range(5):
        build = Warehouse(settings).current()
        connection = duckdb.connect(
            config={
                "memory_limit": settings.memory_limit,
                "threads": settings.threads,
                "temp_directory": str(work.run.scratch),
            }
        )
        try:
            connection.execute("SET TimeZone = 'UTC'")
            connection.execute(f"ATTACH {literal(str(build.path))} AS {BUILD} (READ_ONLY)")
            connection.execute(f"USE {BUILD}")
        except duckdb.Error:
            connection.close()
            if build.path.exists():
                raise
            continue  # pruned since: another one is served now
        return build, connection
    raise ExportError(f"the build {build.build_id} vanished before it was read", hint="run it again")


def _selected(build: Build, select: list[str]) -> list[str]:
    marts = sorted(build.info["marts"])
    for name in select:
        if name not in marts:
            raise ConfigError(
                f"there is no public mart {name!r} in build {build.build_id}",
                hint=f"the marts are {', '.join(marts)}",
                value=name,
            )
    return [mart for mart in marts if not select or mart in select]
