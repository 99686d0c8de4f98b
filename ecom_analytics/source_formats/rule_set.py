"""The rules that events of a source format are held to: its own, those of the settings, and those of plug-ins."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from ecom_analytics import plugins
from ecom_analytics.errors import ConfigError, PluginError
from ecom_analytics.events import COLUMNS
from ecom_analytics.rules import BUILT_IN, SEVERITIES, Rule, Severity, is_rule_name
from ecom_analytics.source_formats.common import changed_severities, warned

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from ecom_analytics.config import Settings
    from ecom_analytics.protocols import SourceFormat
    from ecom_analytics.rule_settings import RuleSettings

_TYPES = {
    "text": "string",
    "decimal": "decimal(18, 4)",
    "integer": "int64",
    "timestamp": "timestamp(6)",
}


class RuleSet:
    """The rules for events of one source format.

    The first rule broken names the reject: those of the format come first, then those of the settings in their order,
    then those of plug-ins by name.

    Parameters
    ----------
    settings : Settings
    source_format : str
        Name of the format.

    Attributes
    ----------
    severities : dict
        Of built-in rules whose severity the settings change.
    rules : tuple of Rule
        Those beside the format's own, in order, without those that are off.

    Examples
    --------
    >>> from ecom_analytics import Settings
    >>> RuleSet(Settings(rules=[{"name": "negative_number", "severity": "warn"}]), "rees46").severities
    {'negative_number': 'warn'}
    """

    def __init__(self, settings: Settings, source_format: str) -> None:
        _check_formats(settings.rules)
        changed = _changes(settings)
        self.severities = {name: severity for name, severity in changed.items() if name in BUILT_IN}
        own = [r for r in settings.rules if not r.changes and r.source_format in (None, source_format)]
        others = [_of_plugin(plugin, changed.get(plugin.name)) for plugin in _plugins()]
        self.rules = tuple(rule for rule in (*map(_of_settings, own), *others) if rule.severity != "off")

    @property
    def warns(self) -> bool:
        """Whether any rule may only warn."""
        return "warn" in {*self.severities.values(), *(rule.severity for rule in self.rules)}

    def to_events(self, source_format: SourceFormat, raw: ir.Table) -> ir.Table:
        """The format's events, held to all rules.

        If any rule only warns there may be a column ``warned_rules``: the names of those that are broken, each with a
        space after it.
        """
        if not self.severities and not self.rules:
            return source_format.to_events(raw)
        with changed_severities(self.severities):
            events = source_format.to_events(raw)
        return _held_to(events, self.rules) if self.rules else events


def rules_key(settings: Settings, source: str, source_format: str) -> str:
    """What tells which rules beside the built-in ones a batch is read under; empty if there are none.

    It is another one whenever a rule for this source and format, its severity or its order is another one, or the
    ``version`` of a plug-in.

    Examples
    --------
    >>> from ecom_analytics import Settings
    >>> rules_key(Settings(), "shop", "rees46")
    ''
    """
    changed = _changes(settings)
    said: list[Any] = sorted([name, severity] for name, severity in changed.items() if name in BUILT_IN)
    said += [
        rule.model_dump(mode="json", exclude_none=True, exclude={"source", "source_format"})
        for rule in settings.rules
        if not rule.changes and rule.severity != "off" and rule.applies_to(source, source_format)
    ]
    for plugin in _plugins():
        severity = changed.get(plugin.name, plugin.severity)
        if severity != "off":
            said.append([plugin.name, severity, str(getattr(plugin, "version", "1"))])
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest() if said else ""


def described(settings: Settings) -> dict[str, tuple[Severity, str]]:
    """Severity and description of every rule that there is, by name."""
    changed = _changes(settings)
    found: dict[str, tuple[Severity, str]] = {
        name: (changed.get(name, "reject"), rule.description) for name, rule in BUILT_IN.items()
    }
    for own in settings.rules:
        if not own.changes:
            found[own.name] = (own.severity, own.message or _default_message(own).removesuffix(": {value}"))
    for plugin in _plugins():
        found[plugin.name] = (changed.get(plugin.name, plugin.severity), plugin.message)
    return found


def _changes(settings: Settings) -> dict[str, Severity]:
    return {rule.name: rule.severity for rule in settings.rules if rule.changes}


def _check_formats(rules: Sequence[RuleSettings]) -> None:
    for rule in rules:
        if rule.source_format is not None and rule.source_format not in plugins.names("source_formats"):
            raise ConfigError(
                f"rule {rule.name!r} is for the source format {rule.source_format!r}, which there is not",
                hint=f"the formats are: {', '.join(plugins.names('source_formats'))}",
                key=f"rules.{rule.name}.source_format",
                value=rule.source_format,
            )


def _plugins() -> list[Any]:
    """The rules of installed plug-ins, by name."""
    found = []
    for name in plugins.names("rules"):
        plugin = plugins.load("rules", name)()
        if plugin.name != name or not is_rule_name(name) or name in BUILT_IN or plugin.severity not in SEVERITIES:
            raise PluginError(
                f"the rule plug-in {name!r} has the name {plugin.name!r} and the severity {plugin.severity!r}",
                hint="it must be called as it is registered, not as a built-in rule, in lower-case letters, digits and "
                f"'_'; a severity is one of {', '.join(SEVERITIES)}",
                kind="rules",
                name=name,
            )
        found.append(plugin)
    return found


def _of_plugin(plugin: Any, severity: Severity | None) -> Rule:
    def condition(events: ir.Table) -> ir.BooleanValue:
        broken = plugin.condition(events)
        if not hasattr(broken, "type") or not broken.type().is_boolean():
            raise PluginError(
                f"the condition of the rule plug-in {plugin.name!r} is no boolean expression of Ibis",
                hint="return an expression such as events.unit_price > 10_000",
                kind="rules",
                name=plugin.name,
            )
        return broken

    return Rule(plugin.name, condition, plugin.message, severity or plugin.severity)


def _of_settings(own: RuleSettings) -> Rule:
    def condition(events: ir.Table) -> ir.BooleanValue:
        broken = _any(own, events[own.column])
        if own.event_types is not None:
            broken &= events.event_type.isin(own.event_types)
        return broken if own.source is None else broken & (events.source == own.source)

    return Rule(own.name, condition, _message(own), own.severity)


def _any(own: RuleSettings, column: Any) -> ir.BooleanValue:
    """Whether any of the rule's conditions holds of the column. NULL is missing, and nothing else."""
    import functools
    import operator

    import ibis

    def typed(value: Any) -> Any:
        return ibis.literal(own.value_of(value), _TYPES[own.type])

    tests: dict[str, Callable[[Any], Any]] = {
        "missing": lambda _: column.isnull(),
        "below": lambda value: column < typed(value),
        "above": lambda value: column > typed(value),
        "equals": lambda value: column == typed(value),
        "one_of": lambda values: column.isin([typed(value) for value in values]),
        "none_of": lambda values: column.notin([typed(value) for value in values]),
        "matches": lambda pattern: column.re_search(pattern),
        "not_matches": lambda pattern: ~column.re_search(pattern),
        "longer_than": lambda length: column.length() > length,
    }
    given = {name: getattr(own, name) for name in tests if getattr(own, name) is not None}
    broken = [tests[name](value).fill_null(False) for name, value in given.items()]
    return functools.reduce(operator.or_, broken)


def _default_message(own: RuleSettings) -> str:
    asked = {
        "missing": "is missing",
        "below": f"is below {own.below}",
        "above": f"is above {own.above}",
        "equals": f"is {own.equals}",
        "one_of": f"is one of {_listed(own.one_of)}",
        "none_of": f"is none of {_listed(own.none_of)}",
        "matches": f"matches {own.matches}",
        "not_matches": f"does not match {own.not_matches}",
        "longer_than": f"is longer than {own.longer_than}",
    }
    parts = [text for name, text in asked.items() if getattr(own, name) is not None]
    return f"{own.column} {' or '.join(parts)}: {{value}}"


def _listed(values: Sequence[Any] | None) -> str:
    return ", ".join(map(str, values or ()))


def _message(own: RuleSettings) -> Callable[[ir.Table], ir.StringValue]:
    def message(events: ir.Table) -> ir.StringValue:
        import ibis

        text = own.message or _default_message(own)
        first, *others = text.split("{value}")
        said: Any = ibis.literal(first)
        for other in others:
            said = said + events[own.column].cast(str).fill_null("") + other
        return said

    return message


def _held_to(events: ir.Table, rules: Sequence[Rule]) -> ir.Table:
    """Hold events to more rules."""
    import ibis

    kinds = {c.name: _TYPES[c.type] for c in COLUMNS if c.meaning == "event" and c.name != "source"}
    absent = [name for name in kinds if name not in events.columns]
    full = events.mutate(**{name: ibis.null(kinds[name]) for name in absent})
    rejecting = [rule for rule in rules if rule.severity == "reject"]
    only_warning = [rule for rule in rules if rule.severity == "warn"]
    if only_warning:
        before = full.warned_rules if "warned_rules" in full.columns else ibis.literal("")
        full = full.mutate(warned_rules=before + warned(full, only_warning))
    if rejecting:
        # which one first, so that no condition is computed twice
        first = ibis.cases(
            (full.reject_rule.notnull(), -1),
            *((rule.broken(full), place) for place, rule in enumerate(rejecting)),
            else_=-1,
        )
        full = full.mutate(first_broken=first)
        names = [(place, rule.name) for place, rule in enumerate(rejecting)]
        messages = [(full.first_broken == place, rule.said(full)) for place, rule in enumerate(rejecting)]
        full = full.mutate(
            reject_rule=full.first_broken.cases(*names, else_=full.reject_rule),
            reject_message=ibis.cases(*messages, else_=full.reject_message),
        ).drop("first_broken")
    return full.drop(*absent) if absent else full
