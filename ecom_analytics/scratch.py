"""A folder for working files, gone afterwards; those of killed processes go with the next one."""

from __future__ import annotations

import contextlib
import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

PREFIX = ".staging-"
_LOCK = "lock"


@contextmanager
def scratch_folder(parent: Path) -> Iterator[Path]:
    """A new folder below ``parent``, which is made if need be.

    Examples
    --------
    >>> import tempfile
    >>> with scratch_folder(Path(tempfile.mkdtemp())) as folder:
    ...     folder.is_dir()
    True
    >>> folder.exists()
    False
    """
    parent.mkdir(parents=True, exist_ok=True)
    sweep_scratch(parent)
    path = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
    try:
        with open(path / "new", "wb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            (path / "new").rename(path / _LOCK)
            yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def sweep_scratch(parent: Path) -> None:
    """Remove the folders of killed processes: nobody locks them any more."""
    for path in parent.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError), open(path / _LOCK, "rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path, ignore_errors=True)
