"""A file-like object whose bytes become one S3 object, whole or not at all."""

from __future__ import annotations

import io
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from ecom_analytics.storages.s3_write import PART, Writer

IN_FLIGHT = 4
"""Parts that are under way at a time."""


class Upload(io.RawIOBase):
    """Collects bytes, sends full parts meanwhile, and completes or aborts at the end.

    Up to one part's bytes are sent in a single request. Memory is bounded by the parts in flight.

    Parameters
    ----------
    writer : Writer
    if_absent : bool
        Complete only if there is no such object then.
    """

    def __init__(self, writer: Writer, *, if_absent: bool) -> None:
        self._writer = writer
        self._if_absent = if_absent
        self._buffer = bytearray()
        self._position = 0
        self._upload_id = ""
        self._number = 0
        self._pool: ThreadPoolExecutor | None = None
        self._under_way: deque[Future[dict[str, Any]]] = deque()
        self._sent: list[dict[str, Any]] = []

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def write(self, data: Any) -> int:
        view = memoryview(data).cast("B")
        self._buffer += view
        self._position += len(view)
        size = self._part_size()
        while len(self._buffer) > size:
            self._send(bytes(self._buffer[:size]))
            del self._buffer[:size]
            size = self._part_size()
        return len(view)

    def finish(self) -> None:
        """Make the object appear; :class:`FileExistsError` if the name is taken."""
        if not self._upload_id:
            self._writer.put(bytes(self._buffer), if_absent=self._if_absent)
            return
        self._send(bytes(self._buffer))
        while self._under_way:
            self._sent.append(self._under_way.popleft().result())
        self._writer.complete(self._upload_id, self._sent, if_absent=self._if_absent)
        self._upload_id = ""
        self._stop()

    def abort(self) -> None:
        """Give up: nothing appears, and the store forgets the parts."""
        for future in self._under_way:
            future.cancel()
        self._stop()
        if self._upload_id:
            self._writer.abort(self._upload_id)
            self._upload_id = ""

    def _stop(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True)
            self._pool = None

    def _part_size(self) -> int:
        """The same for 40 GB, as R2 demands of all parts; then doubled after every thousand of the 10,000."""
        return PART << max(0, self._number // 1000 - 4)

    def _send(self, part: bytes) -> None:
        if self._pool is None:
            self._upload_id = self._writer.begin()
            self._pool = ThreadPoolExecutor(IN_FLIGHT, "s3-upload")
        while len(self._under_way) >= IN_FLIGHT:
            self._sent.append(self._under_way.popleft().result())
        self._number += 1
        self._under_way.append(self._pool.submit(self._writer.part, self._upload_id, self._number, part))
