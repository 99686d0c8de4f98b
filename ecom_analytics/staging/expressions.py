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
    previous = rows.event_ts.lag().over(visit)
    gap = ibis.interval(microseconds=timeout // timedelta(microseconds=1))
    none = ibis.null(rows.event_ts.type())
    marked = rows.mutate(
        first_of_session=ibis.cases(
            (rows.carry.notnull(), rows.carry), (rows.event_ts <= previous + gap, none), else_=rows.event_ts
        ),
        tied=(previous == rows.event_ts).fill_null(False),
    )
    so_far = ibis.range_window(
        preceding=None, following=0, group_by=[marked.source, marked.visitor_id], order_by=marked.event_ts
    )
    judged = marked.mutate(session_start=marked.first_of_session.max().over(so_far))
    return judged.filter(judged.carry.isnull()).drop("carry", "first_of_session")


def identical_rows(judged: ir.Table) -> ir.Table:
    """Every row that equals another one and does not win, with ``kept_batch_id`` and ``kept_line`` of the winner.

    Among equal rows the smallest (batch, line) wins.
    """
    import ibis

    moment = ["source", "visitor_id", "event_ts"]
    ties = judged.filter(judged.tied).select(*moment).distinct()
    among = judged.semi_join(ties, moment)
    identity = [among[name] for name in IDENTITY if name in among.columns]
    equal = ibis.window(group_by=identity, order_by=[among.batch_id, among.source_line])
    ranked = among.mutate(
        place=ibis.row_number().over(equal),
        kept_batch_id=among.batch_id.first().over(equal),
        kept_line=among.source_line.first().over(equal),
    )
    return ranked.filter(ranked.place > 0).drop("place", "tied", "session_start")
