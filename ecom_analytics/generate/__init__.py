"""A seeded, deterministic clickstream of any size, with the shape of real shops and, if you like, known faults."""

from __future__ import annotations

import gzip
import json
import os
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Literal

from ecom_analytics.errors import ConfigError
from ecom_analytics.generate.faults import Injector, Layout, Line, wanted
from ecom_analytics.progress import Progress, Watcher, ignore
from ecom_analytics.reports import Report

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["GenerateReport", "generate"]

_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True, slots=True)
class GenerateReport(Report):
    """What :func:`generate` wrote.

    Attributes
    ----------
    path, ledger : pathlib.Path
        The events, and the list of faults (None without faults).
    events : int
        Rows without the injected ones.
    lines : int
        Lines of the file, header included.
    by_type : dict
        Event type, as the file names it → rows.
    days, bytes : int
    faults : dict
        Kind → how many were injected.
    seconds : float
    """

    path: Path
    events: int
    lines: int
    by_type: dict[str, int]
    days: int
    bytes: int
    seconds: float
    faults: dict[str, int] = field(default_factory=dict)
    ledger: Path | None = None


def generate(
    path: str | Path,
    *,
    like: Literal["retailrocket", "shop"] = "retailrocket",
    events: int | None = None,
    days: int | None = None,
    seed: int = 0,
    faults: bool | Mapping[str, int] = False,
    ledger: str | Path | None = None,
    start: date | None = None,
    watch: Watcher = ignore,
) -> GenerateReport:
    """Write a clickstream as CSV, sorted by time; the same arguments give the same bytes.

    Parameters
    ----------
    path : str or pathlib.Path
        The file; it appears when it is whole. A name that ends in ``.gz`` is compressed.
    like : {"retailrocket", "shop"}
        ``retailrocket``: at its own size 2,756,101 events of 1,407,580 visitors over 235,061 items in 138 days, of
        which 2,664,312 views, 69,332 adds to cart, 22,457 transaction lines, and 460 exact duplicates; any other
        size is in proportion. ``shop``: the columns of the ``canonical`` source format, with prices, categories,
        brands, devices, countries, traffic sources, cart removals, checkouts and refunds.
    events, days : int, optional
        By default 2,756,101 in 138 days, and 100,000 in 30 days.
    seed : int
    faults : bool or mapping
        True for a few of each kind, or kind → how many; see :data:`ecom_analytics.generate.faults.KINDS`. Faults are
        rows that are added, but for ``late_events``, which are moved to the end.
    ledger : str or pathlib.Path, optional
        JSON Lines that tell kind, line and text of each fault. By default ``<path>.faults.jsonl``.
    start : datetime.date, optional
        The first day.
    watch : callable, optional

    Raises
    ------
    ConfigError
        If an argument is out of range, or there is no room for the faults.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.mkdtemp()
    >>> report = generate(f"{folder}/events.csv", events=1_000, days=7)
    >>> report.events, report.by_type
    (1000, {'view': 967, 'addtocart': 25, 'transaction': 8})
    """
    began = time.perf_counter()
    path = Path(path)
    amounts = wanted(faults)
    model = _model(like, events, days, start, seed)
    ledger_path = (Path(ledger) if ledger else Path(f"{path}.faults.jsonl")) if amounts else None
    if not path.parent.is_dir():
        raise ConfigError(f"there is no folder {path.parent} to write {path.name} to", hint="make it first")
    with _whole_file(path) as out, _whole_file(ledger_path) as entries:
        writer = _Writer(model, amounts, out, entries)
        writer.write(watch)
    return GenerateReport(
        path=path,
        events=writer.events,
        lines=writer.line,
        by_type=dict(sorted(writer.by_type.items(), key=lambda item: -item[1])),
        days=model.totals.days,
        bytes=path.stat().st_size,
        seconds=time.perf_counter() - began,
        faults=amounts,
        ledger=ledger_path,
    )


@dataclass(frozen=True)
class _Model:
    """What is to be made: the module that knows the shape, and the totals."""

    shape: Any
    totals: Any
    events: int
    first_day: int
    seed: int


def _model(like: str, events: int | None, days: int | None, start: date | None, seed: int) -> _Model:
    from ecom_analytics.generate import retailrocket, shop

    shapes = {"retailrocket": retailrocket, "shop": shop}
    if like not in shapes:
        raise ConfigError(f"like is {like!r}", hint=f"it can be {' or '.join(shapes)}", key="like", value=like)
    shape: Any = shapes[like]
    events = shape.EVENTS if events is None else events
    days = shape.DAYS if days is None else days
    if not 10 <= events <= 2_000_000_000:
        raise ConfigError(f"events is {events}", hint="it can be 10 to 2,000,000,000", key="events", value=events)
    if not 1 <= days <= 3_660:
        raise ConfigError(f"days is {days}", hint="it can be 1 to 3,660", key="days", value=days)
    if seed < 0:
        raise ConfigError(f"seed is {seed}", hint="it can be any whole number from 0", key="seed", value=seed)
    first = start or date.fromisoformat(shape.START)
    return _Model(shape, shape.totals(events, days), events, (first - _EPOCH) // timedelta(days=1), seed)


class _Writer:
    """Writes the days in order of time, with the faults in them."""

    def __init__(self, model: _Model, amounts: dict[str, int], out: BinaryIO, entries: BinaryIO | None) -> None:
        import numpy as np

        self._model = model
        self._out = out
        self._entries = entries
        self.events = 0
        self.line = 1
        self.by_type: Counter[str] = Counter()
        shape = model.shape
        layout = Layout(
            shape.TIME, shape.EVENT, shape.VISITOR, shape.ITEM, shape.ORDER, getattr(shape, "EVENT_ID", None),
            shape.PURCHASE, _later,
        )  # fmt: skip
        self._injector = Injector(amounts, layout, model.totals.days, np.random.default_rng([model.seed, 2]))
        self._amounts = amounts

    def write(self, watch: Watcher) -> None:
        self._out.write(",".join(self._model.shape.COLUMNS).encode() + b"\n")
        for number, table in enumerate(self._sorted_days()):
            self.events += table.num_rows
            for name, count in zip(*_value_counts(table.column(self._model.shape.EVENT)), strict=True):
                self.by_type[name] += count
            text = _as_csv(table)
            if self._injector.due:
                lines = [Line(line) for line in text.split(b"\n")[:-1]]
                self._write_lines(self._injector.inject(number, lines))
            else:
                self._out.write(text)
                self.line += table.num_rows
            watch(Progress("generate", "making events", self.events, self._model.events, "events"))
        self._injector.check()
        self._write_lines(self._injector.late)
        if self._entries is not None:
            summary = {"kind": "summary", "lines": self.line, "events": self.events, "faults": self._amounts}
            self._entries.write(json.dumps(summary).encode() + b"\n")

    def _sorted_days(self) -> Iterator[pa.Table]:
        """The rows of each day, sorted by time; what is after midnight waits for the next day."""
        import pyarrow as pa
        import pyarrow.compute as pc

        from ecom_analytics.generate.sessions import DAY_MS, days_of

        shape, totals = self._model.shape, self._model.totals
        extras = shape.Extras(totals, self._model.events) if hasattr(shape, "Extras") else None
        waiting: pa.Table | None = None
        for day in days_of(totals, self._model.seed, self._model.first_day):
            rows = shape.rows(day, totals, extras.of_day(day)) if extras else shape.rows(day, totals)
            rows = pa.concat_tables([waiting, rows]) if waiting is not None else rows
            rows = rows.take(pc.sort_indices(rows.column(shape.TIME)))
            if day.number < totals.days - 1:
                cut = pc.sum(pc.less(rows.column(shape.TIME), day.start + DAY_MS)).as_py() or 0
                rows, waiting = rows.slice(0, cut), rows.slice(cut)
            yield rows

    def _write_lines(self, lines: list[Line]) -> None:
        for line in lines:
            self.line += 1
            line.number = self.line
        self._out.write(b"".join(line.text + b"\n" for line in lines))
        for line in lines:
            if line.kind and self._entries is not None:
                entry: dict[str, Any] = {"kind": line.kind, "line": line.number, **line.facts}
                if line.copy_of is not None:
                    entry["of_line"] = line.copy_of.number
                self._entries.write(json.dumps(entry, ensure_ascii=False).encode() + b"\n")


def _value_counts(column: pa.ChunkedArray) -> tuple[list[str], list[int]]:
    counts = column.value_counts()
    return counts.field("values").to_pylist(), counts.field("counts").to_pylist()


def _as_csv(table: pa.Table) -> bytes:
    """CSV lines without a header. Times of a shop are ISO 8601, those of RetailRocket milliseconds."""
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.csv as pacsv

    if table.column_names[0] == "event_ts":
        iso = pc.strftime(table.column(0).cast(pa.timestamp("ms")), format="%Y-%m-%dT%H:%M:%SZ")
        table = table.set_column(0, "event_ts", iso)
    sink = pa.BufferOutputStream()
    pacsv.write_csv(table, sink, pacsv.WriteOptions(include_header=False, quoting_style="none"))
    return bytes(sink.getvalue().to_pybytes())


def _later(text: bytes, millis: int) -> bytes:
    from datetime import datetime

    if text.isdigit():
        return b"%d" % (int(text) + millis)
    at = datetime.fromisoformat(text.decode()) + timedelta(milliseconds=millis)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z").encode()


@contextmanager
def _whole_file(path: Path | None) -> Iterator[Any]:
    """A file that appears under its name when the block ends well, and not at all otherwise."""
    if path is None:
        yield None
        return
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as raw:
            if path.suffix == ".gz":
                with gzip.GzipFile(filename="", mode="wb", fileobj=raw, mtime=0, compresslevel=6) as packed:
                    yield packed
            else:
                yield raw
        os.chmod(name, 0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
