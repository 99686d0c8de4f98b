"""Structured logs: each record is a short event and facts about it.

The library logs to ``ecom_analytics`` of :mod:`logging`, with the facts as attributes of the record, and sets up no
handler of its own: who embeds it decides what is shown. The command line shows them on standard error with
``--log-level``.
"""

from __future__ import annotations

import logging
from typing import Any

import structlog

NAME = "ecom_analytics"


def _as_extra(logger: Any, method: str, event: Any) -> Any:
    """The event as the message, the facts as ``facts`` of the record, and readable after the message."""
    facts = {key: value for key, value in event.items() if key != "event"}
    told = " ".join(f"{key}={value!r}" for key, value in facts.items())
    return {"msg": f"{event['event']} {told}".rstrip(), "extra": {"facts": facts, "event": event["event"]}}


log: structlog.stdlib.BoundLogger = structlog.wrap_logger(
    logging.getLogger(NAME), processors=[_as_extra], wrapper_class=structlog.stdlib.BoundLogger
)
"""The logger of the package."""

logging.getLogger(NAME).addHandler(logging.NullHandler())  # without it, errors would go to standard error


def show(level: str) -> None:
    """Write the package's records of a level and above to standard error, as one JSON object a line."""
    handler = logging.StreamHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[_from_record, structlog.stdlib.add_log_level, structlog.processors.TimeStamper("iso")],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.JSONRenderer(),
            ],
        )
    )
    logger = logging.getLogger(NAME)
    logger.addHandler(handler)
    logger.setLevel(level.upper())
    logger.propagate = False


def _from_record(logger: Any, method: str, event: Any) -> Any:
    record = event["_record"]
    return {**event, "event": getattr(record, "event", event["event"]), **getattr(record, "facts", {})}
