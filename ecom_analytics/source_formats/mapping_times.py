"""Times as a mapping says they are written, in expressions that every engine knows: regular expressions and text."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from ecom_analytics.source_formats.common import CLOCK, DAY

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from ecom_analytics.protocols import Engine

COUNTS = {"seconds": 6, "millis": 3, "micros": 0}
"""Units since 1970, and how many digits of their decimals make microseconds."""

_MONTHS = ("january", "february", "march", "april", "may", "june", "july", "august", "september", "october",
           "november", "december")  # fmt: skip
_DIRECTIVES = {
    "Y": "[0-9]{4}",
    "y": "[0-9]{2}",
    "m": "1[0-2]|0[1-9]|[1-9]",
    "b": "[A-Za-z]{3}",
    "B": "[A-Za-z]{3,9}",
    "d": "3[01]|[12][0-9]|0[1-9]|[1-9]",
    "H": "2[0-3]|[01][0-9]|[0-9]",
    "I": "1[0-2]|0[1-9]|[1-9]",
    "p": "[AaPp][Mm]",
    "M": "[0-5][0-9]|[0-9]",
    "S": "[0-5][0-9]|[0-9]",
    "f": "[0-9]{1,9}",
    "z": "Z|[+-][0-9]{2}:?[0-9]{2}",
}
_OFFSET = r"(Z| ?UTC|[+-](?:[01][0-9]|2[0-3]):?[0-5][0-9])$"
_ISO = (
    rf"^{DAY}[T ]{CLOCK}"
    r"(\.[0-9]{1,9})?(Z| ?UTC|[+-]([01][0-9]|2[0-3]):?[0-5][0-9])?$"
)


def directives(text: str) -> list[str]:
    """The directives of a format of strptime, in order.

    Raises
    ------
    ValueError
        It has one that is unknown or there twice, or no whole date.

    Examples
    --------
    >>> directives("%d.%m.%Y %H:%M")
    ['d', 'm', 'Y', 'H', 'M']
    """
    found = [match[1] for match in re.finditer("%(.?)", text, re.DOTALL) if match[1] != "%"]
    for name in found:
        if name not in _DIRECTIVES:
            raise ValueError(f"%{name} is none of {', '.join(f'%{known}' for known in _DIRECTIVES)}")
        if found.count(name) > 1:
            raise ValueError(f"%{name} is there more than once")
    for choice in ("Yy", "mbB", "d"):
        if len(set(choice) & set(found)) != 1:
            raise ValueError(f"a date has one of {' '.join(f'%{name}' for name in choice)}")
    if "I" in found and ("H" in found or "p" not in found):
        raise ValueError("%I goes with %p and without %H")
    return found


def time_of(text: ir.StringColumn, written: str, timezone: str, engine: Engine) -> ir.TimestampColumn:
    """The time, as UTC without a zone, or NULL if the text is none.

    Parameters
    ----------
    text : ibis column
    written : str
        ``iso``, ``seconds``, ``millis``, ``micros``, or a format of strptime.
    timezone : str
        What a time without an offset is in. An hour that occurs twice is the first; one that does not is no time.
    engine : Engine
    """
    if written in COUNTS:
        return engine.timestamp_from_micros(_micros(text, COUNTS[written]))
    local: Any
    if written == "iso":
        moment, local = _iso(text), text.re_extract(_OFFSET, 1) == ""
    else:
        names = directives(written)
        moment, local = _moment(text, written, names), "z" not in names
    at = engine.timestamp_from_text(moment)
    if timezone == "UTC" or local is False:
        return at
    converted = engine.timestamp_from_local(at, timezone)
    return converted if local is True else local.ifelse(converted, at)


def _micros(text: ir.StringColumn, digits: int) -> ir.IntegerColumn:
    """A count of units, whose decimals beyond the microsecond are cut."""
    import ibis

    count = text.re_search(r"^[0-9]{1," + str(11 + 6 - digits) + r"}(\.[0-9]+)?$")
    decimals = (text.re_replace(r"^[0-9]+\.?", "") + "0" * digits).left(digits)
    whole = text.re_extract("^[0-9]+", 0)
    return count.ifelse(whole + decimals if digits else whole, ibis.null(str)).cast("int64")


def _iso(text: ir.StringColumn) -> ir.StringColumn:
    """A text in ISO 8601, to the microsecond and with an offset in full; NULL if it is none."""
    import ibis

    zone = _full_offset(text.re_extract(_OFFSET, 1))
    return text.re_search(_ISO).ifelse(
        text.left(19) + text.re_extract(r"^.{19}(\.[0-9]{1,6})", 1) + zone, ibis.null(str)
    )


def _full_offset(zone: ir.StringColumn) -> ir.StringColumn:
    """``+0200`` as ``+02:00``; nothing, Z and UTC as Z."""
    return zone.re_search("^[+-]").ifelse(zone.left(3) + ":" + zone.right(2), "Z")


def _moment(text: ir.StringColumn, written: str, names: list[str]) -> ir.StringColumn:
    """A text in a format of strptime as ISO 8601; NULL if it is none."""
    import ibis

    pattern = _pattern(written)
    part = {name: text.re_extract(pattern, at) for at, name in enumerate(names, 1)}

    def two(name: str) -> ir.StringColumn | str:
        return ("0" + part[name]).right(2) if name in part else "00"

    year = part["Y"] if "Y" in part else _century(part["y"]) + part["y"]
    if "m" in part:
        month = two("m")
    else:
        word = part["b"] if "b" in part else part["B"]
        known = {name if "B" in part else name[:3]: f"{at:02}" for at, name in enumerate(_MONTHS, 1)}
        month = word.lower().cases(*known.items(), else_=ibis.null(str))
    hour = two("H")
    if "I" in part:
        twelve = part["I"].re_search("^12$").ifelse("0", part["I"])
        later = part["I"].re_search("^12$").ifelse("12", (_number(part["I"]) + 12).cast(str))
        hour = ("0" + part["p"].re_search("^[Pp]").ifelse(later, twelve)).right(2)
    decimals = "." + (part["f"] + "000000").left(6) if "f" in part else ""
    zone = _full_offset(part["z"]) if "z" in part else "Z"
    moment = year + "-" + month + "-" + two("d") + "T" + hour + ":" + two("M") + ":" + two("S") + decimals + zone
    return text.re_search(pattern).ifelse(moment, ibis.null(str))


def _century(two: ir.StringColumn) -> ir.StringColumn:
    return two.re_search("^(69|[7-9][0-9])$").ifelse("19", "20")


def _number(digits: ir.StringColumn) -> ir.IntegerColumn:
    import ibis

    return digits.re_search("^[0-9]+$").ifelse(digits, ibis.null(str)).cast("int64")


def _pattern(written: str) -> str:
    """A regular expression whose groups are the directives of a format."""
    parts = re.split("%(.)", written, flags=re.DOTALL)
    texts = [re.escape(text) for text in parts[::2]]
    groups = ["%" if name == "%" else f"({_DIRECTIVES[name]})" for name in parts[1::2]]
    return "^" + "".join(a + b for a, b in zip(texts, [*groups, ""], strict=True)) + "$"
