"""Options that several commands share: each overrides the setting of its name."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

import click

from ecom_analytics.cli.output import Output

_Function = TypeVar("_Function", bound=Callable[..., Any])

_SETTINGS = {
    "home": click.option(
        "--home", type=click.Path(file_okay=False), help="Folder of lake, warehouse and exports. [./ecom-data]"
    ),
    "lake": click.option("--lake", metavar="FOLDER|S3", help="The data lake. [lake in home]"),
    "warehouse": click.option(
        "--warehouse", type=click.Path(file_okay=False), help="The warehouse. [warehouse in home]"
    ),
    "source": click.option("--source", help="Name of the place that the events come from. [default]"),
    "source_format": click.option("--format", "source_format", help="How the files look. [auto: by looking at them]"),
    "encoding": click.option("--encoding", help="Encoding of the files. [auto: UTF-8 or UTF-16]"),
    "delimiter": click.option("--delimiter", help="Character between fields, or tab. [auto]"),
    "header": click.option(
        "--header", type=click.Choice(["auto", "yes", "no"]), help="Whether the first line names the columns. [auto]"
    ),
    "mapping": click.option(
        "--mapping", type=click.Path(dir_okay=False), help="TOML file that says what the columns mean. [none]"
    ),
    "timezone": click.option("--timezone", help="IANA time zone of the store. [UTC]"),
    "session_timeout_minutes": click.option(
        "--session-timeout-minutes", type=float, help="Longest pause within a session. [30]"
    ),
    "models": click.option("--models", type=click.Path(file_okay=False), help="Folder of your own dbt models. [none]"),
    "memory_limit": click.option("--memory-limit", help="Memory that DuckDB may use. [1500MB]"),
    "threads": click.option("--threads", type=int, help="Threads that DuckDB may use. [all cores]"),
    "csv_bom": click.option(
        "--csv-bom", is_flag=True, default=None, help="Begin CSV files with a byte order mark, as Excel likes it."
    ),
    "csv_escape_formulas": click.option(
        "--csv-escape-formulas", is_flag=True, default=None, help="Put ' before text that would be a formula."
    ),
    "csv_null": click.option("--csv-null", help="What stands for NULL in CSV files. [nothing]"),
    "keep_exports": click.option("--keep-exports", type=int, help="Whole exports that are kept. [3]"),
    "host": click.option("--host", help="Address to serve on. [127.0.0.1]"),
    "port": click.option("--port", type=int, help="Port to serve on; 0 picks a free one. [8080]"),
}

_JSON = click.option("--json", "as_json", is_flag=True, help="Print JSON lines, the last one being the report.")

FILES = ("source", "source_format", "encoding", "delimiter", "header", "mapping")
PLACES = ("home", "lake", "warehouse")
WORK = (*PLACES, "timezone", "session_timeout_minutes", "memory_limit", "threads")
EXPORT = ("csv_bom", "csv_escape_formulas", "csv_null", "keep_exports")
BUILD = (*WORK, "models")


def with_settings(*names: str) -> Callable[[_Function], _Function]:
    """Give a command the options of these settings, and ``settings`` and ``output`` as its first arguments."""

    def decorate(function: _Function) -> _Function:
        @wraps(function)
        def command(as_json: bool, **values: Any) -> Any:
            from ecom_analytics.config import Settings

            given = {name: values.pop(name) for name in names}
            settings = Settings(**{name: value for name, value in given.items() if value is not None})
            return function(settings, Output(as_json), **values)

        for name in reversed(names):
            command = _SETTINGS[name](command)
        return _JSON(command)  # type: ignore[return-value]

    return decorate
