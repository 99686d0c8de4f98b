"""What every write to S3 has: a checksum that the store verifies, and the condition that the name is free."""

from __future__ import annotations

import base64
import hashlib
import time
import zlib
from contextlib import suppress
from typing import TYPE_CHECKING, Any

from ecom_analytics.errors import LakeError
from ecom_analytics.storages.s3_client import encryption
from ecom_analytics.storages.s3_errors import code_of, explained

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from ecom_analytics.config import Settings

PART = 8 * 1024 * 1024
"""Bytes of a part. Fewer bytes are sent in a single request."""

_CONFLICT = {"ConditionalRequestConflict", "409"}
_PAUSES = (0.1, 0.2, 0.4, 0.8, 1.6)
_UNSUPPORTED = {"NotImplemented", "InvalidRequest", "InvalidArgument", "501"}


class Writer:
    """Writes one object.

    A checksum is sent as a header with each request that carries bytes, so that it needs nothing of the store but to
    know the algorithm: not the chunked bodies with trailers that boto3 would send, which some stores refuse.

    Parameters
    ----------
    client : S3Client
    bucket, key, uri : str
    settings : Settings
        Encryption and checksums.
    """

    def __init__(self, client: S3Client, bucket: str, key: str, uri: str, settings: Settings) -> None:
        self.client: Any = client
        self.bucket = bucket
        self.key = key
        self.target = {"Bucket": bucket, "Key": key}
        self.uri = uri
        self.encrypted = encryption(settings)
        self._crc32 = settings.s3_checksums == "crc32"

    def put(self, data: bytes | bytearray, *, if_absent: bool) -> None:
        """Write all bytes in one request; :class:`FileExistsError` if the name is taken."""
        arguments = {"Body": data, **self.checksum(data), **self.encrypted}
        self._write(self.client.put_object, arguments, if_absent=if_absent)

    def begin(self) -> str:
        """Begin an upload in parts: its id."""
        algorithm = {"ChecksumAlgorithm": "CRC32"} if self._crc32 else {}
        with explained(self.uri):
            answer = self.client.create_multipart_upload(**self.target, **algorithm, **self.encrypted)
        return str(answer["UploadId"])

    def part(self, upload_id: str, number: int, data: bytes) -> dict[str, Any]:
        """Send a part: what :meth:`complete` must name it by."""
        with explained(self.uri):
            answer = self.client.upload_part(
                **self.target, UploadId=upload_id, PartNumber=number, Body=data, **self.checksum(data)
            )
        return named(number, answer)

    def complete(self, upload_id: str, parts: list[dict[str, Any]], *, if_absent: bool) -> None:
        """Make the object of the parts; :class:`FileExistsError` if the name is taken.

        Some stores (Ceph) silently take no condition here, so there is a look beforehand.
        """
        if if_absent:
            self._refuse_taken()
        arguments = {"UploadId": upload_id, "MultipartUpload": {"Parts": parts}}
        self._write(self.client.complete_multipart_upload, arguments, if_absent=if_absent)

    def abort(self, upload_id: str) -> None:
        """Let the store forget an upload, if it can be reached."""
        with suppress(Exception), explained(self.uri):
            self.client.abort_multipart_upload(**self.target, UploadId=upload_id)

    def exists(self) -> bool:
        try:
            with explained(self.uri):
                self.client.head_object(**self.target)
        except FileNotFoundError:
            return False
        return True

    def checksum(self, data: bytes | bytearray) -> dict[str, str]:
        """The checksum of a request's bytes, as an argument of boto3."""
        if self._crc32:
            return {"ChecksumCRC32": crc32(data)}
        return {"ContentMD5": base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()}

    def _refuse_taken(self) -> None:
        if self.exists():
            raise FileExistsError(f"{self.uri} exists")

    def _write(self, call: Any, arguments: dict[str, Any], *, if_absent: bool) -> None:
        """Make the call, if need be under the condition that the name is free: by the store, or else by looking."""
        condition = {"IfNoneMatch": "*"} if if_absent else {}
        for pause in _PAUSES:
            try:
                with explained(self.uri):
                    call(**self.target, **arguments, **condition)
                return
            except FileExistsError as error:
                if code_of(error.__cause__ or error) not in _CONFLICT:
                    raise
                self._refuse_taken()  # another one is writing this name; whether it will succeed is open
                time.sleep(pause)
            except LakeError as error:
                if not condition or code_of(error.__cause__ or error) not in _UNSUPPORTED:
                    raise
                self._refuse_taken()
                condition = {}
        raise LakeError(f"others are writing {self.uri} all the time", hint="run it again later", uri=self.uri)


def named(number: int, answer: dict[str, Any]) -> dict[str, Any]:
    """A part, as the completion must name it, from what the store says of it."""
    kept = {key: value for key, value in answer.items() if key == "ETag" or key.startswith("Checksum")}
    kept.pop("ChecksumType", None)
    return {"PartNumber": number, **kept}


def crc32(data: bytes | bytearray) -> str:
    """The CRC-32 of bytes as S3 writes it.

    Examples
    --------
    >>> crc32(b"123456789")
    'y/Q5Jg=='
    """
    return base64.b64encode(zlib.crc32(data).to_bytes(4, "big")).decode()
