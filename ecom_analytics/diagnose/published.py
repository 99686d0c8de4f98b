"""What the served build knows: transactions that contradict each other, and bots."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from ecom_analytics.diagnose.look import Look
from ecom_analytics.diagnose.report import Finding
from ecom_analytics.diagnose.suspicious import CLOCK_HOURS, CLOCK_OFF

if TYPE_CHECKING:
    from ecom_analytics.warehouse import Build, Warehouse

_CONFLICTS = {"several_visitors": "duplicated_transactions", "far_apart": "hours_apart"}


def conflicts(look: Look, warehouse: Warehouse, build: Build) -> Iterator[Finding]:
    """The mart ``conflicts``, without purchases whose clock is off, which are a finding of their own."""
    with warehouse.connect(build) as connection:
        look.register("conflicts", connection.execute("SELECT * FROM conflicts").to_arrow_table())
    for kind, cause in _CONFLICTS.items():
        yield from look.findings(
            cause,
            f"""SELECT '' AS detail, source, batch_id, line,
                {{transaction_id: transaction_id, message: message}} AS facts
            FROM conflicts ANTI JOIN ({CLOCK_OFF}) AS off USING (source, batch_id, line) WHERE kind = $kind""",
            kind=kind,
            hours=CLOCK_HOURS,
        )


def bots(look: Look, warehouse: Warehouse, build: Build) -> Iterator[Finding]:
    """The mart ``bots``, each with its first event."""
    with warehouse.connect(build) as connection:
        look.register("bots", connection.execute("SELECT source, visitor_id, rules FROM bots").to_arrow_table())
    yield from look.findings(
        "bots",
        """SELECT any_value(bots.rules) AS detail, source,
            arg_min(batch_id, (event_ts, batch_id, source_line)) AS batch_id,
            arg_min(source_line, (event_ts, batch_id, source_line)) AS line,
            {visitor_id: visitor_id, events: count(*)} AS facts
        FROM events JOIN bots USING (source, visitor_id) GROUP BY source, visitor_id""",
    )
