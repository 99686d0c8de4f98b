"""``ecom-analytics trace``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from ecom_analytics.cli.options import PLACES, with_settings
from ecom_analytics.cli.output import Output

if TYPE_CHECKING:
    from ecom_analytics.config import Settings
    from ecom_analytics.staging import Trace


@click.command()
@click.argument("event", metavar="EVENT_KEY|FILE:LINE")
@with_settings(*PLACES)
def trace(settings: Settings, output: Output, event: str) -> None:
    """Show the file, line and raw text of an event and of its duplicates; or what became of a line.

    EVENT_KEY is the event_key of the model stg_events, 32 hexadecimal digits. FILE is the name of an ingested file, or
    the first digits of its SHA-256.
    """
    from ecom_analytics.staging import trace as find

    found = find(settings, event)
    if output.as_json:
        for row in found.rows:
            output.line("row", **row.to_dict())
        for reject in found.rejected:
            output.line("rejected", **reject.to_dict())
    counts = {
        "staged": sum(row.status == "staged" for row in found.rows),
        "duplicates": sum(row.status == "duplicate" for row in found.rows),
        "rejected": len(found.rejected),
    }
    output.report("trace", {"asked": found.asked, "answer": found.answer, **counts}, "\n".join(_lines(found)))


def _lines(found: Trace) -> Iterator[str]:
    if not found.rows and not found.rejected:
        yield f"{found.asked}: {found.answer}"
    for row in found.rows:
        kept = f" of {row.kept_name}:{row.kept_line}: {row.reason}" if row.status == "duplicate" else ""
        yield f"{row.place}: {row.status}{kept}"
        yield f"    {row.raw_text}"
        told = {name: value for name, value in row.to_dict()["values"].items() if value is not None}
        yield from (f"  {name:<18} {value}" for name, value in told.items())
    for reject in found.rejected:
        yield f"{reject.name}:{reject.source_line}: rejected: {reject.rule}: {reject.message}"
        yield f"    {reject.raw_text}"
