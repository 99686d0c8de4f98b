"""What a file would be taken for, and what its first records would become; nothing is written."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ecom_analytics.catalogue import CATALOGUE, EVENTS, kind_of
from ecom_analytics.errors import EcomError, UnknownFormatError
from ecom_analytics.events import COLUMNS
from ecom_analytics.ingest.files import File
from ecom_analytics.ingest.judge import Judgement, judge
from ecom_analytics.ingest.look import copy_rows, look
from ecom_analytics.protocols import RawFile
from ecom_analytics.reading.sample import RECORDS, Sample, first_records
from ecom_analytics.reports import Report
from ecom_analytics.source_formats.rule_set import RuleSet

if TYPE_CHECKING:
    from ecom_analytics.config import Settings
    from ecom_analytics.reading import BadRecord

_EVENT = [c.name for c in COLUMNS if c.meaning == "event" and c.name != "source"]


@dataclass(frozen=True, slots=True)
class FirstReject:
    """One of the first records that would be rejected: its line, the rule, why, and its raw text."""

    line: int
    rule: str
    message: str
    raw_text: str


@dataclass(frozen=True, slots=True)
class Explanation(Report):
    """What :meth:`ecom_analytics.Ingestor.explain` saw in a file.

    Attributes
    ----------
    path : str
    bytes : int
    compression : str
        ``gzip``, ``zstd`` or ``none``.
    kind : str
        ``delimited``, ``json_lines`` or ``parquet``; empty if the file cannot be looked at.
    encoding, delimiter : str
    has_header : bool
        Whether the first line of a delimited file names the columns.
    columns : tuple of str
        Columns, or top-level keys of the first objects.
    confidence : dict
        Source format → how sure it is, 0 to 1, that the file is its own.
    source_format : str
        The one that it is taken for; empty if it cannot be ingested.
    capabilities : tuple of str
        Columns, beyond the required ones, that this format can fill.
    known_columns, new_columns, missing_columns : tuple of str
        Columns that the format knows; that it does not (they stay in the raw bytes); that it would expect (NULL).
    records : int
        How many records the events and rejects below were looked for in.
    events : tuple of dict
        The first canonical events, with ``source_line``; NULLs are left out. Of a file about products or categories,
        its first rows.
    rejected : tuple of FirstReject
        The first records that would be rejected.
    notes : tuple of str
        What else was seen.
    problem, hint : str
        Why the file would be refused, and what to do; empty if it would not.
    """

    path: str
    bytes: int
    compression: str = ""
    kind: str = ""
    encoding: str = ""
    delimiter: str = ""
    has_header: bool = False
    columns: tuple[str, ...] = ()
    confidence: dict[str, float] | None = None
    source_format: str = ""
    capabilities: tuple[str, ...] = ()
    known_columns: tuple[str, ...] = ()
    new_columns: tuple[str, ...] = ()
    missing_columns: tuple[str, ...] = ()
    records: int = 0
    events: tuple[dict[str, Any], ...] = ()
    rejected: tuple[FirstReject, ...] = ()
    notes: tuple[str, ...] = ()
    problem: str = ""
    hint: str = ""


def explain(file: File, settings: Settings, events: int) -> Explanation:
    """Look at a file as ``ingest`` would, and at its first records as ``stage`` would."""
    told = Explanation(str(file), file.size)
    try:
        sample = look(file, settings)
        told = _seen(told, sample)
        found = judge(sample, file, settings)
        told = _taken(told, sample, found)
        return _tried(told, file, sample, found, settings, events)
    except EcomError as error:
        sure = error.facts.get("confidence") if isinstance(error, UnknownFormatError) else told.confidence
        return replace(told, problem=error.message, hint=error.hint, confidence=sure)


def _seen(told: Explanation, sample: Sample) -> Explanation:
    layout = sample.layout
    return replace(
        told,
        compression=sample.compression or "none",
        kind=layout.kind,
        encoding="" if layout.kind == "parquet" else layout.encoding,
        delimiter=layout.delimiter if layout.kind == "delimited" else "",
        has_header=layout.kind == "delimited" and layout.columns is None,
        columns=sample.header,
    )


def _taken(told: Explanation, sample: Sample, found: Judgement) -> Explanation:
    layout, drift = found.layout, found.drift
    return replace(
        told,
        delimiter=layout.delimiter if layout.kind == "delimited" else "",
        has_header=layout.kind == "delimited" and layout.columns is None,
        columns=layout.columns or sample.header,
        confidence=found.confidence,
        source_format=found.kind.name,
        capabilities=tuple(sorted(found.kind.capabilities)),
        known_columns=drift.known,
        new_columns=drift.new,
        missing_columns=drift.missing,
        notes=found.notes,
    )


def _tried(
    told: Explanation, file: File, sample: Sample, found: Judgement, settings: Settings, events: int
) -> Explanation:
    """Run the first records through the format's own expressions, on an engine that is thrown away."""
    from ecom_analytics.engines.duckdb import DuckDBEngine
    from ecom_analytics.reading import raw_text

    with tempfile.TemporaryDirectory(prefix="ecom-analytics-") as folder:
        path = Path(folder, "first")
        if found.layout.kind == "parquet":
            copy_rows(file, path, RECORDS)
            layout = found.layout
        else:
            path.write_bytes(first_records(sample, found.layout))
            layout = replace(found.layout, encoding="utf-8")
        raw = RawFile("0" * 64, settings.source, str(path), file.name, layout)
        bad: list[BadRecord] = []
        with DuckDBEngine(settings, Path(folder)) as engine:
            engine.reading.on_bad = lambda _, record: bad.append(record)
            what = kind_of(found.kind)
            rows = found.kind.read(engine, [raw])
            if what == EVENTS:
                table = RuleSet(settings, found.kind.name).to_events(found.kind, rows)
            else:
                table = getattr(found.kind, f"to_{what}")(rows)
            known = _EVENT if what == EVENTS else [c.name for c in CATALOGUE[what] if c.meaning == "fact"]
            names = [name for name in known if name in table.columns]
            engine.execute(f"CREATE TEMP TABLE explained AS {engine.backend.compile(table)}")
            good = engine.rows(
                f"SELECT source_line, {', '.join(names)} FROM explained WHERE reject_rule IS NULL "
                f"ORDER BY source_line{', source_item' if 'source_item' in names else ''} LIMIT $1",
                [events],
            )
            broken = engine.rows(
                "SELECT DISTINCT source_line, reject_rule, reject_message FROM explained "
                "WHERE reject_rule IS NOT NULL ORDER BY ALL"
            )
            counts = next(iter(engine.reading.counts.values()))
        texts = raw_text(raw, [line for line, *_ in broken], max_record_lines=settings.max_record_lines)
    rejected = [FirstReject(r.line, r.rule, r.message, _text(r.raw)) for r in bad]
    rejected += [FirstReject(line, rule, message, _text(texts[line])) for line, rule, message in broken]
    return replace(
        told,
        records=counts.records,
        events=tuple(_event(["source_line", *names], row) for row in good),
        rejected=tuple(sorted(rejected, key=lambda reject: reject.line)[:events]),
    )


def _event(names: Sequence[str], row: Sequence[Any]) -> dict[str, Any]:
    return {name: value for name, value in zip(names, row, strict=True) if value is not None}


def _text(raw: bytes) -> str:
    return raw.decode(errors="backslashreplace").replace("\0", "\\x00")
