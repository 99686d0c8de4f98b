"""How far sessions and visitors come, from one step to the next."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import timedelta
from typing import Any

from ecom_analytics import funnels
from ecom_analytics.answers.about import keyed, labelled
from ecom_analytics.answers.asking import Answer, Ask, Column, change
from ecom_analytics.answers.filters import DIMENSIONS, UntoldError
from ecom_analytics.answers.measures import bucket_sql
from ecom_analytics.answers.parameters import BadParametersError, bad
from ecom_analytics.answers.ranges import Range, bucket_start

LABELS = {
    "view": "Viewed a product",
    "add_to_cart": "Added to cart",
    "checkout": "Began checkout",
    "purchase": "Purchased",
}
STEPS = ("view", "add_to_cart", "purchase")
FUNNEL = (
    Column("name", "Name"),
    Column("label", "Step"),
    Column("count", "Count", "whole", "count"),
    Column("rate_from_start", "Of the start", "number", "ratio"),
    Column("rate_from_previous", "Of the step before", "number", "ratio"),
    Column("drop_off", "Left", "whole", "count"),
    Column("previous", "Compared with", "whole", "count"),
    Column("previous_rate", "Of the start then", "number", "ratio"),
    Column("change", "Change", "number", "ratio"),
)
MOST_GROUPS = 8


def funnel(ask: Ask) -> Answer:
    """How many come from one step to the next, compared where asked for."""
    steps = ask["step"] or STEPS
    if len(steps) < 2:
        raise BadParametersError([bad("step", ", ".join(steps), "two or more different steps")])
    unit, days, base = ask["unit"], ask.range, ask.known_base
    data: dict[str, Any] = {"unit": unit, "order": ask["order"], "window": ask["window"]}
    reason = _untold(ask)
    if reason:
        return Answer({**data, "available": False, "reason": reason, "steps": []}, FUNNEL, rows=[])
    apart = _apart(ask, steps, days)
    now = _steps(ask, steps, days) if apart is None else _told(ask, steps, _added(steps, apart.values()))
    before = _steps(ask, steps, base) if base else None
    rows = [
        {
            **step,
            "previous": None if before is None else before[number]["count"],
            "previous_rate": None if before is None else before[number]["rate_from_start"],
            "change": None if before is None else change(step["count"], before[number]["count"]),
        }
        for number, step in enumerate(now)
    ]
    data |= {"available": True, "reason": None, "steps": rows}
    if ask["split"]:
        groups = _groups(ask, steps, apart or {})
        data["groups"] = groups
        flat = [{"key": group["label"], **step} for group in groups for step in group["steps"]]
        return Answer(data, (Column("key", DIMENSIONS[ask["split"]]), *FUNNEL[:6]), rows=flat)
    if ask["trend"]:
        return _trend(ask, steps, data, apart or {})
    return Answer(data, FUNNEL, rows=rows)


def _untold(ask: Ask) -> str | None:
    try:
        ask.relation("sessions", *([ask["split"]] if ask["split"] else []))
    except UntoldError as error:
        return f"sessions cannot be told by {DIMENSIONS[error.dimension].lower()}"
    if (ask["split"] or ask["trend"]) and not _is_simple(ask):
        raise BadParametersError([
            bad(
                "split" if ask["split"] else "trend",
                ask["split"] or "true",
                "unit=session, order=sequential and no window",
            )
        ])  # fmt: skip
    return None


def _is_simple(ask: Ask) -> bool:
    """Whether each session counts by itself, and what lies between the steps does not."""
    return ask["unit"] == "session" and ask["order"] == "sequential" and ask["window"] is None


def _apart(ask: Ask, steps: Sequence[str], days: Range) -> dict[Any, list[int]] | None:
    """What the steps are told apart by → sessions that reached each; None if they are not told apart."""
    dimension = ask["split"]
    if dimension == "weekday":  # it is in both marts: no need to look up each session
        return _reached(ask, steps, None, "isodow({0}.session_date)", days)
    if dimension:
        return _reached(ask, steps, dimension, f"visits.{dimension}", days)
    return _reached(ask, steps, None, bucket_sql("{0}.session_date", ask["grain"]), days) if ask["trend"] else None


def _added(steps: Sequence[str], apart: Collection[Sequence[int]]) -> list[int]:
    """The sessions of all: each is one of one value, and of one day."""
    return [sum(counts[n] for counts in apart) for n in range(len(steps))]


def _told(ask: Ask, steps: Sequence[str], counts: Sequence[int]) -> list[dict[str, Any]]:
    """The steps, without those that the data cannot tell."""
    return _rated(steps, [count if step in ask.capable else None for step, count in zip(steps, counts, strict=True)])


def _steps(ask: Ask, steps: Sequence[str], days: Range) -> list[dict[str, Any]]:
    if _is_simple(ask):
        return _told(ask, steps, _added(steps, _reached(ask, steps, None, "true", days).values()))
    relation = ask.relation("sessions")
    found = funnels.count(
        ask.rows,
        steps=steps,
        unit=ask["unit"],
        order=ask["order"],
        window=None if ask["window"] is None else timedelta(minutes=ask["window"]),
        start=days.first,
        end=days.last,
        bots=ask.filters.bots,
        sessions=relation.sql if ask.filters.values else None,
        values=relation.values,
    )
    return [
        {
            "name": step.step,
            "label": LABELS[step.step],
            "count": step.reached,
            "rate_from_start": step.overall_rate,
            "rate_from_previous": step.step_rate if number else step.overall_rate,
            "drop_off": step.dropped if number else (None if step.reached is None else 0),
        }
        for number, step in enumerate(found)
    ]


_COLUMNS = {"view": "views", "add_to_cart": "add_to_carts", "checkout": "checkouts", "purchase": "purchases"}


def _reached(ask: Ask, steps: Sequence[str], dimension: str | None, key: str, days: Range) -> dict[Any, list[int]]:
    """Sessions that reached each step, by ``key``: as :func:`funnels.count` counts them, each session by itself.

    A session comes from one step to the next if its first run of that one lies later. Only where a first run lies
    before that of the step before, and another one after it, its runs are looked at one by one.
    """
    relation = ask.relation("sessions", *([dimension] if dimension else []))
    numbers = range(1, len(steps) + 1)
    places = ", ".join(
        f"min(run_number) FILTER (step = $step_{n}) AS first_{n}, max(run_number) FILTER (step = $step_{n}) AS last_{n}"
        for n in numbers
    )
    odd = " OR ".join(f"(first_{n} < first_{n - 1} AND last_{n} > first_{n - 1})" for n in numbers[1:])
    flags = ", ".join(
        f"CASE WHEN odd.way IS NULL THEN {' AND '.join(f'first_{k - 1} < first_{k}' for k in range(2, n + 1))} "
        f"ELSE odd.way LIKE $way_{n} END AS is_{n}"
        for n in numbers[1:]
    )
    counts = ", ".join(f"count(*) FILTER (is_{n}) AS step_{n}" for n in numbers[1:])
    within = (
        f"JOIN {relation.sql} AS visits ON visits.source = reached.source AND visits.session_id = reached.session_id "
        "AND visits.events > visits.views"  # one of views alone comes to no second step, and most are so
        if ask.filters or dimension
        else ""
    )
    values: dict[str, Any] = {**relation.values, **ask.between(days)}
    values |= {f"step_{n}": step for n, step in enumerate(steps, 1)}
    values |= {f"way_{n}": "%" + "%".join(step[0] for step in steps[:n]) + "%" for n in numbers[1:]}
    later = ask.rows(
        f"WITH placed AS (SELECT source, session_id, any_value(session_date) AS session_date, {places} FROM funnel "
        "WHERE session_date BETWEEN $start AND $end GROUP BY source, session_id), "
        "odd AS (SELECT funnel.source, funnel.session_id, "
        "string_agg(funnel.step[1], '' ORDER BY funnel.run_number) AS way FROM funnel JOIN placed "
        f"ON placed.source = funnel.source AND placed.session_id = funnel.session_id WHERE {odd} GROUP BY ALL), "
        f"reached AS (SELECT placed.source, placed.session_id, placed.session_date, {flags} FROM placed "
        "LEFT JOIN odd ON odd.source = placed.source AND odd.session_id = placed.session_id) "
        f"SELECT {key.format('reached')} AS key, {counts} FROM reached {within} GROUP BY ALL",
        values,
    )
    # Those that only viewed are not in the mart, but they have a view.
    first = ask.rows(
        f"SELECT {key.format('visits')} AS key, count(*) AS step_1 FROM {relation.sql} AS visits "
        f"WHERE session_date BETWEEN $start AND $end AND {_COLUMNS[steps[0]]} > 0 GROUP BY ALL",
        values,
    )
    rest = {row["key"]: [row[f"step_{n}"] for n in numbers[1:]] for row in later}
    return {row["key"]: [row["step_1"], *rest.get(row["key"], [0] * (len(steps) - 1))] for row in first}


def _groups(ask: Ask, steps: Sequence[str], apart: dict[Any, list[int]]) -> list[dict[str, Any]]:
    dimension = ask["split"]
    ordered = sorted(apart.items(), key=lambda item: (-item[1][0], str(item[0])))
    return [
        {"key": keyed(key), "label": labelled(dimension, key), "steps": _rated(steps, counts)}
        for key, counts in ordered[:MOST_GROUPS]
    ]


def _rated(steps: Sequence[str], counts: Sequence[int | None]) -> list[dict[str, Any]]:
    def rate(part: int | None, whole: int | None) -> float | None:
        return part / whole if part is not None and whole else None

    rows = []
    for n, step in enumerate(steps):
        count, before = counts[n], counts[max(n - 1, 0)]
        rows.append(
            {
                "name": step,
                "label": LABELS[step],
                "count": count,
                "rate_from_start": rate(count, counts[0]),
                "rate_from_previous": rate(count, before),
                "drop_off": None if count is None or before is None else before - count,
            }
        )
    return rows


def _trend(ask: Ask, steps: Sequence[str], data: dict[str, Any], apart: dict[Any, list[int]]) -> Answer:
    """The rate of each step in every day, week or month."""
    grain, days = ask["grain"], ask.range
    rows = []
    for one in days.buckets(grain):
        counts = apart.get(bucket_start(one.first, grain), [0] * len(steps))
        rates = {f"{step}_rate": counts[n] / counts[0] if counts[0] else None for n, step in enumerate(steps) if n}
        rows.append({"date": one.first, **dict(zip(steps, counts, strict=True)), **rates})
    columns = (
        Column("date", "Day", "day"),
        *(Column(step, LABELS[step], "whole", "count") for step in steps),
        *(Column(f"{step}_rate", f"{LABELS[step]}, of the start", "number", "ratio") for step in steps[1:]),
    )
    return Answer({**data, "grain": grain, "trend": rows}, columns, rows=rows)
