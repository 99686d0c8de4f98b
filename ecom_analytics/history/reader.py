"""Reads the history."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecom_analytics.errors import EcomError
from ecom_analytics.history import tables
from ecom_analytics.history.tables import FAILED, SUCCESS
from ecom_analytics.reports import Report

if TYPE_CHECKING:
    from ecom_analytics.config import Settings


@dataclass(frozen=True, slots=True)
class Step:
    """A stage, model or seed of a run.

    Attributes
    ----------
    kind : str
        ``stage``, ``model`` or ``seed``.
    name, status : str
    started_at : datetime.datetime
        Of a model, when its stage started.
    seconds : float
    row_count, rows_read, rows_written : int or None
    counts : dict
        What the stage's report counts.
    message : str or None
        What went wrong.
    """

    kind: str
    name: str
    status: str
    started_at: datetime
    seconds: float
    row_count: int | None
    rows_read: int | None
    rows_written: int | None
    counts: dict[str, Any]
    message: str | None


@dataclass(frozen=True, slots=True)
class CheckRecord:
    """The result of a test in a run. ``status`` is ``pass``, ``warn``, ``fail`` or ``error``."""

    name: str
    model: str | None
    column_name: str | None
    status: str
    failures: int
    message: str | None


@dataclass(frozen=True, slots=True)
class Run(Report):
    """One run.

    Attributes
    ----------
    run_id, name : str
    status : str
        ``success`` or ``failed``.
    started_at : datetime.datetime
    seconds : float
    build_id : str or None
        The build that it made, or found to be up to date.
    staged_version : int or None
    as_of : datetime.datetime or None
        The largest event time staged.
    peak_memory_bytes : int
        The most memory that a process of it took.
    message : str or None
        Why it failed.
    package_version : str
    versions : dict
        Of Python and of what does the work.
    settings_hash : str
    steps : tuple of Step
        Empty in a list of runs.
    checks : tuple of CheckRecord
        Empty in a list of runs.
    """

    run_id: str
    name: str
    status: str
    started_at: datetime
    seconds: float
    build_id: str | None
    staged_version: int | None
    as_of: datetime | None
    peak_memory_bytes: int
    message: str | None
    package_version: str
    versions: dict[str, str]
    settings_hash: str
    steps: tuple[Step, ...] = field(default=())
    checks: tuple[CheckRecord, ...] = field(default=())


class History:
    """The runs of a lake.

    Parameters
    ----------
    settings : Settings, optional

    Examples
    --------
    >>> import tempfile
    >>> from ecom_analytics import Settings
    >>> History(Settings(home=tempfile.mkdtemp())).runs()
    []
    """

    def __init__(self, settings: Settings | None = None) -> None:
        from ecom_analytics.config import Settings

        self.settings = settings or Settings()

    def runs(self, limit: int | None = 20) -> list[Run]:
        """The last runs, the newest first; without their steps and checks."""
        rows = tables.read(self.settings, "runs", only="kind = 'run'").to_pylist()
        by_run: dict[str, list[dict[str, Any]]] = {}
        for row in rows:
            by_run.setdefault(row["run_id"], []).append(row)
        found = sorted(map(_run, by_run.values()), key=lambda run: (run.started_at, run.run_id), reverse=True)
        return found[:limit]

    def run(self, run_id: str) -> Run:
        """A run with its stages, models and test results.

        Parameters
        ----------
        run_id : str
            Its id, or the beginning of it; ``latest`` for the newest one.

        Raises
        ------
        EcomError
            There is none, or there are several that begin so.
        """
        known = [run.run_id for run in self.runs(limit=None)]
        found = known[:1] if run_id == "latest" else [one for one in known if one.startswith(run_id)]
        if len(found) != 1:
            raise EcomError(
                f"{len(found) or 'no'} runs are known as {run_id!r}",
                hint=f"the newest is {known[0]}; see all with: ecom-analytics runs" if known else "nothing ran yet",
            )
        rows = sorted(self._of("runs", found[0]), key=lambda row: (row["started_at"], row["place"]))
        run = [row for row in rows if row["kind"] == "run"]
        steps = tuple(_step(row) for row in rows if row["kind"] != "run")
        names = [column.name for column in fields(CheckRecord)]
        checks = (CheckRecord(**{name: row[name] for name in names}) for row in self._of("checks", found[0]))
        return _run(run, steps, tuple(sorted(checks, key=lambda check: (check.status == "pass", check.name))))

    def steps(self, limit: int = 20) -> list[Step]:
        """The stages of the last runs, the newest first."""
        rows = tables.read(self.settings, "runs", only="kind = 'stage'").to_pylist()
        rows.sort(key=lambda row: (row["started_at"], row["place"]), reverse=True)
        last = list(dict.fromkeys(row["run_id"] for row in rows))[:limit]
        return [_step(row) for row in rows if row["run_id"] in last]

    def write_parquet(self, folder: Path) -> dict[str, Path]:
        """Write the tables as Parquet files, each in the order of time, for whoever cannot reach the lake."""
        import pyarrow.parquet as pq

        written = {}
        for name in tables.TABLES:
            rows = tables.read(self.settings, name)
            path = folder / f"{name}.parquet"
            pq.write_table(rows.sort_by([("run_id", "ascending")]), path)
            written[name] = path
        return written

    def _of(self, name: str, run_id: str) -> list[dict[str, Any]]:
        import pyarrow.compute as pc

        rows = tables.read(self.settings, name)
        return list(rows.filter(pc.equal(rows["run_id"], run_id)).to_pylist())


def _run(rows: Sequence[Mapping[str, Any]], steps: tuple[Step, ...] = (), checks: tuple[CheckRecord, ...] = ()) -> Run:
    """One run, also if its stages were run one by one, each in a process of its own."""
    ordered = sorted(rows, key=lambda row: row["started_at"])
    last: dict[str, Any] = {}
    for row in ordered:
        last |= {key: value for key, value in row.items() if value is not None}
    names = {column.name for column in fields(Run)} - {"steps", "checks", "versions"}
    told: dict[str, Any] = {name: last.get(name) for name in names} | {
        "name": " ".join(dict.fromkeys(row["name"] for row in ordered)),
        "status": FAILED if any(row["status"] == FAILED for row in ordered) else SUCCESS,
        "started_at": ordered[0]["started_at"],
        "seconds": sum(row["seconds"] for row in ordered),
        "peak_memory_bytes": max(row["peak_memory_bytes"] for row in ordered),
    }
    return Run(**told, versions=json.loads(last["versions"]), steps=steps, checks=checks)


def _step(row: Mapping[str, Any]) -> Step:
    names = {column.name for column in fields(Step)} - {"counts"}
    return Step(**{name: row[name] for name in names}, counts=json.loads(row["counts"] or "{}"))
