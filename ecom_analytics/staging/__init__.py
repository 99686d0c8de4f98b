"""Staging: raw batches become canonical events, exactly, whatever the order of their arrival."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ecom_analytics.staging.rejected_records import RejectedRule, rejected, rejected_by_rule
    from ecom_analytics.staging.schemas import event_schema, raw_schema
    from ecom_analytics.staging.stager import Stager
    from ecom_analytics.staging.state import Account, Snapshot, local_files, snapshot
    from ecom_analytics.staging.tracing import Trace, trace

__all__ = [
    "Account",
    "RejectedRule",
    "Snapshot",
    "Stager",
    "Trace",
    "event_schema",
    "local_files",
    "raw_schema",
    "rejected",
    "rejected_by_rule",
    "snapshot",
    "trace",
]

_WHERE = {
    **dict.fromkeys(("Account", "Snapshot", "local_files", "snapshot"), "state"),
    **dict.fromkeys(("RejectedRule", "rejected", "rejected_by_rule"), "rejected_records"),
    **dict.fromkeys(("event_schema", "raw_schema"), "schemas"),
    "Stager": "stager",
    **dict.fromkeys(("Trace", "trace"), "tracing"),
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
