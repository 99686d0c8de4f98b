"""Which files the arguments of ``ingest`` mean."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from ecom_analytics.errors import EcomError, InputError, MissingFileError


@dataclass(frozen=True, slots=True)
class Candidate:
    """A file to look at.

    Attributes
    ----------
    path : pathlib.Path
    folder : pathlib.Path or None
        The folder argument in which it was found; None if the file itself was asked for, by name or by pattern.
    """

    path: Path
    folder: Path | None = None


def find(paths: Iterable[str | Path], lake: Path | None) -> list[Candidate]:
    """The files that the arguments mean, in their order, each once; files of a folder in the order of their names.

    Parameters
    ----------
    paths : iterable of str or pathlib.Path
        Files, folders (searched through, but for names that begin with ``.`` or ``_``) and glob patterns (only if no
        file has that very name).
    lake : pathlib.Path or None
        The lake's folder, which a search leaves out.
    """
    candidates: list[Candidate] = []
    seen: set[str] = set()
    for path in paths:
        for candidate in _expand(path, lake):
            real = os.path.realpath(candidate.path)
            if real not in seen:
                seen.add(real)
                candidates.append(candidate)
    return candidates


def _expand(given: str | Path, lake: Path | None) -> Iterator[Candidate]:
    text = os.path.expanduser(os.fspath(given))
    if "://" in text:
        raise InputError(
            f"{text!r} is not a local file", hint="download it first, then ingest the local file", path=text
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
        yield from (Candidate(file, path) for file in _walk(path, lake))
    elif path.is_file():
        yield Candidate(path)
    elif path.is_symlink() and not path.exists():
        raise MissingFileError(
            f"{str(path)!r} is a link to {os.readlink(path)!r}, which does not exist", hint="correct or remove the link"
        )
    else:
        raise InputError(
            f"{str(path)!r} is not a regular file", hint="save its contents to a file and ingest that", path=str(path)
        )


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


def unreadable(path: str | Path, error: OSError) -> EcomError:
    """The error to raise when a source file cannot be read."""
    if isinstance(error, FileNotFoundError):
        return MissingFileError(f"{str(path)!r} vanished while it was read", hint="run it again", path=str(path))
    return InputError(
        f"cannot read {str(path)!r}: {error.strerror or error}",
        hint="check its permissions and the disk that it lies on",
        path=str(path),
    )
