"""Content of a known hash becomes one S3 object; an upload of it that broke off goes on where it stopped."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import Executor, wait
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

from ecom_analytics.errors import LakeError
from ecom_analytics.protocols import Content
from ecom_analytics.storages.s3_errors import code_of, explained
from ecom_analytics.storages.s3_write import PART, Writer, crc32, named

_PARTS = 9_000
"""An upload has fewer parts than this (S3 allows 10,000)."""

_STALE = timedelta(days=7)
"""After so long nobody is expected to go on with an upload."""

_FIRST = datetime(2026, 1, 1, tzinfo=UTC)
"""Nobody uploaded to such a name before there was this library: an older date is one that the store makes up."""

_GONE = {"NoSuchUpload", "InvalidPart"}
"""What a store says where another process, with the same bytes, completed or aborted the upload meanwhile."""


def put_content(writer: Writer, content: Content, pool: Executor, sent: Callable[[int], None]) -> bool:
    """Make the object, unless it is there.

    The name must be that of the content, such as its hash: any unfinished upload to it is one of the same bytes. Its
    parts that are as they should be are kept, the others are sent. Two processes may send the same upload.

    Parameters
    ----------
    writer : Writer
    content : Content
    pool : Executor
        Reads and sends the parts. Its threads bound the memory: each holds one part.
    sent : callable
        Receives the number of bytes of each part that has arrived; called in this thread.

    Returns
    -------
    bool
        Whether the object is new.
    """
    if content.size <= PART:
        return _put(writer, content, sent)
    if writer.exists():
        _abort_all(writer)
        return False
    for _ in range(3):
        upload_id, there = _begun(writer) or (writer.begin(), {})
        try:
            _send(writer, upload_id, there, content, pool, sent)
        except FileExistsError:
            _abort_all(writer)
            return False
        except LakeError as error:
            if writer.exists():  # another one was faster, and completed the upload under our hands
                _abort_all(writer)
                return False
            if code_of(error.__cause__ or error) not in _GONE:
                writer.abort(upload_id)
                raise
            continue
        except BaseException:
            writer.abort(upload_id)
            raise
        _abort_all(writer)
        return True
    raise LakeError(f"the upload of {writer.uri} was aborted again and again", hint="run it when no other ingest runs")


def abort_stale(client: Any, bucket: str, prefix: str) -> None:
    """Abort uploads below a prefix that were begun long ago, if the store tells of them."""
    oldest = datetime.now(UTC) - _STALE
    with suppress(LakeError, FileNotFoundError), explained(f"s3://{bucket}/{prefix}"):
        for upload in list(_uploads(client, bucket, prefix)):
            if _FIRST < upload["Initiated"] < oldest:
                client.abort_multipart_upload(Bucket=bucket, Key=upload["Key"], UploadId=upload["UploadId"])


def _put(writer: Writer, content: Content, sent: Callable[[int], None]) -> bool:
    data = content.read(0, content.size)
    content.check()
    try:
        writer.put(data, if_absent=True)
    except FileExistsError:
        return False
    sent(len(data))
    return True


def _begun(writer: Writer) -> tuple[str, dict[int, dict[str, Any]]] | None:
    """The unfinished upload that got furthest, and its parts."""
    best: tuple[str, dict[int, dict[str, Any]]] | None = None
    with suppress(LakeError, FileNotFoundError), explained(writer.uri):  # not allowed, or not offered: begin anew
        for upload in _uploads(writer.client, writer.bucket, writer.key):
            if upload["Key"] != writer.key:
                continue
            parts = _parts(writer, upload["UploadId"])
            if best is None or len(parts) > len(best[1]):
                best = upload["UploadId"], parts
    return best


def _uploads(client: Any, bucket: str, prefix: str) -> Iterator[dict[str, Any]]:
    for page in client.get_paginator("list_multipart_uploads").paginate(Bucket=bucket, Prefix=prefix):
        yield from page.get("Uploads", [])


def _parts(writer: Writer, upload_id: str) -> dict[int, dict[str, Any]]:
    pages = writer.client.get_paginator("list_parts").paginate(**writer.target, UploadId=upload_id)
    try:
        return {part["PartNumber"]: part for page in pages for part in page.get("Parts", [])}
    except Exception as error:
        if code_of(error) in _GONE:
            return {}
        raise


def _abort_all(writer: Writer) -> None:
    """Abort what nobody needs, now that the object is there."""
    with suppress(LakeError, FileNotFoundError), explained(writer.uri):
        for upload in list(_uploads(writer.client, writer.bucket, writer.key)):
            if upload["Key"] == writer.key:
                writer.abort(upload["UploadId"])


def _send(
    writer: Writer,
    upload_id: str,
    there: dict[int, dict[str, Any]],
    content: Content,
    pool: Executor,
    sent: Callable[[int], None],
) -> None:
    size = part_size(content.size)
    starts = range(0, content.size, size)

    def part(number: int, start: int) -> dict[str, Any]:
        data = content.read(start, min(size, content.size - start))
        old = there.get(number)
        if old is not None and _same(old, data):
            return named(number, old)
        return writer.part(upload_id, number, data)

    futures = [pool.submit(part, number, start) for number, start in enumerate(starts, 1)]
    try:
        parts = []
        for start, future in zip(starts, futures, strict=True):
            parts.append(future.result())
            sent(min(size, content.size - start))
    except BaseException:
        for future in futures:
            future.cancel()
        wait(futures)
        raise
    content.check()
    writer.complete(upload_id, parts, if_absent=True)


def _same(part: dict[str, Any], data: bytes) -> bool:
    """Whether the store's part has these bytes; no if it does not say enough."""
    if part["Size"] != len(data):
        return False
    if part.get("ChecksumCRC32"):
        return bool(part["ChecksumCRC32"] == crc32(data))
    return bool(part["ETag"].strip('"') == hashlib.md5(data, usedforsecurity=False).hexdigest())


def part_size(size: int) -> int:
    """Bytes of each part but the last, a whole number of MiB.

    Examples
    --------
    >>> part_size(10**9) == PART, part_size(10**12) // 2**20
    (True, 106)
    """
    mib = 1 << 20
    return max(PART, -(-size // _PARTS // mib) * mib)
