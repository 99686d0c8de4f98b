"""Commands that look: rejected (which can stage again what it shows), plugins."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from ecom_analytics.cli.options import FILES, WORK, with_settings
from ecom_analytics.cli.output import Output, number, table
from ecom_analytics.cli.stages import staged

if TYPE_CHECKING:
    from ecom_analytics.config import Settings
    from ecom_analytics.staging import RejectedRule


@click.command()
@click.option("--limit", type=click.IntRange(min=1), help="Show so many records one by one. [20 with --rule or --json]")
@click.option("--rule", help="Show the records that broke this rule, one by one.")
@click.option("--replay", is_flag=True, help="Stage them again, after a rule, a mapping or a format was corrected.")
@click.option("--source", help="With --replay: only files of this source.")
@with_settings(*WORK, *(name for name in FILES if name != "source"))
def rejected(
    settings: Settings, output: Output, limit: int | None, rule: str | None, replay: bool, source: str | None
) -> None:
    """Show rejected records: by rule, or each with its place, the rule it broke, and its raw text. Or stage them again.

    With --replay the files that hold such records are read again as the settings and options say now; so are files
    that are read in another way by now, and new ones.
    """
    from ecom_analytics.reports import plain
    from ecom_analytics.staging import rejected as read
    from ecom_analytics.staging import rejected_by_rule

    if replay:
        from ecom_analytics import Pipeline

        with output.watching() as watch:
            report = Pipeline(settings, watch=watch).replay(rule=rule, source=source)
        again = f"Read {number(report.replayed_batches)} staged files again. Then run: ecom-analytics build"
        output.report("rejected", report.to_dict(), f"{again}\n{staged(report)}")
        return
    if limit is None and rule is None and not output.as_json:
        click.echo("\n".join(map(_by_rule, rejected_by_rule(settings))) or "No record is rejected.")
        return
    total, rows = read(settings, limit=limit or 20, rule=rule)
    for row in rows:
        if output.as_json:
            output.line("rejected", **row)
        else:
            click.echo(_record(row))
    more = f"Showing {number(len(rows))} of {number(total)} rejected records."
    by_rule = plain(rejected_by_rule(settings)) if output.as_json else []
    output.report("rejected", {"rejected": total, "shown": len(rows), "by_rule": by_rule}, more)


def _by_rule(rule: RejectedRule) -> str:
    """A rule, what it is about, and its first records."""
    severity = f" (now {rule.severity or 'gone'})" if rule.severity != "reject" else ""
    head = f"{rule.rule}{severity}: {number(rule.records)} rejected. {rule.description}".rstrip()
    return "\n".join([head, *(_record(row, "  ") for row in rule.samples)])


def _record(row: dict[str, Any], margin: str = "") -> str:
    """Where a record is, the rule it broke, and its raw text."""
    return f"{margin}{row['name']}:{row['source_line']}: {row['rule']}: {row['message']}\n{margin}    {row['raw_text']}"


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON lines, the last one being the report.")
def plugins(as_json: bool) -> None:
    """List the installed plug-ins of each kind."""
    from ecom_analytics.plugins import KINDS, names

    found = {kind: names(kind) for kind in KINDS}
    Output(as_json).report(
        "plugins", dict(found), table([(kind, ", ".join(found[kind]) or "none") for kind in KINDS]).rstrip()
    )
