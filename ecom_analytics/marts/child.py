"""The parent's side of the process that runs dbt."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from subprocess import PIPE, Popen
from typing import Any

import ecom_analytics
from ecom_analytics.config import Settings
from ecom_analytics.disk import full, is_full
from ecom_analytics.errors import BuildError, MartError
from ecom_analytics.marts import project

LOG = "dbt.log"

# With -P the working directory is not on sys.path, where a stray attr.py would be taken for dbt's; the package is
# appended, so that one that is not installed is found as well.
_START = "import sys; sys.path.append(sys.argv.pop()); from ecom_analytics.marts.worker import main; main()"


class DbtProcess:
    """A process that has loaded dbt, or is about to, and runs one build.

    Parameters
    ----------
    settings : Settings
    folder : pathlib.Path
        Of the build: profile, log, dbt's target and the DuckDB file go there.
    """

    def __init__(self, settings: Settings, folder: Path) -> None:
        self._log = folder / LOG
        (folder / "profiles.yml").write_text(json.dumps(project.profile(settings, folder)), encoding="utf-8")
        cache = project.cache_folder(settings)
        arguments = {
            "project": str(project.run_folder(settings, folder)),
            "folder": str(folder),
            "cache": str(cache) if cache else None,
        }
        package = str(Path(ecom_analytics.__file__).parent.parent)
        with self._log.open("wb") as log:
            self._process = Popen(
                [sys.executable, "-P", "-c", _START, json.dumps(arguments), package],
                stdin=PIPE,
                stdout=PIPE,
                stderr=log,
                env=_environment(settings),
                process_group=0,  # an interrupt is the parent's to handle
            )
        self._manifest: Path | None = None
        self.asked: list[str] | None = None
        """The nodes that were selected, once dbt has said so; None if all are built."""
        self.expected: int | None = None
        """How many models and tests are run for them."""

    @property
    def pid(self) -> int:
        return self._process.pid

    def manifest(self) -> Path:
        """Wait until the project is parsed; the path of its ``manifest.json``."""
        while self._manifest is None:
            message = self._next()
            if message["event"] == "ready":
                self._manifest = Path(message["manifest"])
        return self._manifest

    def start_from(self, profile: dict[str, Any]) -> None:
        """Use another profile from now on: one that attaches the build before."""
        (self._log.parent / "profiles.yml").write_text(json.dumps(profile), encoding="utf-8")

    def build(self, word: dict[str, Any]) -> Iterator[dict[str, Any]]:
        """Build; yields a message for each node that ends."""
        self.manifest()
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(word).encode() + b"\n")
            self._process.stdin.flush()
        except BrokenPipeError:
            pass  # the next read says that it died
        while True:
            message = self._next()
            if message["event"] == "chosen":
                self.asked = message["asked"]
                self.expected = sum(node.startswith(("model.", "test.")) for node in message["run"])
            elif message["event"] == "node":
                yield message
            elif message["event"] == "done":
                self._process.wait()
                return

    def close(self) -> None:
        """End the process, whatever it does."""
        if self._process.poll() is None:
            self._process.kill()
        self._process.wait()
        for stream in (self._process.stdin, self._process.stdout):
            if stream is not None:
                try:
                    stream.close()
                except BrokenPipeError:
                    pass

    def _next(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise self._died()
        message: dict[str, Any] = json.loads(line)
        if message["event"] == "unmatched":
            close = f"did you mean {message['close'][0]!r}? " if message["close"] else ""
            raise MartError(
                f"no model and no test is selected by {message['selector']!r}",
                hint=f"{close}a selector is a name, a folder or any other that dbt knows, such as +users",
                selector=message["selector"],
            )
        if message["event"] == "error":
            if is_full(message["message"]):
                raise full(f"the build in {self._log.parent}")
            raise MartError(
                f"the marts could not be built: {message['message']}",
                hint="correct what the message names and run again; the served build is untouched",
            )
        return message

    def _died(self) -> BuildError:
        code = self._process.wait()
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        log = self._log.read_text(encoding="utf-8", errors="replace").strip() if self._log.exists() else ""
        last = f": {log.splitlines()[-1]}" if log else ""
        hint = "if the system ran out of memory, set a lower memory_limit" if code == -9 else "run it again"
        return BuildError(
            f"the process that builds the marts {how}{last}",
            hint=f"{hint}; the served build is untouched",
            code=code,
            log=log,
        )


def _environment(settings: Settings) -> dict[str, str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("DBT_", "ECOM_ANALYTICS_"))}
    return {**kept, **settings.environment(), "DO_NOT_TRACK": "1"}
