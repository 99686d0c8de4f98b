"""The file and its ledger, chunk by chunk; each appears when it is whole."""

from __future__ import annotations

import gzip
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO
from uuid import uuid4

from ecom_analytics.disk import told_when_full
from ecom_analytics.errors import ConfigError
from ecom_analytics.generate.dirt import Fault
from ecom_analytics.generate.faults import Injector
from ecom_analytics.generate.shape import Shape, in_order
from ecom_analytics.generate.text import Lines
from ecom_analytics.progress import Progress, Watcher

if TYPE_CHECKING:
    from ecom_analytics.generate.plan import Plan


class Writer:
    """Writes the rows in order of time, with the faults in them, and counts what it writes.

    Attributes
    ----------
    events : int
        Rows without the injected ones.
    line : int
        Lines so far, header included.
    by_type : dict
        Event type, as the file names it → rows.
    faults : dict
        Kind → how many there are.
    """

    def __init__(self, shape: Shape, plan: Plan, seed: int, amounts: dict[str, int], *, strict: bool) -> None:
        self._shape = shape
        self._plan = plan
        self._seed = seed
        self._strict = strict
        self._injector = Injector(amounts, shape, plan, seed)
        self._kinds = [0] * len(shape.types)
        self.events = 0
        self.line = 1

    @property
    def by_type(self) -> dict[str, int]:
        counts = {name: count for name, count in zip(self._shape.types, self._kinds, strict=True) if count}
        return dict(sorted(counts.items(), key=lambda item: -item[1]))

    @property
    def faults(self) -> dict[str, int]:
        return dict(+self._injector.injected)

    def write(self, out: BinaryIO, ledger: BinaryIO | None, total: int, watch: Watcher) -> None:
        """Write everything.

        Parameters
        ----------
        out, ledger : binary files
        total : int
            Events there will be, to tell progress.
        watch : callable
        """
        import numpy as np

        injector = self._injector
        out.write(",".join(self._shape.columns).encode() + b"\n")
        for number, rows in enumerate(in_order(self._shape, self._plan, self._seed)):
            lines = self._shape.lines(rows) if len(rows["ts"]) else Lines.none()
            self.events += len(lines)
            kinds = np.bincount(rows["kind"], minlength=len(self._kinds))
            self._kinds = [old + int(new) for old, new in zip(self._kinds, kinds, strict=True)]
            if injector.idle:
                out.write(lines.data)
                self.line += len(lines)
            else:
                pieces, faults, self.line = injector.splice(number, rows, lines, self.line)
                out.writelines(pieces)
                _tell(ledger, faults)
            watch(Progress("generate", "making events", self.events, total, "events"))
        for fault in injector.late:
            self.line += 1
            fault.place.line = self.line
            out.write(fault.text + b"\n")
        _tell(ledger, injector.late)
        self._finish(ledger)

    def _finish(self, ledger: BinaryIO | None) -> None:
        short = self._injector.short()
        if short and self._strict:
            hint = "ask for fewer of them, or for more events"
            raise ConfigError(f"there is no room for these faults: {short}", hint=hint, left=short)
        if ledger is not None:
            summary = {"kind": "summary", "lines": self.line, "events": self.events, "faults": self.faults}
            ledger.write(json.dumps(summary).encode() + b"\n")


def _tell(ledger: BinaryIO | None, faults: list[Fault]) -> None:
    if ledger is not None:
        ledger.writelines(json.dumps(fault.entry()).encode() + b"\n" for fault in faults)


def check_place(path: Path) -> None:
    """Raise ConfigError if no file can be put there."""
    if not path.parent.is_dir():
        raise ConfigError(f"there is no folder {path.parent} to write {path.name} to", hint="make it first")
    if path.exists() and not path.is_file():
        raise ConfigError(f"{path} is not a file", hint="give the name of a file to write", path=str(path))


@contextmanager
def whole_file(path: Path | None) -> Iterator[Any]:
    """A file that appears under its name when the block ends well, and not at all otherwise; ``.gz`` is compressed."""
    if path is None:
        yield None
        return
    unfinished = path.parent / f".{path.name}.{uuid4().hex}"
    try:
        with told_when_full(path), unfinished.open("xb") as raw:
            if path.suffix == ".gz":
                with gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0, compresslevel=6) as packed:
                    yield packed
            else:
                yield raw
        os.replace(unfinished, path)
    except PermissionError as exc:
        what = f"{path} cannot be written: {exc.strerror}"
        raise ConfigError(what, hint="choose another folder", path=str(path)) from exc
    finally:
        unfinished.unlink(missing_ok=True)
