"""What an event and a session are named by: hashes, as SQL of DuckDB, that are the same however files were cut."""

from __future__ import annotations

from collections.abc import Collection

from ecom_analytics.events import COLUMNS, IDENTITY, NAMES


def event_key(columns: Collection[str] = NAMES) -> str:
    """The md5 of the normalised row: each value with its length before it, so that no two rows look alike.

    Parameters
    ----------
    columns : collection of str
        The columns that are there; the others are NULL.

    Examples
    --------
    >>> event_key(["user_id"]).count("coalesce")
    1
    """
    kinds = {column.name: column.type for column in COLUMNS}
    parts: list[str] = []
    for name in IDENTITY:
        if name not in columns:
            parts.append("'-'")
            continue
        value = f"CAST({f'epoch_us({name})' if kinds[name] == 'timestamp' else name} AS VARCHAR)"
        parts += [f"coalesce(length({value}) || ':', '-')", value]  # concat leaves out what is NULL
    return f"md5(concat({', '.join(parts)}))"


def session_id() -> str:
    """The same as the dbt macro ``session_id``."""
    return "md5(source || '|' || visitor_id || '|' || CAST(epoch_us(session_start) AS VARCHAR))"
