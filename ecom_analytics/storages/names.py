"""What a name in a storage may be."""

from __future__ import annotations

from ecom_analytics.errors import LakeError

PART = ".part"
"""Ends the names of files that are being written: ``.<name>.<random>.part``. No name of a storage looks so."""


def is_part(name: str) -> bool:
    """Whether a file's name is that of a file being written.

    Examples
    --------
    >>> is_part(".events.csv.x1y2.part"), is_part("events.part")
    (True, False)
    """
    return name.startswith(".") and name.endswith(PART)


def checked(name: str) -> str:
    """The name, if it is a relative one that stays below its storage.

    Raises
    ------
    LakeError
        It is empty, absolute, or has a part that is empty, ``.`` or ``..``.

    Examples
    --------
    >>> checked("raw/shop/a.csv")
    'raw/shop/a.csv'
    """
    parts = name.split("/")
    if any(part in ("", ".", "..") or "\0" in part or is_part(part) for part in parts):
        raise LakeError(
            f"{name!r} cannot be a name in a storage",
            hint="use a relative name such as folder/file.csv, without '..' or empty parts",
            name=name,
        )
    return name
