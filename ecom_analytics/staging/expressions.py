"""Staging's rules as Ibis expressions, in the part of Ibis that DuckDB and Spark share."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from ecom_analytics.events import IDENTITY

if TYPE_CHECKING:
    import ibis.expr.types as ir


def with_sessions(rows: ir.Table, timeout: timedelta) -> ir.Table:
    """Add ``session_start`` and ``tied``.

    A session starts when the gap to the visitor's previous event is greater than ``timeout``. Rows that carry a
    session over from the day before have its start in ``carry``; they come first of their visitor, and are dropped.

    Parameters
    ----------
    rows : ibis.Table
        ``source``, ``visitor_id``, ``event_ts`` and ``carry`` (NULL for an event), and whatever else.
    timeout : datetime.timedelta

    Returns
    -------
    ibis.Table
        The events, with ``session_start``, and with ``tied``: True if the visitor has an earlier row, in no particular
        order, of the very same time. Neither depends on the order of rows of the same time.
    """
    import ibis

    visit = ibis.window(group_by=[rows.source, rows.visitor_id], order_by=rows.event_ts)
    marked = with_breaks(rows.mutate(previous_ts=rows.event_ts.lag().over(visit)), timeout)
    so_far = ibis.range_window(
        preceding=None, following=0, group_by=[marked.source, marked.visitor_id], order_by=marked.event_ts
    )
    judged = marked.mutate(session_start=marked.first_of_session.max().over(so_far))
    return judged.filter(judged.carry.isnull()).drop("carry", "first_of_session", "previous_ts")


def with_breaks(rows: ir.Table, timeout: timedelta) -> ir.Table:
    """Add ``first_of_session`` and ``tied``: what makes a session, of two rows of a visitor that follow one another.

    Parameters
    ----------
    rows : ibis.Table
        ``event_ts``, ``previous_ts`` (of the row before of the same visitor, NULL if there is none) and ``carry``.
    timeout : datetime.timedelta

    Returns
    -------
    ibis.Table
        With ``first_of_session``, the start of the session that the row begins, or NULL: a row's session starts at the
        last one of its visitor up to the row. ``tied`` is True if the row before is of the very same time.
    """
    import ibis

    gap = ibis.interval(microseconds=timeout // timedelta(microseconds=1))
    none = ibis.null(rows.event_ts.type())
    return rows.mutate(
        first_of_session=ibis.cases(
            (rows.carry.notnull(), rows.carry), (rows.event_ts <= rows.previous_ts + gap, none), else_=rows.event_ts
        ),
        tied=(rows.previous_ts == rows.event_ts).fill_null(False),
    )


def identical_rows(events: ir.Table, ties: ir.Table) -> ir.Table:
    """Every row that equals another one and does not win, with ``kept_batch_id`` and ``kept_line`` of the winner.

    Among equal rows the smallest (batch, line) wins.

    Parameters
    ----------
    events : ibis.Table
    ties : ibis.Table
        ``source``, ``visitor_id`` and ``event_ts`` of all rows of the same visitor and time, each once or more.
    """
    import ibis

    moment = ["source", "visitor_id", "event_ts"]
    among = events.semi_join(ties, moment)
    identity = [among[name] for name in IDENTITY if name in among.columns]
    equal = ibis.window(group_by=identity, order_by=[among.batch_id, among.source_line])
    ranked = among.mutate(
        place=ibis.row_number().over(equal),
        kept_batch_id=among.batch_id.first().over(equal),
        kept_line=among.source_line.first().over(equal),
    )
    return ranked.filter(ranked.place > 0).drop("place")
