"""Records one run: its stages as they go, and at the end all of it in the history."""

from __future__ import annotations

import hashlib
import json
import resource
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import ecom_analytics
from ecom_analytics.errors import EcomError
from ecom_analytics.history import tables
from ecom_analytics.history.tables import FAILED, SUCCESS
from ecom_analytics.ids import new_id
from ecom_analytics.logs import log
from ecom_analytics.reports import Anomaly, BuildReport, ExportReport, IngestReport, Report, StageReport, plain
from ecom_analytics.spans import span

if TYPE_CHECKING:
    from ecom_analytics.config import Settings

KILLED = "it did not come to its end: it was killed, or the machine stopped"
"""What the history says of a run that left nothing but its marker."""

_PACKAGES = ("duckdb", "dbt-core", "dbt-duckdb", "deltalake", "ibis-framework", "pandera", "pyarrow")
_COUNTS = {
    IngestReport: ("files", "new", "already_present", "bytes"),
    StageReport: (
        *("batches", "new_batches", "replayed_batches", "records", "staged", "duplicates", "rejected", "blank"),
        *("erased", "new_records", "days", "visitors_touched", "rejected_by_rule", "warned_by_rule"),
    ),
    BuildReport: ("built", "tests", "conflicts", "started_from"),
    ExportReport: ("exported", "files_written", "bytes", "destination"),
}
"""What is kept of each report."""


class RecordedStage:
    """One stage of a run.

    Attributes
    ----------
    name : str
    status : str
        ``success`` or ``failed``.
    report : Report or None
        What the stage returned; the one who runs it sets it.
    build_id : str or None
        The build that it served, of a stage without such a report.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.status = SUCCESS
        self.report: Report | None = None
        self.build_id: str | None = None
        self.error: BaseException | None = None
        self.started_at = datetime.now(UTC)
        self.seconds = 0.0


class Recording:
    """Collects what a run does, and writes it into the history when the block ends.

    A history that cannot be written is warned of in the log: the run is what matters.

    Parameters
    ----------
    settings : Settings
    name : str
        What runs: ``run``, ``build`` and so on.
    run_id : str, optional
        Default: a new one, which sorts by time.
    marker : pathlib.Path, optional
        A file that is there while the run is under way. If it is there before, that run was killed, and is recorded.
        Only for runs of which there is one at a time.

    Examples
    --------
    ::

        with Recording(settings, "nightly") as recording:
            with recording.stage("stage") as stage:
                stage.report = Stager(settings).stage()
    """

    def __init__(self, settings: Settings, name: str, *, run_id: str | None = None, marker: Path | None = None) -> None:
        self.settings = settings
        self.name = name
        self.run_id = run_id or new_id()
        self.stages: list[RecordedStage] = []
        self.anomalies: tuple[Anomaly, ...] = ()
        self._started_at = datetime.now(UTC)
        self._began = time.perf_counter()
        self._spans = ExitStack()
        self._marker = marker

    def __enter__(self) -> Recording:
        log.info("run started", run_id=self.run_id, run=self.name)
        if self._marker is not None:
            self._record_a_killed_one(self._marker)
            told = {"run_id": self.run_id, "name": self.name, "started_at": self._started_at.isoformat()}
            self._marker.write_text(json.dumps(told), encoding="utf-8")
        self._spans.enter_context(span(f"ecom_analytics.{self.name}", run_id=self.run_id))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._spans.__exit__(kind, error, trace)
        seconds = time.perf_counter() - self._began
        if error is None:
            log.info("run ended", run_id=self.run_id, run=self.name, seconds=round(seconds, 3))
        else:
            log.error("run failed", run_id=self.run_id, run=self.name, seconds=round(seconds, 3), **described(error))
        self.write(FAILED if error is not None else SUCCESS, seconds, error)
        if self._marker is not None:
            self._marker.unlink(missing_ok=True)

    @contextmanager
    def stage(self, name: str) -> Iterator[RecordedStage]:
        """Record what the block does as a stage."""
        stage = RecordedStage(name)
        self.stages.append(stage)
        began = time.perf_counter()
        try:
            with span(f"ecom_analytics.{self.name}.{name}", run_id=self.run_id):
                yield stage
        except BaseException as error:
            stage.status, stage.error = FAILED, error
            raise
        finally:
            stage.seconds = time.perf_counter() - began
            log.info(
                "stage ended",
                run_id=self.run_id,
                stage=name,
                status=stage.status,
                seconds=round(stage.seconds, 3),
                **counts(stage.report),
            )

    def write(self, status: str, seconds: float, error: BaseException | None = None) -> None:
        """Write the history: the checks first, so that a run that is there is whole."""
        try:
            tables.append(self.settings, "checks", self._checks())
            tables.append(self.settings, "runs", self._rows(status, seconds, error))
        except EcomError as problem:
            log.warning("the run is not in the history", run_id=self.run_id, error=problem.message)

    def _record_a_killed_one(self, marker: Path) -> None:
        """Write what is known of the run that left the marker."""
        try:
            found = json.loads(marker.read_text(encoding="utf-8"))
            started_at = datetime.fromisoformat(found["started_at"])
            killed = {"run_id": found["run_id"], "name": found["name"], "started_at": started_at}
        except FileNotFoundError:
            return
        except (ValueError, KeyError, TypeError):  # it was killed while it wrote that
            return
        log.warning("a run was killed", run_id=killed["run_id"])
        row = {**killed, "kind": "run", "status": FAILED, "message": KILLED, "seconds": 0.0, "peak_memory_bytes": 0}
        known = {"package_version": ecom_analytics.__version__, "versions": "{}", "settings_hash": ""}
        with suppress(EcomError):
            tables.append(self.settings, "runs", [{**row, **known}])

    def _rows(self, status: str, seconds: float, error: BaseException | None) -> list[dict[str, Any]]:
        rows: list[dict[str, Any]] = []
        for stage in self.stages:
            told = counts(stage.report)
            rows.append(
                {
                    "kind": "stage",
                    "name": stage.name,
                    "status": stage.status,
                    "started_at": stage.started_at,
                    "seconds": stage.seconds,
                    "counts": json.dumps(told),
                    "message": message(stage.error),
                    "build_id": stage.build_id,
                    **_figures(stage.report),
                }
            )
            rows += [_model(stage, node) for node in _nodes(stage) if node["kind"] != "test"]
        run: dict[str, Any] = {"kind": "run", "name": self.name, "status": status, "started_at": self._started_at}
        for row in rows:
            run |= {key: row[key] for key in ("build_id", "staged_version", "as_of") if row.get(key) is not None}
        run |= {"seconds": seconds, "message": message(error), "peak_memory_bytes": peak_memory()}
        known = {
            "run_id": self.run_id,
            "package_version": ecom_analytics.__version__,
            "settings_hash": settings_hash(self.settings),
        }
        return [{**row, **known} for row in rows] + [{**run, **known, "versions": json.dumps(versions())}]

    def _checks(self) -> list[dict[str, Any]]:
        now = datetime.now(UTC)
        found: list[dict[str, Any]] = []
        for stage in self.stages:
            build = getattr(stage.report, "build_id", None)
            found += [
                {
                    "build_id": build,
                    "name": node["name"],
                    "model": node.get("model") or None,
                    "column_name": node.get("column"),
                    "status": node["status"],
                    "failures": node["failures"],
                    "message": node["message"],
                }
                for node in _tests(stage)
            ]
        found += [
            {"name": anomaly.name, "model": anomaly.model, "status": "warn", "failures": 1, "message": anomaly.message}
            for anomaly in self.anomalies
        ]
        return [{"run_id": self.run_id, "checked_at": now, **check} for check in found]


def counts(report: Report | None) -> dict[str, Any]:
    """The counts of a report, in types that JSON knows; of a kind that is not known here all that it tells."""
    if report is not None and not isinstance(report, tuple(_COUNTS)):
        return {name: value for name, value in report.to_dict().items() if name != "seconds"}
    names = next((names for kind, names in _COUNTS.items() if isinstance(report, kind)), ())
    return {name: plain(getattr(report, name)) for name in names}


def described(error: BaseException) -> dict[str, Any]:
    """What a log says of an error."""
    return {"error": type(error).__name__, "message": getattr(error, "message", str(error))}


def message(error: BaseException | None) -> str | None:
    """What the history says of an error."""
    return None if error is None else f"{type(error).__name__}: {getattr(error, 'message', error)}"


def settings_hash(settings: Settings) -> str:
    """A hash of all settings: runs with the same one were told the same."""
    return hashlib.sha256(json.dumps(settings.environment(), sort_keys=True).encode()).hexdigest()[:16]


@cache
def versions() -> dict[str, str]:
    """The versions of Python and of what does the work."""
    found = {"python": ".".join(map(str, sys.version_info[:3]))}
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


def peak_memory() -> int:
    """Bytes of memory that this process, or one of those that it started and that ended, took at most so far."""
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def _figures(report: Report | None) -> dict[str, Any]:
    if isinstance(report, StageReport):
        return {"staged_version": report.version, "rows_read": report.rows_read, "rows_written": report.rows_written}
    if isinstance(report, BuildReport):
        return {"build_id": report.build_id, "as_of": report.as_of, "row_count": sum(report.rows.values())}
    if isinstance(report, ExportReport):
        return {"build_id": report.build_id}
    return {}


def _nodes(stage: RecordedStage) -> Sequence[Mapping[str, Any]]:
    """Models and tests of a build that was made or failed; none if the served one was up to date."""
    if isinstance(stage.report, BuildReport):
        return list(plain(stage.report.nodes)) if stage.report.built else []
    return _facts(stage, "nodes")


def _tests(stage: RecordedStage) -> Sequence[Mapping[str, Any]]:
    if isinstance(stage.report, BuildReport):
        return list(plain(stage.report.checks)) if stage.report.built else []
    return _facts(stage, "tests")


def _facts(stage: RecordedStage, name: str) -> Sequence[Mapping[str, Any]]:
    """What a failed stage's error tells of the nodes or tests that ran."""
    return list(getattr(stage.error, "facts", {}).get(name, ()))


def _model(stage: RecordedStage, node: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "kind": node["kind"],
        "name": node["name"],
        "status": node["status"],
        "started_at": stage.started_at,
        "seconds": node["seconds"],
        "row_count": node["rows"],
        "rows_read": node["rows_read"],
        "rows_written": node["rows_written"],
        "message": node["message"] or None,
        "build_id": getattr(stage.report, "build_id", None),
    }
