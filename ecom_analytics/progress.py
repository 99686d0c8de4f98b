"""What a running stage tells whoever watches: plain values, no printing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Progress:
    """One step of progress.

    Attributes
    ----------
    stage : str
        ``generate``, ``ingest``, ``stage``, ``build`` or ``export``.
    message : str
        What is being done, for a person.
    done, total : int or None
        How much of it, in ``unit``; None while unknown.
    unit : str
        ``bytes``, ``events``, ``days``, ``models``, ``files``.
    """

    stage: str
    message: str
    done: int | None = None
    total: int | None = None
    unit: str = ""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


Watcher = Callable[[Progress], None]
"""Receives each :class:`Progress`; called from the thread that runs the stage."""


def ignore(_: Progress) -> None:
    """Watch nothing."""
