"""The MartBuilder: builds the marts beside the served ones, tests them, and publishes them only if all tests pass."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from ecom_analytics import __version__
from ecom_analytics.config import Settings
from ecom_analytics.disk import full, is_full, told_when_full
from ecom_analytics.errors import BuildError, BusyError, EcomError, NotBuiltError, TestsFailedError
from ecom_analytics.marts import lake, project, publication
from ecom_analytics.progress import Progress, Watcher, ignore
from ecom_analytics.reports import BuildReport, CheckResult, plain
from ecom_analytics.warehouse import Build, Warehouse

if TYPE_CHECKING:
    from filelock import BaseFileLock

    from ecom_analytics.marts.child import DbtProcess

LOCK = ".lock"
_RAISED = re.compile(r"\s*[\w.]+(Error|Exception): ")
_LONGEST = 2_000


class MartBuilder:
    """Build the marts with dbt, test them, publish them.

    Parameters
    ----------
    settings : Settings, optional
    watch : callable, optional
        Receives each :class:`~ecom_analytics.progress.Progress`.

    Examples
    --------
    ::

        report = MartBuilder(Settings()).build()
        report.built, report.rows["transactions"], report.conflicts
    """

    def __init__(self, settings: Settings | None = None, *, watch: Watcher = ignore) -> None:
        self.settings = settings or Settings()
        self._folder = self.settings.warehouse
        self._watch = watch
        self._held = ExitStack()
        self._filelock: BaseFileLock | None = None
        self._build_id: str | None = None
        self._dbt: DbtProcess | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def lock(self) -> Iterator[None]:
        """Hold the warehouse: nobody else can build meanwhile. The holder can, and can lock again.

        A process that dies lets go of it.

        Raises
        ------
        BusyError
            Someone else holds it.
        """
        import filelock

        if self._filelock is None:
            with _disk(self._folder):
                self._folder.mkdir(parents=True, exist_ok=True)
            self._filelock = filelock.FileLock(self._folder / LOCK, timeout=0)
        try:
            self._filelock.acquire()
        except filelock.Timeout as error:
            raise BusyError(
                f"another run holds the warehouse {self._folder}",
                hint="wait until it has ended; a process that died holds nothing",
                warehouse=str(self._folder),
            ) from error
        try:
            yield
        finally:
            self._filelock.release()

    def warm_up(self) -> None:
        """Start loading dbt, beside whatever comes before :meth:`build`. Holds the warehouse until :meth:`close`."""
        if self._dbt is None:
            with ExitStack() as stack:
                stack.enter_context(self.lock())
                self._held.push(stack.pop_all())
            self._start()

    def close(self) -> None:
        """Let go of what :meth:`warm_up` started and was not used."""
        if self._dbt is not None:
            self._dbt.close()
            self._dbt = None
            shutil.rmtree(self._side, ignore_errors=True)
        self._held.close()

    def build(self, force: bool = False) -> BuildReport:
        """Build the marts of what is staged, and publish them if every test passes.

        Parameters
        ----------
        force : bool
            Build even if the served build is up to date.

        Raises
        ------
        TestsFailedError
            A test failed: nothing is published.
        BuildError
            A model failed, or dbt did.
        BusyError
            Another run holds the warehouse.
        """
        from ecom_analytics.staging import snapshot as read_snapshot

        started = time.perf_counter()
        with self.lock():
            try:
                snapshot = read_snapshot(self.settings)
                served = None if force else self._up_to_date(snapshot.version)
                if served is not None:
                    return _report(served, built=False, seconds=time.perf_counter() - started)
                with _disk(self._folder):
                    build = self._build(snapshot)
                self._tell(f"published build {build.build_id}")
                return _report(build, built=True, seconds=time.perf_counter() - started)
            finally:
                self.close()

    @property
    def _side(self) -> Path:
        return self._folder / f"{publication.BUILDING}{self._build_id}"

    def _start(self) -> None:
        """Make the build's folder and start dbt in it."""
        from ecom_analytics.marts.child import DbtProcess

        publication.clear_leftovers(self._folder)
        self._build_id = publication.new_build_id()
        with _disk(self._folder):
            self._side.mkdir()
            self._dbt = DbtProcess(self.settings, self._side)

    def _up_to_date(self, staged_version: int) -> Build | None:
        try:
            served = Warehouse(self.settings).current()
        except NotBuiltError:
            return None
        same = served.info.get("staged_version") == staged_version
        return served if same and served.info.get("fingerprint") == project.fingerprint(self.settings) else None

    def _build(self, snapshot: Any) -> Build:
        if self._dbt is None:
            self._start()
        assert self._dbt is not None
        manifest = project.Manifest.read(self._dbt.manifest())
        word = {
            "files": snapshot.files,
            "batches": lake.batch_names(snapshot.batches),
            "vars": project.variables(self.settings),
        }
        checks = self._run(self._dbt, word, manifest)
        database = self._side / project.DATABASE
        sealed = publication.seal(database, manifest.marts, project.duckdb_config(self.settings, self._side))
        build = publication.publish(database, self._folder, self._info(snapshot, manifest, checks, sealed))
        publication.prune(self._folder, build.path.name, self.settings.keep_builds)
        return build

    def _run(self, dbt: DbtProcess, word: dict[str, Any], manifest: project.Manifest) -> list[CheckResult]:
        """Let dbt build and test; the result of every test."""
        checks, broken = [], []
        total = len(manifest.models) + len(manifest.tests)
        done = 0
        for node in dbt.build(word):
            if node["kind"] == "test":
                checks.append(_check(node, manifest.tests.get(node["id"], {})))
            elif node["kind"] == "model" and node["status"] == "error":
                broken.append(node)
            done += node["kind"] in {"model", "test"}
            self._tell(f"{node['kind']} {node['name']}: {node['status']}", done, total)
        if broken:
            raise _broken(broken)
        failed = [check for check in checks if check.status in {"fail", "error"}]
        if failed:
            raise _failed(failed)
        if done < total:
            raise BuildError(f"dbt ran {done} of {total} models and tests", hint="run it again")
        return checks

    def _info(
        self,
        snapshot: Any,
        manifest: project.Manifest,
        checks: list[CheckResult],
        sealed: dict[str, Any],
    ) -> dict[str, Any]:
        """What the published file's description says."""
        marts = {name: {"rows": sealed["rows"][name], **mart} for name, mart in sorted(manifest.marts.items())}
        return {
            "build_id": self._build_id,
            "built_at": datetime.now(UTC).isoformat(timespec="seconds"),
            "as_of": plain(sealed["as_of"]),
            "staged_version": snapshot.version,
            "fingerprint": project.fingerprint(self.settings),
            "timezone": self.settings.timezone,
            "marts": marts,
            "tests": {status: sum(check.status == status for check in checks) for status in ("pass", "warn")},
            "checks": plain(checks),
            "input": plain(snapshot.account),
            "capabilities": sealed["capabilities"],
            "metrics": manifest.metrics,
            "model_version": __version__,
        }

    def _tell(self, message: str, done: int | None = None, total: int | None = None) -> None:
        self._watch(Progress("build", message, done, total, "models"))


def _check(node: dict[str, Any], test: dict[str, Any]) -> CheckResult:
    return CheckResult(
        name=test.get("name", node["name"]),
        model=test.get("model", ""),
        column=test.get("column"),
        status=node["status"],
        failures=int(node["failures"] or 0),
        message=node["message"] or "",
    )


def _report(build: Build, *, built: bool, seconds: float) -> BuildReport:
    info = build.info
    checks = [CheckResult(**check) for check in info["checks"]]
    rows = {name: mart["rows"] for name, mart in info["marts"].items()}
    return BuildReport(
        build_id=build.build_id,
        built=built,
        path=build.path,
        rows=rows,
        tests=len(checks),
        warnings=tuple(check for check in checks if check.status == "warn"),
        conflicts=rows["conflicts"],
        as_of=datetime.fromisoformat(info["as_of"]) if info["as_of"] else None,
        seconds=seconds,
    )


def _broken(nodes: list[dict[str, Any]]) -> EcomError:
    first = nodes[0]
    message = _essence(str(first["message"]))
    if is_full(message):
        return full(f"model {first['name']}")
    others = f" (and {len(nodes) - 1} more)" if len(nodes) > 1 else ""
    out_of_memory = "Out of Memory" in message
    return BuildError(
        f"model {first['name']} failed{others}: {message}",
        hint="raise the setting memory_limit"
        if out_of_memory
        else "nothing was published; the served build is untouched",
        models=[node["name"] for node in nodes],
    )


def _essence(message: str) -> str:
    """What dbt says, without its heading and without the traceback of a Python model."""
    raised = [line for line in message.splitlines() if _RAISED.match(line)]
    if "Traceback" in message and raised:
        message = message[message.rindex(raised[-1]) :].strip().partition(": ")[2]
    elif message.startswith(("Runtime Error in", "Compilation Error in", "Database Error in")):
        message = message.partition("\n")[2] or message
    return " ".join(message.split())[:_LONGEST]


def _failed(checks: list[CheckResult]) -> TestsFailedError:
    named = ", ".join(
        f"{check.name} ({check.failures} failures)" if check.status == "fail" else f"{check.name} ({check.message})"
        for check in checks
    )
    return TestsFailedError(
        f"{len(checks)} of the tests failed: {named}",
        hint="nothing was published; look at the events behind the failures, or correct the test",
        checks=plain(checks),
    )


@contextmanager
def _disk(folder: Path) -> Iterator[None]:
    """Say plainly what the disk refused."""
    with told_when_full(f"the warehouse {folder}"):
        try:
            yield
        except OSError as error:
            if is_full(error):
                raise
            raise BuildError(
                f"the warehouse {folder} cannot be written: {error.strerror or error}",
                hint="check that the folder is yours to write, or set warehouse to another one",
            ) from error
