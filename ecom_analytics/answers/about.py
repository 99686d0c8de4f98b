"""What is served, what the data can tell, and what the words mean."""

from __future__ import annotations

from typing import Any

from ecom_analytics.answers.asking import Answer, Ask, Column
from ecom_analytics.answers.filters import DIMENSIONS, LINE
from ecom_analytics.answers.measures import Measures

NAMED = (Column("name", "Name"), Column("value", "Value"))
NOTICES = (
    Column("kind", "Kind"),
    Column("level", "Level"),
    Column("title", "Notice"),
    Column("count", "Count", "whole", "count"),
    Column("detail", "Detail"),
)
METRICS = (
    Column("name", "Name"),
    Column("label", "Metric"),
    Column("definition", "Definition"),
    Column("unit", "Unit"),
    Column("formula", "Formula"),
    Column("mart", "Mart"),
    Column("during", "Rows of a range"),
    Column("format", "Format"),
    Column("grain", "Grain"),
    Column("additivity", "Adds up over"),
    Column("null_rule", "Without a value"),
    Column("available", "In this data", "flag"),
    Column("reason", "Why not"),
)
CAPABILITIES = (
    Column("source", "Source"),
    Column("capability", "Capability"),
    Column("available", "Available", "flag"),
)
FACETS = (Column("value", "Value"), Column("label", "Label"), Column("count", "Count", "whole", "count"))


def meta(ask: Ask) -> Answer:
    """What is served: the build, its span, its inputs and how fresh they are."""
    build = ask.marts.build
    found = ask.rows("SELECT DISTINCT currency FROM transactions WHERE currency IS NOT NULL ORDER BY currency")
    currencies = [row["currency"] for row in found]
    [conflicts] = ask.rows("SELECT count(DISTINCT (source, transaction_id)) AS ids FROM conflicts")
    data = {
        "build_id": build.build_id,
        "built_at": build.built_at,
        "as_of": ask.info.get("as_of"),
        "timezone": ask.zone,
        "first_date": ask.span[0] if ask.span else None,
        "last_date": ask.span[1] if ask.span else None,
        "open_day": ask.open_day,
        "currency": currencies[0] if len(currencies) == 1 else None,
        "currencies": currencies,
        "dimensions": [{"name": name, "label": DIMENSIONS[name]} for name in _dimensions(ask)],
        "bots": bool(ask.rows("SELECT 1 AS one FROM bots LIMIT 1")),
        "input": ask.info.get("input", {}),
        "tests": ask.info.get("tests", {}),
        "batches": ask.info.get("batches", {}),
        "started_from": ask.info.get("started_from"),
        "model_version": ask.info.get("model_version"),
        "staged_version": ask.info.get("staged_version"),
        "marts": {name: mart["rows"] for name, mart in sorted(ask.info["marts"].items())},
        "conflicts": conflicts["ids"],
    }
    return Answer(data, NAMED, rows=[{"name": name, "value": value} for name, value in data.items()])


def _dimensions(ask: Ask) -> list[str]:
    """The dimensions that any source of the data has values of, and that are worth a choice."""
    told = {
        "source": len(ask.info.get("capabilities", {})) > 1,
        "channel": bool(ask.capable & {"traffic_source", "medium", "campaign"}),
        "weekday": True,
        "hour": True,
        "segment": True,
    }
    return [name for name in DIMENSIONS if told.get(name, name in ask.capable)]


def metrics(ask: Ask) -> Answer:
    """The catalogue of metrics."""
    measures = Measures(ask)
    keys = ("formula", "mart", "during", "format", "grain", "additivity", "null_rule", "available")
    rows = [
        {
            "name": name,
            **measures.definition(name),
            **{key: getattr(metric, key) for key in keys},
            "reason": None if metric.available else measures.reason(name),
        }
        for name, metric in ask.metrics.items()
    ]
    return Answer(rows, METRICS)


def capabilities(ask: Ask) -> Answer:
    """What each source can tell."""
    return Answer(ask.rows("SELECT source, capability, available FROM capabilities ORDER BY ALL"), CAPABILITIES)


def notices(ask: Ask) -> Answer:
    """What a reader of the figures should know about the data."""
    [row] = ask.rows("SELECT count(DISTINCT (source, transaction_id)) AS ids FROM conflicts")
    read = ask.info.get("input", {})
    rules = ", ".join(f"{rule} {count:,}" for rule, count in read.get("rejected_by_rule", {}).items())
    found = [
        ("conflicts", "warning", "Transaction ids in conflict", row["ids"],
         "Used by several visitors, or at times far apart. Each is counted once, for its first visitor."),
        ("rejected", "warning", "Rejected records", read.get("rejected", 0),
         f"{rules}. Kept with file, line and raw text: see `ecom-analytics rejected`."),
        ("duplicates", "info", "Duplicate records", read.get("duplicates", 0), "Counted once, and kept aside."),
    ]  # fmt: skip
    found += [
        ("warning", "warning", check["name"], check["failures"], check["message"])
        for check in ask.info.get("checks", [])
        if check.get("status") == "warn"
    ]
    rows = [
        {"kind": kind, "level": level, "title": title, "detail": detail, "count": count}
        for kind, level, title, count, detail in found
        if count
    ]
    return Answer(rows, NOTICES)


def facets(ask: Ask) -> Answer:
    """The values of a dimension, the most frequent first."""
    dimension, asked = ask.path["dimension"], ask["q"]
    if dimension == "channel":
        counted = _channels(ask)
    elif dimension == "segment":
        counted = "SELECT segment AS value, count(*) AS count FROM rfm GROUP BY 1"
    elif dimension in ("weekday", "hour"):
        relation = ask.relation("transactions", dimension)
        counted = (
            f"SELECT CAST({dimension} AS VARCHAR) AS value, count(*) AS count FROM {relation.sql} AS mart GROUP BY 1"
        )
    else:
        measure = "transactions" if dimension in LINE else "sessions"
        counted = (
            f"SELECT value, CAST(sum({measure}) AS BIGINT) AS count FROM daily_by "
            "WHERE dimension = $dimension GROUP BY 1"
        )
    rows = ask.rows(
        "SELECT coalesce(value, '') AS value, coalesce(value, '(not set)') AS label, count "
        f"FROM ({counted}) AS counted "
        "WHERE $q IS NULL OR contains(lower(coalesce(value, '(not set)')), lower($q)) "
        "ORDER BY count DESC, value LIMIT $most",
        {"dimension": dimension, "q": asked, "most": ask["limit"], "zone": ask.zone},
    )
    return Answer(rows, FACETS)


def _channels(ask: Ask) -> str:
    """SQL of the transactions that channels had a part in: channels without one are no choice worth listing."""
    names = ", ".join(f"'{name}'" for name in ("traffic_source", "medium", "campaign"))
    if not ask.rows(f"SELECT 1 AS one FROM daily_by WHERE dimension IN ({names}) LIMIT 1"):
        return "SELECT CAST(NULL AS VARCHAR) AS value, 0 AS count WHERE false"
    return "SELECT channel AS value, count(DISTINCT (source, transaction_id)) AS count FROM attribution GROUP BY 1"


def keyed(key: Any) -> str:
    """The value of a dimension as filters take it; the empty text for what is not known."""
    return "" if key is None else str(key)


def labelled(dimension: str, key: Any) -> str:
    """The value of a dimension as people read it."""
    if key is None or key == "":
        return "(not set)"
    if dimension == "weekday":
        return WEEKDAYS[int(key) - 1]
    if dimension == "hour":
        return f"{int(key):02}:00"
    if dimension == "customer_type":
        return {"new": "New customers", "repeat": "Repeat customers"}[str(key)]
    return str(key)


WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
