"""Erasure of visitors (GDPR, article 17): from raw files to exports, and from files to come."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ecom_analytics.erasure.eraser import Eraser
    from ecom_analytics.erasure.report import ErasedBatch, ForgetReport

__all__ = ["ErasedBatch", "Eraser", "ForgetReport"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ecom_analytics.erasure import eraser

    return getattr(eraser, name)
