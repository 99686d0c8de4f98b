"""Funnels: how many visitors or sessions come from one step to the next.

The steps are types of events. What was done within a session, or by a visitor over all sessions of a range of days, is
followed from each event of the first step; the way that goes furthest counts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

from ecom_analytics.errors import EcomError
from ecom_analytics.reports import Report
from ecom_analytics.warehouse import parameters_of

if TYPE_CHECKING:
    from ecom_analytics.warehouse import Warehouse

STEPS = ("view", "add_to_cart", "checkout", "purchase")
"""The steps that a funnel can have, in the order in which events of one moment are taken."""

UNITS = {"session": "session_id", "visitor": "visitor_id"}
ORDERS = ("sequential", "strict", "flexible")
_DEFAULT = ("view", "add_to_cart", "purchase")


@dataclass(frozen=True, slots=True)
class FunnelStep(Report):
    """One step of a funnel.

    Attributes
    ----------
    step : str
    reached : int or None
        Sessions or visitors that came so far. None if the data has no such events.
    events : int or None
        Events of the step by which they came so far: of the first step all, of another one those of the runs with
        which it was reached.
    step_rate : float or None
        ``reached`` by that of the step before (of the first one where the order is flexible), 0 to 1; None if that is
        0 or not known, and for the first step.
    overall_rate : float or None
        ``reached`` by that of the first step.
    dropped : int or None
        Those that reached the step before and not this one.
    """

    step: str
    reached: int | None
    events: int | None
    step_rate: float | None
    overall_rate: float | None
    dropped: int | None


@dataclass(frozen=True, slots=True)
class Funnel(Report):
    """What :func:`funnel` found: what was asked, and the steps in order."""

    unit: str
    order: str
    window_seconds: float | None
    start: date | None
    end: date | None
    source: str | None
    bots: bool
    steps: tuple[FunnelStep, ...]


def funnel(
    warehouse: Warehouse,
    *,
    steps: Sequence[str] = _DEFAULT,
    unit: str = "session",
    order: str = "sequential",
    window: timedelta | None = None,
    start: date | None = None,
    end: date | None = None,
    source: str | None = None,
    bots: bool = True,
) -> Funnel:
    """Count how many came how far.

    Parameters
    ----------
    warehouse : Warehouse
        The served build is asked.
    steps : sequence of str
        Two or more different ones of ``view``, ``add_to_cart``, ``checkout`` and ``purchase``.
    unit : str
        ``session``: all steps in one session. ``visitor``: in any sessions of the visitor within the range.
    order : str
        ``sequential``: one after the other, whatever lies between. ``strict``: nothing else lies between, but more
        events of the same step. ``flexible``: the first step, then the last; those between are counted where they come
        after the first, in any order.
    window : datetime.timedelta, optional
        Longest time from the event of the first step to that of a later one, inclusive. Default: none.
    start, end : datetime.date, optional
        First and last day of the range, inclusive, in the store's time zone: a session belongs to the day on which it
        started. Default: all.
    source : str, optional
        Only this source.
    bots : bool
        Whether flagged visitors count.

    Returns
    -------
    Funnel

    Raises
    ------
    EcomError
        There is no such step, unit or order.
    NotBuiltError
        Nothing was published yet.

    Notes
    -----
    Of all ways of a session or visitor the one that goes furthest counts, as in ClickHouse's ``windowFunnel``: a second
    view can still lead to a purchase when the first one is too long ago.

    Examples
    --------
    ::

        found = funnel(Warehouse(Settings()), unit="visitor", window=timedelta(days=7))
        [(step.step, step.reached, step.step_rate) for step in found.steps]
    """
    with warehouse.connect() as connection:

        def rows(query: str, values: Mapping[str, Any]) -> list[dict[str, Any]]:
            answer: Any = connection.execute(query, {name: values[name] for name in parameters_of(query)})
            listed: list[dict[str, Any]] = answer.to_arrow_table().to_pylist()
            return listed

        found = count(
            rows,
            steps=steps,
            unit=unit,
            order=order,
            window=window,
            start=start,
            end=end,
            source=source,
            bots=bots,
        )
    return Funnel(
        unit=unit,
        order=order,
        window_seconds=None if window is None else window.total_seconds(),
        start=start,
        end=end,
        source=source,
        bots=bots,
        steps=found,
    )


def count(
    rows: Callable[[str, dict[str, Any]], Sequence[Mapping[str, Any]]],
    *,
    steps: Sequence[str] = _DEFAULT,
    unit: str = "session",
    order: str = "sequential",
    window: timedelta | None = None,
    start: date | None = None,
    end: date | None = None,
    source: str | None = None,
    bots: bool = True,
    sessions: str | None = None,
    values: Mapping[str, Any] | None = None,
) -> tuple[FunnelStep, ...]:
    """The same of any build that can be asked, within some of its sessions.

    Parameters
    ----------
    rows : callable
        Asks the build: SQL and parameters, of which it takes those that the SQL names.
    sessions : str, optional
        SQL of the sessions that count, with all columns of the mart. Default: all.
    values : mapping, optional
        The parameters of that SQL.

    Raises
    ------
    EcomError
        There is no such step, unit or order.
    """
    _check(steps, unit, order, window)
    parameters: dict[str, Any] = {"start": start, "end": end, "source": source, "bots": bots, **(values or {})}
    parameters |= {f"step_{number}": step for number, step in enumerate(steps, 1)}
    if window is not None:
        parameters["window"] = window // timedelta(microseconds=1)
    known = rows(
        "SELECT capability FROM capabilities WHERE available AND ($source IS NULL OR source = $source) GROUP BY 1",
        parameters,
    )
    asked = _query(len(steps), unit, order, sessions, timed=window is not None)
    counted = {row["number"]: (row["reached"], row["events"]) for row in rows(asked, parameters)}
    if steps[0] == "view":  # those that only viewed are not in the mart
        [viewed] = rows(_viewed(unit, sessions), parameters)
        counted[1] = (viewed["reached"], viewed["events"])
    available = {row["capability"] for row in known}
    found: list[tuple[str, int | None, int | None]] = [
        (step, *(counted.get(number, (0, 0)) if step in available else (None, None)))
        for number, step in enumerate(steps, 1)
    ]
    return tuple(_step(found, number, order) for number in range(len(found)))


def _check(steps: Sequence[str], unit: str, order: str, window: timedelta | None) -> None:
    unknown = [step for step in steps if step not in STEPS]
    if unknown or len(steps) < 2 or len(set(steps)) < len(steps):
        raise EcomError(
            f"{', '.join(map(repr, steps)) or 'nothing'} is no funnel",
            hint=f"give two or more different steps out of {', '.join(STEPS)}",
        )
    for name, value, allowed in (("unit", unit, tuple(UNITS)), ("order", order, ORDERS)):
        if value not in allowed:
            raise EcomError(f"there is no {name} {value!r}", hint=f"{name} is one of {', '.join(allowed)}")
    if window is not None and window <= timedelta(0):
        raise EcomError(f"a window of {window} is none", hint="give a longer time, or no window")


_IN_RANGE = (
    "($start IS NULL OR session_date >= $start) AND ($end IS NULL OR session_date <= $end) "
    "AND ($source IS NULL OR source = $source) AND ($bots OR NOT is_bot)"
)


def _viewed(unit: str, sessions: str | None) -> str:
    """Sessions or visitors with a view, and their views."""
    units = "count(*)" if unit == "session" else "count(DISTINCT (source, visitor_id))"
    return (
        f"SELECT {units} AS reached, CAST(coalesce(sum(views), 0) AS BIGINT) AS events "
        f"FROM {sessions or 'sessions'} AS visits WHERE views > 0 AND {_IN_RANGE}"
    )


def _query(count: int, unit: str, order: str, sessions: str | None, *, timed: bool) -> str:
    """(number of the step, units that reached it, events) of each step that any reached.

    A run's place is its number among those of its unit. From each run of the first step the way goes to the nearest
    run of the next one, and so on: the nearest is the earliest, so that no other way is sooner.
    """
    key = f"source, {UNITS[unit]}"
    only = f" AND (source, session_id) IN (SELECT (source, session_id) FROM {sessions} AS visits)" if sessions else ""
    ahead = f"OVER (PARTITION BY {key} ORDER BY place ROWS BETWEEN 1 FOLLOWING AND UNBOUNDED FOLLOWING)"
    next_runs = ", ".join(
        f"min(place) FILTER (WHERE step = $step_{number}) {ahead} AS next_{number}" for number in range(2, count + 1)
    )
    in_time = "AND epoch_us(run.first_ts) - epoch_us(way.last_ts) <= $window" if timed else ""
    ways = ["way_1 AS (SELECT *, place AS place_1 FROM runs WHERE step = $step_1)"]
    for number in range(2, count + 1):
        before = "way_1" if order == "flexible" else f"way_{number - 1}"
        where = {
            "sequential": f"run.place = last_run.next_{number}",
            "strict": f"run.place = last_run.place + 1 AND run.step = $step_{number}",
            "flexible": f"run.place = last_run.next_{number}",
        }[order]
        ways.append(
            f"way_{number} AS (SELECT way.* EXCLUDE (place_1), run.place AS place_1 FROM {before} AS way "
            f"JOIN runs AS last_run ON last_run.unit = way.unit AND last_run.place = way.place_1 "
            f"JOIN runs AS run ON run.unit = way.unit AND {where} {in_time})"
        )
    counts = [
        f"SELECT {number} AS number, count(DISTINCT run.unit) AS reached, CAST(sum(run.events) AS BIGINT) AS events "
        f"FROM (SELECT DISTINCT unit, place_1 FROM way_{number}) AS way "
        f"JOIN runs AS run ON run.unit = way.unit AND run.place = way.place_1"
        for number in range(1, count + 1)
    ]
    return (
        # Runs of one step that follow each other, as in two sessions of a visitor, are one.
        f"WITH compared AS (SELECT *, coalesce(step <> lag(step) OVER units, true) AS is_other FROM funnel "
        f"WHERE {_IN_RANGE}{only} WINDOW units AS (PARTITION BY {key} ORDER BY run_number)), "
        f"numbered AS (SELECT *, count(*) FILTER (WHERE is_other) OVER units AS place FROM compared "
        f"WINDOW units AS (PARTITION BY {key} ORDER BY run_number)), "
        f"placed AS (SELECT {key}, ({key}) AS unit, place, step, min(first_ts) AS first_ts, max(last_ts) AS last_ts, "
        f"sum(events) AS events FROM numbered GROUP BY {key}, place, step), "
        f"runs AS (SELECT *, {next_runs} FROM placed), {', '.join(ways)} "
        f"SELECT * FROM ({' UNION ALL '.join(counts)}) WHERE reached > 0"
    )


def _step(found: list[tuple[str, int | None, int | None]], number: int, order: str) -> FunnelStep:
    step, reached, events = found[number]
    if number == 0:
        return FunnelStep(step, reached, events, None, _rate(reached, reached), None)
    before = found[0 if order == "flexible" else number - 1][1]
    dropped = None if reached is None or before is None else before - reached
    return FunnelStep(step, reached, events, _rate(reached, before), _rate(reached, found[0][1]), dropped)


def _rate(part: int | None, whole: int | None) -> float | None:
    return part / whole if part is not None and whole else None
