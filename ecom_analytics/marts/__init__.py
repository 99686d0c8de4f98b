"""Marts: the staged events become tested tables in a DuckDB file, published only if every test passes."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ecom_analytics.marts.builder import MartBuilder
    from ecom_analytics.marts.project import public_marts

__all__ = ["MartBuilder", "public_marts"]

_WHERE = {"MartBuilder": "builder", "public_marts": "project"}


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_WHERE[name]}"), name)
