"""Which objects an argument ``s3://bucket/…`` means: one, all below a prefix, or those that a pattern matches."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ecom_analytics.errors import InputError, MissingFileError
from ecom_analytics.storages.s3_objects import S3Object, find_object, list_objects

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

    from ecom_analytics.config import Settings


class Objects:
    """Finds objects as the local search finds files: the same rules for names, folders and patterns."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._made: S3Client | None = None

    @property
    def _client(self) -> S3Client:
        from ecom_analytics.storages.s3_client import s3_client

        if self._made is None:
            self._made = s3_client(self._settings)
        return self._made

    def find(self, uri: str) -> Iterator[tuple[S3Object, str]]:
        """Objects, each with the folder in which it was found, or nothing if it was asked for itself."""
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        if not bucket or glob.has_magic(bucket):
            raise InputError(f"{uri!r} names no bucket", hint="write it as s3://bucket/key", path=uri)
        one = find_object(self._client, bucket, key) if key and not key.endswith("/") else None
        if one is not None:
            yield one, ""
            return
        found = False
        for pair in self._matching(bucket, key) if glob.has_magic(key) else self._below(bucket, key):
            found = True
            yield pair
        if not found:
            what = "no object matches" if glob.has_magic(key) else "there is no object"
            raise MissingFileError(f"{what} {uri!r}", hint="check bucket, key and s3_endpoint_url", path=uri)

    def _below(self, bucket: str, key: str) -> Iterator[tuple[S3Object, str]]:
        prefix = f"{key.rstrip('/')}/" if key else ""
        for item in list_objects(self._client, bucket, prefix):
            if self._shown(item, prefix):
                yield item, f"s3://{bucket}/{prefix}"

    def _matching(self, bucket: str, pattern: str) -> Iterator[tuple[S3Object, str]]:
        matches = re.compile(translated(pattern.rstrip("/")))
        for item in list_objects(self._client, bucket, pattern[: _magic(pattern)]):
            parts = item.key.split("/")
            if matches.fullmatch(item.key) and not pattern.endswith("/"):
                yield item, ""
                continue
            for count in range(1, len(parts)):
                folder = "/".join(parts[:count])
                if matches.fullmatch(folder):
                    if self._shown(item, f"{folder}/"):
                        yield item, f"s3://{bucket}/{folder}/"
                    break

    def _shown(self, item: S3Object, prefix: str) -> bool:
        """Whether a search of the folder would take it: not hidden, not in the lake."""
        below = item.key.removeprefix(prefix).split("/")
        lake = f"{self._settings.lake}/"
        return not any(part.startswith((".", "_")) for part in below) and (
            not str(item).startswith(lake) or f"s3://{item.bucket}/{prefix}".startswith(lake)
        )


def _magic(pattern: str) -> int:
    """Where the first wildcard is."""
    return next(index for index, sign in enumerate(pattern) if sign in "*?[")


def translated(pattern: str) -> str:
    """A glob pattern as a regular expression: ``*`` stays within a folder, ``**`` is any folders, dots are not matched.

    Examples
    --------
    >>> keys = ("2026-01/events1.csv", "2026-01/a/b/events.csv", "2026/events.csv")
    >>> [bool(re.fullmatch(translated("2026-*/**/events*.csv"), key)) for key in keys]
    [True, True, False]
    """
    *folders, last = pattern.split("/")
    before = "".join(_FOLDERS if folder == "**" else f"{_part(folder)}/" for folder in folders)
    return before + (f"{_FOLDERS}{_part('*')}" if last == "**" else _part(last))


_FOLDERS = r"(?:(?!\.)[^/]+/)*"


def _part(pattern: str) -> str:
    signs = {"*": "[^/]*", "?": "[^/]"}
    pieces = re.findall(r"\[!?\]?[^\]]*\]|.", pattern, re.DOTALL)
    text = "".join(signs.get(piece) or (_choice(piece) if len(piece) > 1 else re.escape(piece)) for piece in pieces)
    return text if pattern.startswith(".") else rf"(?!\.){text}"


def _choice(piece: str) -> str:
    inner = piece[1:-1].replace("\\", r"\\").replace("[", r"\[").replace("^", r"\^")
    return f"[^{inner[1:]}/]" if inner.startswith("!") else f"[{inner}]"
