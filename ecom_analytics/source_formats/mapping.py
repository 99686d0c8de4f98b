"""Any delimited, JSON Lines or Parquet file, by a mapping of its columns."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar

from ecom_analytics.errors import ConfigError, InputError
from ecom_analytics.events import EVENT_TYPES
from ecom_analytics.protocols import Engine, Layout, RawFile
from ecom_analytics.reading.sample import as_sample
from ecom_analytics.rules import Rule
from ecom_analytics.source_formats.common import ORIGIN, number_rules, plausible, rounded, time_rules, with_rules
from ecom_analytics.source_formats.mapping_file import NEEDED, TYPES, Field, Spec, load, top_name
from ecom_analytics.source_formats.mapping_times import time_of

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from ecom_analytics.config import Settings

_OTHERS = frozenset(TYPES) - set(NEEDED)


class Mapped:
    """A format that a TOML file describes, which the setting ``mapping`` names.

    The mapping is kept in the record of each batch, so what was ingested with it is staged with it, whatever becomes of
    the file. Without a mapping this is no file's format.

    Parameters
    ----------
    spec : Spec, optional
    """

    name: ClassVar[str] = "mapping"

    def __init__(self, spec: Spec | None = None) -> None:
        self._spec = spec
        self._engine: Engine | None = None
        self.capabilities: frozenset[str] = _OTHERS
        self.required: tuple[str, ...] = ()
        self.expected: tuple[str, ...] = ()
        if spec is not None:
            self.capabilities = _OTHERS & ({*spec.columns} | ({"source_item"} if spec.each else set()))
            self.required = tuple(dict.fromkeys(some[0] for some in spec.alternatives if len(some) == 1))
            tops = [top_name(path) for path in spec.tops(spec.paths)]
            self.expected = tuple(name for name in dict.fromkeys(tops) if name not in self.required)

    @classmethod
    def from_settings(cls, settings: Settings) -> Mapped:
        """The format that the setting ``mapping`` names."""
        if settings.mapping is None:
            raise ConfigError(
                "the source format mapping needs a file that says what the columns mean",
                hint="set mapping (--mapping FILE.toml)",
                key="mapping",
            )
        return cls(load(settings.mapping))

    @classmethod
    def from_details(cls, details: Mapping[str, Any]) -> Mapped:
        """The format of a batch, as :meth:`details` told of it."""
        return cls(Spec.of(details, "kept with the batch"))

    def details(self) -> dict[str, Any]:
        """What must be known to read a batch, in types that JSON knows."""
        return self._mapping.values

    def detect(self, sample: bytes) -> float:
        """0 without a mapping, which is not guessed; with one, 1 if the columns that it cannot do without are there."""
        if self._spec is None:
            return 0.0
        seen = as_sample(sample)
        header = self._spec.names or seen.header
        return float(all(set(some) & set(header) for some in self._spec.alternatives))

    def layout(self, sample: bytes) -> Layout:
        """How the file is cut into records; see :func:`ecom_analytics.ingest.judge.layout_of`."""
        spec, seen = self._mapping, as_sample(sample)
        kind = spec.kind or ("delimited" if spec.names or spec.delimiter else seen.layout.kind)
        if kind != seen.layout.kind:
            raise InputError(
                f"the mapping is for files of the kind {kind}, and this one is {seen.layout.kind}",
                hint="check file.kind in the mapping",
            )
        header = spec.names or seen.header
        for some in spec.alternatives:
            if header and len(some) > 1 and not set(some) & set(header):
                raise InputError(
                    f"there is none of the columns {', '.join(map(repr, some))}; it has: {', '.join(header)}",
                    hint="check the mapping, and how the file was made",
                )
        return replace(seen.layout, columns=spec.names) if spec.names else seen.layout

    def read(self, engine: Engine, files: Sequence[RawFile]) -> ir.Table:
        self._engine = engine
        spec = self._mapping
        fields = {f"p{at}": path for at, path in enumerate(spec.paths)}
        if spec.each is None and all(_is_flat(path) for path in spec.paths):
            names = {column: top_name(path) for column, path in fields.items()}
            optional = [name for name in names.values() if name not in self.required]
            return engine.read_delimited(files, names, optional=optional)
        return engine.read_nested(files, fields, each=spec.each, required=self.required)

    def to_events(self, raw: ir.Table) -> ir.Table:
        import ibis

        assert self._engine is not None, "read() comes first"
        spec = self._mapping
        texts = {name: _text(raw, spec, field) for name, field in spec.columns.items()}
        time = [raw[_column(spec, path)] for path in spec.time.paths]
        written = _joined(time) if spec.time.join else ibis.coalesce(*time)
        columns = {name: _typed(text, spec.columns[name], TYPES[name]) for name, text in texts.items()}
        columns["event_type"] = texts["event_type"].isin(EVENT_TYPES).ifelse(texts["event_type"], ibis.null(str))
        if spec.each:
            columns["source_item"] = raw.source_item
        kept = {f"raw_{name}": text for name, text in texts.items() if name in spec.required or TYPES[name] != "text"}
        events = raw.select(*ORIGIN, event_ts=plausible(self._time(written)), **columns, raw_event_ts=written, **kept)
        return with_rules(events, _rules(events, spec, self._time)).drop("raw_event_ts", *kept)

    def _time(self, text: ir.StringColumn) -> ir.TimestampColumn:
        assert self._engine is not None
        time = self._mapping.time
        return time_of(text, time.format, time.timezone, self._engine)

    @property
    def _mapping(self) -> Spec:
        if self._spec is None:
            raise ConfigError(
                "the source format mapping was given no mapping", hint="set mapping (--mapping FILE.toml)"
            )
        return self._spec


def _rules(events: ir.Table, spec: Spec, time: Callable[[ir.StringColumn], ir.TimestampColumn]) -> list[Rule]:
    zone = "" if spec.time.timezone == "UTC" else f" in {spec.time.timezone}"
    rules: list[Rule] = [
        *time_rules(
            events.event_ts,
            time(events.raw_event_ts).notnull(),
            events.raw_event_ts,
            f"no time from 1990 to 2099 as {spec.time.format}{zone}: ",
        ),
        Rule(
            "unknown_event_type",
            events.event_type.isnull(),
            f"event_type is none of {', '.join(EVENT_TYPES)}: " + events.raw_event_type.fill_null(""),
        ),
    ]
    needed = [name for name in spec.required if name != "event_type"]
    rules += [Rule(f"missing_{name}", events[f"raw_{name}"].isnull(), f"{name} is empty") for name in needed]
    if "source_item" in spec.columns:
        text = events.raw_source_item
        broken = text.notnull() & events.source_item.isnull()
        rules.append(Rule("bad_number", broken, "source_item is not a whole number from 1: " + text))
    return rules + number_rules(events, [name for name in spec.columns if TYPES[name] == "decimal"])


def _is_flat(path: str) -> bool:
    from ecom_analytics.reading.paths import split_path

    return not split_path(path)[1]


def _column(spec: Spec, path: str) -> str:
    return f"p{spec.paths.index(path)}"


def _joined(texts: list[Any]) -> Any:
    whole = texts[0]
    for text in texts[1:]:
        whole = whole + " " + text
    return whole


def _text(raw: ir.Table, spec: Spec, field: Field) -> Any:
    """What the mapping gives a column, as text."""
    import ibis

    if field.value is not None:
        return ibis.literal(field.value)
    text = ibis.coalesce(*(raw[_column(spec, path)] for path in field.paths))
    if field.map:
        other = text if field.default is None else ibis.literal(field.default)
        text = text.cases(*field.map.items(), else_=other)
    return text if field.default is None else ibis.coalesce(text, ibis.literal(field.default))


def _typed(text: Any, field: Field, kind: str) -> Any:
    """The text as the column's type; NULL if it is none."""
    import ibis

    if kind == "integer":
        return text.re_search("^0*[1-9][0-9]{0,17}$").ifelse(text, ibis.null(str)).cast("int64")
    return rounded(_plain(text, field)) if kind == "decimal" else text


def _plain(text: Any, field: Field) -> Any:
    """A number with a point before its decimals, and nothing between its thousands; NULL if it is not as it should."""
    import ibis

    if field.decimal == "." and not field.thousands:
        return text
    point, between = re.escape(field.decimal), re.escape(field.thousands)
    whole = "[0-9]{1,14}" + (f"|[0-9]{{1,3}}({between}[0-9]{{3}})+" if between else "")
    plain = (text.replace(field.thousands, "") if between else text).replace(field.decimal, ".")
    return text.re_search(f"^-?({whole})({point}[0-9]+)?$").ifelse(plain, ibis.null(str))
