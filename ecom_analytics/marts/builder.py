"""The MartBuilder: builds the marts beside the served ones, tests them, and publishes them only if all tests pass."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from ecom_analytics.config import Settings
from ecom_analytics.disk import is_full, told_when_full
from ecom_analytics.errors import BuildError, BusyError, LakeError, NotBuiltError
from ecom_analytics.history import History
from ecom_analytics.ids import new_id
from ecom_analytics.logs import log
from ecom_analytics.marts import description, evidence, failures, lake, project, publication, results, start, trial
from ecom_analytics.progress import Progress, Watcher, ignore
from ecom_analytics.reports import BuildReport, CheckResult
from ecom_analytics.warehouse import Build, Warehouse

if TYPE_CHECKING:
    from filelock import BaseFileLock

    from ecom_analytics.marts.child import DbtProcess

LOCK = ".lock"


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
            try:
                self._start()
            except BaseException:
                self.close()
                raise

    def close(self) -> None:
        """Let go of what :meth:`warm_up` started and was not used."""
        if self._dbt is not None:
            self._dbt.close()
            self._dbt = None
            shutil.rmtree(self._side, ignore_errors=True)
        self._held.close()

    def build(
        self,
        force: bool = False,
        full_refresh: bool = False,
        *,
        select: str | Sequence[str] | None = None,
        exclude: str | Sequence[str] | None = None,
    ) -> BuildReport:
        """Build the marts of what is staged, and publish them if every test passes.

        Where it is cheaper, the build starts from a copy of the served one and replaces what the events that came and
        went since have touched. The marts are the same as those that are made anew.

        Parameters
        ----------
        force : bool
            Build even if the served build is up to date.
        full_refresh : bool
            Build even then, and make every table anew.
        select, exclude : str or sequence of str, optional
            Only try these models and tests, and nothing is published: selectors as dbt knows them, such as ``+users``.
            They are made anew, with all that they need, and their tables lie in ``trial.duckdb`` of the warehouse
            until the next build is published.

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
        only = {"select": trial.words(select), "exclude": trial.words(exclude)}
        with self.lock():
            try:
                snapshot = read_snapshot(self.settings)
                if any(only.values()):
                    with _disk(self._folder), self._local_files(snapshot) as files:
                        return self._try(snapshot, files, only, started)
                served = self._served()
                if served is not None and not (force or full_refresh) and self._is_of(served, snapshot.version):
                    return results.report(served, built=False, seconds=time.perf_counter() - started)
                if served is not None and not (force or full_refresh) and self._is_refused(served, snapshot.version):
                    self._tell(f"build {served.build_id} stays served: what is staged was rolled back")
                    seconds = time.perf_counter() - started
                    return replace(results.report(served, built=False, seconds=seconds), rolled_back=True)
                with ExitStack() as held, _disk(self._folder):
                    begin = None if full_refresh else start.starting_point(self.settings, served, snapshot, held)
                    files = held.enter_context(self._local_files(snapshot))
                    build = self._build(snapshot, files, begin)
                self._tell(f"published build {build.build_id}")
                return results.report(build, built=True, seconds=time.perf_counter() - started)
            finally:
                self.close()

    def rollback(self, build_id: str | None = None) -> Build:
        """Serve a build again that was published before.

        What the newer builds were made of is not built again by itself: :meth:`build` leaves the older one served
        until something else is staged, a model or a setting that models depend on changes, or it is forced.

        Parameters
        ----------
        build_id : str, optional
            One of the builds that are kept, or the beginning of its id. Default: the newest one that is older than
            the served one.

        Raises
        ------
        NotBuiltError
            There is no such build.
        BuildError
            Its file is damaged; the served build stays.
        BusyError
            Another run holds the warehouse.
        """
        with self.lock(), _disk(self._folder):
            warehouse = Warehouse(self.settings)
            served, kept = warehouse.current(), warehouse.builds()
            if build_id is None:
                found = [build for build in kept if build.build_id < served.build_id][:1]
            else:
                found = [build for build in kept if build.build_id.startswith(build_id)]
            if len(found) != 1:
                asked = "older than the served one" if build_id is None else f"known as {build_id!r}"
                raise NotBuiltError(
                    f"{len(found) or 'no'} kept builds are {asked}",
                    hint=f"served is {served.build_id}; kept are {', '.join(build.build_id for build in kept)}",
                )
            [build] = found
            publication.serve(build, self._folder, [one for one in kept if one.build_id > build.build_id])
            self._tell(f"build {build.build_id} is served")
            return build

    def docs(self, folder: str | Path) -> Path:
        """Write dbt's pages about every model, column and test of the served build into a folder.

        ``index.html`` there is the only file that is needed to read them, without a server and without a network.

        Returns
        -------
        pathlib.Path
            It.

        Raises
        ------
        NotBuiltError
            There is no build yet.
        """
        from ecom_analytics.marts import documentation

        return documentation.write(self.settings, Path(folder).expanduser().absolute())

    @contextmanager
    def _local_files(self, snapshot: Any) -> Iterator[dict[str, list[str]]]:
        """The staged files by table, where they can be read."""
        from ecom_analytics.staging import local_files

        with ExitStack() as held:
            names = ("events", *snapshot.catalogue)
            yield {name: held.enter_context(local_files(self.settings, snapshot, name)) for name in names}

    def _try(
        self, snapshot: Any, files: dict[str, list[str]], only: dict[str, list[str]], started: float
    ) -> BuildReport:
        """Build what is selected from nothing, and leave it to be looked at."""
        dbt, manifest, word = self._prepared(snapshot, files)
        told, checks = self._run(dbt, word | only, manifest)
        rows = trial.finish(self._side, self._folder, dbt.asked or (), project.duckdb_config(self.settings, self._side))
        self._tell(f"tried {len(told)} models and tests")
        path = self._folder / trial.FILE
        return trial.report(str(self._build_id), path, rows, told, checks, time.perf_counter() - started)

    def _prepared(
        self, snapshot: Any, files: dict[str, list[str]]
    ) -> tuple[DbtProcess, project.Manifest, dict[str, Any]]:
        """The process that runs dbt, what it has parsed, and what it must be told."""
        if self._dbt is None:
            self._start()
        assert self._dbt is not None
        manifest = project.Manifest.read(self._dbt.manifest())
        word = {
            "files": files.pop("events"),
            "catalogue": files,
            "batches": lake.batch_names(snapshot.batches),
            "vars": project.variables(self.settings),
            "history": self._history(),
        }
        return self._dbt, manifest, word

    def _history(self) -> dict[str, str]:
        """The tables of the history as files. Marts without it are better than none."""
        try:
            return {name: str(path) for name, path in History(self.settings).write_parquet(self._side).items()}
        except LakeError as error:
            log.warning("the marts runs and checks are empty", error=error.message)
            return {}

    @property
    def _side(self) -> Path:
        return self._folder / f"{publication.BUILDING}{self._build_id}"

    def _start(self) -> None:
        """Make the build's folder and start dbt in it."""
        from ecom_analytics.marts.child import DbtProcess

        publication.clear_leftovers(self._folder)
        self._build_id = new_id()
        with _disk(self._folder):
            self._side.mkdir()
            self._dbt = DbtProcess(self.settings, self._side)

    def _served(self) -> Build | None:
        try:
            return Warehouse(self.settings).current()
        except NotBuiltError:
            return None

    def _is_of(self, build: Build, staged_version: int) -> bool:
        same = build.info.get("staged_version") == staged_version
        return same and build.info.get("fingerprint") == project.fingerprint(self.settings)

    def _is_refused(self, served: Build, staged_version: int) -> bool:
        return publication.is_refused(self._folder, served, staged_version, project.fingerprint(self.settings))

    def _build(self, snapshot: Any, files: dict[str, list[str]], begin: start.Start | None) -> Build:
        from ecom_analytics.staging import rejected_by_rule

        dbt, manifest, word = self._prepared(snapshot, files)
        database, state = self._side / project.DATABASE, self._side / f"{project.STATE}.duckdb"
        if begin is not None:
            start.copy(begin, database, state)
            previous = {"previous": begin.build.path, "previous_state": begin.state}
            dbt.start_from(project.profile(self.settings, self._side, previous))
            word |= {"removed": begin.removed, "added": begin.added}
            word["vars"] |= {"previous": True, "same_catalogue": begin.same_catalogue}
        told, checks = self._run(dbt, word, manifest)
        sealed = publication.seal(
            database,
            state,
            manifest.marts,
            manifest.kept,
            start.staged_files(self.settings, snapshot),
            project.duckdb_config(self.settings, self._side),
        )
        info = description.of_input(self.settings, snapshot) | description.of_output(database, manifest, sealed)
        info |= description.of_rejected(rejected_by_rule(self.settings) if snapshot.account.rejected else ())
        info |= description.of_run(str(self._build_id), told, checks, sealed["rows"])
        info |= start.remembered(begin, database, sealed["rows"])
        answers = self._answered(database, info)
        build = publication.publish(database, state, self._folder, info, answers)
        publication.prune(self._folder, build.path.name, self.settings.keep_builds)
        failures.forget(self._folder)
        trial.forget(self._folder)
        return build

    def _answered(self, database: Path, info: dict[str, Any]) -> Path:
        """The file with what the dashboard shows by default, if the build is so large that its readers would wait."""
        from ecom_analytics.answers.query import Opened
        from ecom_analytics.panels import presets

        answers = self._side / "answers"
        if info["marts"]["sessions"]["rows"] < self.settings.prepare_answers_from:
            return answers
        self._tell("computing what the dashboard shows")
        build = Build(info["build_id"], database, datetime.fromisoformat(info["built_at"]), info)
        with Warehouse(self.settings).connect(build) as connection:
            count = presets.prepare(Opened(build, connection), answers)
        self._tell(f"computed {count} answers")
        return answers

    def _run(
        self, dbt: DbtProcess, word: dict[str, Any], manifest: project.Manifest
    ) -> tuple[list[dict[str, Any]], list[CheckResult]]:
        """Let dbt build and test; what it said of every node, and the result of every test."""
        told: list[dict[str, Any]] = []
        checks: list[CheckResult] = []
        total = len(manifest.models) + len(manifest.tests)
        if not word["vars"].get("previous"):
            total -= len(manifest.touched)
        done = 0
        for node in dbt.build(word):
            told.append(node)
            total = total if dbt.expected is None else dbt.expected
            if node["kind"] == "test":
                checks.append(results.check(node, manifest.tests.get(node["id"], {})))
            done += node["kind"] in {"model", "test"}
            self._tell(f"{node['kind']} {node['name']}: {node['status']}", done, total)
        wrong = [node for node in told if node["status"] in {"error", "fail"}]
        compiled = failures.keep(self._side, self._folder, str(self._build_id), wrong) if wrong else {}
        if broken := [node for node in wrong if node["kind"] != "test"]:
            raise results.with_all(results.broken(broken, compiled), told, checks)
        config = project.duckdb_config(self.settings, self._side)
        evidence.keep(self._folder, self._side, str(self._build_id), checks, config)
        if failed := [check for check in checks if check.status in {"fail", "error"}]:
            raise results.with_all(results.failed(failed, compiled), told, checks)
        if done < total:
            raise BuildError(f"dbt ran {done} of {total} models and tests", hint="run it again")
        return told, checks

    def _tell(self, message: str, done: int | None = None, total: int | None = None) -> None:
        self._watch(Progress("build", message, done, total, "models"))


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
