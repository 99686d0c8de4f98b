"""A seeded, deterministic clickstream of any size, with the shape of real shops and, if you like, known faults."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Literal

from ecom_analytics.errors import ConfigError
from ecom_analytics.generate.faults import wanted
from ecom_analytics.progress import Watcher, ignore
from ecom_analytics.reports import Report

__all__ = ["GenerateReport", "generate"]

_EPOCH, _FIRST, _LAST = date(1970, 1, 1), date(1990, 1, 1), date(2099, 12, 31)
_MOST_A_DAY = 200_000_000


@dataclass(frozen=True, slots=True)
class GenerateReport(Report):
    """What :func:`generate` wrote.

    Attributes
    ----------
    path, ledger : pathlib.Path
        The events, and the list of faults (None if there is none).
    events : int
        Rows without those that were injected.
    lines : int
        Lines of the file, header included.
    by_type : dict
        Event type, as the file names it → rows.
    visitors, items : int
        Distinct ones in these rows.
    days, bytes : int
    faults : dict
        Kind → how many were injected.
    seconds : float
    """

    path: Path
    events: int
    lines: int
    by_type: dict[str, int]
    visitors: int
    items: int
    days: int
    bytes: int
    seconds: float
    faults: dict[str, int] = field(default_factory=dict)
    ledger: Path | None = None


def generate(
    path: str | Path,
    *,
    like: Literal["retailrocket", "shop"] = "retailrocket",
    events: int | None = None,
    days: int | None = None,
    seed: int = 0,
    faults: bool | Mapping[str, int] = False,
    ledger: str | Path | None = None,
    start: date | None = None,
    watch: Watcher = ignore,
) -> GenerateReport:
    """Write a clickstream as CSV, sorted by time; the same arguments give the same bytes.

    Parameters
    ----------
    path : str or pathlib.Path
        The file; it appears when it is whole. A name that ends in ``.gz`` is compressed.
    like : {"retailrocket", "shop"}
        ``retailrocket``: at its own size 2,756,101 events of 1,407,580 visitors over 235,061 items in 138 days, of
        which 2,664,312 views, 69,332 adds to cart, 22,457 transaction lines, and 460 exact duplicates; any other size
        is in proportion. ``shop``: the columns of the ``canonical`` source format, with prices, categories, brands,
        devices, countries, traffic sources, cart removals, checkouts and refunds.
    events, days : int, optional
        By default 2,756,101 in 138 days, and 100,000 in 30 days.
    seed : int
    faults : bool or mapping
        True for a few of each kind, as far as the file has room for them, or kind → exactly how many; see
        :data:`ecom_analytics.generate.faults.DEFAULT`. Faults are rows that are added, but for ``late_events``, which
        are moved to the end.
    ledger : str or pathlib.Path, optional
        JSON Lines that tell kind, line and text of each fault, and a summary at the end. By default
        ``<path>.faults.jsonl``, if there are faults.
    start : datetime.date, optional
        The first day; by default 2015-05-03, and 2026-01-05.
    watch : callable, optional

    Raises
    ------
    ConfigError
        If an argument is out of range, or there is no room for the faults; no file is written then.
    StorageFullError
        If the disk is full.

    Examples
    --------
    >>> import tempfile
    >>> folder = tempfile.mkdtemp()
    >>> report = generate(f"{folder}/events.csv", events=1_000, days=7)
    >>> report.events, report.by_type, report.visitors, report.items
    (1000, {'view': 967, 'addtocart': 25, 'transaction': 8}, 511, 85)

    Each fault is in the ledger, by line:

    >>> report = generate(f"{folder}/shop.csv", like="shop", events=1_000, days=7, faults={"blank_lines": 1})
    >>> print(report.ledger.read_text().splitlines()[-1])
    {"kind": "summary", "lines": 1002, "events": 1000, "faults": {"blank_lines": 1}}
    """
    began = time.perf_counter()
    from ecom_analytics.generate.plan import plan
    from ecom_analytics.generate.retailrocket import RetailRocket
    from ecom_analytics.generate.shop import Shop
    from ecom_analytics.generate.writing import Writer, check_place, whole_file

    path = Path(path)
    kinds: dict[str, type[RetailRocket | Shop]] = {"retailrocket": RetailRocket, "shop": Shop}
    if like not in kinds:
        raise ConfigError(f"like is {like!r}", hint=f"it can be {' or '.join(kinds)}", key="like", value=like)
    kind = kinds[like]
    amounts = wanted(faults)
    size, span = kind.default_events if events is None else events, kind.default_days if days is None else days
    first = date.fromisoformat(kind.default_start) if start is None else start
    first = first.date() if isinstance(first, datetime) else first
    _check(size, span, seed, first)
    entries = Path(ledger) if ledger is not None else Path(f"{path}.faults.jsonl") if amounts else None
    for place in [path] if entries is None else [path, entries]:
        check_place(place)
    if entries is not None and entries.resolve() == path.resolve():
        raise ConfigError(f"ledger is {str(ledger)!r}, where the events go", hint="give it another name", key="ledger")

    shape = kind(size, span)
    shares = plan(shape.totals, seed, (first - _EPOCH) // timedelta(days=1))
    writer = Writer(shape, shares, seed, amounts, strict=faults is not True)
    with whole_file(path) as out, whole_file(entries) as told:
        writer.write(out, told, size, watch)
    return GenerateReport(
        path=path,
        events=writer.events,
        lines=writer.line,
        by_type=writer.by_type,
        visitors=int(shares.visitors.sum()),
        items=int(shares.items.sum()),
        days=span,
        bytes=path.stat().st_size,
        seconds=time.perf_counter() - began,
        faults=writer.faults,
        ledger=entries,
    )


def _check(events: int, days: int, seed: int, start: date) -> None:
    """Raise ConfigError if a number is out of range."""
    ranges = {
        "events": (events, 10, 2_000_000_000),
        "days": (days, 1, 3_660),
        "seed": (seed, 0, 2**63),
        "start": (start, _FIRST, _LAST),
    }
    for key, (value, least, most) in ranges.items():
        if not least <= value <= most:  # type: ignore[operator]
            allowed = f"{least:,} to {most:,}" if isinstance(least, int) else f"{least} to {most}"
            raise ConfigError(f"{key} is {value}", hint=f"it can be {allowed}", key=key, value=value)
    if events > days * _MOST_A_DAY:
        hint = f"there can be {_MOST_A_DAY:,} a day"
        raise ConfigError(f"events is {events} in {days} days", hint=hint, key="events", value=events)
    if start + timedelta(days=days - 1) > _LAST:
        raise ConfigError(f"start is {start}, {days} days long", hint=f"the last day can be {_LAST}", key="start")
