"""The rules that conftest.py lays on every test."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ecom_analytics import Settings

pytest_plugins = ["pytester"]

SKIPS = """
    import pytest

    def test_unexpected():
        pytest.skip("no such program")

    @pytest.mark.skipif(True, reason="no such system")
    def test_unexpected_mark():
        pass

    def test_expected():
        pytest.skip("the shared data are not here: nowhere")

    @pytest.mark.xfail(reason="known")
    def test_known():
        assert False
"""


@pytest.fixture
def inner(pytester: pytest.Pytester) -> pytest.Pytester:
    pytester.makeconftest((Path(__file__).parent / "conftest.py").read_text())
    return pytester


def test_ci_fails_on_a_skip_that_it_does_not_expect(inner, monkeypatch):
    monkeypatch.setenv("CI", "true")
    inner.makepyfile(SKIPS)
    result = inner.runpytest_subprocess()
    result.assert_outcomes(failed=1, errors=1, skipped=1, xfailed=1)
    result.stdout.fnmatch_lines(["*skipped, which CI does not expect: *no such program*"])


def test_ci_fails_on_a_module_that_skips_itself(inner, monkeypatch):
    monkeypatch.setenv("CI", "true")
    inner.makepyfile('import pytest\npytest.importorskip("there_is_no_such_module")')
    assert inner.runpytest_subprocess().ret != 0


def test_a_skip_is_a_skip_elsewhere(inner, monkeypatch):
    monkeypatch.delenv("CI", raising=False)
    inner.makepyfile(SKIPS)
    inner.runpytest_subprocess().assert_outcomes(skipped=3, xfailed=1)


def test_settings_are_those_of_the_test_alone(settings: Settings, tmp_path: Path):
    assert settings == Settings(home=tmp_path / "home")
    assert Path.cwd() == tmp_path
    assert not [name for name in os.environ if name.startswith("ECOM_ANALYTICS_")]


def test_shared_data_are_looked_for_where_told(inner):
    inner.makepyfile("def test_it(shared_data):\n    assert shared_data.name == 'here'")
    (inner.path / "here").mkdir()
    inner.runpytest_subprocess("--shared-data", "here").assert_outcomes(passed=1)
    inner.runpytest_subprocess("--shared-data", "nowhere").assert_outcomes(skipped=1)
