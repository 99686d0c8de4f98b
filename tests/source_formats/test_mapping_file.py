"""What a mapping may say, and how it is told that it says something else."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

from ecom_analytics import Settings
from ecom_analytics.errors import ConfigError
from ecom_analytics.source_formats.mapping import Mapped
from ecom_analytics.source_formats.mapping_file import Spec, load

EXAMPLES = Path(__file__).parent.parent.parent / "examples" / "mappings"
GOOD = """
[event_ts]
path = "at"
[columns]
visitor_id = "who"
event_type = "what"
"""


def spec_of(text: str) -> Spec:
    return Spec.of(tomllib.loads(text), "shop.toml")


def test_a_mapping_survives_the_way_through_a_batch_record() -> None:
    spec = load(EXAMPLES / "semicolon.toml")
    again = Mapped.from_details(json.loads(json.dumps(Mapped(spec).details())))
    assert again._spec == spec
    assert spec.columns["unit_price"].decimal == ","
    assert spec.columns["event_type"].map["Kauf"] == "purchase"
    assert spec.required == ("event_type", "visitor_id", "product_id")


def test_the_documentation_shows_the_examples() -> None:
    page = (EXAMPLES.parent.parent / "docs" / "how-to" / "any-file.md").read_text(encoding="utf-8")
    *semicolon, otto = re.findall(r"^```toml\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    for shown, name in (("".join(semicolon), "semicolon"), (otto, "otto")):
        assert spec_of(shown) == load(EXAMPLES / f"{name}.toml")


def test_capabilities_are_the_columns_that_are_mapped() -> None:
    assert Mapped(spec_of(GOOD)).capabilities == frozenset()
    assert Mapped(load(EXAMPLES / "otto.toml")).capabilities == {"product_id", "source_session_id", "source_item"}
    assert "currency" in Mapped(load(EXAMPLES / "semicolon.toml")).capabilities
    assert Mapped().capabilities > {"currency", "source_item", "unit_price"}


def test_columns_of_the_file_that_are_needed() -> None:
    values = tomllib.loads(GOOD + 'product_id = ["sku", "item.id"]\nbrand = {path = "maker", default = "none"}\n')
    kind = Mapped(Spec.of(values | {"required": ["product_id", "brand"]}, "shop.toml"))
    assert kind.required == ("at", "what", "who")
    assert kind.expected == ("sku", "item", "maker")
    assert kind.detect(b"at,what,who,item\n") == 1.0
    assert kind.detect(b"at,what,who\n") == 0.0


def test_it_is_never_guessed() -> None:
    assert Mapped().detect(b"event_ts,event_type,visitor_id\n") == 0.0


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        (GOOD + "[colums]\n", "colums is unknown", "'columns'"),
        (GOOD + 'visitor = "who"\n', "columns.visitor is unknown", "'visitor_id'"),
        (GOOD + 'event_ts = "at"\n', "columns.event_ts is unknown", "allowed"),
        (GOOD + 'source = "x"\n', "columns.source is unknown", "source_item"),
        (GOOD + 'brand = {pth = "b"}\n', "columns.brand.pth is unknown", "'path'"),
        (GOOD + "brand = 7\n", "columns.brand is 7", "a table"),
        (GOOD + 'brand = ""\n', "columns.brand.path has the bad value ''", "a text"),
        (GOOD + "brand = []\n", "columns.brand.path has the bad value []", "at least one"),
        (GOOD + "brand = {}\n", "columns.brand needs either a path or a value", "such as"),
        (GOOD + 'brand = {path = "b", value = "x"}\n', "columns.brand needs either", "such as"),
        (GOOD + 'brand = {value = "x", default = "y"}\n', "columns.brand is a constant", "leave out"),
        (GOOD + "brand = {value = 2026-01-01}\n", "columns.brand.value has the bad value", "texts and numbers"),
        (GOOD + "brand = {value = true}\n", "columns.brand.value has the bad value True", "texts and numbers"),
        (GOOD + 'brand = "a..b"\n', "columns.brand.path is no path: 'a..b'", "a.b"),
        (GOOD + 'brand = "items[].b"\n', "columns.brand.path is no path", "file.each"),
        (GOOD + 'quantity = {path = "q", default = "one"}\n', "quantity.default has the bad value 'one'", "number"),
        (GOOD + 'quantity = {path = "q", decimal = ";"}\n', "quantity.decimal has the bad value ';'", "one of"),
        (GOOD + 'quantity = {path = "q", thousands = "."}\n', "quantity.thousands has the bad value '.'", "space"),
        (GOOD + 'brand = {path = "b", decimal = ","}\n', "columns.brand.decimal is for numbers only", "text"),
        (GOOD.replace('"what"', '{path = "what", map = {a = "vew"}}'), "event_type.map has the bad value", "'view'"),
        (GOOD.replace('"what"', '{value = "buy"}'), "event_type.value has the bad value 'buy'", "purchase"),
        (GOOD.replace('visitor_id = "who"', ""), "columns lacks 'visitor_id'", "event_ts, event_type and"),
        ('[columns]\nvisitor_id = "a"\nevent_type = "b"\n', "event_ts is missing", "[event_ts]"),
        ('[event_ts]\npath = "a"\n', "columns is missing", "[columns]"),
        (GOOD.replace('path = "at"', ""), "event_ts needs either a path or a join", "such as"),
        (GOOD.replace('"at"', '"at"\nformat = "ms"'), "event_ts.format has the bad value 'ms'", "millis"),
        (GOOD.replace('"at"', '"at"\nformat = "%d.%m.%Q"'), "event_ts.format", "%Q is none of"),
        (GOOD.replace('"at"', '"at"\nformat = "%d.%m. %H:%M"'), "event_ts.format", "%Y %y"),
        (GOOD.replace('"at"', '"at"\nformat = "%d.%m.%Y %I:%M"'), "event_ts.format", "%p"),
        (GOOD.replace('"at"', '"at"\ntimezone = "Europe/Berln"'), "event_ts.timezone", "'Europe/Berlin'"),
        (GOOD.replace('"at"', '"at"\nformat = "millis"\ntimezone = "Europe/Berlin"'), "timezone has no use", "UTC"),
        (GOOD.replace('"at"', '"at"\nformat = "%Y-%m-%d %z"\ntimezone = "UTC"'), "timezone has no use", "%z"),
        ("required = ['price']\n" + GOOD, "required has the bad value", "visitor_id"),
        ("[file]\nkind = 'csv'\n" + GOOD, "file.kind has the bad value 'csv'", "delimited"),
        ("[file]\ndelimiter = ';;'\n" + GOOD, "file.delimiter has the bad value", "one ASCII"),
        ("[file]\nkind = 'parquet'\ndelimiter = ';'\n" + GOOD, "file.delimiter has no use", "delimited"),
        ("[file]\nencoding = 'klingon'\n" + GOOD, "file.encoding has the bad value 'klingon'", "utf-8"),
        ("[file]\nheader = 'no'\n" + GOOD, "file.header has the bad value 'no'", "true or false"),
        ("[file]\nheader = false\n" + GOOD, "file.header is false", "name the columns"),
        ("[file]\ncolumns = ['a']\n" + GOOD, "file.columns has no use", "header = false"),
        ("[file]\nheader = false\ncolumns = ['a', 'a']\n" + GOOD, "file.columns has the bad value", "differ"),
        ("[file]\neach = 'a..b'\n" + GOOD, "file.each is no path", "a.b"),
        ("[file]\neach = 'a'\n" + GOOD + 'source_item = "i"\n', "columns.source_item", "leave one"),
    ],
)
def test_what_is_wrong_is_told_with_what_is_allowed(text: str, message: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        spec_of(text)
    assert caught.value.message.startswith("mapping 'shop.toml': ")
    assert message in caught.value.message
    assert hint in caught.value.hint


def test_a_file_that_is_not_there_or_no_toml(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none.toml.* cannot be read: No such file"):
        load(tmp_path / "none.toml")
    (tmp_path / "bad.toml").write_text("[columns\n")
    with pytest.raises(ConfigError, match=r"bad.toml.* is not valid TOML: .*line 1"):
        load(tmp_path / "bad.toml")
    (tmp_path / "bad.toml").write_bytes(b'brand = "\xff"\n')
    with pytest.raises(ConfigError, match=r"bad.toml.* is not valid TOML"):
        load(tmp_path / "bad.toml")


def test_a_changed_file_is_read_again(tmp_path: Path) -> None:
    path = tmp_path / "shop.toml"
    path.write_text(GOOD)
    assert "brand" not in load(path).columns
    path.write_text(GOOD + 'brand = "b"\n')
    assert "brand" in load(path).columns


@pytest.mark.parametrize(
    ("chosen", "said"),
    [
        ({"source_format": "canonical"}, "'source_format' is 'canonical', but 'mapping'"),
        ({"delimiter": ","}, "'delimiter' is ',', but ';'"),
        ({"encoding": "utf-8"}, "'encoding' is 'utf-8', but 'cp1252'"),
        ({"header": "no"}, "'header' is 'no', but 'yes'"),
    ],
)
def test_a_setting_that_contradicts_the_mapping(chosen: dict[str, Any], said: str, tmp_path: Path) -> None:
    from ecom_analytics.ingest.judge import with_mapping

    with pytest.raises(ConfigError, match=said):
        with_mapping(Settings(home=tmp_path, mapping=EXAMPLES / "semicolon.toml", **chosen))


def test_the_format_without_a_mapping_is_an_error(tmp_path: Path, settings: Settings) -> None:
    from ecom_analytics import Ingestor

    (tmp_path / "a.csv").write_text("a,b\n1,2\n")
    with pytest.raises(ConfigError, match="needs a file that says what the columns mean"):
        Ingestor(settings).ingest(tmp_path / "a.csv", source_format="mapping")
