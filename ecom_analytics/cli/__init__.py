"""The command line: a thin face on the library. Nothing heavy is imported until a command needs it."""

from __future__ import annotations

from importlib import import_module
from typing import ClassVar

import click

from ecom_analytics import __version__
from ecom_analytics.cli.output import report_errors, show_warnings

_COMMANDS = {
    "build": "stages",
    "demo": "demo",
    "diagnose": "diagnose",
    "doctor": "operate",
    "export": "stages",
    "forget": "forget",
    "generate": "generate",
    "ingest": "stages",
    "maintain": "operate",
    "plan": "operate",
    "plugins": "inspect",
    "rejected": "inspect",
    "rollback": "operate",
    "run": "stages",
    "runs": "operate",
    "serve": "serve",
    "stage": "stages",
    "status": "operate",
    "trace": "trace",
    "verify": "operate",
}

_ORDER = (
    *("demo", "plan", "run", "ingest", "stage", "build", "export", "serve"),
    *(
        "status",
        "runs",
        "rollback",
        "rejected",
        "trace",
        "diagnose",
        "verify",
        "forget",
        "maintain",
        "doctor",
        "generate",
        "plugins",
    ),
)


class _Commands(click.Group):
    """A group whose commands are imported when they are used; ``--help`` lists them without importing any."""

    _HELP: ClassVar = {
        "demo": "Make a month of a shop's clickstream, run everything, serve the dashboard.",
        "plan": "Say what a run would do; nothing is written.",
        "run": "Ingest files, stage, build, test, publish and export.",
        "ingest": "Copy raw event files into the lake.",
        "stage": "Turn what is new in the lake into canonical events.",
        "build": "Build and test the marts; publish them if all tests pass.",
        "export": "Write the published marts to a folder or S3.",
        "serve": "Serve the dashboard and the JSON API.",
        "status": "Show what is in the lake, what is served, and how the last run went.",
        "runs": "List the last runs; show one with its stages, models and tests.",
        "rollback": "Serve an older build again.",
        "rejected": "Show rejected records with file, line, rule and raw text.",
        "trace": "Show where an event was read, or what became of a line.",
        "verify": "Compare all tables with what making them anew gives.",
        "diagnose": "Show what is wrong in the data, by cause, with files and lines.",
        "forget": "Erase visitors from raw files, tables, builds and exports.",
        "maintain": "Delete what nobody needs any more; make few files of many.",
        "doctor": "Check all that a run needs, and say what to do.",
        "generate": "Make a clickstream of any size, with known faults if you like.",
        "plugins": "List the installed plug-ins.",
    }

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_ORDER)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in _COMMANDS:
            return None
        module = import_module(f"ecom_analytics.cli.{_COMMANDS[cmd_name]}")
        command = getattr(module, cmd_name)
        assert isinstance(command, click.Command)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, self._HELP[name]) for name in _ORDER])

    def invoke(self, ctx: click.Context) -> object:
        with report_errors(ctx):
            return super().invoke(ctx)


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="ecom-analytics")
@click.option("--debug", is_flag=True, help="Show the traceback of an error.")
@click.option(
    "--log-level",
    type=click.Choice(["debug", "info", "warning", "error"]),
    help="Write log records of this level and above to standard error, as JSON lines.",
)
def main(debug: bool, log_level: str | None) -> None:
    """From raw e-commerce clickstream to numbers you can trust, without a data platform.

    Settings come from options, then from environment variables ECOM_ANALYTICS_<NAME>, then from ecom.toml in the
    working directory, then from defaults. The data lie in ./ecom-data unless --home says otherwise.

    Exit codes: 0 it is done; 1 it went wrong; 2 the command was called wrongly; 3 the data failed a test or a limit,
    and nothing was published; 4 another run holds the warehouse.
    """
    if log_level is None:
        show_warnings()
    else:
        from ecom_analytics.logs import show

        show(log_level)
