"""``ecom-analytics generate``."""

from __future__ import annotations

from typing import Any

import click

from ecom_analytics.cli.output import Output, number, shown_path


@click.command()
@click.argument("path", default="events.csv", type=click.Path(dir_okay=False))
@click.option(
    "--like",
    type=click.Choice(["retailrocket", "shop"]),
    default="retailrocket",
    show_default=True,
    help="Whose shape the events have.",
)
@click.option("--events", type=click.IntRange(min=10), help="How many events. [as the model has]")
@click.option("--days", type=click.IntRange(min=1), help="Over how many days. [as the model has]")
@click.option("--seed", type=int, default=0, show_default=True, help="The same seed gives the same bytes.")
@click.option(
    "--faults",
    is_flag=False,
    flag_value="default",
    metavar="[KIND=N,...]",
    help="Inject faults: a default mix, or known amounts such as bad_timestamps=5,ragged_lines=3.",
)
@click.option("--ledger", type=click.Path(dir_okay=False), help="File that lists every fault. [PATH.faults.jsonl]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON lines, the last one being the report.")
def generate(path: str, faults: str | None, ledger: str | None, as_json: bool, **options: Any) -> None:
    """Make a clickstream and write it to PATH."""
    from ecom_analytics.generate import generate as make

    output = Output(as_json)
    with output.watching() as watch:
        report = make(path, faults=_amounts(faults), ledger=ledger, watch=watch, **options)
    output.report("generate", report.to_dict(), f"Wrote {number(report.events)} events to {shown_path(path)}.")


def _amounts(text: str | None) -> bool | dict[str, int]:
    if text is None:
        return False
    if text == "default":
        return True
    amounts = {}
    for part in text.split(","):
        kind, separator, count = part.partition("=")
        if not separator or not count.strip().isdigit():
            raise click.BadParameter(f"{part!r} is not KIND=N", param_hint="--faults")
        amounts[kind.strip()] = int(count)
    return amounts
