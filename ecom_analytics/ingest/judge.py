"""What the beginning of a file is taken for: its source format, its layout, and how its columns differ from that."""

from __future__ import annotations

import codecs
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from ecom_analytics import plugins
from ecom_analytics.errors import ConfigError, EmptyFileError, InputError, UnknownFormatError
from ecom_analytics.ingest.files import Opens
from ecom_analytics.protocols import Layout
from ecom_analytics.reading.sample import Sample, header_fault
from ecom_analytics.source_formats.common import lacks_header
from ecom_analytics.source_formats.mapping_file import load

if TYPE_CHECKING:
    from ecom_analytics.config import Settings

CONFIDENT = 0.5
"""A format must be surer than this."""


@dataclass(frozen=True, slots=True)
class Drift:
    """How a file's columns differ from those that its format states.

    Attributes
    ----------
    known : tuple of str
        Columns of the file that the format knows.
    new : tuple of str
        Those that it does not know; they are kept in the raw bytes.
    missing : tuple of str
        Those that its files have usually and this one lacks; they are NULL.
    """

    known: tuple[str, ...] = ()
    new: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a file is taken for.

    Attributes
    ----------
    kind : source format
    layout : Layout
    confidence : dict
        How sure each format that was asked is.
    drift : Drift
    notes : tuple of str
        What a person should know of it.
    """

    kind: Any
    layout: Layout
    confidence: dict[str, float]
    drift: Drift = field(default_factory=Drift)
    notes: tuple[str, ...] = ()


def source_format(name: str, settings: Settings | None = None) -> Any:
    """The source format of that name; one that depends on the settings has a class method ``from_settings``."""
    kind = plugins.load("source_formats", name)
    if settings is not None and hasattr(kind, "from_settings"):
        return kind.from_settings(settings)
    return kind() if isinstance(kind, type) else kind


def with_mapping(settings: Settings) -> Settings:
    """The settings, with what the mapping says of files, if there is one.

    Raises
    ------
    ConfigError
        The mapping is none, or another setting contradicts it.
    """
    from ecom_analytics.config import Settings

    if settings.mapping is None:
        return settings
    spec = load(settings.mapping)
    header = None if spec.kind in ("json_lines", "parquet") else "no" if spec.names else "yes"
    said = {"source_format": "mapping", "encoding": spec.encoding, "delimiter": spec.delimiter, "header": header}
    for key, value in said.items():
        if value and getattr(settings, key) not in ("auto", value):
            raise ConfigError(
                f"{key!r} is {getattr(settings, key)!r}, but {value!r} in the mapping {str(settings.mapping)!r}",
                hint="leave out one of them",
                key=key,
            )
    values = {key: value for key, value in said.items() if value and key != "header"}
    return Settings(**{**settings.model_dump(), **values})


def judge(sample: Sample, path: Opens, settings: Settings, *, by_chance: bool = False) -> Judgement:
    """Find the format and the layout of a file, and refuse it if it cannot be of that format.

    Parameters
    ----------
    sample : Sample
    path : Opens
    settings : Settings
    by_chance : bool
        The file was found in a folder: even a chosen format must recognise it.

    Raises
    ------
    UnknownFormatError
        No format is sure enough, or two are equally sure.
    EmptyFileError
        It has no record.
    InputError
        It lacks a required column, or its header cannot be read.
    """
    if not sample.rows:
        raise _empty(path, "is empty")
    if settings.source_format == "auto":
        kind, sure = recognise(sample, path)
    else:
        kind = source_format(settings.source_format, settings)
        sure = {kind.name: float(kind.detect(sample))}
        if by_chance and sure[kind.name] <= CONFIDENT:
            raise UnknownFormatError(f"{str(path)!r} does not look like {kind.name}", confidence=sure)
    try:
        layout = layout_of(sample, kind, settings.header)
    except InputError as error:
        raise type(error)(f"{str(path)!r}: {error.message}", hint=error.hint, path=str(path)) from error
    has_header = layout.kind == "delimited" and layout.columns is None and getattr(kind, "has_header", True)
    if sample.rows <= has_header:
        raise _empty(path, "holds a header but no record")
    header = layout.columns or sample.header
    if has_header and (fault := header_fault(sample)):
        raise InputError(
            f"the header of {str(path)!r} cannot be read: {fault}",
            hint="the first line must name the columns; choose the encoding if it is not UTF-8",
            path=str(path),
        )
    return Judgement(kind, layout, sure, drift(kind, header, layout, path), _notes(sample))


def recognise(sample: Sample, path: Opens) -> tuple[Any, dict[str, float]]:
    """The source format that is surest that the sample is its own, and how sure each of them is."""
    formats = [source_format(name) for name in plugins.names("source_formats")]
    sure = {candidate.name: float(candidate.detect(sample)) for candidate in formats}
    best = max(sure.values(), default=0.0)
    winners = sorted(name for name, confidence in sure.items() if confidence == best)
    if best > CONFIDENT and len(winners) == 1:
        return next(candidate for candidate in formats if candidate.name == winners[0]), sure
    if best > CONFIDENT:
        message = f"{str(path)!r} may be of the formats {' and '.join(winners)} (confidence {best:g} each)"
    else:
        first = sample.lstrip().splitlines()[:1] or [b""]
        message = f"no source format recognises {str(path)!r}, which begins {first[0][:80].decode(errors='replace')!r}"
        message += _nearest(formats, sample)
    raise UnknownFormatError(
        message,
        hint=f"name its format; installed are: {', '.join(sorted(sure)) or 'none'}",
        path=str(path),
        confidence=sure,
    )


def _nearest(formats: list[Any], sample: Sample) -> str:
    """What the file lacks to be of the format that it comes nearest to, if it comes near to one."""
    lacks = {
        kind.name: [name for name in kind.required if name not in sample.header]
        for kind in formats
        if len(set(getattr(kind, "required", ())) & set(sample.header)) * 2 > len(getattr(kind, "required", ()))
    }
    if not lacks:
        return ""
    name = min(lacks, key=lambda name: len(lacks[name]))
    return f"; of {name} it lacks the column{'s'[: len(lacks[name]) > 1]} {', '.join(lacks[name])}"


def layout_of(sample: Sample, kind: Any, header: str = "auto") -> Layout:
    """How the file's bytes are cut into records, as its format would have it.

    A format may have a method ``layout(sample)`` that answers this, or the attributes ``columns`` and ``first_row``,
    which tell a file without a header from others.
    """
    if hasattr(kind, "layout"):
        layout: Layout = kind.layout(sample)
        return layout
    columns, first_row = getattr(kind, "columns", None), getattr(kind, "first_row", None)
    if sample.layout.kind != "delimited" or header == "yes":
        return sample.layout
    if header == "no":
        if not columns:
            raise ConfigError(
                f"the format {kind.name!r} does not say which columns a file without a header has",
                hint="set header to auto or yes, or give the file a header",
            )
        return replace(sample.layout, columns=tuple(columns))
    required = set(getattr(kind, "required", ()))
    if columns and first_row and not required <= set(sample.header) and lacks_header(sample, columns, first_row):
        return replace(sample.layout, columns=tuple(columns))
    return sample.layout


def drift(kind: Any, header: tuple[str, ...], layout: Layout, path: Opens) -> Drift:
    """Compare the columns of a file with those that its format states.

    These are ``required``, ``expected`` (its files usually have them) and ``optional``; a format that states none of
    them knows every column. JSON objects need not have every key, so there the first records decide together.

    Raises
    ------
    InputError
        A required column is missing, or one that the format knows is there twice.
    """
    required, expected, optional = (
        tuple(getattr(kind, name, None) or ()) for name in ("required", "expected", "optional")
    )
    stated = {*required, *expected, *optional}
    if not stated or not header:
        return Drift(known=header)
    lacking = [name for name in required if name not in header]
    if lacking:
        what = "no object among the first has the key" if layout.kind == "json_lines" else "there is no column"
        raise InputError(
            f"{str(path)!r} is not of the format {kind.name}: {what} {', '.join(map(repr, lacking))}; it has: "
            f"{', '.join(header)}",
            hint="check the format that was chosen, and how the file was made",
            path=str(path),
            columns=lacking,
        )
    twice = [name for name, times in Counter(header).items() if times > 1 and name in stated]
    if twice:
        raise InputError(
            f"{str(path)!r} has the column {twice[0]!r} more than once",
            hint="rename all but one of them",
            path=str(path),
            column=twice[0],
        )
    return Drift(
        tuple(name for name in header if name in stated),
        tuple(name for name in dict.fromkeys(header) if name not in stated),
        tuple(name for name in expected if name not in header),
    )


def _notes(sample: Sample) -> tuple[str, ...]:
    notes = []
    if sample.loss:
        notes.append(f"{sample.loss}; what comes before is read")
    if sample.layout.kind != "parquet" and sample.layout.encoding == "utf-8":
        broken = sum("\ufffd" in "".join(map(str, r)) for r in sample.records) if not _is_utf8(sample) else 0
        if broken:
            notes.append(
                f"{broken} of the first {len(sample.records)} records are not UTF-8 and will be rejected; choose the "
                "encoding if it is another, such as latin-1 or cp1252"
            )
    return tuple(notes)


def _is_utf8(sample: Sample) -> bool:
    try:
        codecs.getincrementaldecoder("utf-8")().decode(sample, final=sample.whole)
    except UnicodeDecodeError:
        return False
    return True


def _empty(path: Opens, what: str) -> EmptyFileError:
    return EmptyFileError(f"{str(path)!r} {what}", hint="check how the file was made", path=str(path))
