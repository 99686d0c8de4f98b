"""Which visitors were erased: a list that lies in the lake and names nobody.

An entry is a keyed hash (HMAC-SHA-256, RFC 2104) of a source and an id. The key lies outside the lake, in the file that
the setting ``erasure_key`` names: who has the lake alone cannot even try out ids.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import re
import secrets
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from ecom_analytics.errors import ConfigError, LakeError

if TYPE_CHECKING:
    from ecom_analytics.config import Settings
    from ecom_analytics.protocols import Storage

FOLDER = "erasures/"
EVERY_SOURCE = "*"

_WORD = re.compile(r"[^\W_]+")
_FIELD = re.compile(r"[^\s,;|\"'{}\[\]()<>=&]+")
_COLON = re.compile(r"[^\s:,;|\"'{}\[\]()<>=&]+")


@dataclass(frozen=True, slots=True)
class Erasure:
    """The record of one erasure, ``erasures/<erasure_id>.json`` in the lake. It holds no id.

    Attributes
    ----------
    erasure_id : str
    at : str
        ISO 8601, UTC.
    source : str
        The source whose visitors were meant; ``*`` for all.
    hashes : list of str
        A keyed hash for each visitor.
    records : int
        Records that were erased from raw files, so far.
    done : bool
        Nothing is left of them: raw files, staged tables, builds and exports are all without them.
    """

    erasure_id: str
    at: str
    source: str
    hashes: list[str] = field(default_factory=list)
    records: int = 0
    done: bool = False


class Suppressed:
    """The visitors that were erased, to be told by their hashes only.

    Parameters
    ----------
    key : bytes
    hashes : iterable of str

    Examples
    --------
    >>> suppressed = Suppressed(b"secret", [digest(b"secret", "web", "7")])
    >>> suppressed.holds("web", "7"), suppressed.holds("app", "7"), bool(suppressed)
    (True, False, True)
    >>> suppressed.in_text("web", '1433,"7",view')
    True
    """

    def __init__(self, key: bytes, hashes: Iterable[str]) -> None:
        self._key = key
        self._hashes = set(hashes)

    def __bool__(self) -> bool:
        return bool(self._hashes)

    def holds(self, source: str, visitor: str) -> bool:
        """Whether a visitor or user of that source is to be erased."""
        return any(digest(self._key, name, visitor) in self._hashes for name in (source, EVERY_SOURCE))

    def in_text(self, source: str, text: str) -> bool:
        """Whether some word or field of a text may be one of them."""
        if not self._hashes:
            return False
        words = {word for pattern in (_WORD, _FIELD, _COLON) for word in pattern.findall(text)}
        words |= {word.removesuffix(".0") for word in words}
        return any(self.holds(source, word) for word in words)


def digest(key: bytes, source: str, visitor: str) -> str:
    """The hash of a visitor of a source."""
    return hmac.new(key, f"{source}\0{visitor}".encode(), hashlib.sha256).hexdigest()


def erasures(lake: Storage) -> list[Erasure]:
    """All records of erasures, the oldest first."""
    found = []
    for name in lake.list(FOLDER):
        with lake.open(name) as stream:
            try:
                found.append(Erasure(**json.loads(stream.read())))
            except (ValueError, TypeError) as error:
                raise LakeError(
                    f"the record of an erasure {lake.uri(name)} cannot be read: {error}",
                    hint="restore it from a backup: without it erased visitors would come back",
                ) from error
    return sorted(found, key=lambda erasure: (erasure.at, erasure.erasure_id))


def write(lake: Storage, erasure: Erasure) -> None:
    """Write the record of an erasure, in place of what it said before."""
    with lake.create(f"{FOLDER}{erasure.erasure_id}.json", if_absent=False) as to:
        to.write(json.dumps(asdict(erasure), indent=1).encode() + b"\n")


def suppressed(settings: Settings, lake: Storage) -> Suppressed:
    """The visitors whose records are not to be staged.

    Raises
    ------
    ConfigError
        The lake has such a list, and its key is not there.
    """
    hashes = [one for erasure in erasures(lake) for one in erasure.hashes]
    if not hashes:
        return Suppressed(b"", [])
    try:
        return Suppressed(read_key(settings), hashes)
    except FileNotFoundError:
        raise ConfigError(
            f"visitors were erased from this lake, and the key to tell them by is not there: {settings.erasure_key}",
            hint="restore the key, or set erasure_key to where it is; without it they would be staged again",
            key="erasure_key",
        ) from None


def read_key(settings: Settings) -> bytes:
    """The key: at least 16 bytes.

    Raises
    ------
    ConfigError
        It is too short, or cannot be read.
    FileNotFoundError
        There is none.
    """
    try:
        key = settings.erasure_key.read_bytes()
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ConfigError(
            f"the key {str(settings.erasure_key)!r} cannot be read: {error.strerror}", hint="check its permissions"
        ) from error
    if len(key) < 16:
        raise ConfigError(
            f"the key {str(settings.erasure_key)!r} is shorter than 16 bytes",
            hint="restore it; or, if nobody was erased yet, delete it for a new one to be made",
        )
    return key


def make_key(settings: Settings) -> bytes:
    """The key, made if there is none yet.

    Raises
    ------
    ConfigError
        It would lie in the lake, or cannot be read.
    """
    path = settings.erasure_key
    if "://" not in settings.lake and path.resolve().is_relative_to(Path(settings.lake).resolve()):
        raise ConfigError(
            f"the key {str(path)!r} would lie in the lake",
            hint="set erasure_key to a file outside of it: who has the lake must not have the key",
            key="erasure_key",
        )
    with suppress(FileNotFoundError):
        return read_key(settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as to:
            to.write(secrets.token_bytes(32))
            to.flush()
            os.fsync(to.fileno())
        with suppress(FileExistsError):  # another process was faster
            os.link(new, path)
    finally:
        new.unlink(missing_ok=True)
    return read_key(settings)
