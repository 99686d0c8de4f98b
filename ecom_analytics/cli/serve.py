"""``ecom-analytics serve``."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from ecom_analytics.cli.options import PLACES, with_settings
from ecom_analytics.cli.output import Output

if TYPE_CHECKING:
    from ecom_analytics.config import Settings


@click.command()
@with_settings(*PLACES, "host", "port")
@click.option("--insecure", is_flag=True, help="Serve beyond this machine without asking for a token.")
def serve(settings: Settings, output: Output, insecure: bool) -> None:
    """Serve the dashboard and the JSON API until stopped; a newly published build is picked up by itself."""
    if not insecure:
        from ecom_analytics.dashboard.serving import check_reach

        check_reach(settings)
    serve_dashboard(settings, output)


def serve_dashboard(settings: Settings, output: Output) -> None:
    """Serve, and say where."""
    from ecom_analytics.dashboard.serving import serve as run_server

    def ready(address: str) -> None:
        output.say(f"Dashboard: {address}   (stop with Ctrl+C)", event="serving", address=address)

    run_server(settings, ready=ready)
