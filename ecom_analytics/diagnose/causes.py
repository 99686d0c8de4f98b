"""Every cause that a diagnosis can name: what it is, and what can be done."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Cause:
    """One cause.

    Attributes
    ----------
    sentence : str
        With ``{count}`` (a number and its noun) and ``{detail}`` to be filled in.
    advice : str
    noun : str
        What is counted.
    """

    sentence: str
    advice: str
    noun: str = "record"

    def said(self, count: int, detail: str) -> str:
        """The sentence.

        Examples
        --------
        >>> Cause("{count} lack a product.", "").said(2, "")
        '2 records lack a product.'
        """
        counted = f"{count:,} {self.noun}{'s'[: count != 1]}"
        return self.sentence.format(count=counted, detail=detail)


_REJECTED = "Look at them with `ecom-analytics rejected --rule`; after the cause is mended, `rejected --replay`."

CAUSES: dict[str, Cause] = {
    "failed_test": Cause(
        "The test {detail} failed with {count}; nothing was published.",
        "Follow the failing rows to the events below; mend the files or the model, or correct the test.",
        "failing row",
    ),
    "warned_test": Cause(
        "The test {detail} warned of {count}; the build was published.",
        "Follow the rows to the events below and decide whether they matter.",
        "row",
    ),
    "wrong_format": Cause(
        "Most of a file was rejected ({count}; {detail}).",
        "It is probably read in the wrong way: see `ecom-analytics ingest --explain FILE`, then `rejected --replay` "
        "with the right --format, --mapping, --delimiter or --encoding.",
    ),
    "bad_timestamps": Cause("{count} without a usable time ({detail}).", _REJECTED),
    "missing_ids": Cause("{count} without an id that an event needs ({detail}).", _REJECTED),
    "ragged_lines": Cause("{count} with another number of fields than the header ({detail}).", _REJECTED),
    "bad_bytes": Cause(
        "{count} with bytes that are no text ({detail}).", f"Check the encoding of the file. {_REJECTED}"
    ),
    "unknown_events": Cause(
        "{count} with an event type that the format does not know ({detail}).",
        "Name the type in a mapping, or let the sender mend it; then `ecom-analytics rejected --replay`.",
    ),
    "other_rejects": Cause("{count} broke the rule {detail} and were set aside.", _REJECTED),
    "warned_rules": Cause(
        "{count} broke the rule {detail}, which only warns, and were staged.",
        "Make the rule reject in the settings ([[rules]], severity) if such records should not count.",
    ),
    "blank_lines": Cause("{count} without any content, and skipped.", "Nothing need be done.", "line"),
    "resent_batches": Cause(
        "A file was sent twice in good part: {detail} ({count} left out).",
        "Nothing need be done: each event counts once. Tell the sender.",
        "repeated record",
    ),
    "duplicate_rows": Cause(
        "{count} identical to another one, which was kept.",
        "Nothing need be done: each event counts once. See `ecom-analytics trace FILE:LINE`.",
    ),
    "repeated_event_ids": Cause(
        "{count} with the event id of another one within 24 hours, but different content; the first was kept.",
        "Compare both with `ecom-analytics trace FILE:LINE`: the id of the tracker may not be unique.",
    ),
    "late_batches": Cause(
        "{detail} was staged after files with later days ({count}).",
        "Nothing need be done: staging puts late events into their day. Numbers of past days have changed.",
    ),
    "late_events": Cause(
        "{count} hours behind the lines before them, in a file that is otherwise in the order of time.",
        "Nothing need be done: they count on the day of their own time. A tracker that was offline sends so.",
        "event",
    ),
    "duplicated_transactions": Cause(
        "{count} used a transaction id that another visitor had used before; only the first visitor's purchase counts.",
        "Ask the shop whether ids are handed out twice. The mart conflicts has the value that was left out.",
        "purchase line",
    ),
    "clock_off": Cause(
        "{count} equal to another one of the same transaction, but a whole number of hours apart.",
        "The clock or the time zone of one sender is off: correct it in the file or the mapping, and send it again.",
        "purchase line",
    ),
    "hours_apart": Cause(
        "{count} used a transaction id of the same visitor from hours before.",
        "Look whether the order was sent again later or the id was used for a second order (mart conflicts).",
        "purchase line",
    ),
    "far_future": Cause(
        "{count} more than a day in the future.",
        "Correct the clock or the unit of time of the sender; or reject them by a rule of your own ([[rules]]).",
        "event",
    ),
    "purchases_without_product": Cause(
        "{count} without a product: they are in transactions, but in no product's figures.",
        "Let the tracker send the product, or map its column.",
        "purchase line",
    ),
    "mixed_currencies": Cause(
        "{count} in a currency other than most of the source ({detail}): values cannot be added up.",
        "Give each currency a source of its own (--source), or convert before ingesting.",
        "purchase line",
    ),
    "price_outliers": Cause(
        "{count} with a price ten times above or below the usual one of the product.",
        "Often a decimal point or a unit (cents) is wrong: correct the mapping, or reject them by a rule of your own.",
        "event",
    ),
    "bots": Cause(
        "{count} that behave like a program ({detail}).",
        "They are flagged (is_bot), not left out: filter by it where they matter.",
        "visitor",
    ),
}
"""Cause → what is said of it, in the order in which they are shown."""

OF_RULE = {
    "bad_timestamp": "bad_timestamps",
    "timestamp_out_of_range": "bad_timestamps",
    "missing_visitor_id": "missing_ids",
    "missing_transaction_id": "missing_ids",
    "missing_product_id": "missing_ids",
    "too_few_fields": "ragged_lines",
    "too_many_fields": "ragged_lines",
    "bad_encoding": "bad_bytes",
    "nul_byte": "bad_bytes",
    "unknown_event_type": "unknown_events",
}
"""Rule that rejects → cause; ``other_rejects`` for all others."""
