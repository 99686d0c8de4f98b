"""Objects of any bucket as files to read: listed, opened, and held to the version that was listed."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, BinaryIO, cast

from ecom_analytics.errors import InputError, LakeError, MissingFileError
from ecom_analytics.storages.s3_errors import explanation

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

_FIRST = 128 * 1024
"""Bytes of the first request of a stream: enough to look at the beginning."""

_BLOCK = 8 * 1024 * 1024
_ATTEMPTS = 4


@dataclass(frozen=True, slots=True)
class S3Object:
    """An object as it was when it was listed. A later version of it is refused.

    Attributes
    ----------
    client : S3Client
    bucket, key : str
    size : int
    etag : str
    """

    client: S3Client
    bucket: str
    key: str
    size: int
    etag: str

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}"

    @property
    def name(self) -> str:
        return self.key.rpartition("/")[2]

    def open(self, _mode: str = "rb", /) -> BinaryIO:
        """Its bytes from the beginning, fetched as they are read."""
        return cast(BinaryIO, io.BufferedReader(_Stream(self), 1 << 16))

    def read(self, start: int, size: int) -> bytes:
        """Some of its bytes.

        Raises
        ------
        InputError
            The object changed or cannot be read.
        """
        with _told(self):
            data = self._get(start, size) if size else b""
        if len(data) != size:
            raise _changed(self)
        return data

    def check(self) -> None:
        """Nothing more to check: every request named the version."""

    def _get(self, start: int, size: int) -> bytes:
        from botocore.exceptions import BotoCoreError

        for attempt in range(1, _ATTEMPTS + 1):
            answer = self.client.get_object(
                Bucket=self.bucket, Key=self.key, IfMatch=self.etag, Range=f"bytes={start}-{start + size - 1}"
            )
            try:
                with answer["Body"] as body:
                    return body.read()
            except BotoCoreError:  # boto3 tries again to get an answer, but not to read it
                if attempt == _ATTEMPTS:
                    raise
        raise AssertionError  # the loop returns or raises


class _Stream(io.RawIOBase):
    """An object's bytes in blocks."""

    def __init__(self, of: S3Object) -> None:
        self._of = of
        self._position = 0
        self._block = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        if not self._block:
            size = min(_BLOCK if self._position else _FIRST, self._of.size - self._position)
            self._block = memoryview(self._of.read(self._position, size))
            self._position += size
        count = min(len(view), len(self._block))
        view[:count] = self._block[:count]
        self._block = self._block[count:]
        return count


def find_object(client: S3Client, bucket: str, key: str) -> S3Object | None:
    """The object of that very name, if there is one."""
    uri = f"s3://{bucket}/{key}"
    try:
        with _told(uri):
            answer = client.head_object(Bucket=bucket, Key=key)
    except MissingFileError:
        return None
    return S3Object(client, bucket, key, answer["ContentLength"], answer["ETag"])


def list_objects(client: S3Client, bucket: str, prefix: str) -> Iterator[S3Object]:
    """Objects whose names begin so, ordered by name; folders' markers, as consoles make them, are left out."""
    with _told(f"s3://{bucket}/{prefix}"):
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            for entry in page.get("Contents", []):
                if not entry["Key"].endswith("/"):
                    yield S3Object(client, bucket, entry["Key"], entry["Size"], entry["ETag"])


@contextmanager
def _told(what: object) -> Iterator[None]:
    """Raise the errors of a file that is to be read for those of boto3."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        problem = explanation(error, str(what))
        if isinstance(problem, FileNotFoundError):
            raise MissingFileError(
                f"there is no object '{what}'", hint="check bucket and key", uri=str(what)
            ) from error
        if isinstance(problem, FileExistsError):  # the version that was asked for is not there
            raise _changed(what) from error
        hint = problem.hint if isinstance(problem, LakeError) else "check the network, then run it again"
        raise InputError(f"cannot read '{what}': {problem}", hint=hint, uri=str(what)) from error


def _changed(what: object) -> InputError:
    return InputError(
        f"'{what}' changed while it was read", hint="wait until it is written completely, then run it again"
    )
