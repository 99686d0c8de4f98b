"""The rows behind tests that failed or warned, kept before the build's folder goes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ecom_analytics.reports import CheckResult, plain

ROWS = 20
"""Rows that are kept of each test."""

_FILE = "failed-{}.json"
_PROBLEMS = {"fail", "warn", "error"}


def keep(warehouse: Path, side: Path, build_id: str, checks: list[CheckResult], config: dict[str, Any]) -> Path | None:
    """Write ``failed-<build>.json`` beside the builds: each test that did not pass, its SQL and its first rows.

    Only the newest such file is kept. None is written, and the last one goes, if every test passed.

    Parameters
    ----------
    warehouse, side : pathlib.Path
        Where builds are published, and where this one was made; dbt has closed it.
    build_id : str
    checks : list of CheckResult
    config : dict
        How DuckDB opens a build's file.
    """
    problems = [check for check in checks if check.status in _PROBLEMS]
    for old in warehouse.glob(_FILE.format("*")):
        old.unlink(missing_ok=True)
    if not problems:
        return None
    found = {"build_id": build_id, "tests": _evidence(side, problems, config)}
    path = warehouse / _FILE.format(build_id)
    path.write_text(json.dumps(found, indent=1, default=str) + "\n", encoding="utf-8")
    return path


def read(warehouse: Path) -> dict[str, Any] | None:
    """What :func:`keep` wrote last: ``build_id`` and ``tests``; None if all tests passed.

    Examples
    --------
    >>> import tempfile
    >>> read(Path(tempfile.mkdtemp()))
    """
    for path in sorted(warehouse.glob(_FILE.format("*")), reverse=True):
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return found
    return None


def _evidence(side: Path, problems: list[CheckResult], config: dict[str, Any]) -> list[dict[str, Any]]:
    """Each test with its compiled SQL and rows, or why these cannot be read: the test has failed anyway."""
    import duckdb

    compiled = {path.stem: path for path in (side / "target" / "compiled").rglob("*.sql")}
    found = []
    try:
        connection = duckdb.connect(str(side / "warehouse.duckdb"), config=config)
    except duckdb.Error as error:
        return [{**plain(check), "sql": "", "rows": [], "unread": str(error)} for check in problems]
    with connection:
        if (side / "state.duckdb").exists():
            where = str(side / "state.duckdb").replace("'", "''")
            connection.execute(f"ATTACH '{where}' AS state (READ_ONLY)")
        connection.execute("SET TimeZone = 'UTC'")
        for check in problems:
            path = compiled.get(check.name)
            sql = path.read_text(encoding="utf-8").strip() if path else ""
            rows, unread = [], "" if sql else "its compiled SQL was not found"
            try:
                rows = _rows(connection, sql) if sql else []
            except duckdb.Error as error:
                unread = str(error)
            found.append({**plain(check), "sql": sql, "rows": rows, "unread": unread})
    return found


def _rows(connection: Any, sql: str) -> list[dict[str, Any]]:
    rows = connection.execute(f"SELECT * FROM ({sql.rstrip(';')}\n) LIMIT {ROWS}").to_arrow_table().to_pylist()
    return [dict(plain(row)) for row in rows]
