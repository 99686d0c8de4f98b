"""A full disk, told in one way, whichever library ran into it."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from ecom_analytics.errors import EcomError, StorageFullError

_NUMBERS = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}
_WORDS = ("No space left on device", "Disk quota exceeded", "File too large", "failed to offload data block")


def is_full(error: BaseException | str) -> bool:
    """Whether an error says that the disk, the quota or the file is full; other libraries tell it in words only.

    Examples
    --------
    >>> is_full(OSError(errno.ENOSPC, "No space left on device")), is_full(OSError(errno.EACCES, "Permission denied"))
    (True, False)
    """
    if isinstance(error, OSError) and error.errno is not None:
        return error.errno in _NUMBERS
    return any(words in str(error) for words in _WORDS)


def full(place: object) -> StorageFullError:
    """The error to raise."""
    return StorageFullError(
        f"the disk is full: No space left for {place}",
        hint="free some space and run it again; nothing half-written was kept",
        place=str(place),
    )


@contextmanager
def told_when_full(place: object) -> Iterator[None]:
    """Turn whatever says that the disk is full into :class:`~ecom_analytics.errors.StorageFullError`."""
    try:
        yield
    except EcomError:
        raise
    except Exception as error:
        if is_full(error):
            raise full(place) from error
        raise
