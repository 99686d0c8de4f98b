"""Named bytes in a local folder (POSIX)."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import secrets
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from ecom_analytics.disk import full, is_full, told_when_full
from ecom_analytics.errors import EcomError, LakeError
from ecom_analytics.storages.names import PART, checked, is_part

if TYPE_CHECKING:
    from ecom_analytics.config import Settings

_STALE_SECONDS = 3600.0


class LocalStorage:
    """Named bytes in a local folder.

    A file is written under a hidden name beside its place, made durable (``fsync`` of the file and of its folder) and
    only then linked to its name. What a killed process leaves behind is hidden, is never listed, and is removed by a
    later writer to the same folder.

    Parameters
    ----------
    address : str
        The folder, or ``file://`` and the folder. It is made when first written to.
    settings : Settings

    Examples
    --------
    >>> import tempfile
    >>> from ecom_analytics import Settings
    >>> storage = LocalStorage(tempfile.mkdtemp(), Settings())
    >>> with storage.create("a/b.txt") as stream:
    ...     _ = stream.write(b"whole or not at all")
    >>> list(storage.list()), storage.exists("a/b.txt")
    (['a/b.txt'], True)
    """

    def __init__(self, address: str, settings: Settings) -> None:
        self.root = Path(address.removeprefix("file://")).expanduser().absolute()
        self._swept: set[Path] = set()
        self._unsynced: set[Path] | None = None

    def uri(self, name: str = "") -> str:
        return str(self.root / checked(name)) if name else str(self.root)

    def list(self, prefix: str = "") -> Iterator[str]:
        folder = prefix.rpartition("/")[0]
        if folder:
            checked(folder)
        with _explained(self.root / folder, "list"):
            yield from _walk(self.root / folder, f"{folder}/" if folder else "", prefix)

    def exists(self, name: str) -> bool:
        path = self.root / checked(name)
        with _explained(path, "look for"):
            try:
                path.stat()
            except (FileNotFoundError, NotADirectoryError):
                return False
        return path.is_file()

    @contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        path = self.root / checked(name)
        with _explained(path, "read"):
            try:
                stream = path.open("rb")
            except (IsADirectoryError, NotADirectoryError) as error:
                raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path)) from error
        with stream:
            yield stream

    @contextmanager
    def create(self, name: str, *, if_absent: bool = True) -> Iterator[BinaryIO]:
        path = self.root / checked(name)
        with self._written(path.parent, path.name, lambda: path, if_absent) as stream:
            yield stream

    @contextmanager
    def create_named_last(self, folder: str, name: Callable[[], str]) -> Iterator[BinaryIO]:
        """Write bytes whose name is known only when they are written, such as their own hash.

        Parameters
        ----------
        folder : str
        name : callable
            Called when the block has ended cleanly: the name within ``folder``.

        Raises
        ------
        FileExistsError
            The name is taken; what was there stays.
        """
        parent = self.root / checked(folder)
        with self._written(parent, "new", lambda: self.root / checked(f"{folder}/{name()}"), True) as stream:
            yield stream

    def delete(self, name: str) -> None:
        path = self.root / checked(name)
        with _explained(path, "delete"), contextlib.suppress(FileNotFoundError):
            path.unlink()
            _sync_folder(path.parent)

    @contextmanager
    def together(self) -> Iterator[None]:
        """Make what is created meanwhile durable when the block ends: each folder is synced once.

        Each file's bytes are durable before it has its name, as always.
        """
        self._unsynced = set()
        try:
            yield
            for folder in self._unsynced:
                with _explained(folder, "write to"):
                    _sync_folder(folder)
        finally:
            self._unsynced = None

    def tidy(self, prefix: str) -> None:
        """Remove what killed writers left in a folder and in the folders in it."""
        folder = self.root / checked(prefix.rstrip("/"))
        with contextlib.suppress(FileNotFoundError), _explained(folder, "list"):
            with os.scandir(folder) as entries:
                folders = [Path(entry.path) for entry in entries if entry.is_dir()]
            for path in (folder, *folders):
                self._sweep(path)

    def _settle(self, folder: Path) -> None:
        """Make a folder's new names durable, now or when the block ends."""
        if self._unsynced is None:
            _sync_folder(folder)
        else:
            self._unsynced.add(folder)

    @contextmanager
    def _written(self, folder: Path, stem: str, final: Callable[[], Path], if_absent: bool) -> Iterator[BinaryIO]:
        with _explained(folder, "write to"):
            _make_folder(folder, self.root)
            self._sweep(folder)
            part, descriptor = _new_part(folder, stem)
        stream = os.fdopen(descriptor, "wb")
        try:
            with told_when_full(folder):
                yield stream
                stream.flush()
            path = final()
            with _explained(path, "write"):
                if if_absent and path.exists():
                    self._settle(folder)  # what relies on the other writer's file must find it after a crash
                    raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
                os.fsync(descriptor)
                if if_absent:
                    os.link(part, path)  # fails if the name was taken meanwhile; a rename would replace
                else:
                    part.replace(path)
                self._settle(folder)
        finally:
            with contextlib.suppress(OSError):  # closing a file flushes it, which fails again on a full disk
                stream.close()
            with contextlib.suppress(OSError):
                part.unlink()

    def _sweep(self, folder: Path) -> None:
        """Remove what killed writers left: locked by nobody, and of this machine or old."""
        if folder in self._swept:
            return
        self._swept.add(folder)
        ours = f".{_machine()}-"
        with os.scandir(folder) as entries:
            left = [entry for entry in entries if is_part(entry.name)]
        for entry in left:
            with contextlib.suppress(OSError):
                if ours in entry.name or entry.stat().st_mtime < time.time() - _STALE_SECONDS:
                    with open(entry.path, "rb") as stream:
                        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                        os.unlink(entry.path)


def _new_part(folder: Path, stem: str) -> tuple[Path, int]:
    """A hidden file to write to; its lock tells a sweeping process that it has a living writer."""
    while True:
        part = folder / f".{stem[:180]}.{_machine()}-{secrets.token_hex(8)}{PART}"
        descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
        with contextlib.suppress(OSError):  # a file system without locks: then nobody sweeps before it is old
            fcntl.flock(descriptor, fcntl.LOCK_SH)
        if os.fstat(descriptor).st_nlink:
            return part, descriptor
        os.close(descriptor)  # swept before it was locked


@cache
def _machine() -> str:
    """Tells this running system from others that write to the same folder, which locks may not reach."""
    try:
        name = Path("/proc/sys/kernel/random/boot_id").read_text()
    except OSError:
        name = f"{socket.gethostname()} {uuid.getnode()}"
    return hashlib.sha256(name.encode()).hexdigest()[:12]


def _walk(folder: Path, name: str, prefix: str) -> Iterator[str]:
    """Names below a folder that begin with the prefix, in the order of whole names."""
    try:
        with os.scandir(folder) as entries:
            found = sorted((e.name + "/" if e.is_dir() else e.name) for e in entries if not is_part(e.name))
    except (FileNotFoundError, NotADirectoryError):
        return
    for entry in found:
        whole = name + entry
        if not whole.startswith(prefix) and not prefix.startswith(whole):
            continue
        if entry.endswith("/"):
            yield from _walk(folder / entry, whole, prefix)
        elif whole.startswith(prefix):
            yield whole


def _make_folder(folder: Path, root: Path) -> None:
    """Make the folder and its missing parents, durably."""
    missing = []
    while not folder.is_dir():
        missing.append(folder)
        folder = folder.parent
    for path in reversed(missing):
        try:
            path.mkdir()
        except FileExistsError as error:
            if not path.is_dir():  # else another writer made it meanwhile
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), str(path)) from error
        _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _explained(path: Path, doing: str) -> Iterator[None]:
    """Turn the system's errors into the library's, but for those that the protocol promises."""
    try:
        yield
    except (FileNotFoundError, FileExistsError, EcomError):
        raise
    except OSError as error:
        if is_full(error):
            raise full(path) from error
        hint = "check the path in the settings"
        if isinstance(error, PermissionError) or error.errno == errno.EROFS:
            hint = "check who owns the folder and its permissions, or set another one"
        elif isinstance(error, NotADirectoryError):
            hint = "a part of this path is a file: set another folder"
        raise LakeError(f"cannot {doing} {path}: {error.strerror}", hint=hint, path=str(path)) from error
