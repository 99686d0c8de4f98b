"""The catalogue of built-in rules is whole: what can be named is in it, what is in it can be named, and is proven."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import ecom_analytics
from ecom_analytics.rules import BUILT_IN, why_fixed
from ecom_analytics.source_formats.mapping_file import TYPES

PACKAGE = Path(ecom_analytics.__file__).parent
TESTS = Path(__file__).parent.parent


def strings(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def named_by_formats() -> set[str]:
    """The first argument of every ``Rule(...)`` in the package; a name made of a column's stands for each column."""
    found = set()
    for path in (PACKAGE / "source_formats").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and ast.unparse(node.func) == "Rule"):
                continue
            name = node.args[0]
            if isinstance(name, ast.Constant):
                found.add(str(name.value))
            elif isinstance(name, ast.JoinedStr):
                assert ast.unparse(name) == "f'missing_{name}'"
                found |= {f"missing_{column}" for column in TYPES if column != "event_type"}
            else:
                assert path.name == "rule_set.py", f"{path.name} names a rule by {ast.unparse(name)}"
    return found


def named_by_the_reader() -> set[str]:
    """What the reader's modules call the rules: upper-case constants of lower-case names."""
    found = set()
    for path in (PACKAGE / "reading" / "records.py", PACKAGE / "reading" / "json_lines.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.Assign) and isinstance(node.value, ast.Constant):
                value = node.value.value
                if isinstance(value, str) and ast.unparse(node.targets[0]) == value.upper():
                    found.add(value)
    return found


def test_what_formats_and_reader_name_is_in_the_catalogue_and_nothing_else():
    assert named_by_formats() | named_by_the_reader() == set(BUILT_IN)
    assert named_by_the_reader() == {name for name, rule in BUILT_IN.items() if rule.of == "reading"}


def test_each_rule_has_a_test_that_names_it():
    """The rules ``missing_<column>`` of mappings are one rule, which is tried with several columns."""
    tried = {text for path in TESTS.rglob("test_*.py") if path != Path(__file__) for text in strings(path)}
    generic = {f"missing_{column}" for column in TYPES} - {"missing_visitor_id", "missing_product_id"}
    assert set(BUILT_IN) - generic <= tried
    assert "missing_transaction_id" in tried


def test_what_an_event_cannot_be_without_is_fixed():
    assert {name for name, rule in BUILT_IN.items() if rule.of == "events" and why_fixed(name)} == {
        "bad_timestamp",
        "timestamp_out_of_range",
        "unknown_event_type",
        "missing_visitor_id",
    }
    assert all(rule.description.endswith(".") for rule in BUILT_IN.values())
