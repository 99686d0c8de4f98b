"""Remove what does not count: what dead stages left, and what a later stage replaced."""

from __future__ import annotations

import re

from ecom_analytics.lake import STAGED
from ecom_analytics.staging.state import Counted, State, open_tables
from ecom_analytics.staging.tables import commit, files_of

_FILE = re.compile(r"(\d{8,})-[0-9a-f]{32}(?=_)")


def sweep(state: State) -> None:
    """Remove the files and rows of stages that died, and the files that a later stage replaced.

    A stage's id begins with the number that its commit would have. If the events table has that number and does not
    know the stage, another took its place: it can never commit. A number yet to come may be that of a living stage.

    Parameters
    ----------
    state : State
        The staged tables as they are now.

    Raises
    ------
    BusyError
        Another stager changes them now; a later sweep will do it.
    """
    wrote = {file.stage_id for files in state.events.values() for file in files}
    counted = Counted(state.tables["events"], {*wrote, *state.batches["stage_id"].to_pylist()})

    def is_dead(name: str) -> bool:
        found = _FILE.match(name.rpartition("/")[2])
        return found is not None and int(found[1]) <= state.version and found[0] not in counted

    for name in STAGED:
        table = state.tables[name]
        if table is None:
            continue
        rows = [file for file in files_of(table) if is_dead(file.path)]
        rows += state.superseded.get(name, [])
        if rows:  # in one commit: the table is known as it was before
            commit(table, name, [], rows)
        state.place.delete([path for path in state.place.listing(name) if is_dead(path)])


def vacuum(state: State) -> int:
    """Remove every file that does not count from the folders of the staged tables; how many there were.

    Files of stages that may still be alive stay. A reader of an older version of the tables fails from then on.

    Parameters
    ----------
    state : State
        The staged tables as they are now.

    Raises
    ------
    BusyError
        Another stager changes them now.
    """
    sweep(state)
    removed = 0
    for name, table in open_tables(state.place).items():
        named = {f"{name}/{file.path}" for file in files_of(table)}
        dead = [path for path in state.place.listing(name) if path not in named and _number(path) <= state.version]
        state.place.delete(dead)
        removed += len(dead)
    return removed


def _number(path: str) -> int:
    found = _FILE.match(path.rpartition("/")[2])
    return int(found[1]) if found else 0
