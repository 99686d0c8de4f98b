"""A file-like object whose bytes become one S3 object, whole or not at all."""

from __future__ import annotations

import contextlib
import io
from collections import deque
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from ecom_analytics.errors import EcomError
from ecom_analytics.storages.s3_errors import code_of, explained

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

PART = 8 * 1024 * 1024
"""Bytes of a part, doubled after every thousand parts: 10,000 parts then hold more than S3's largest object."""

IN_FLIGHT = 4
"""Parts that are under way at a time."""

_UNSUPPORTED = {"NotImplemented", "InvalidRequest", "501"}


class Upload(io.RawIOBase):
    """Collects bytes, sends full parts meanwhile, and completes or aborts at the end.

    Up to one part's bytes are sent in a single request. Memory is bounded by the parts in flight.

    Parameters
    ----------
    client : S3Client
    bucket, key, uri : str
    options : dict
        What is asked of the object, such as encryption.
    if_absent : bool
        Complete only if there is no such object then.
    """

    def __init__(
        self, client: S3Client, bucket: str, key: str, uri: str, options: dict[str, Any], *, if_absent: bool
    ) -> None:
        self._client: Any = client
        self._target = {"Bucket": bucket, "Key": key}
        self._uri = uri
        self._options = options
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
        with explained(self._uri):
            if not self._upload_id:
                self._conditionally(self._client.put_object, Body=bytes(self._buffer), **self._options)
                return
            self._send(bytes(self._buffer))
            while self._under_way:
                self._sent.append(self._under_way.popleft().result())
            parts = {"MultipartUpload": {"Parts": self._sent}, "UploadId": self._upload_id}
            self._conditionally(self._client.complete_multipart_upload, **parts)
        self._upload_id = ""
        self._stop()

    def abort(self) -> None:
        """Give up: nothing appears, and the store forgets the parts."""
        for future in self._under_way:
            future.cancel()
        self._stop()
        if self._upload_id:
            with contextlib.suppress(EcomError, FileNotFoundError), explained(self._uri):
                self._client.abort_multipart_upload(**self._target, UploadId=self._upload_id)
            self._upload_id = ""

    def _stop(self) -> None:
        if self._pool is not None:
            self._pool.shutdown(wait=True)
            self._pool = None

    def _part_size(self) -> int:
        return PART << (self._number // 1000)

    def _send(self, part: bytes) -> None:
        with explained(self._uri):
            if self._pool is None:
                created = self._client.create_multipart_upload(**self._target, **self._options)
                self._upload_id = created["UploadId"]
                self._pool = ThreadPoolExecutor(IN_FLIGHT, "s3-upload")
            while len(self._under_way) >= IN_FLIGHT:
                self._sent.append(self._under_way.popleft().result())
        self._number += 1
        self._under_way.append(self._pool.submit(self._send_part, self._number, part))

    def _send_part(self, number: int, part: bytes) -> dict[str, Any]:
        answer = self._client.upload_part(**self._target, UploadId=self._upload_id, PartNumber=number, Body=part)
        kept = {key: value for key, value in answer.items() if key == "ETag" or key.startswith("Checksum")}
        kept.pop("ChecksumType", None)
        return {"PartNumber": number, **kept}

    def _conditionally(self, call: Any, **arguments: Any) -> None:
        """Make the call under the condition that the name is free, by the store or, where it cannot, by looking."""
        from botocore.exceptions import ClientError

        if not self._if_absent:
            call(**self._target, **arguments)
            return
        try:
            call(**self._target, **arguments, IfNoneMatch="*")
        except ClientError as error:
            if code_of(error) not in _UNSUPPORTED:
                raise
            with contextlib.suppress(FileNotFoundError):
                with explained(self._uri):
                    self._client.head_object(**self._target)
                raise FileExistsError(f"{self._uri} exists") from error
            call(**self._target, **arguments)
