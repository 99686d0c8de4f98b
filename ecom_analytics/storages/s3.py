"""Named bytes in S3, or in any store that speaks its protocol (MinIO, Ceph, R2)."""

from __future__ import annotations

import contextlib
import io
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from ecom_analytics.errors import ConfigError, EcomError
from ecom_analytics.protocols import Content
from ecom_analytics.storages.names import checked
from ecom_analytics.storages.s3_client import s3_client
from ecom_analytics.storages.s3_errors import explained, explanation
from ecom_analytics.storages.s3_resume import abort_stale, put_content
from ecom_analytics.storages.s3_upload import Upload
from ecom_analytics.storages.s3_write import Writer

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from ecom_analytics.config import Settings

IN_FLIGHT = 8
"""Parts of contents that are under way at a time; with the bytes of a part, what bounds the memory."""


class S3Storage:
    """Named bytes below ``s3://bucket/prefix``.

    Bytes stream to a multipart upload, whose parts in flight bound the memory; an object appears when it is complete.
    With ``if_absent`` the store itself decides who was first (a conditional write).

    Parameters
    ----------
    address : str
        ``s3://bucket`` or ``s3://bucket/prefix``. The bucket must exist.
    settings : Settings
        Endpoint, region, addressing style and encryption.

    Examples
    --------
    >>> from ecom_analytics import Settings
    >>> S3Storage("s3://shop/lake", Settings()).uri("raw/a.csv")
    's3://shop/lake/raw/a.csv'
    """

    def __init__(self, address: str, settings: Settings) -> None:
        self.bucket, _, prefix = address.removeprefix("s3://").partition("/")
        self.prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        if not self.bucket:
            raise ConfigError(f"{address!r} names no bucket", hint="write it as s3://bucket/prefix", value=address)
        self.settings = settings
        self._client: S3Client | None = None
        self._pool: ThreadPoolExecutor | None = None
        self._lock = threading.Lock()

    @property
    def client(self) -> S3Client:
        """The boto3 client, made when first needed."""
        with self._lock:  # making one takes long, and boto3 makes them one at a time
            if self._client is None:
                self._client = s3_client(self.settings)
            return self._client

    def uri(self, name: str = "") -> str:
        return f"s3://{self.bucket}/{self._key(name) if name else self.prefix.rstrip('/')}".rstrip("/")

    def list(self, prefix: str = "") -> Iterator[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.bucket, Prefix=self.prefix + prefix)
        with explained(f"s3://{self.bucket}/{self.prefix}{prefix}"):
            for page in pages:
                for entry in page.get("Contents", []):
                    if not entry["Key"].endswith("/"):  # a folder's marker, as consoles make them
                        yield entry["Key"][len(self.prefix) :]

    def exists(self, name: str) -> bool:
        key = self._key(name)
        try:
            with explained(self.uri(name)):
                self.client.head_object(Bucket=self.bucket, Key=key)
        except FileNotFoundError:
            return False
        return True

    @contextmanager
    def open(self, name: str) -> Iterator[BinaryIO]:
        key = self._key(name)
        with explained(self.uri(name)):
            body = self.client.get_object(Bucket=self.bucket, Key=key)["Body"]
        with contextlib.closing(body):
            yield cast(BinaryIO, io.BufferedReader(_Body(body, self.uri(name)), 1 << 17))

    @contextmanager
    def create(self, name: str, *, if_absent: bool = True) -> Iterator[BinaryIO]:
        upload = Upload(self._writer(name), if_absent=if_absent)
        try:
            yield cast(BinaryIO, upload)
            upload.finish()
        except BaseException:
            upload.abort()
            raise

    def delete(self, name: str) -> None:
        key = self._key(name)
        with explained(self.uri(name)):
            self.client.delete_object(Bucket=self.bucket, Key=key)

    def put(self, name: str, content: Content, sent: Callable[[int], None] = lambda _: None) -> bool:
        """Write content under a name that only this content can have, unless it is there.

        An upload that broke off goes on where it stopped. Parts are read and sent several at a time.

        Parameters
        ----------
        name : str
        content : Content
        sent : callable, optional
            Receives numbers of bytes as they arrive; called in this thread.

        Returns
        -------
        bool
            Whether it was not there.
        """
        with self._lock:
            if self._pool is None:
                self._pool = ThreadPoolExecutor(IN_FLIGHT, "s3-parts")
        return put_content(self._writer(name), content, self._pool, sent)

    def tidy(self, prefix: str) -> None:
        """Abort uploads below a prefix that were begun long ago."""
        abort_stale(self.client, self.bucket, self.prefix + prefix)

    def _writer(self, name: str) -> Writer:
        return Writer(self.client, self.bucket, self._key(name), self.uri(name), self.settings)

    def _key(self, name: str) -> str:
        return self.prefix + checked(name)


class _Body(io.RawIOBase):
    """An object's bytes as they arrive, with the library's errors."""

    def __init__(self, body: Any, uri: str) -> None:
        self._body = body
        self._uri = uri

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        try:
            data: bytes = self._body.read(len(view))
        except EcomError:
            raise
        except Exception as error:
            raise explanation(error, self._uri) from error
        view[: len(data)] = data
        return len(data)
