"""What is staged now: the files that count, and the account of every record. Needs no query engine."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecom_analytics.config import Settings
from ecom_analytics.errors import LakeError
from ecom_analytics.lake import StagedFile
from ecom_analytics.staging.tables import STAGE, files_of, open_table, schema

if TYPE_CHECKING:
    import pyarrow as pa
    from deltalake import DeltaTable

RULE_VERSION = "1"
"""Goes up when staging the same bytes would give other rows."""


@dataclass(frozen=True, slots=True)
class Account:
    """Where every record of the lake went: ``records == staged + duplicates + rejected + blank``.

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
    rejected_by_rule: dict[str, int] = field(default_factory=dict)

    @property
    def adds_up(self) -> bool:
        return self.records == self.staged + self.duplicates + self.rejected + self.blank


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One state of the staged tables.

    Attributes
    ----------
    version : int
        Number of the last stage; 0 if nothing was ever staged.
    files : list of str
        Absolute paths of the files of staged events. ``event_date`` is in the path only (``event_date=2026-01-05``).
    batches : pyarrow.Table
        One row a staged batch.
    account : Account
    """

    version: int
    files: list[str]
    batches: pa.Table
    account: Account


@dataclass(frozen=True, slots=True)
class State:
    """The staged tables as the Stager needs them: open tables, and for each day the files that count."""

    root: Path
    events_table: DeltaTable | None
    version: int
    events: dict[str, list[StagedFile]]
    duplicates: dict[str, list[StagedFile]]
    superseded: list[StagedFile]
    """Files of ``duplicates`` that a later stage replaced but that are not yet removed."""
    batches: pa.Table
    rejected: pa.Table


def staged_root(settings: Settings) -> Path:
    """The folder of the staged tables."""
    if "://" in settings.lake:
        raise LakeError(
            f"staging works on a lake in a local folder, and the lake is {settings.lake}",
            hint="set lake to a folder; raw files can be ingested to S3, and marts exported to it",
        )
    return Path(settings.lake) / "staged"


def properties(settings: Settings) -> dict[str, str]:
    """The settings that staged rows depend on, as table properties."""
    return {
        "ecom.timezone": settings.timezone,
        "ecom.sessionTimeoutMinutes": f"{settings.session_timeout_minutes:g}",
        "ecom.ruleVersion": RULE_VERSION,
    }


def load(root: Path) -> State:
    """Read the state of the staged tables."""
    events = open_table(root / "events")
    counted = {None} if events is None else _Counted(events)
    by_day: dict[str, list[StagedFile]] = defaultdict(list)
    for file in files_of(events):
        by_day[str(file.day)].append(file)
    duplicates: dict[str, list[StagedFile]] = defaultdict(list)
    for file in files_of(open_table(root / "duplicates")):
        if file.stage_id in counted:
            duplicates[str(file.day)].append(file)
    superseded = []
    for day, files in duplicates.items():
        newest = max(file.stage_id for file in [*files, *by_day.get(day, [])])
        superseded += [file for file in files if file.stage_id != newest]
        duplicates[day] = [file for file in files if file.stage_id == newest]
    version = events.transaction_version(STAGE) if events is not None else None
    return State(
        root=root,
        events_table=events,
        version=version or 0,
        events=dict(by_day),
        duplicates={day: files for day, files in duplicates.items() if files},
        superseded=superseded,
        batches=_counted_rows(root, "batches", counted),
        rejected=_counted_rows(root, "rejected", counted, columns=["source", "batch_id", "rule"]),
    )


class _Counted:
    """The stages that the events table knows."""

    def __init__(self, events: DeltaTable) -> None:
        self._events = events
        self._known: dict[str, bool] = {}

    def __contains__(self, stage_id: object) -> bool:
        if stage_id not in self._known:
            self._known[str(stage_id)] = self._events.transaction_version(f"{STAGE}/{stage_id}") is not None
        return self._known[str(stage_id)]


def _counted_rows(root: Path, table: str, counted: _Counted | set[None], columns: list[str] | None = None) -> pa.Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    delta = open_table(root / table)
    paths = [root / table / file.path for file in files_of(delta) if file.stage_id in counted]
    kept = pa.schema([f for f in schema(table) if columns is None or f.name in columns])
    if not paths:
        return kept.empty_table()
    return pa.concat_tables([pq.read_table(path, columns=columns, partitioning=None) for path in paths]).cast(kept)


def account(state: State) -> Account:
    """Count every record of the lake, from the tables themselves."""
    import pyarrow.compute as pc

    def total(column: str) -> int:
        return int(pc.sum(state.batches[column]).as_py() or 0)

    by_rule = Counter(state.rejected["rule"].to_pylist())
    return Account(
        records=total("records"),
        staged=sum(file.rows for files in state.events.values() for file in files),
        duplicates=sum(file.rows for files in state.duplicates.values() for file in files),
        rejected=state.rejected.num_rows,
        blank=total("blank"),
        rejected_by_rule=dict(sorted(by_rule.items())),
    )


def snapshot(settings: Settings | None = None) -> Snapshot:
    """What is staged now.

    Raises
    ------
    LakeError
        If a staged table cannot be read.
    """
    state = load(staged_root(settings or Settings()))
    files = [str(state.root / "events" / f.path) for day in sorted(state.events) for f in state.events[day]]
    return Snapshot(state.version, files, state.batches, account(state))


def rejected(
    settings: Settings | None = None, *, limit: int = 100, rule: str | None = None
) -> tuple[int, list[dict[str, Any]]]:
    """Rejected records, with the name of the file that each was in.

    Parameters
    ----------
    settings : Settings, optional
    limit : int
        How many to give, at most; the first ones by source, file and line.
    rule : str, optional
        Only those that broke this rule.

    Returns
    -------
    (int, list of dict)
        How many there are in all, and the first of them: ``name``, ``source``, ``batch_id``, ``source_line``,
        ``rule``, ``message`` and ``raw_text``.
    """
    import pyarrow.compute as pc

    root = staged_root(settings or Settings())
    events = open_table(root / "events")
    rows = _counted_rows(root, "rejected", {None} if events is None else _Counted(events)).drop_columns(["stage_id"])
    if rule is not None:
        rows = rows.filter(pc.equal(rows["rule"], rule))
    names = {row["batch_id"]: row["name"] for row in snapshot(settings).batches.to_pylist()}
    order = [("source", "ascending"), ("batch_id", "ascending"), ("source_line", "ascending")]
    first = rows.sort_by(order).slice(0, limit).to_pylist()
    return rows.num_rows, [{"name": names[row["batch_id"]], **row} for row in first]
