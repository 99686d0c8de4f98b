"""A source format of your own: the log of a till system, as a plug-in.

    2026-03-02 10:00:00|SALE|card-17|4006381333931|2|3.49|receipt-881

Put this module into a package of yours, and name the class in its pyproject.toml:

    [project.entry-points."ecom_analytics.source_formats"]
    till = "own_format:Till"

Once that package is installed, `ecom-analytics ingest` recognises such files, `plugins` lists the format, and
`--format till` names it.
"""

import ibis

from ecom_analytics.protocols import Engine, Layout
from ecom_analytics.reading.sample import as_sample
from ecom_analytics.rules import Rule
from ecom_analytics.source_formats.common import ORIGIN, confidence, number_rules, plausible, rounded, with_rules

EVENTS = {"SCAN": "add_to_cart", "VOID": "remove_from_cart", "SALE": "purchase"}


class Till:
    """One line for each scanned product, sold ones with the receipt. Times are UTC, prices in euros."""

    name = "till"
    capabilities = frozenset({"product_id", "transaction_id", "quantity", "unit_price", "currency"})
    columns = ("at", "action", "card", "ean", "units", "price", "receipt")  # the files have no header
    required = columns
    first_row = {"at": r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", "action": "|".join(EVENTS)}  # noqa: RUF012

    def detect(self, sample: bytes) -> float:
        return confidence(sample, ["no header"], columns=self.columns, first_row=self.first_row)

    def layout(self, sample: bytes) -> Layout:
        return Layout(delimiter="|", encoding=as_sample(sample).layout.encoding, columns=self.columns)

    def read(self, engine: Engine, files):
        self._engine = engine
        return engine.read_delimited(files, self.columns)

    def to_events(self, raw):
        events = raw.select(
            *ORIGIN,
            event_ts=plausible(self._engine.timestamp_from_text(raw["at"])),
            event_type=raw["action"].cases(*EVENTS.items(), else_=ibis.null(str)),
            visitor_id=raw["card"],
            product_id=raw["ean"],
            transaction_id=raw["receipt"],
            quantity=rounded(raw["units"]),
            unit_price=rounded(raw["price"]),
            currency=ibis.literal("EUR"),
            raw_quantity=raw["units"],
            raw_unit_price=raw["price"],
        )
        rules = [
            Rule("bad_timestamp", events.event_ts.isnull(), "the line does not begin with a time"),
            Rule("unknown_event_type", events.event_type.isnull(), f"the action is none of {', '.join(EVENTS)}"),
            Rule("missing_visitor_id", events.visitor_id.isnull(), "there is no card"),
            *number_rules(events, ["quantity", "unit_price"]),
        ]
        return with_rules(events, rules).drop("raw_quantity", "raw_unit_price")
