"""What the numbers rest on: where every record went, what was tested, how builds came about."""

from __future__ import annotations

from typing import Any

from ecom_analytics.answers.asking import Answer, Ask, Column
from ecom_analytics.answers.lists import Listing, paged

CHECKS = (
    Column("name", "Check"),
    Column("model", "Mart"),
    Column("column", "Column"),
    Column("status", "Result"),
    Column("failures", "Rows that fail", "whole", "count"),
    Column("message", "Message"),
    Column("history", "Results before"),
)
SHOWN_OF_HISTORY = 12


def checks(ask: Ask) -> Answer:
    """Every check of the served build, passes included, with its results in the builds before."""
    history: dict[tuple[str, str], list[str]] = {}
    for row in ask.rows(
        "SELECT model, name, string_agg(status, ' ' ORDER BY checked_at) AS statuses FROM ("
        "SELECT *, row_number() OVER (PARTITION BY model, name ORDER BY checked_at DESC) AS age "
        "FROM checks) AS numbered "
        "WHERE age <= $most GROUP BY model, name",
        {"most": SHOWN_OF_HISTORY},
    ):
        history[row["model"], row["name"]] = row["statuses"].split()
    order = {"fail": 0, "error": 0, "warn": 1, "pass": 2}
    keys = ("name", "model", "column", "status", "failures", "message")
    rows = [
        {**{key: one.get(key) for key in keys}, "history": history.get((one.get("model"), one.get("name")), [])}
        for one in ask.info.get("checks", [])
        if ask["status"] is None or one.get("status") == ask["status"]
    ]
    rows.sort(key=lambda row: (order.get(row["status"], 0), row["model"] or "", row["name"]))
    flat = [{**row, "history": " ".join(row["history"])} for row in rows]
    return Answer(rows, CHECKS, rows=flat)


REJECTED = (
    Column("rule", "Rule"),
    Column("count", "Records", "whole", "count"),
    Column("file", "File"),
    Column("line", "Line", "whole"),
    Column("message", "Message"),
    Column("raw", "Record"),
)


def rejected(ask: Ask) -> Answer:
    """Rejected records by rule, with some of each, as they were when the build was made."""
    counts = ask.info.get("input", {}).get("rejected_by_rule", {})
    samples = ask.info.get("rejected_samples", {})
    data = [{"rule": rule, "count": count, "samples": samples.get(rule, [])} for rule, count in sorted(counts.items())]
    rows = [
        {"rule": one["rule"], "count": one["count"], **sample}
        for one in data
        for sample in (one["samples"] or [{"file": None, "line": None, "message": None, "raw": None}])
    ]
    return Answer(data, REJECTED, rows=rows)


RUNS = Listing(
    (
        Column("run_id", "Run"),
        Column("name", "Command"),
        Column("status", "Result"),
        Column("started_at", "Started", "time"),
        Column("seconds", "Seconds", "number"),
        Column("build_id", "Build"),
        Column("as_of", "Data through", "time"),
        Column("message", "Message"),
        Column("package_version", "Version"),
    ),
    "-started_at",
    "run_id",
    ("run_id", "name", "build_id", "message"),
)


def runs(ask: Ask) -> Answer:
    """The runs before the one that made this build, as the history told them then."""
    return Answer(*paged(RUNS, ask, "SELECT * FROM runs WHERE kind = 'run'", {}))


LINEAGE = (
    Column("name", "Table"),
    Column("layer", "Layer"),
    Column("rows", "Rows", "whole", "count"),
    Column("seconds", "Seconds", "number"),
    Column("reads", "Made of"),
    Column("description", "What it holds"),
)


def lineage(ask: Ask) -> Answer:
    """The models of the build: what each is made of, how many rows it has, how long it took."""
    marts: dict[str, Any] = ask.info.get("marts", {})
    parents: dict[str, list[str]] = ask.info.get("lineage", {})
    rows = []
    for node in ask.info.get("nodes", []):
        if node.get("kind") != "model":
            continue
        name = node["name"]
        layer = "mart" if name in marts else "staging" if name.startswith("stg_") else "intermediate"
        mart = marts.get(name, {})
        rows.append(
            {
                "name": name,
                "layer": layer,
                "rows": mart.get("rows"),
                "seconds": node.get("seconds"),
                "reads": parents.get(name, []),
                "description": mart.get("description"),
            }
        )
    return Answer(rows, LINEAGE, rows=[{**row, "reads": " ".join(row["reads"])} for row in rows])
