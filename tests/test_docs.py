"""What the documentation says is so: the tutorial runs, the reference is that of the code, names and links exist."""

from __future__ import annotations

import doctest
import importlib.util
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
BLOCK = re.compile(r"^```(\w+)[^\n]*\n(.*?)^```$", re.DOTALL | re.MULTILINE)
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE

spec = importlib.util.spec_from_file_location("docs_generate", DOCS / "generate.py")
assert spec
assert spec.loader
generate = importlib.util.module_from_spec(spec)
spec.loader.exec_module(generate)


def blocks(page: Path, *languages: str) -> Iterator[tuple[str, str]]:
    for language, text in BLOCK.findall(page.read_text(encoding="utf-8")):
        if language in languages:
            yield language, text


def on_a_terminal(command: str) -> str:
    """What a command prints when its standard output is a terminal."""
    ours, theirs = os.openpty()
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "COLUMNS": "200", "TERM": "dumb"}
    with subprocess.Popen(command, shell=True, stdout=theirs, stderr=subprocess.PIPE, env=environment) as process:
        os.close(theirs)
        printed = bytearray()
        while True:
            try:
                piece = os.read(ours, 65_536)
            except OSError:  # how Linux says that the other end was closed
                break
            if not piece:
                break
            printed += piece
        os.close(ours)
        assert process.stderr
        complaint = process.stderr.read().decode()
    assert process.returncode == 0, f"{command}\n{complaint}"
    return printed.decode().replace("\r\n", "\n")


def check_console(text: str) -> None:
    """Run each ``$ command`` and compare what it prints with what follows it."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, _, expected = part.partition("\n")
        printed = on_a_terminal(command)
        assert doctest.OutputChecker().check_output(expected, printed, FLAGS), f"$ {command}\n{printed}"


def check_python(text: str, names: dict[str, object]) -> None:
    """Run a Python session and compare what it prints."""
    test = doctest.DocTestParser().get_doctest(text, names, "tutorial", None, 0)
    said: list[str] = []
    result = doctest.DocTestRunner(optionflags=FLAGS).run(test, out=said.append, clear_globs=False)
    names.update(test.globs)
    assert result.failed == 0, "".join(said)
    assert result.attempted


def test_tutorial_does_what_it_says():
    names: dict[str, object] = {}
    ran = 0
    for language, text in blocks(DOCS / "tutorial.md", "console", "pycon"):
        if language == "console":
            check_console(text)
        else:
            check_python(text, names)
        ran += 1
    assert ran >= 8


def test_readme_python_runs():
    from ecom_analytics.generate import generate as make

    make("events.csv", like="shop", events=2_000, days=3)
    (code,) = [text for _, text in blocks(ROOT / "README.md", "python")]
    assert len([line for line in code.splitlines() if line.strip()]) <= 6
    exec(compile(code, "README.md", "exec"), {})


@pytest.mark.parametrize("name", sorted(generate.PAGES))
def test_reference_is_that_of_the_code(name):
    written = (DOCS / "reference" / name).read_text(encoding="utf-8")
    assert written == generate.PAGES[name](), f"{name} is out of date: python docs/generate.py"


@pytest.mark.parametrize("page", [*sorted(DOCS.rglob("*.md")), ROOT / "README.md"], ids=lambda path: path.stem)
def test_python_is_python_and_names_exist(page):
    """Blocks that are not run at least compile, and import what there is."""
    for _, text in blocks(page, "python"):
        compile(text, str(page), "exec")
        for line in re.findall(r"^from ecom_analytics.*$", text, re.MULTILINE):
            exec(line, {})


@pytest.mark.parametrize("page", [*sorted(DOCS.rglob("*.md")), ROOT / "README.md"], ids=lambda path: path.stem)
def test_commands_and_options_exist(page):
    import click

    from ecom_analytics.cli import main

    context = click.Context(main)
    for _, text in blocks(page, "sh", "console"):
        for arguments in re.findall(r"^(?:\$ )?ecom-analytics (.*?)(?:\s+#.*)?$", text, re.MULTILINE):
            command = main.get_command(context, arguments.split()[0])  # type: ignore[attr-defined]
            assert command, f"there is no command {arguments!r}"
            known = {option for parameter in command.params for option in parameter.opts}
            assert set(re.findall(r"--[a-z-]+", arguments)) <= known, arguments


def test_readme_says_the_two_commands_of_the_house():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "python3 -m venv .venv && . .venv/bin/activate && pip install . && ecom-analytics demo" in readme
    tests = "python3 -m venv .venv && . .venv/bin/activate && pip install tox && tox"
    assert tests in readme
    assert tests in (ROOT / ".ci" / "run").read_text(encoding="utf-8").splitlines()


def test_every_page_is_in_the_navigation():
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8").partition("\nnav:\n")[2]
    for page in DOCS.rglob("*.md"):
        assert f": {page.relative_to(DOCS).as_posix()}\n" in navigation
