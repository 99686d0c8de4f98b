"""Answers that were computed when a build was published, in a SQLite file beside it.

The key of an answer holds the release of this package: another one may answer otherwise, and finds none.
"""

from __future__ import annotations

import gzip
import hashlib
import logging
import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from ecom_analytics import __version__
from ecom_analytics.answers.routes import Route

_log = logging.getLogger(__name__)


class Ready(NamedTuple):
    """An answer as the API serves it: JSON, gzipped, and where the next page of its list begins."""

    zipped: bytes
    more: str | None


class Question(NamedTuple):
    """What is asked: a route, what its path leaves open, and its parameters as texts."""

    route: Route
    path: Mapping[str, str]
    given: Mapping[str, Sequence[str]]

    @property
    def key(self) -> str:
        """The same for all ways to ask the same: with a default or without it, in any order."""
        declared = self.route.parameters
        defaults = {one.name: [_text(one.default)] for one in declared if one.default is not None}
        if any(one.name == "period" for one in declared):
            defaults["period"] = ["28d"]
        told = sorted((name, *values) for name, values in self.given.items() if list(values) != defaults.get(name))
        whole = (__version__, self.route.path, sorted(self.path.items()), told)
        return hashlib.sha256(repr(whole).encode()).hexdigest()


def write(file: Path, answers: Iterable[tuple[Question, str, str | None]]) -> int:
    """Write questions with their answers, JSON and next page, into a new file; how many there were."""
    count = 0
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("CREATE TABLE answers (key TEXT PRIMARY KEY, zipped BLOB NOT NULL, more TEXT) WITHOUT ROWID")
        for question, text, more in answers:
            packed = gzip.compress(text.encode(), 6, mtime=0)
            connection.execute("INSERT OR IGNORE INTO answers VALUES (?, ?, ?)", (question.key, packed, more))
            count += 1
    return count


def find(file: Path, question: Question) -> Ready | None:
    """The answer, if it was computed."""
    if not file.exists():
        return None
    try:
        with closing(sqlite3.connect(f"{file.as_uri()}?mode=ro&immutable=1", uri=True)) as connection:
            found = connection.execute("SELECT zipped, more FROM answers WHERE key = ?", (question.key,)).fetchone()
    except sqlite3.Error as error:
        _log.warning("%s cannot be read, so its answers are computed anew: %s", file.name, error)
        return None
    return Ready(*found) if found else None


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
