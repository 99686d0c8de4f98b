"""The process that runs dbt: loads it, parses the project, waits for the word, builds.

Started by :mod:`ecom_analytics.marts.child`. Its arguments are one JSON object, the word is one line of JSON on
standard input, and what it has to say are lines of JSON on standard output. Whatever dbt prints goes to the log. When
standard input closes, because the parent is done or dead, the process ends at once.
"""

from __future__ import annotations

import gc
import json
import os
import shutil
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from ecom_analytics.marts import project

if TYPE_CHECKING:
    from ecom_analytics.marts.counting import Counts

PARSED = "partial_parse.msgpack"
MANIFEST = "manifest.json"
KEPT_PROJECTS = 8
"""Parsed projects that are kept: of versions of ours, and of folders of users' own models."""


class _Parent:
    """The two pipes to the parent."""

    def __init__(self) -> None:
        self._out: TextIO = os.fdopen(os.dup(1), "w", buffering=1)
        os.dup2(2, 1)
        self._lock = threading.Lock()
        self.word: dict[str, Any] | None = None
        self._spoken = threading.Event()
        threading.Thread(target=self._listen, daemon=True).start()

    def tell(self, **message: Any) -> None:
        with self._lock:
            try:
                self._out.write(json.dumps(message) + "\n")
            except BrokenPipeError:
                os._exit(1)

    def wait(self) -> dict[str, Any]:
        self._spoken.wait()
        assert self.word is not None
        return self.word

    def _listen(self) -> None:
        line = sys.stdin.readline()
        if line.strip():
            self.word = json.loads(line)
            self._spoken.set()
            sys.stdin.read()
        os._exit(1)


def main() -> None:
    """Run one build, or none."""
    parent = _Parent()
    arguments = json.loads(sys.argv[1])
    started = time.perf_counter()
    try:
        gc.disable()  # dbt makes a million objects that stay
        # A node is many short statements, after each of which its thread must get the interpreter back from the others.
        sys.setswitchinterval(0.0005)
        runner = _Dbt(arguments)
        manifest = runner.manifest()
        gc.freeze()
        gc.enable()
        parent.tell(
            event="ready",
            seconds=time.perf_counter() - started,
            manifest=str(runner.manifest_json),
        )
        word = parent.wait()
        (runner.document if word.get("docs") else runner.build)(manifest, word, parent)
    except _Failed as error:
        parent.tell(event="error", message=str(error))
    sys.stdout.flush()
    os._exit(0)  # the files are closed; taking down a million objects one by one would only cost time


class _Failed(Exception):
    """dbt could not do it; the message is dbt's own."""


def load() -> None:
    """Import dbt, as its builds need it."""
    import mashumaro.config

    # dbt generates (de)serialisers for hundreds of classes at import; most are never used.
    mashumaro.config.BaseConfig.lazy_compilation = True
    import dbt.adapters.duckdb.impl  # else the first invocation loads it
    import dbt.cli.main  # noqa: F401


class _Dbt:
    def __init__(self, arguments: dict[str, Any]) -> None:
        load()
        from dbt.cli.main import dbtRunner

        from ecom_analytics.marts.counting import count

        self._counts = count()
        self._runner = dbtRunner
        self._folder = Path(arguments["folder"])
        self._project = Path(arguments["project"])
        self._cache = Path(arguments["cache"]) if arguments["cache"] else self._folder / "target"
        self._common = [
            *(
                "--project-dir",
                arguments["project"],
                "--profiles-dir",
                str(self._folder),
            ),
            *(
                "--target-path",
                str(self._folder / "target"),
                "--log-path",
                str(self._folder),
            ),
            *(
                "--log-level",
                "none",
                "--log-level-file",
                "none",
                "--no-print",
                "--no-version-check",
            ),
            *("--no-send-anonymous-usage-stats", "--no-use-colors", "--quiet"),
        ]
        self.manifest_json = self._cache / MANIFEST

    def manifest(self) -> Any:
        """The parsed project: from the cache if it is there, else parsed and put there."""
        from dbt.contracts.graph.manifest import Manifest

        if self.manifest_json.exists():
            with suppress(Exception):  # a damaged file: parse again
                manifest = Manifest.from_msgpack((self._cache / PARSED).read_bytes())
                os.utime(self._cache)  # so that it is not among the oldest
                self._place_seeds(manifest)
                manifest.build_flat_graph()  # for `graph` in macros; dbt does it only where it parses
                # What dbt sets up once a process is set up while the parent still does other things.
                self._runner(manifest=manifest).invoke(["ls", *self._common, "--select", "nothing"])
                return manifest
        state = json.dumps({"state_database": project.STATE})
        result = self._runner().invoke(["parse", *self._common, "--no-partial-parse", "--write-json", "--vars", state])
        if result.exception is not None or not result.success:
            raise _Failed(f"the dbt project cannot be parsed: {result.exception}")
        for name in (
            PARSED,
            MANIFEST,
        ):  # the manifest last: it says that both are there
            self._keep(self._folder / "target" / name, self._cache / name)
        self._forget_others()
        return result.result

    def _place_seeds(self, manifest: Any) -> None:
        """A seed is read from where the project lay that was parsed; let it be read from where it lies now."""
        for node in manifest.nodes.values():
            if node.resource_type == "seed":
                package = self._project / "packages" / node.package_name
                node.root_path = str(package if package.is_dir() else self._project)

    def build(self, manifest: Any, word: dict[str, Any], parent: _Parent) -> None:
        """Run the models and the tests."""
        from dbt.adapters.duckdb.connections import DuckDBConnectionManager

        from ecom_analytics.marts import lake

        lake.give(
            lake.Staged(
                word["files"],
                word["batches"],
                word["catalogue"],
                word.get("removed", ()),
                word.get("added", ()),
                word["history"],
            )
        )
        chosen = self._chosen(manifest, word, parent) if word.get("select") or word.get("exclude") else []
        if not chosen and not word["vars"].get("previous"):
            chosen = ["--exclude", f"tag:{project.TOUCHED}"]
        runner = self._runner(manifest=manifest, callbacks=[_Listener(parent, self._counts)])
        result = runner.invoke(
            [
                *("build", *self._common, "--vars", json.dumps(word["vars"])),
                *(
                    "--exclude-resource-type",
                    "unit_test",
                    "--no-write-json",
                    "--no-partial-parse",
                ),
                *chosen,
            ]
        )
        DuckDBConnectionManager.close_all_connections()
        gc.collect()
        if result.exception is not None:
            raise _Failed(str(result.exception))
        parent.tell(event="done", success=result.success)

    def document(self, manifest: Any, word: dict[str, Any], parent: _Parent) -> None:
        """Make the pages of documentation, in the target folder."""
        options = ["--vars", json.dumps(word["vars"]), "--static", "--no-partial-parse"]
        result = self._runner(manifest=manifest).invoke(["docs", "generate", *self._common, *options])
        if result.exception is not None or not result.success:
            raise _Failed(f"the documentation cannot be made: {result.exception}")
        parent.tell(event="done", success=True)

    def _chosen(self, manifest: Any, word: dict[str, Any], parent: _Parent) -> list[str]:
        """The options that build what is selected and all that it needs."""
        from ecom_analytics.marts.choice import UnmatchedError, choose

        def ask(select: Sequence[str], exclude: Sequence[str]) -> set[str]:
            options = [*(f"--select={text}" for text in select), *(f"--exclude={text}" for text in exclude)]
            common = [*self._common, "--vars", json.dumps(word["vars"]), "--indirect-selection", "buildable"]
            listing = ["ls", *common, "--output", "json", "--output-keys", "unique_id", *options]
            result = self._runner(manifest=manifest).invoke(listing)
            if result.exception is not None:
                raise _Failed(str(result.exception))
            return {json.loads(line)["unique_id"] for line in result.result or []}

        try:
            choice = choose(manifest, word["select"], word["exclude"], ask)
        except UnmatchedError as error:
            parent.tell(event="unmatched", selector=error.selector, close=error.close)
            raise _Failed(str(error)) from error
        run = [node for node in choice.all if manifest.nodes[node].config.materialized != "ephemeral"]
        parent.tell(event="chosen", asked=sorted(choice.asked), run=sorted(run))
        return ["--indirect-selection", "empty", "--select", *choice.selectors(manifest)]

    def _forget_others(self) -> None:
        """Keep the projects that were used last only."""
        if self._folder not in self._cache.parents:
            with suppress(OSError):
                projects = sorted(self._cache.parent.iterdir(), key=lambda path: path.stat().st_mtime)
                for old in projects[:-KEPT_PROJECTS]:
                    shutil.rmtree(old, ignore_errors=True)

    @staticmethod
    def _keep(source: Path, target: Path) -> None:
        if source == target:
            return
        temporary = target.with_name(f"{target.name}.{os.getpid()}")
        temporary.write_bytes(source.read_bytes())
        os.replace(temporary, target)


class _Listener:
    """Tells the parent of each node that ends; dbt calls it with its structured log events."""

    def __init__(self, parent: _Parent, counts: Counts) -> None:
        self._parent = parent
        self._counts = counts

    def __call__(self, event: Any) -> None:
        if event.info.name == "NodeFinished" and event.data.node_info.resource_type != "exposure":
            node, result = event.data.node_info, event.data.run_result
            read, written = self._counts.of(node.unique_id)
            self._parent.tell(
                event="node",
                id=node.unique_id,
                name=node.node_name,
                path=node.node_path,
                kind=node.resource_type,
                status=result.status,
                message=result.message,
                failures=result.num_failures,
                seconds=result.execution_time,
                rows_read=read,
                rows_written=written,
            )


if __name__ == "__main__":
    main()
