"""What was staged, and is hardly true: times, products, currencies and prices."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

from ecom_analytics.diagnose.look import Look
from ecom_analytics.diagnose.report import Finding

_FACTOR = 10
_PRICED = 5
"""Prices of a product from which on there is a usual one."""
CLOCK_HOURS = 14


def times(look: Look, now: datetime) -> Iterator[Finding]:
    """Events in the future, and purchases sent twice with clocks that are whole hours apart."""
    yield from look.findings(
        "far_future",
        "SELECT '' AS detail, source, batch_id, source_line AS line, {event_ts: event_ts} AS facts FROM events "
        "WHERE event_ts > $until",
        until=now + timedelta(days=1),
    )
    yield from look.findings("clock_off", CLOCK_OFF, hours=CLOCK_HOURS)


CLOCK_OFF = """
    SELECT '' AS detail, source, batch_id, source_line AS line,
        {transaction_id: transaction_id, event_ts: event_ts, first_event_ts: first_ts} AS facts
    FROM (
        SELECT *, min(event_ts) OVER (
            PARTITION BY source, transaction_id, visitor_id, product_id, quantity, unit_price, source_item
        ) AS first_ts
        FROM events WHERE event_type = 'purchase' AND transaction_id IS NOT NULL
    )
    WHERE event_ts > first_ts AND (epoch_us(event_ts) - epoch_us(first_ts)) % 3600000000 = 0
        AND event_ts <= first_ts + to_hours($hours)
"""
"""Purchase lines equal to an earlier one of their transaction but for whole hours."""


def purchases(look: Look) -> Iterator[Finding]:
    """Purchases without a product, in other currencies, and prices that are far off."""
    yield from look.findings(
        "purchases_without_product",
        "SELECT '' AS detail, source, batch_id, source_line AS line, {transaction_id: transaction_id} AS facts "
        "FROM events WHERE event_type = 'purchase' AND product_id IS NULL",
    )
    yield from look.findings(
        "mixed_currencies",
        """WITH used AS (
            SELECT source, currency, count(*) AS events FROM events
            WHERE event_type = 'purchase' AND currency IS NOT NULL GROUP BY ALL
        ), usual AS (SELECT source, arg_max(currency, (events, currency)) AS currency FROM used GROUP BY source)
        SELECT e.currency || ', not ' || usual.currency AS detail, e.source, e.batch_id, e.source_line AS line,
            {transaction_id: e.transaction_id, currency: e.currency} AS facts
        FROM events e JOIN usual ON usual.source = e.source
        WHERE e.event_type = 'purchase' AND e.currency <> usual.currency""",
    )
    yield from look.findings(
        "price_outliers",
        """WITH usual AS (
            SELECT source, product_id, currency, approx_quantile(unit_price::DOUBLE, 0.5) AS price FROM events
            WHERE unit_price > 0 AND product_id IS NOT NULL GROUP BY ALL HAVING count(*) >= $least
        )
        SELECT '' AS detail, e.source, e.batch_id, e.source_line AS line,
            {product_id: e.product_id, unit_price: e.unit_price, usual_price: usual.price} AS facts
        FROM events e JOIN usual ON usual.source = e.source AND usual.product_id = e.product_id
            AND usual.currency IS NOT DISTINCT FROM e.currency
        WHERE e.unit_price > 0
            AND (e.unit_price >= $factor * usual.price OR e.unit_price * $factor <= usual.price)""",
        least=_PRICED,
        factor=_FACTOR,
    )
