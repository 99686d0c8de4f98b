"""Staged tables on S3, with a cache of their files and of raw batches before it."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from ecom_analytics.cache import Cache
from ecom_analytics.config import Settings
from ecom_analytics.errors import LakeError
from ecom_analytics.lake import Batch
from ecom_analytics.staging.places import LOG, STAGED, OnBytes
from ecom_analytics.storages import open_storage, storage_options
from ecom_analytics.storages.s3_errors import explained

if TYPE_CHECKING:
    from ecom_analytics.storages.s3 import S3Storage

TRANSFERS = 16
"""Files that are under way at a time."""

LARGE = 8 * 1024 * 1024
"""Bytes of a file that is uploaded in parts, several at a time: such files go one by one."""

OPTIONS_LAST = 300.0
"""Seconds after which credentials are asked for again."""

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")


class RemotePlace:
    """A prefix of a bucket: files are written to the scratch folder, uploaded, and kept in the cache.

    Parameters
    ----------
    settings : Settings
        Their ``lake`` is an S3 address.
    """

    in_place = False

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._lake: S3Storage = open_storage(settings.lake, settings)  # type: ignore[assignment]
        self._cache = Cache(settings.cache, settings.cache_bytes)
        self._known: dict[str, tuple[str, int]] = {}
        self._options: Mapping[str, str] = {}
        self._asked = -OPTIONS_LAST
        self.address = self._lake.uri(STAGED)
        self.bucket = self._lake.bucket

    def table(self, name: str) -> str:
        return f"{self.address}/{name}"

    def options(self) -> Mapping[str, str]:
        if time.monotonic() - self._asked >= OPTIONS_LAST:
            self._options, self._asked = storage_options(self._settings), time.monotonic()
        return self._options

    def may_exist(self, table: str) -> bool:
        return True

    def hold(self) -> contextlib.AbstractContextManager[None]:
        return self._cache.hold()

    def workshop(self, scratch: Path) -> Path:
        return scratch / STAGED

    def publish(self, names: Sequence[str], workshop: Path) -> None:
        large = [name for name in names if (workshop / name).stat().st_size > LARGE]
        small = set(names).difference(large)
        _together(lambda name: self._publish(name, workshop / name), sorted(small))
        for name in large:
            self._publish(name, workshop / name)

    def _publish(self, name: str, file: Path) -> None:
        with open(file, "rb") as source, self._lake.create(f"{STAGED}/{name}", if_absent=False) as stream:
            shutil.copyfileobj(source, stream, 1 << 20)
        uri, key = self._where(f"{STAGED}/{name}")
        with explained(uri):
            head = self._lake.client.head_object(Bucket=self._lake.bucket, Key=key)
        self._known[name] = (head["ETag"], head["ContentLength"])
        self._cache.adopt(file, uri, head["ETag"], name)

    def paths(self, names: Sequence[str]) -> list[str]:
        self._look_for(names)
        return _together(lambda name: str(self._cached(name) or self._fetch(f"{STAGED}/{name}", name)), names)

    def readable(self, names: Sequence[str]) -> list[str]:
        self._look_for(names)
        return [str(self._cached(name) or self._where(f"{STAGED}/{name}")[0]) for name in names]

    def listing(self, table: str) -> Iterator[str]:
        prefix = self._lake.prefix + STAGED + "/"
        pages = self._lake.client.get_paginator("list_objects_v2").paginate(
            Bucket=self._lake.bucket, Prefix=f"{prefix}{table}/"
        )
        with explained(self.table(table)):
            for page in pages:
                for entry in page.get("Contents", []):
                    name = entry["Key"][len(prefix) :]
                    if name.endswith(".parquet") and LOG not in name:
                        self._known[name] = (entry["ETag"], entry["Size"])
                        yield name

    def delete(self, names: Iterable[str]) -> None:
        _together(lambda name: self._lake.delete(f"{STAGED}/{name}"), list(names))

    def raw(self, batches: Sequence[Batch], on_bytes: OnBytes) -> list[str]:
        def fetch(batch: Batch) -> str:
            path = self._fetch(batch.object_name, batch.batch_id)
            on_bytes(batch.bytes)
            return str(path)

        return _together(fetch, batches)

    def _look_for(self, names: Iterable[str]) -> None:
        """Learn the ETags of files; a staged file never changes."""
        for table in {name.partition("/")[0] for name in names if name not in self._known}:
            for _ in self.listing(table):
                pass

    def _cached(self, name: str) -> Path | None:
        if name not in self._known:
            raise LakeError(
                f"the staged file {self.address}/{name} is missing",
                hint="restore it from a version of the bucket, or delete everything below 'staged' and stage again",
            )
        etag, size = self._known[name]
        return self._cache.find(self._where(f"{STAGED}/{name}")[0], etag, name, size)

    def _fetch(self, name: str, cached_name: str) -> Path:
        """The cache's copy, fetched if it has none."""
        uri, key = self._where(name)
        try:
            with explained(uri):
                answer = self._lake.client.get_object(Bucket=self._lake.bucket, Key=key)
        except FileNotFoundError as error:
            raise LakeError(
                f"{uri} is missing, and the lake's records name it", hint="restore it from a version of the bucket"
            ) from error
        with contextlib.closing(answer["Body"]) as body, explained(uri):
            etag, size = answer["ETag"], answer["ContentLength"]
            found = self._cache.find(uri, etag, cached_name, size)
            if found is not None:
                return found
            with self._cache.put(uri, etag, cached_name) as stream:
                for chunk in body.iter_chunks(1 << 20):
                    stream.write(chunk)
        return self._cache.place(uri, etag, cached_name)

    def _where(self, name: str) -> tuple[str, str]:
        return self._lake.uri(name), self._lake.prefix + name


def _together(call: Callable[[_Item], _Result], items: Sequence[_Item]) -> list[_Result]:
    """Call for each item, several at a time; the first error is raised when all that began have ended."""
    if len(items) < 2:
        return [call(item) for item in items]
    pool: Any = ThreadPoolExecutor(min(TRANSFERS, len(items)), "s3-staged")
    try:
        return list(pool.map(call, items))
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
