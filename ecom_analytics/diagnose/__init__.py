"""Diagnosis: what is wrong in the data, by cause, with the files and lines that it comes from, and what can be done."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ecom_analytics.diagnose.causes import CAUSES, Cause
    from ecom_analytics.diagnose.diagnoser import Diagnoser
    from ecom_analytics.diagnose.report import DiagnosisReport, Finding, Spot

__all__ = ["CAUSES", "Cause", "Diagnoser", "DiagnosisReport", "Finding", "Spot"]

_WHERE = {
    **dict.fromkeys(("CAUSES", "Cause"), "causes"),
    "Diagnoser": "diagnoser",
    **dict.fromkeys(("DiagnosisReport", "Finding", "Spot"), "report"),
}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
