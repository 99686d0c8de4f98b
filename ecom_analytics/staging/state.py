"""What is staged now: the files that count, and the account of every record. Needs no query engine."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ecom_analytics.catalogue import CATALOGUE
from ecom_analytics.config import Settings
from ecom_analytics.errors import RestageError
from ecom_analytics.lake import STAGED, StagedFile
from ecom_analytics.staging.places import Place, open_place
from ecom_analytics.staging.tables import STAGE, files_of, open_table, schema

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import DeltaTable

RULE_VERSION = "3"
"""Goes up when staging the same bytes would give other rows."""


@dataclass(frozen=True, slots=True)
class Account:
    """Where every record of the lake went: ``records == staged + duplicates + rejected + blank + erased``.

    Examples
    --------
    >>> Account(records=3, staged=2, rejected=1).adds_up
    True
    """

    records: int = 0
    staged: int = 0
    duplicates: int = 0
    rejected: int = 0
    blank: int = 0
    erased: int = 0
    rejected_by_rule: dict[str, int] = field(default_factory=dict)
    warned_by_rule: dict[str, int] = field(default_factory=dict)

    @property
    def answered(self) -> int:
        """The records whose whereabouts are known."""
        return self.staged + self.duplicates + self.rejected + self.blank + self.erased

    @property
    def adds_up(self) -> bool:
        return self.records == self.answered


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One state of the staged tables.

    Attributes
    ----------
    version : int
        Number of the last stage; 0 if nothing was ever staged.
    files : list of str
        Absolute paths of the files of staged events, or their addresses on S3, from where :func:`local_files` fetches
        them. ``event_date`` is in the path only (``event_date=2026-01-05``).
    batches : pyarrow.Table
        One row a staged batch.
    account : Account
    catalogue : dict
        The files of ``products`` and of ``categories``, in the same way.
    """

    version: int
    files: list[str]
    batches: pa.Table
    account: Account
    catalogue: dict[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class State:
    """The staged tables as the Stager needs them: the tables, and for each day the files that count."""

    place: Place
    tables: dict[str, DeltaTable | None]
    version: int
    events: dict[str, list[StagedFile]]
    duplicates: dict[str, list[StagedFile]]
    superseded: dict[str, list[StagedFile]]
    """By table, files that a later stage replaced but that are not yet removed."""
    batches: pa.Table
    batch_files: int
    rejected: list[StagedFile]
    catalogue: dict[str, list[StagedFile]]
    """The files of ``products`` and of ``categories`` that count."""


def properties(settings: Settings) -> dict[str, str]:
    """The settings that staged rows depend on, as table properties."""
    return {
        "ecom.timezone": settings.timezone,
        "ecom.sessionTimeoutMinutes": f"{settings.session_timeout_minutes:g}",
        "ecom.ruleVersion": RULE_VERSION,
    }


def load(place: Place) -> State:
    """Read the state of the staged tables. Within ``place.hold()``."""
    tables = open_tables(place)
    events = tables["events"]
    _refuse_other_version(place, events)
    by_day: dict[str, list[StagedFile]] = defaultdict(list)
    for file in files_of(events):
        by_day[str(file.day)].append(file)
    counted = Counted(events, (file.stage_id for files in by_day.values() for file in files))
    duplicates: dict[str, list[StagedFile]] = defaultdict(list)
    for file in files_of(tables["duplicates"]):
        if file.stage_id in counted:
            duplicates[str(file.day)].append(file)
    superseded: dict[str, list[StagedFile]] = {"duplicates": []}
    for day, files in duplicates.items():
        newest = max(file.stage_id for file in [*files, *by_day.get(day, [])])
        superseded["duplicates"] += [file for file in files if file.stage_id != newest]
        duplicates[day] = [file for file in files if file.stage_id == newest]
    kept: dict[str, list[StagedFile]] = {}
    for name in ("batches", "rejected", *CATALOGUE):
        files = [file for file in files_of(tables[name]) if file.stage_id in counted]
        if name == "batches":
            first = max((file.stage_id for file in files if file.path.endswith(ALL)), default="")
            kept[name] = [file for file in files if file.stage_id >= first]
            batches = rows_of(place, name, kept[name])
            stages = set(batches["stage_id"].to_pylist())
        else:
            kept[name] = [file for file in files if file.stage_id in stages]
        superseded[name] = [file for file in files if file not in kept[name]]
    return State(
        place=place,
        tables=tables,
        version=version_of(events),
        events=dict(by_day),
        duplicates={day: files for day, files in duplicates.items() if files},
        superseded=superseded,
        batches=batches,
        batch_files=len(kept["batches"]),
        rejected=kept["rejected"],
        catalogue={name: kept[name] for name in CATALOGUE},
    )


def _refuse_other_version(place: Place, events: DeltaTable | None) -> None:
    if events is None:
        return
    version = events.metadata().configuration.get("ecom.ruleVersion", RULE_VERSION)
    if version != RULE_VERSION:
        raise RestageError(
            f"the staged tables were made by another version of this package (their rules are {version}, not "
            f"{RULE_VERSION})",
            hint=f"delete {place.address} and stage again: the raw files are all kept",
            was=version,
            now=RULE_VERSION,
        )


def open_tables(place: Place) -> dict[str, DeltaTable | None]:
    """The staged tables, each as it is now."""
    if place.in_place:
        return {name: open_table(place, name) for name in STAGED}
    place.options()  # found once, for all threads
    with ThreadPoolExecutor(len(STAGED), "open-staged") as pool:
        return dict(zip(STAGED, pool.map(lambda name: open_table(place, name), STAGED), strict=True))


def version_of(events: DeltaTable | None) -> int:
    """The number of the last stage."""
    return (events.transaction_version(STAGE) or 0) if events is not None else 0


ALL = "_all.parquet"
"""How the name of a file of ``batches`` ends that holds all rows of that table, so that earlier files do not count."""


class Counted:
    """The stages that the events table knows.

    Parameters
    ----------
    events : deltalake.DeltaTable or None
    certain : iterable of str
        Stages that it knows, such as those that wrote its files: each of the others costs a look at the whole log.
    """

    def __init__(self, events: DeltaTable | None, certain: Iterable[str] = ()) -> None:
        self._events = events
        self._known = dict.fromkeys(certain, True)

    def __contains__(self, stage_id: object) -> bool:
        if self._events is None:
            return False
        if stage_id not in self._known:
            self._known[str(stage_id)] = self._events.transaction_version(f"{STAGE}/{stage_id}") is not None
        return self._known[str(stage_id)]


def rows_of(place: Place, name: str, files: list[StagedFile], columns: list[str] | None = None) -> pa.Table:
    """All rows of files of a staged table."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    kept = pa.schema([f for f in schema(name) if columns is None or f.name in columns])
    paths = place.paths([f"{name}/{file.path}" for file in files])
    if not paths:
        return kept.empty_table()
    return pa.concat_tables([pq.read_table(path, columns=columns, partitioning=None) for path in paths]).cast(kept)


def account(state: State) -> Account:
    """Count every record of the lake, from the tables themselves."""
    return Account(
        records=total_of(state.batches, "records"),
        staged=sum(f.rows for files in (*state.events.values(), *state.catalogue.values()) for f in files),
        duplicates=sum(file.rows for files in state.duplicates.values() for file in files),
        rejected=sum(file.rows for file in state.rejected),
        blank=total_of(state.batches, "blank"),
        erased=total_of(state.batches, "erased"),
        rejected_by_rule=by_rule(state.batches),
        warned_by_rule=by_rule(state.batches, "warned_by_rule"),
    )


def total_of(batches: pa.Table, column: str) -> int:
    """Sum of a column of counts."""
    import pyarrow.compute as pc

    return int(pc.sum(batches[column]).as_py() or 0)


def by_rule(batches: pa.Table, column: str = "rejected_by_rule") -> dict[str, int]:
    """How many records of these batches broke each rule, as this column says."""
    import pyarrow.compute as pc

    total: Counter[str] = Counter()
    for row in pc.value_counts(batches[column]).to_pylist():
        counts: Mapping[str, int] = json.loads(row["values"])
        for rule, count in counts.items():
            total[rule] += count * row["counts"]
    return dict(sorted(total.items()))


def snapshot(settings: Settings | None = None) -> Snapshot:
    """What is staged now.

    Raises
    ------
    LakeError
        If a staged table cannot be read.
    """
    place = open_place(settings or Settings())
    with place.hold():
        state = load(place)
    files = [f"{place.table('events')}/{f.path}" for day in sorted(state.events) for f in state.events[day]]
    catalogue = {
        name: [f"{place.table(name)}/{f.path}" for f in sorted(found, key=lambda file: file.path)]
        for name, found in state.catalogue.items()
    }
    return Snapshot(state.version, files, state.batches, account(state), catalogue)


@contextmanager
def local_files(settings: Settings, staged: Snapshot, table: str = "events") -> Iterator[list[str]]:
    """Local paths of a snapshot's files of a table, in its order, valid while the block runs.

    Raises
    ------
    LakeError
        A file cannot be fetched.
    """
    place = open_place(settings)
    files = staged.files if table == "events" else staged.catalogue.get(table, [])
    if place.in_place:
        yield files
        return
    folder = place.table(table)
    with place.hold():
        yield place.paths([f"{table}{file.removeprefix(folder)}" for file in files])
