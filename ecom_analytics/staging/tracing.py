"""Trace an event back to the file, the line and the text that it was read from; and a line to what became of it."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from ecom_analytics.config import Settings
from ecom_analytics.errors import InputError
from ecom_analytics.lake import Batch, BatchKey, read_batch
from ecom_analytics.protocols import RawFile
from ecom_analytics.reading import line_text, raw_text
from ecom_analytics.reports import Report
from ecom_analytics.staging.places import Place, open_place
from ecom_analytics.staging.rejects import as_text
from ecom_analytics.staging.search import Found, Search
from ecom_analytics.staging.state import State, load
from ecom_analytics.storages import open_storage

_KEY = re.compile(r"[0-9a-fA-F]{32}")
_LINE = re.compile(r"(?P<file>.+):(?P<line>[0-9]{1,18})")
_ID_PREFIX = re.compile(r"[0-9a-f]{6,64}")

IDENTICAL = "identical row"
SAME_ID = "same event id within 24 hours"


@dataclass(frozen=True, slots=True)
class TracedRow(Report):
    """One row of the staged tables, and where it was read.

    Attributes
    ----------
    status : str
        ``staged``, or ``duplicate`` if another row was kept instead.
    table : str
        ``events``, ``duplicates``, ``products`` or ``categories``.
    name : str
        Name of the file.
    source, batch_id : str
    source_line : int
    raw_text : str
        The record as it was written.
    values : dict
        Every column of the row; of an event also ``event_key`` and ``session_id``.
    reason : str or None
        Why it is a duplicate.
    kept_name : str or None
        The file of the row that was kept instead.
    kept_batch_id : str or None
    kept_line : int or None
    """

    status: str
    table: str
    name: str
    source: str
    batch_id: str
    source_line: int
    raw_text: str
    values: dict[str, Any]
    reason: str | None = None
    kept_name: str | None = None
    kept_batch_id: str | None = None
    kept_line: int | None = None

    @property
    def place(self) -> str:
        """``events.csv:7``."""
        return f"{self.name}:{self.source_line}"


@dataclass(frozen=True, slots=True)
class TracedReject(Report):
    """A rejected record: its file and line, the rule that it broke, why, and its text."""

    name: str
    source: str
    batch_id: str
    source_line: int
    rule: str
    message: str
    raw_text: str


@dataclass(frozen=True, slots=True)
class Trace(Report):
    """What :func:`trace` found.

    Attributes
    ----------
    asked : str
        The event key, or ``FILE:LINE``.
    answer : str
        ``staged``, ``duplicate``, ``rejected``, ``erased``, ``blank``, ``blank or erased``, or ``header``.
    rows : tuple of TracedRow
        The rows asked for, the row that was kept in place of one, and the rows that a kept one suppressed.
    rejected : tuple of TracedReject
    """

    asked: str
    answer: str
    rows: tuple[TracedRow, ...] = ()
    rejected: tuple[TracedReject, ...] = ()


def trace(settings: Settings | None, event_key: str) -> Trace:
    """Find an event, the file and line that it was read from, and its duplicates; or what became of a line.

    Parameters
    ----------
    settings : Settings or None
    event_key : str
        The key of an event: 32 hexadecimal digits. Or ``FILE:LINE``, with the name of an ingested file, or the first
        digits of its SHA-256.

    Raises
    ------
    InputError
        It is neither, or there is no such event, file or line.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from ecom_analytics import Ingestor, Settings, Stager
    >>> settings = Settings(home=tempfile.mkdtemp())
    >>> path = Path(settings.home, "shop.csv")
    >>> _ = path.write_text("event_ts,event_type,visitor_id\\n" + "2026-01-05T10:00:00Z,view,v1\\n" * 2)
    >>> _, _ = Ingestor(settings).ingest(path), Stager(settings).stage()
    >>> found = trace(settings, "shop.csv:3")
    >>> found.answer, found.rows[0].reason, found.rows[0].kept_line
    ('duplicate', 'identical row', 2)
    >>> [row.place for row in trace(settings, found.rows[0].values["event_key"]).rows]
    ['shop.csv:2', 'shop.csv:3']
    """
    settings = settings or Settings()
    place = open_place(settings)
    with place.hold():
        state = load(place)
        raw = _Raw(settings, place, state)
        with Search(settings, state) as search:
            if _KEY.fullmatch(event_key):
                return _by_key(search, raw, event_key)
            match = _LINE.fullmatch(event_key)
            if match:
                return _by_line(search, raw, event_key, match["file"], int(match["line"]))
    raise InputError(
        f"{event_key!r} is neither the key of an event nor a file with a line",
        hint="an event key has 32 hexadecimal digits; a place is written FILE:LINE, such as events.csv:7",
    )


def _by_key(search: Search, raw: _Raw, key: str) -> Trace:
    found = search.of_key(key.lower())
    if not found:
        raise InputError(
            f"there is no staged event with the key {key.lower()}",
            hint="stage what is new first; what was rejected has no key: ask for its FILE:LINE",
            event_key=key.lower(),
        )
    rows = raw.rows(found)
    [answer, *_] = [row.status for row in rows if row.values["event_key"] == key.lower()]
    return Trace(key.lower(), answer, rows)


def _by_line(search: Search, raw: _Raw, asked: str, name: str, line: int) -> Trace:
    keys = raw.named(name)
    first = search.first_line(keys, line)
    if first is not None and (first == line or raw.spans(keys[0], first, line)):
        rows = raw.rows(search.of_line(keys, first))
        rejected = tuple(raw.reject(row) for row in search.rejects_of_line(keys, first))
        answers = {row.status for row in rows if (row.source, row.batch_id) in keys and row.source_line == first}
        answer = "staged" if "staged" in answers else "duplicate" if answers else "rejected"
        return Trace(asked, answer, rows, rejected)
    return Trace(asked, raw.other_line(keys[0], line, first))


class _Raw:
    """The raw batches that staged rows were read from."""

    def __init__(self, settings: Settings, place: Place, state: State) -> None:
        self._settings = settings
        self._place = place
        self._lake = open_storage(settings.lake, settings)
        staged = state.batches.select(["source", "batch_id", "name", "erased"]).to_pylist()
        self._names: dict[BatchKey, str] = {(row["source"], row["batch_id"]): row["name"] for row in staged}
        self._erased = {(row["source"], row["batch_id"]) for row in staged if row["erased"]}

    def named(self, name: str) -> list[BatchKey]:
        """The staged batches of that name, or whose ids begin so: one, or the same one of several sources."""
        found = [key for key, known in self._names.items() if name in (known, known.rpartition("/")[2])]
        if not found and _ID_PREFIX.fullmatch(name.lower()):
            found = [key for key in self._names if key[1].startswith(name.lower())]
        if not found:
            raise InputError(
                f"no staged file is called {name!r}, and none has an id that begins so",
                hint="ingest it, and run: ecom-analytics stage; see the names in the staged table 'batches'",
                name=name,
            )
        ids = sorted({batch_id for _, batch_id in found})
        if len(ids) > 1:
            some = ", ".join(batch_id[:12] for batch_id in ids[:5]) + (", …" if len(ids) > 5 else "")
            raise InputError(
                f"{len(ids)} staged files are called {name!r}: {some}",
                hint=f"name one by the first digits of its id: {ids[0][:12]}:LINE",
                batch_ids=ids,
            )
        return sorted(found)

    def rows(self, found: Iterable[Found]) -> tuple[TracedRow, ...]:
        """The rows with their files and texts."""
        found = list(found)
        lines: dict[BatchKey, set[int]] = defaultdict(set)
        for row in found:
            lines[row.batch].add(row.line)
        texts = {key: self._texts(key, sorted(some)) for key, some in lines.items()}
        return tuple(self._row(row, texts[row.batch][row.line]) for row in found)

    def _row(self, row: Found, text: bytes) -> TracedRow:
        kept: dict[str, Any] = {}
        if row.kept is not None:
            batch_id, line = row.kept
            kept = {
                "reason": IDENTICAL if row.is_identical else SAME_ID,
                "kept_name": self._names[row.batch[0], batch_id],
                "kept_batch_id": batch_id,
                "kept_line": line,
            }
        status = "staged" if row.kept is None else "duplicate"
        name = self._names[row.batch]
        return TracedRow(status, row.table, name, *row.batch, row.line, as_text(text), row.values, **kept)

    def reject(self, row: Mapping[str, Any]) -> TracedReject:
        """A rejected record, as it was kept."""
        own = {one.name: row[one.name] for one in fields(TracedReject) if one.name != "name"}
        return TracedReject(self._names[row["source"], row["batch_id"]], **own)

    def spans(self, key: BatchKey, first: int, line: int) -> bool:
        """Whether the record that begins on line ``first`` goes on to ``line``."""
        batch, file = self._file(key)
        if line - first >= self._settings.max_record_lines or batch.layout.kind != "delimited":
            return False
        text = self._texts(key, [first], file)[first]
        return first + text.count(b"\n" if b"\n" in text else b"\r") >= line

    def other_line(self, key: BatchKey, line: int, first: int | None) -> str:
        """What a line is on which no record is."""
        batch, file = self._file(key)
        text = line_text(file, line) if line else None
        if text is None:
            raise InputError(
                f"{batch.name} has no line {line}", hint="lines are counted from 1", name=batch.name, line=line
            )
        if not text.strip():
            return "blank or erased" if batch.details.get("erased") else "blank"
        has_header = batch.layout.kind == "delimited" and batch.layout.columns is None
        if has_header and first is None and (line == 1 or key not in self._erased):
            return "header"
        if key in self._erased:  # it is still in the file, and no longer staged: nothing of it is shown
            return "erased"
        raise InputError(
            f"no record begins on line {line} of {batch.name}",
            hint="was the file staged with another max_record_lines? See: ecom-analytics rejected --replay",
            name=batch.name,
            line=line,
        )

    def _file(self, key: BatchKey) -> tuple[Batch, RawFile]:
        batch = read_batch(self._lake, key)
        [path] = self._place.raw([batch], lambda count: None)
        return batch, RawFile(batch.batch_id, batch.source, path, batch.name, batch.layout)

    def _texts(self, key: BatchKey, lines: list[int], file: RawFile | None = None) -> dict[int, bytes]:
        file = file or self._file(key)[1]
        return raw_text(file, lines, max_record_lines=self._settings.max_record_lines)
