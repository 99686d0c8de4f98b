"""How a mart is cut into files, and a hash of each file's rows that does not depend on their order."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from ecom_analytics.export_formats.copying import quoted

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

    from ecom_analytics.config import Settings

MOST = 1_000
"""A mart that would have more parts than this is one file."""

_NUMBERS = {"month": range(12, 120_000), "day": range(3_652_059)}
"""Of the months and days that Python knows."""

_HASHED = "2"
"""Goes up with the way in which rows are hashed."""


@dataclass(frozen=True, slots=True)
class Part:
    """Rows that go to one file.

    Attributes
    ----------
    partition : str or None
        The month or day.
    number : int
        What :attr:`CutMart.number` is for them; -1 if the mart is not cut, and for rows without a date.
    rows : int
    content : str
        Their hash.
    query : str
        The query for them.
    """

    partition: str | None
    number: int
    rows: int
    content: str
    query: str


@dataclass(frozen=True)
class CutMart:
    """A mart of the build and its parts.

    Attributes
    ----------
    name : str
    schema : pyarrow.Schema
    columns : tuple of dict
    description : str
    partitioned_by : str or None
    number : str
        The number of a row's part, in SQL.
    parts : tuple of Part
    """

    name: str
    schema: pa.Schema
    columns: tuple[dict[str, str], ...]
    description: str
    partitioned_by: str | None
    number: str
    parts: tuple[Part, ...]


def rule(settings: Settings) -> str:
    """What the cut and the hashes depend on besides the rows."""
    import duckdb

    cut = f"{settings.export_partitions} of more than {settings.export_partition_rows}"
    return f"{cut}; hash {_HASHED} of DuckDB {duckdb.__version__}"


def cut(connection: duckdb.DuckDBPyConnection, settings: Settings, name: str, known: Mapping[str, Any]) -> CutMart:
    """Cut a mart.

    Parameters
    ----------
    connection : duckdb.DuckDBPyConnection
    settings : Settings
    name : str
    known : mapping
        What the build knows of the mart; ``partition_by`` may name its date, or be false.
    """
    table = quoted(name)
    schema = connection.execute(f"SELECT * FROM {table} LIMIT 0").to_arrow_table().schema
    described = connection.execute(f"SELECT column_name, column_type FROM (DESCRIBE {table})").fetchall()
    told = known.get("columns", {})
    columns = tuple(
        {"name": column, "type": kind, "description": told.get(column, {}).get("description", "")}
        for column, kind in described
    )
    by = _date(dict(described), known) if settings.export_partitions != "none" else None
    if by:
        counted = connection.execute(f"SELECT count(*) FROM {table}").fetchone()
        if counted is None or counted[0] <= settings.export_partition_rows:
            by = None
    grain = settings.export_partitions
    starts = _number(quoted(by), grain) if by else "NULL::BIGINT"
    hashed = f"hash({', '.join(quoted(column) for column, _ in described)})"
    groups = connection.execute(
        f"""
        SELECT {starts} AS starts, count(*), sum({hashed}::HUGEINT), sum(hash({hashed}, 1)::HUGEINT)
        FROM {table} GROUP BY ALL ORDER BY ALL
        """
    ).fetchall()
    if len(groups) > MOST or any(group[0] not in _NUMBERS[grain] for group in groups if group[0] is not None):
        by = None
    if by is None:
        groups = [(None, *(sum(group[column] or 0 for group in groups) for column in (1, 2, 3)))]
    shape = json.dumps([[column, kind] for column, kind in described])
    parts = []
    for number, rows, *sums in groups:
        start = None if number is None else _start(number, grain)
        content = hashlib.sha256(f"{shape} {rows} {sums}".encode()).hexdigest()
        where = _where(quoted(by), start, grain) if by else ""
        partition = _named(start, grain) if by else None
        parts.append(Part(partition, -1 if number is None else number, rows, content, f"SELECT * FROM {table}{where}"))
    return CutMart(name, schema, columns, known.get("description", ""), by, f"coalesce({starts}, -1)", tuple(parts))


def _date(types: Mapping[str, str], known: Mapping[str, Any]) -> str | None:
    """The column that a mart says it is cut by, or its first date that is called so."""
    said = known.get("partition_by")
    if said is not None:
        return said if types.get(said) == "DATE" else None
    dates = (name for name, kind in types.items() if kind == "DATE" and (name == "date" or name.endswith("_date")))
    return next(dates, None)


def _number(column: str, grain: str) -> str:
    """The month or day of a date as a number, in SQL; NULL if there is none."""
    number = f"year({column}) * 12 + month({column}) - 1" if grain == "month" else f"{column} - DATE '0001-01-01'"
    return f"CASE WHEN isfinite({column}) THEN {number} END"


def _start(number: int, grain: str) -> date:
    return date(number // 12, number % 12 + 1, 1) if grain == "month" else date(1, 1, 1) + timedelta(number)


def _where(column: str, start: date | None, grain: str) -> str:
    if start is None:
        return f" WHERE ({column} IS NULL OR NOT isfinite({column}))"
    first = f"DATE '{start.isoformat()}'"
    return f" WHERE {column} >= {first} AND {column} < {first} + INTERVAL 1 {grain.upper()}"


def _named(start: date | None, grain: str) -> str:
    if start is None:
        return "undated"
    return start.isoformat()[:7] if grain == "month" else start.isoformat()
