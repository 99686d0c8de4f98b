"""Remove what does not count: what dead stages left, and what a later stage replaced."""

from __future__ import annotations

import re

from ecom_analytics.lake import STAGED
from ecom_analytics.staging.state import Counted, State
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
    counted = Counted(state.tables["events"])

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
