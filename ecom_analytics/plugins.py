"""Finds plug-ins by name in the entry-point groups ``ecom_analytics.<kind>``.

Built-in plug-ins are registered through the same entry points as anyone else's.
"""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from ecom_analytics.errors import PluginError

KINDS = ("source_formats", "storages", "export_formats", "engines", "panels", "rules", "hooks")
"""The kinds of plug-in, each an entry-point group ``ecom_analytics.<kind>``."""


@cache
def _entry_points(kind: str) -> dict[str, EntryPoint]:
    if kind not in KINDS:
        raise PluginError(f"there is no plug-in kind {kind!r}", hint=f"the kinds are {', '.join(KINDS)}", kind=kind)
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=f"ecom_analytics.{kind}"):
        if point.name in found and found[point.name].value != point.value:
            raise PluginError(
                f"two installed packages register the {kind} plug-in {point.name!r}: "
                f"{found[point.name].value} and {point.value}",
                hint="uninstall one of them",
                kind=kind,
                name=point.name,
            )
        found[point.name] = point
    return found


def names(kind: str) -> list[str]:
    """Names of the installed plug-ins of a kind, sorted.

    Examples
    --------
    >>> "retailrocket" in names("source_formats")
    True
    """
    return sorted(_entry_points(kind))


def load(kind: str, name: str) -> Any:
    """Load the plug-in ``name`` of ``kind``: the object that its entry point names.

    Raises
    ------
    PluginError
        If no installed package registers it, or importing it fails.
    """
    try:
        point = _entry_points(kind)[name]
    except KeyError:
        raise PluginError(
            f"there is no {kind} plug-in named {name!r}",
            hint=f"installed are: {', '.join(names(kind)) or 'none'}",
            kind=kind,
            name=name,
        ) from None
    try:
        return point.load()
    except (ImportError, AttributeError) as error:
        raise PluginError(
            f"the {kind} plug-in {name!r} ({point.value}) cannot be loaded: {error}",
            hint="reinstall the package that provides it",
            kind=kind,
            name=name,
        ) from error
