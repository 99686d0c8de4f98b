"""Ids of runs, builds and exports: they sort by time."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime


def new_id() -> str:
    """An id such as ``20261123T013000Z-1a2b3c``: the time in UTC, and what tells two of one second apart.

    Examples
    --------
    >>> len(new_id())
    23
    """
    return f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}"
