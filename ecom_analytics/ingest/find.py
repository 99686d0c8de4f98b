"""Which files the arguments of ``ingest`` mean."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ecom_analytics.config import Settings
from ecom_analytics.errors import InputError, MissingFileError
from ecom_analytics.ingest.files import File, LocalFile, unreadable
from ecom_analytics.ingest.find_s3 import Objects


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file to look at.

    Attributes
    ----------
    file : LocalFile or S3Object
    folder : str
        The folder argument in which it was found; empty if the file itself was asked for, by name or by pattern.
    """

    file: File
    folder: str = ""


def find(paths: Iterable[str | Path], settings: Settings) -> list[Candidate]:
    """The files that the arguments mean, in their order, each once; files of a folder in the order of their names.

    Parameters
    ----------
    paths : iterable of str or pathlib.Path
        Files, folders (searched through, but for names that begin with ``.`` or ``_``) and glob patterns (only if no
        file has that very name); each a local one, or ``s3://…``.
    settings : Settings
        How S3 is reached, and the lake, which a search leaves out.
    """
    objects = Objects(settings)
    lake = None if "://" in settings.lake else Path(settings.lake)
    candidates: list[Candidate] = []
    seen: set[str] = set()
    for path in paths:
        text = os.path.expanduser(os.fspath(path))
        found = (Candidate(*pair) for pair in objects.find(text)) if text.startswith("s3://") else _expand(text, lake)
        for candidate in found:
            real = real_name(candidate.file)
            if real not in seen:
                seen.add(real)
                candidates.append(candidate)
    return candidates


def _expand(text: str, lake: Path | None) -> Iterator[Candidate]:
    if "://" in text:
        raise InputError(
            f"{text!r} is neither a local file nor in S3",
            hint="download it first, then ingest the local file",
            path=text,
        )
    if os.path.lexists(text):
        yield from _one(Path(text), lake)
        return
    matches = sorted(glob.glob(text, recursive=True)) if glob.has_magic(text) else []
    if not matches:
        what = "no file matches" if glob.has_magic(text) else "there is no file"
        raise MissingFileError(
            f"{what} {text!r}", hint=f"check the path; it is looked up from {os.getcwd()}", path=text
        )
    for match in matches:
        yield from _one(Path(match), lake)


def _one(path: Path, lake: Path | None) -> Iterator[Candidate]:
    if path.is_dir():
        yield from (Candidate(LocalFile.of(file), str(path)) for file in _walk(path, lake))
    elif path.is_file():
        yield Candidate(LocalFile.of(path))
    elif path.is_symlink() and not path.exists():
        raise MissingFileError(
            f"{str(path)!r} is a link to {os.readlink(path)!r}, which does not exist", hint="correct or remove the link"
        )
    else:
        raise InputError(
            f"{str(path)!r} is not a regular file", hint="save its contents to a file and ingest that", path=str(path)
        )


def real_name(file: File) -> str:
    """The one name of a file that may have several, by links."""
    return os.path.realpath(file.path) if isinstance(file, LocalFile) else str(file)


def _walk(folder: Path, lake: Path | None) -> Iterator[Path]:
    def failed(error: OSError) -> None:
        raise unreadable(error.filename, error) from error

    for parent, folders, files in os.walk(folder, onerror=failed):
        inside = Path(parent)
        folders[:] = sorted(name for name in folders if _shown(name) and not (lake and _same(inside / name, lake)))
        yield from (inside / name for name in sorted(files) if _shown(name) and (inside / name).is_file())


def _shown(name: str) -> bool:
    return not name.startswith((".", "_"))


def _same(one: Path, other: Path) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)
