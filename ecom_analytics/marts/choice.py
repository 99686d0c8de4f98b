"""Which nodes a selection of dbt's syntax means, and what must be built for them; runs in the process that has dbt."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

_KINDS = ("model.", "test.", "seed.")


class UnmatchedError(Exception):
    """A selector that nothing matches, and the models that it may mean."""

    def __init__(self, selector: str, close: Sequence[str] = ()) -> None:
        super().__init__(selector)
        self.selector = selector
        self.close = list(close)


@dataclass(frozen=True)
class Choice:
    """The nodes that were asked for, and all that must be built for them.

    Attributes
    ----------
    asked, all : set of str
        Unique ids. Only tests that were asked for are run.
    """

    asked: set[str]
    all: set[str]

    def selectors(self, manifest: Any) -> list[str]:
        """Selectors that name each node to build."""
        return sorted({f"fqn:{'.'.join(manifest.nodes[node].fqn)}" for node in self.all})


def choose(
    manifest: Any,
    select: Sequence[str],
    exclude: Sequence[str],
    ask: Callable[[Sequence[str], Sequence[str]], set[str]],
) -> Choice:
    """Find the nodes.

    Parameters
    ----------
    manifest : dbt.contracts.graph.manifest.Manifest
    select, exclude : sequence of str
        As dbt knows them: names, ``+users``, ``tag:daily``, paths.
    ask : callable
        Asks dbt which unique ids a selection means.

    Raises
    ------
    UnmatchedError
    """
    for selector in (*select, *exclude):
        if not ask([selector], []):
            names = [node.name for node in manifest.nodes.values() if node.resource_type == "model"]
            raise UnmatchedError(selector, difflib.get_close_matches(selector.strip("+@"), names, n=1))
    asked = {node for node in ask(select, exclude) if node.startswith(_KINDS)}
    if not asked:
        raise UnmatchedError(" ".join([*select, *(f"--exclude {selector}" for selector in exclude)]))
    needed, new = set(asked), asked
    while new:
        above = {parent for node in new for parent in manifest.nodes[node].depends_on_nodes}
        new = {node for node in above if node.startswith(("model.", "seed."))} - needed
        needed |= new
    return Choice(asked, needed)
