"""What ``ingest`` says of the files themselves: in full with ``--explain``, else where they differ from the usual."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ecom_analytics.cli.output import Output, number, shown_path

if TYPE_CHECKING:
    from ecom_analytics.ingest import Explanation
    from ecom_analytics.reports import IngestReport

_SHOWN = 5
"""Notes that are shown; the report has them all."""


def differences(report: IngestReport) -> Iterator[str]:
    """A line for each way in which new files differ from what their format states, and for what else was seen."""
    fresh = [batch for batch in report.batches if batch.new]
    new = Counter((batch.source_format, batch.new_columns) for batch in fresh if batch.new_columns)
    missing = Counter((batch.source_format, batch.missing_columns) for batch in fresh if batch.missing_columns)
    for (name, columns), files in new.items():
        yield f"{_files(files)}: {name} does not know {', '.join(columns)}; kept in the raw bytes only."
    for (name, columns), files in missing.items():
        yield f"{_files(files)}: {name} misses {', '.join(columns)}; NULL."
    notes = [f"{batch.name}: {note}." for batch in fresh for note in batch.notes]
    yield from notes[:_SHOWN]
    if len(notes) > _SHOWN:
        yield f"… and {number(len(notes) - _SHOWN)} more notes of that kind; --json has them all."


def _files(count: int) -> str:
    return f"{number(count)} file{'s'[: count != 1]}"


def tell(output: Output, explanations: Sequence[Explanation]) -> None:
    """Show what each file is taken for."""
    for explanation in explanations:
        if output.as_json:
            output.line("explanation", **explanation.to_dict())
        else:
            output.say("\n".join(_lines(explanation)) + "\n")
    refused = sum(bool(explanation.problem) for explanation in explanations)
    facts = {"files": len(explanations), "refused": refused}
    output.report("explain", facts, f"{_files(len(explanations))}, of which {number(refused)} would be refused.")


def _lines(seen: Explanation) -> Iterator[str]:
    yield f"{shown_path(seen.path)} ({number(seen.bytes)} bytes)"
    rows: list[tuple[str, str]] = []
    if seen.kind:
        rows += [("compression", seen.compression), ("layout", _layout(seen))]
        rows += [("columns", ", ".join(seen.columns) or "none")]
    if seen.confidence:
        order = sorted(seen.confidence.items(), key=lambda pair: (-pair[1], pair[0]))
        rows.append(("candidates", ", ".join(f"{name} {sure:g}" for name, sure in order)))
    if seen.source_format:
        rows += [("format", seen.source_format), ("can fill", ", ".join(seen.capabilities) or "required columns only")]
        rows += [("new columns", ", ".join(seen.new_columns))] * bool(seen.new_columns)
        rows += [("missing", ", ".join(seen.missing_columns))] * bool(seen.missing_columns)
    rows += [("note", note) for note in seen.notes]
    rows += [("refused", seen.problem), ("hint", seen.hint)] if seen.problem else []
    yield from (f"  {name:<12} {value}" for name, value in rows)
    if seen.records:
        yield f"  Of the first {number(seen.records)} records:"
    for event in seen.events:
        values = ", ".join(f"{name} {_value(value)}" for name, value in event.items() if name != "source_line")
        yield f"    line {event['source_line']}: {values}"
    for reject in seen.rejected:
        yield f"    line {reject.line} rejected: {reject.rule}: {reject.message}"
        yield f"      {reject.raw_text[:500]}"


def _layout(seen: Explanation) -> str:
    if seen.kind == "parquet":
        return "Parquet"
    if seen.kind == "json_lines":
        return f"JSON Lines, {seen.encoding}"
    mark = {"\t": "tab", ",": "comma", ";": "semicolon", "|": "bar"}.get(seen.delimiter, repr(seen.delimiter))
    return f"{mark} between fields, {seen.encoding}, {'a' if seen.has_header else 'no'} header"


def _value(value: Any) -> str:
    return str(value)
