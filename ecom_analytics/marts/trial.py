"""What a build of selected models leaves: a file to look at, beside the served build and never in its place."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ecom_analytics.marts import project, results
from ecom_analytics.reports import BuildReport, CheckResult

FILE = "trial.duckdb"


def words(selectors: str | Sequence[str] | None) -> list[str]:
    """Each selector of one text, or of several.

    Examples
    --------
    >>> words("+users daily"), words(["own", "tag:slow"]), words(None)
    (['+users', 'daily'], ['own', 'tag:slow'], [])
    """
    given = [selectors] if isinstance(selectors, str) else list(selectors or ())
    return [word for text in given for word in text.split()]


def finish(side: Path, warehouse: Path, asked: Iterable[str], config: dict[str, Any]) -> dict[str, int]:
    """Leave nothing but the tables of these nodes in the file, and put it into the warehouse's folder.

    Returns
    -------
    dict
        Table → rows.
    """
    import duckdb

    names = {node.split(".")[2] for node in asked if not node.startswith("test.")}
    rows: dict[str, int] = {}
    with duckdb.connect(str(side / project.DATABASE), config=config) as connection:
        state = str(side / f"{project.STATE}.duckdb").replace("'", "''")
        connection.execute(f"ATTACH '{state}' AS built (READ_ONLY)")
        for catalog, kind, name in connection.execute(_RELATIONS).fetchall():
            if catalog == "built" and name in names:
                connection.execute(f'CREATE TABLE main."{name}" AS FROM built.main."{name}"')
            elif catalog != "built" and (kind == "VIEW" or name not in names):
                connection.execute(f'DROP {kind} main."{name}" CASCADE')
        connection.execute("DETACH built")
        for (name,) in connection.execute("SELECT table_name FROM duckdb_tables() ORDER BY 1").fetchall():
            found = connection.execute(f'SELECT count(*) FROM "{name}"').fetchone()
            rows[name] = int(found[0]) if found else 0
        connection.execute("CHECKPOINT")
    os.replace(side / project.DATABASE, warehouse / FILE)
    return rows


def report(
    build_id: str,
    path: Path,
    rows: dict[str, int],
    told: Sequence[dict[str, Any]],
    checks: Sequence[CheckResult],
    seconds: float,
) -> BuildReport:
    """The report on such a build."""
    return BuildReport(
        build_id=build_id,
        built=True,
        path=path,
        rows=rows,
        tests=len(checks),
        warnings=tuple(check for check in checks if check.status == "warn"),
        conflicts=rows.get("conflicts", 0),
        as_of=None,
        seconds=seconds,
        nodes=tuple(results.node(node, rows) for node in told),
        published=False,
        checks=tuple(checks),
    )


def forget(warehouse: Path) -> None:
    """Remove the file."""
    (warehouse / FILE).unlink(missing_ok=True)


_RELATIONS = (
    "SELECT database_name, 'VIEW', view_name FROM duckdb_views() WHERE NOT internal "
    "UNION ALL SELECT database_name, 'TABLE', table_name FROM duckdb_tables() WHERE NOT internal ORDER BY 2 DESC"
)
