"""The package as a whole: what is public, what importing it costs, what is registered, what its examples say."""

from __future__ import annotations

import ast
import doctest
import importlib
import importlib.metadata
import inspect
import json
import pkgutil
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

import ecom_analytics
from ecom_analytics import Settings, errors, plugins
from ecom_analytics.catalogue import kind_of
from ecom_analytics.errors import EcomError, PluginError
from ecom_analytics.protocols import (
    CategoryFormat,
    Engine,
    EventRule,
    ExportFormat,
    Hook,
    Panel,
    ProductFormat,
    SourceFormat,
    Storage,
)

PYPROJECT = tomllib.loads((Path(__file__).parent.parent / "pyproject.toml").read_text())
MODULES = sorted(
    module.name
    for module in pkgutil.walk_packages(ecom_analytics.__path__, "ecom_analytics.")
    if ".dbt_models" not in module.name
)
PUBLIC = sorted(set(ecom_analytics.__all__) - {"__version__"})
HEAVY = {
    *("boto3", "botocore", "dbt", "deltalake", "duckdb", "flask", "ibis", "numpy", "pandas", "pandera", "pyarrow"),
    *("pydantic", "pydantic_settings", "rich", "sqlglot", "structlog", "waitress"),
}
COMMANDS = [
    "",
    "build",
    "demo",
    "diagnose",
    "doctor",
    "export",
    "forget",
    "generate",
    "ingest",
    "maintain",
    "plan",
    "plugins",
    "rejected",
    "rollback",
    "run",
    "runs",
    "serve",
    "stage",
    "status",
    "trace",
    "verify",
]


def imported_by(code: str) -> set[str]:
    """Top-level modules that a fresh interpreter has imported after running this code."""
    code = f"import contextlib, io, json, sys\nwith contextlib.redirect_stdout(io.StringIO()):\n    {code}\n"
    code += "print(json.dumps(sorted({name.partition('.')[0] for name in sys.modules})))"
    done = subprocess.run([sys.executable, "-c", code], text=True, capture_output=True, check=True, timeout=60)
    return set(json.loads(done.stdout))


class TestPublicNames:
    @pytest.mark.parametrize("name", PUBLIC)
    def test_each_can_be_imported(self, name):
        assert getattr(ecom_analytics, name).__module__.startswith("ecom_analytics.")

    def test_all_is_sorted_and_lists_exactly_what_is_public(self):
        for name in PUBLIC:
            getattr(ecom_analytics, name)
        modules = {name for name in vars(ecom_analytics) if f"ecom_analytics.{name}" in sys.modules}
        borrowed = {"annotations", "import_module", "Any", "TYPE_CHECKING"}
        public = {name for name in vars(ecom_analytics) if not name.startswith("_")} - modules - borrowed
        assert public == set(PUBLIC)
        assert ecom_analytics.__all__ == sorted(ecom_analytics.__all__)

    def test_types_are_looked_up_where_values_are(self):
        """What mypy is told to import is what ``__getattr__`` imports."""
        tree = ast.parse(inspect.getsource(ecom_analytics))
        (block,) = [node for node in tree.body if isinstance(node, ast.If)]
        told = {
            alias.name: node.module.removeprefix("ecom_analytics.")
            for node in block.body
            if isinstance(node, ast.ImportFrom) and node.module
            for alias in node.names
        }
        assert told == ecom_analytics._WHERE
        assert sorted(told) == PUBLIC

    def test_an_unknown_name_is_an_attribute_error(self):
        with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
            ecom_analytics.Nothing  # noqa: B018

    @pytest.mark.parametrize("name", PUBLIC)
    def test_each_is_described_with_its_public_methods(self, name):
        thing = getattr(ecom_analytics, name)
        own = [getattr(thing, key) for key in vars(thing) if not key.startswith("_")] if inspect.isclass(thing) else []
        methods = [
            value for value in own if inspect.isfunction(value) and value.__module__.startswith("ecom_analytics")
        ]
        overrides = [m for m in methods if any(hasattr(base, m.__name__) for base in thing.__mro__[1:])]
        for documented in [thing, *(method for method in methods if method not in overrides)]:
            assert documented.__doc__, f"{documented} is not described"


class TestImports:
    def test_importing_the_package_imports_nothing_heavy(self):
        assert not imported_by("import ecom_analytics") & HEAVY

    @pytest.mark.parametrize("command", COMMANDS)
    def test_help_imports_nothing_heavy(self, command):
        arguments = [command, "--help"] if command else ["--help"]
        code = f"from ecom_analytics.cli import main; main({arguments!r}, standalone_mode=False)"
        assert not imported_by(code) & HEAVY

    def test_every_command_is_asked_for_help_above(self):
        from ecom_analytics.cli import main

        assert {command for command in COMMANDS if command} == set(main.list_commands(None))  # type: ignore[attr-defined]

    def test_the_check_sees_a_heavy_import(self):
        assert "pydantic" in imported_by("from ecom_analytics import Settings")

    def test_each_module_can_be_imported_first(self):
        """No module needs another one to be imported before it: each is tried in a fresh fork of one interpreter."""
        code = (
            "import importlib, os, sys, traceback\n"
            "for module in sys.argv[1:]:\n"
            "    if os.fork() == 0:\n"
            "        try:\n"
            "            importlib.import_module(module)\n"
            "        except BaseException:\n"
            "            traceback.print_exc()\n"
            "            os._exit(1)\n"
            "        os._exit(0)\n"
            "    if os.wait()[1]:\n"
            "        print(module)\n"
        )
        done = subprocess.run([sys.executable, "-c", code, *MODULES], text=True, capture_output=True, timeout=300)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


class TestPlugins:
    """Built-in plug-ins come through the same door as anyone's, and keep their protocols."""

    @pytest.fixture
    def make(self, tmp_path: Path) -> dict[str, Any]:
        settings = Settings(home=tmp_path)
        return {
            "source_formats": (SourceFormat, lambda kind: kind()),
            "storages": (Storage, lambda kind: kind(f"s3://bucket/{tmp_path.name}", settings)),
            "export_formats": (ExportFormat, lambda kind: kind()),
            "engines": (Engine, lambda kind: kind(settings, tmp_path)),
            "panels": (Panel, lambda panel: panel() if isinstance(panel, type) else panel),
            "rules": (EventRule, lambda kind: kind()),
            "hooks": (Hook, lambda kind: kind("http://localhost/")),
        }

    @pytest.mark.parametrize("kind", plugins.KINDS)
    def test_each_built_in_one_is_installed_and_keeps_its_protocol(self, kind, make):
        registered = PYPROJECT["project"]["entry-points"].get(f"ecom_analytics.{kind}", {})
        assert set(registered) <= set(plugins.names(kind))
        usual, instance = make[kind]
        for name, place in registered.items():
            loaded = plugins.load(kind, name)
            module, _, attribute = place.partition(":")
            assert getattr(importlib.import_module(module), attribute) is loaded
            plugin = instance(loaded)
            protocol = {"products": ProductFormat, "categories": CategoryFormat}.get(kind_of(plugin), usual)
            assert isinstance(plugin, protocol), f"{place} lacks what {protocol.__name__} asks for"
            assert kind == "storages" or plugin.name == name
            close = getattr(plugin, "close", None)
            if close:
                close()

    def test_every_kind_that_is_registered_exists(self):
        groups = PYPROJECT["project"]["entry-points"]
        assert {group.removeprefix("ecom_analytics.") for group in groups} <= set(plugins.KINDS)

    def test_an_unknown_plugin_is_an_error_that_names_those_there_are(self):
        with pytest.raises(PluginError, match="no source_formats plug-in named 'nothing'") as caught:
            plugins.load("source_formats", "nothing")
        assert ", ".join(plugins.names("source_formats")) in caught.value.hint


def test_version_is_in_one_place():
    assert PYPROJECT["project"]["dynamic"] == ["version"]
    assert importlib.metadata.version("ecom-analytics") == ecom_analytics.__version__


def test_tree_of_errors_is_as_drawn():
    drawn: list[tuple[int, str]] = []
    for line in (errors.__doc__ or "").splitlines():
        place = line.find("─ ")
        if place >= 0:
            drawn.append((place, line[place + 2 :].split()[0]))
    parents, stack = {}, [(-1, "EcomError")]
    for place, name in drawn:
        while stack[-1][0] >= place:
            stack.pop()
        parents[name] = stack[-1][1]
        stack.append((place, name))
    real = {
        name: value.__base__.__name__
        for name, value in vars(errors).items()
        if inspect.isclass(value) and issubclass(value, EcomError) and value is not EcomError
    }
    assert parents == real


@pytest.mark.parametrize("module", ["ecom_analytics", *MODULES])
def test_examples_in_docstrings_are_true(module):
    result = doctest.testmod(importlib.import_module(module), optionflags=doctest.ELLIPSIS)
    assert result.failed == 0
