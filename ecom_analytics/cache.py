"""Local copies of what lies elsewhere: bounded, shared by processes, never half-written."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import secrets
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from ecom_analytics.disk import told_when_full
from ecom_analytics.errors import LakeError

PART = ".part"
_LEASES = ".leases"


class Cache:
    """A folder of copies, each under the address and the ETag of what it is a copy of.

    The least recently used go first when there is more than the limit; what a process has used since it began to
    :meth:`hold` stays, even beyond the limit. A copy appears by a rename, when it is whole and on disk.

    Parameters
    ----------
    folder : pathlib.Path
        It is made when first written to.
    limit : int
        Bytes.

    Examples
    --------
    >>> import tempfile
    >>> cache = Cache(Path(tempfile.mkdtemp()), limit=1_000_000)
    >>> with cache.hold(), cache.put("s3://shop/a", "etag", "a.txt") as stream:
    ...     _ = stream.write(b"copy")
    >>> cache.find("s3://shop/a", "etag", "a.txt", 4).read_bytes()
    b'copy'
    """

    def __init__(self, folder: Path, limit: int) -> None:
        self.folder = folder
        self.limit = limit

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Keep what is found or put while the block runs; throw out what is too much before and after it."""
        with _explained(self.folder):
            (self.folder / _LEASES).mkdir(parents=True, exist_ok=True)
            lease = self._lease()
        try:
            self.trim()
            yield
        finally:
            with contextlib.suppress(OSError):
                os.unlink(lease.name)
            lease.close()
            self.trim()

    def find(self, uri: str, etag: str, name: str, size: int) -> Path | None:
        """The copy, if there is a whole one; it counts as used now."""
        path = self.place(uri, etag, name)
        with self._locked(fcntl.LOCK_SH), contextlib.suppress(FileNotFoundError):
            if path.stat().st_size == size:
                os.utime(path)
                return path
        return None

    @contextmanager
    def put(self, uri: str, etag: str, name: str) -> Iterator[BinaryIO]:
        """Write a copy; it appears, whole, if the block ends cleanly. Within :meth:`hold`.

        Parameters
        ----------
        uri, etag : str
        name : str
            The end of the copy's path.
        """
        path = self.place(uri, etag, name)
        part = path.with_name(f".{secrets.token_hex(8)}{PART}")
        with self._locked(fcntl.LOCK_SH), _explained(self.folder):
            path.parent.mkdir(parents=True, exist_ok=True)
            stream = open(part, "xb")  # noqa: SIM115
        try:
            with told_when_full(self.folder), stream:
                yield stream
                stream.flush()
                os.fsync(stream.fileno())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)

    def adopt(self, file: Path, uri: str, etag: str, name: str) -> None:
        """Move a file in, as the copy of what it was uploaded to. Within :meth:`hold`."""
        path = self.place(uri, etag, name)
        with open(file, "rb+") as source:
            if os.fstat(source.fileno()).st_dev != self.folder.stat().st_dev:
                with self.put(uri, etag, name) as stream:
                    shutil.copyfileobj(source, stream, 1 << 20)
                return
            os.fsync(source.fileno())
        os.utime(file)
        with self._locked(fcntl.LOCK_SH), _explained(self.folder):
            path.parent.mkdir(parents=True, exist_ok=True)
            file.replace(path)

    def place(self, uri: str, etag: str, name: str) -> Path:
        """Where the copy lies, or would."""
        key = hashlib.sha256(f"{uri}\n{etag}".encode()).hexdigest()[:32]
        return self.folder / key / name

    def trim(self) -> None:
        """Throw out what is too much, and what killed processes left half-written."""
        if not self.folder.is_dir():
            return
        with self._locked(fcntl.LOCK_EX):
            held_since = self._held_since()
            files = []
            for path in self.folder.glob("*/**/*"):
                try:
                    status = path.stat()
                except FileNotFoundError:  # a copy that became whole, or was given up, just now
                    continue
                if path.parent.name == _LEASES or not stat.S_ISREG(status.st_mode):
                    continue
                if path.name.endswith(PART):
                    if held_since is None or status.st_mtime_ns < held_since:
                        path.unlink(missing_ok=True)
                else:
                    files.append((status.st_mtime_ns, status.st_size, path))
            total = sum(size for _, size, _ in files)
            for used, size, path in sorted(files):
                if total <= self.limit or (held_since is not None and used >= held_since):
                    break
                path.unlink(missing_ok=True)
                total -= size
                with contextlib.suppress(OSError):  # it holds something else
                    for parent in path.relative_to(self.folder).parents[:-1]:
                        (self.folder / parent).rmdir()

    def clear(self) -> None:
        """Throw out all copies, even those in use: who reads one then finds it gone, and ends with an error."""
        if not self.folder.is_dir():
            return
        with self._locked(fcntl.LOCK_EX):
            for path in self.folder.iterdir():
                if path.is_dir() and path.name != _LEASES:
                    shutil.rmtree(path, ignore_errors=True)

    def _lease(self) -> BinaryIO:
        """A locked file, made now: whoever throws out spares what was used since."""
        while True:
            stream = open(self.folder / _LEASES / secrets.token_hex(8), "xb")  # noqa: SIM115
            fcntl.flock(stream, fcntl.LOCK_EX)
            with contextlib.suppress(FileNotFoundError):  # it looked like a dead one before it was locked
                if os.path.samestat(os.fstat(stream.fileno()), os.stat(stream.name)):
                    return stream
            stream.close()

    def _held_since(self) -> int | None:
        """When the first of the living leases was made."""
        times = []
        for path in (self.folder / _LEASES).glob("*"):
            with contextlib.suppress(FileNotFoundError), open(path, "rb") as stream:
                try:
                    fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except OSError:
                    times.append(os.fstat(stream.fileno()).st_mtime_ns)
                else:
                    path.unlink(missing_ok=True)  # its process is dead
        return min(times, default=None)

    @contextmanager
    def _locked(self, how: int) -> Iterator[None]:
        if not self.folder.is_dir():
            yield
            return
        with _explained(self.folder):
            stream = open(self.folder / ".lock", "ab")  # noqa: SIM115
        with stream:
            fcntl.flock(stream, how)
            yield


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    try:
        yield
    except (PermissionError, NotADirectoryError, FileExistsError) as error:
        raise LakeError(
            f"the cache {folder} cannot be used: {error.strerror}",
            hint="check that the folder is yours to write, or set cache to another one",
            cache=str(folder),
        ) from error
