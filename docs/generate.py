"""Writes the reference pages that are made from the code.

Run ``python docs/generate.py`` when one of them is out of date; a test fails then.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

REFERENCE = Path(__file__).parent / "reference"
NOTE = "<!-- Made by docs/generate.py: do not edit. -->\n"

CLI_END = """\
## Output and exit codes

On a terminal: progress, then a summary. Off a terminal, or with `--json`: one JSON object a line, the last one being
the report. An error is one sentence and a hint on standard error, and the exit code is 1; a wrong option gives 2.
"""
SETTINGS_START = """\
A setting is looked up as keyword argument of `Settings` (options of the command line are these), then as environment
variable `ECOM_ANALYTICS_<NAME>`, then in the file `ecom.toml` of the working directory, then there is its default. An
unknown name or a bad value is an error that says what is allowed.

```toml title="ecom.toml"
home = "/srv/shop"
timezone = "Europe/Berlin"
export_formats = ["parquet", "csv"]
```
"""
HTTP_START = """\
Below `<prefix>/api/v1`, GET only. The same document for machines is `openapi.json` there, and each route is a function
of [`Warehouse.query`](../how-to/ask.md) in Python. Within v1 changes only add.

- An answer is `{"data": ..., "meta": ...}`. `meta` names the build, the range and the compared range, the filters, and
  the columns with labels, types and units. What the data cannot tell is `null`, with the reason beside it, never 0.
- Each route has a twin that ends in `.csv`, with the rows of the same answer. Text that a spreadsheet would take for a
  formula begins with `'`.
- Each answer has a weak `ETag` of the build and the question; asked again with `If-None-Match`, the answer is 304.
- Lists have `limit`, `sort` and `next`: `meta.next` and the `Link` header lead to the next page.
- An error is `application/problem+json` (RFC 9457), and names each bad parameter. An unknown parameter is one of them.
- A question that takes too long ends in 503 with `Retry-After`.

```bash
curl 'http://127.0.0.1:8080/api/v1/kpis?period=7d&device=mobile'
curl 'http://127.0.0.1:8080/api/v1/products.csv?from=2026-01-01&to=2026-01-31&sort=-revenue&limit=100'
```

## Parameters
"""
EVENTS_START = """\
The Delta table `<lake>/staged/events`, partitioned by `event_date`. Two events that are equal in all columns but those
computed and those that say where it was read are the same event, and one of them is kept. Times are UTC to the
microsecond; a decimal has four digits after the point.
"""
EVENTS_END = """
## What is checked

Before a stage commits, two [Pandera](https://pandera.readthedocs.io) schemas prove what it read and wrote. They
reject no row, for that is done by then. What breaks one is a defect of the source format: nothing is committed, and
the error names each broken check, how many rows break it, and some of them with file and line.

**Raw records**, as a source format reads them: only text columns beside the origin; `batch_id`, `source` and
`source_line` never NULL; `source_line` and, where a record makes several rows, `source_item` counted from 1.

**Staged events**: the columns above and no other, in their types, and never NULL where they are always there;
`event_type` known; `event_ts` from 1990 to 2099; `event_date` its day in the store's time zone; `session_start` not
after `event_ts`; no decimal below zero; no row of a record (`source`, `batch_id`, `source_line`, `source_item`)
twice. Currency and country are as the source wrote them, and are not checked.

Checking takes two queries, however many columns there are, and reads only what the stage itself read and wrote. The
schemas are Pandera's own and work on any Ibis table of DuckDB, if with several queries for each check:

```python
import ibis

from ecom_analytics import Settings
from ecom_analytics.staging import event_schema, raw_schema, snapshot

settings = Settings()
files = snapshot(settings).files
events = ibis.duckdb.connect().read_parquet(files, hive_partitioning=True, union_by_name=True)
event_schema(events.columns, settings.timezone).validate(events, lazy=True)
print(raw_schema(["price", "source_item"]))
```
"""
CATALOGUE_START = """\
What files beside the events say of products, as Delta tables of their own below `<lake>/staged/`. Every record is kept
as it is, repeated ones too; an empty field says nothing. What holds when is worked out by the marts, so files of events
and of products may come in any order.
"""
RULES_START = """\
A record that breaks a rule is rejected by the first one that it breaks: kept with its text, file and line, but not
staged. First come the rules of reading, then those of its format, then [rules of your own](../how-to/own-rule.md):
those of the settings in their order, then those of plug-ins by name. The names are a contract.

The severity of a rule that is not *fixed* can be set to `warn` or `off`: see [below](#rules-of-your-own). A number that
could not be read is then NULL.
"""
RULES_OWN = """\
Each table `[[rules]]` of the settings is one rule. It needs a `name`, a `column`, and one or more conditions; an event
breaks it where any of them holds. What is missing breaks no other condition than `missing`. With a `name` and a
`severity` alone it gives an existing rule another severity.
"""
RULE_KEYS = {
    "name": "What the rule is called: lower-case letters, digits and `_`.",
    "severity": "`reject` (the default): the event is not staged. `warn`: it is staged and counted. `off`: nothing.",
    "event_types": "Only events of these types are held to it.",
    "source": "Only events of this source.",
    "source_format": "Only events of this format.",
    "column": "The column that is looked at, of those that an [event](events.md) has as it is read. A column that the "
    "format cannot fill is missing.",
    "missing": "`true`: there is no value.",
    "below": "The number or time is below this one.",
    "above": "The number or time is above this one.",
    "equals": "The value is this one.",
    "one_of": "The value is in this list.",
    "none_of": "The value is not in this list.",
    "matches": "The text has a part that matches this regular expression (of RE2: no look-around).",
    "not_matches": "The text has no such part.",
    "longer_than": "The text has more characters than this.",
    "message": "For a person; `{value}` is the column's value. By default it says what was asked.",
}
MARTS_START = """\
The tables of a published build. Names and types are a contract that every build is held to. A value that the source
cannot give is NULL, never 0: see the mart [`capabilities`](#capabilities).
"""


def cell(text: object) -> str:
    """Text as it can stand in a table."""
    return " ".join(str(text).split()).replace("|", "\\|")


def table(head: list[str], rows: list[list[object]]) -> str:
    """A Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(cell(value) for value in line) + " |" for line in lines) + "\n"


def cli() -> str:
    """The help of every command."""
    import click

    from ecom_analytics.cli import main

    width = {"terminal_width": 100, "max_content_width": 100}

    def help_of(command: click.Command, name: str, parent: click.Context | None = None) -> tuple[str, click.Context]:
        context = click.Context(command, info_name=name, parent=parent, **{**command.context_settings, **width})
        return "```text\n" + command.get_help(context).rstrip() + "\n```\n", context

    text, context = help_of(main, "ecom-analytics")
    assert isinstance(main, click.Group)
    parts = ["# Command line\n", NOTE, text]
    for name in main.list_commands(context):
        command = main.get_command(context, name)
        assert command
        parts += [f"## {name}\n", help_of(command, name, context)[0]]
    parts.append(CLI_END)
    return "\n".join(parts)


def default_of(name: str, default: Any) -> str:
    """A setting's default, for a reader."""
    derived = {"lake", "warehouse", "cache", "exports", "threads"}  # their descriptions say what the default is
    if name in derived or default is None:
        return ""
    return "`" + (",".join(default) if isinstance(default, tuple) else str(default)) + "`"


def settings() -> str:
    """Every setting, its default and its meaning."""
    from ecom_analytics.config import Settings

    rows: list[list[object]] = [
        [f"`{name}`", default_of(name, field.get_default()), field.description]
        for name, field in Settings.model_fields.items()
    ]
    return "\n".join(["# Settings\n", NOTE, SETTINGS_START, table(["Setting", "Default", "Meaning"], rows)])


def events() -> str:
    """The columns of a staged event."""
    from ecom_analytics.events import COLUMNS

    head = ["Column", "Type", "There", "", "Meaning"]
    meanings = {"event": "", "derived": "computed", "origin": "where it was read"}
    rows: list[list[object]] = [
        [f"`{c.name}`", c.type, "always" if c.required else "", meanings[c.meaning], c.description] for c in COLUMNS
    ]
    return "\n".join(["# Staged events\n", NOTE, EVENTS_START, table(head, rows), EVENTS_END.lstrip()])


def catalogue() -> str:
    """The columns of the staged tables of the catalogue, and the names that they have in files."""
    from ecom_analytics.catalogue import CATALOGUE
    from ecom_analytics.source_formats.catalogue import NAMES

    parts = ["# Staged products and categories\n", NOTE, CATALOGUE_START]
    for name, columns in CATALOGUE.items():
        rows: list[list[object]] = [
            [f"`{c.name}`", c.type, "always" if c.required else "", c.description] for c in columns
        ]
        parts += [f"## {name}\n", table(["Column", "Type", "There", "Meaning"], rows)]
    parts.append("## Names in a catalogue file\n")
    parts.append("What the header of a file in the format `catalogue` may call each column, in lower case.\n")
    parts.append(
        table(["Column", "Names"], [[f"`{name}`", ", ".join(f"`{n}`" for n in names)] for name, names in NAMES.items()])
    )
    return "\n".join(parts)


def models() -> Iterator[dict[str, Any]]:
    """The marts as the dbt project describes them."""
    import yaml

    project = Path(__file__).parent.parent / "dbt_models" / "models"
    blocks: dict[str, str] = {}
    for path in sorted(project.rglob("*.md")):
        found = re.findall(r"{% docs (\w+) %}(.*?){% enddocs %}", path.read_text(encoding="utf-8"), re.DOTALL)
        blocks |= {name: text.strip() for name, text in found}
    text = (project / "marts" / "_marts__models.yml").read_text(encoding="utf-8")
    text = re.sub(r"{{ doc\('(\w+)'\) }}", lambda match: blocks[match[1]].replace('"', '\\"'), text)
    yield from sorted(yaml.safe_load(text)["models"], key=lambda model: str(model["name"]))


def marts() -> str:
    """Every mart with its columns."""
    parts = ["# Marts\n", NOTE, MARTS_START]
    for model in models():
        rows: list[list[object]] = [[f"`{c['name']}`", c["data_type"], c["description"]] for c in model["columns"]]
        parts += [f"## {model['name']}\n", " ".join(model["description"].split()) + "\n"]
        parts.append(table(["Column", "Type", "Meaning"], rows))
    return "\n".join(parts)


def http() -> str:
    """Every route of the JSON API with its parameters."""
    from ecom_analytics.answers.filters import FILTERS
    from ecom_analytics.answers.ranges import COMPARISON, RANGE
    from ecom_analytics.panels.listing import ALL_ROUTES

    def shown(parameter: Any) -> list[object]:
        allowed = ", ".join(f"`{one}`" for one in parameter.choices)
        if parameter.kind == "whole":
            allowed = f"{parameter.least} to {parameter.most}"
        allowed = {"day": "a day, `2026-01-31`", "flag": "`true`, `false`", "text": "text"}.get(parameter.kind, allowed)
        default = "" if parameter.default in (None, False) else f"`{parameter.default}`"
        return [f"`{parameter.name}`", allowed, default, parameter.about]

    head = ["Parameter", "Allowed", "Default", "Meaning"]
    groups = {"Dates": RANGE, "Comparison": COMPARISON, "Filters": FILTERS}
    parts = ["# JSON API\n", NOTE, HTTP_START]
    for title, group in groups.items():
        parts += [f"### {title}\n", table(head, [shown(one) for one in group])]
    parts.append("## Routes\n")
    for path, route in ALL_ROUTES.items():
        known = {one.name for one in route.parameters}
        whole = [title for title, group in groups.items() if {one.name for one in group} <= known]
        common = {one.name for title in whole for one in groups[title]}
        parts += [f"### {path}\n", f"{route.summary}\n"]
        for part, choices in route.choices.items():
            parts.append(f"`{part}`: {', '.join(f'`{one}`' for one in choices)}.\n")
        if whole:
            links = [f"[{title.lower()}](#{title.lower()})" for title in whole]
            parts.append(f"Takes {' and '.join(', '.join(links).rsplit(', ', 1))}.\n")
        own = [shown(one) for one in route.parameters if one.name not in common]
        if own:
            short = [[name, allowed if len(str(allowed)) < 400 else "a column, with `-` before it the largest first",
                      default, about] for name, allowed, default, about in own]  # fmt: skip
            parts.append(table(head, short))
    parts += ["### export/all.zip\n", "Every panel as CSV, as the filters say, in one zip file.\n"]
    return "\n".join(parts)


def rules() -> str:
    """Every built-in rule, and the keys of a rule of one's own."""
    from ecom_analytics.rule_settings import RuleSettings
    from ecom_analytics.rules import BUILT_IN, why_fixed

    assert list(RULE_KEYS) == list(RuleSettings.model_fields)
    parts = ["# Rules\n", NOTE, RULES_START]
    titles = {"reading": "Reading", "events": "Events", "catalogue": "Products and categories"}
    for of, title in titles.items():
        rows: list[list[object]] = [
            [f"`{rule.name}`", "fixed" if why_fixed(rule.name) else "", rule.description]
            for rule in BUILT_IN.values()
            if rule.of == of
        ]
        parts += [f"## {title}\n", table(["Rule", "", "What is wrong"], rows)]
    parts += ["## Rules of your own\n", RULES_OWN]
    parts.append(table(["Key", "Meaning"], [[f"`{key}`", text] for key, text in RULE_KEYS.items()]))
    return "\n".join(parts)


PAGES = {
    "cli.md": cli,
    "settings.md": settings,
    "events.md": events,
    "catalogue.md": catalogue,
    "marts.md": marts,
    "rules.md": rules,
    "http.md": http,
}

if __name__ == "__main__":
    for name, make in PAGES.items():
        (REFERENCE / name).write_text(make(), encoding="utf-8")
