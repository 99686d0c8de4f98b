"""``ecom-analytics demo``: the main job on a month of made-up shop data."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ecom_analytics.cli.options import WORK, with_settings
from ecom_analytics.cli.output import Output
from ecom_analytics.cli.serve import serve_dashboard
from ecom_analytics.cli.stages import summary

if TYPE_CHECKING:
    from ecom_analytics.config import Settings

SOURCE = "demo"


@click.command()
@click.option("--no-serve", is_flag=True, help="End after the run.")
@click.option("--events", type=click.IntRange(min=100), default=100_000, show_default=True, help="How many events.")
@with_settings(*WORK, "host", "port")
def demo(settings: Settings, output: Output, no_serve: bool, events: int) -> None:
    """Make a month of a shop's clickstream with a few faults in it, run everything, and serve the dashboard."""
    from ecom_analytics import Pipeline
    from ecom_analytics.errors import ConfigError
    from ecom_analytics.generate import generate
    from ecom_analytics.lake import batches
    from ecom_analytics.storages import open_storage

    others = {batch.source for batch in batches(open_storage(settings.lake, settings))} - {SOURCE}
    if others:
        raise ConfigError(
            f"the lake {settings.lake} holds events of {', '.join(sorted(others))}; the demo would mix with them",
            hint="give the demo a folder of its own: ecom-analytics demo --home ./ecom-demo",
        )
    events_file = settings.home / "demo" / "events.csv"
    events_file.parent.mkdir(parents=True, exist_ok=True)
    with output.watching() as watch:
        generate(events_file, like="shop", events=events, days=30, faults=True, watch=watch)
        report = Pipeline(settings, watch=watch).run(events_file, source=SOURCE, source_format="canonical")
    output.report("demo", report.to_dict(), summary(report))
    if not no_serve:
        serve_dashboard(settings, output)
