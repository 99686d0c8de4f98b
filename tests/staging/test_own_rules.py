"""Rules of settings and of plug-ins: what they ask, what they refuse, what becomes of events that break them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from staged_rows import left_of_the_dead
from staging_rows import stage

from ecom_analytics import Ingestor, Pipeline, Settings, Stager, plugins
from ecom_analytics.errors import ConfigError, PluginError, RestageError, TooManyRejectedError
from ecom_analytics.rules import BUILT_IN
from ecom_analytics.source_formats.rule_set import RuleSet, rules_key
from ecom_analytics.staging import rejected, rejected_by_rule, snapshot
from ecom_analytics.testing.rules import EventRuleContract

HEADER = "event_ts,event_type,visitor_id,product_id,unit_price,brand,country,source_item"
GOOD = "2026-01-05T10:00:00Z,purchase,v1,p1,9.99,acme,DE,1"
PRICE = {"name": "absurd_price", "column": "unit_price", "above": 10_000}


def with_rules(settings: Settings, *rules: dict[str, Any], **others: Any) -> Settings:
    return Settings(home=settings.home, rules=rules, **others)


VIEW, REFUND = {"event_types": ["view"]}, {"equals": "refund", "message": "no {value}s, {value}s!"}


@pytest.mark.parametrize(
    ("column", "asked", "was", "text", "said"),
    [
        ("unit_price", {"above": 10_000}, "9.99", "10000.0001", "unit_price is above 10000: 10000.0001"),
        ("unit_price", {"below": 9.99}, "9.99", "9.9899", "unit_price is below 9.99: 9.9899"),
        ("unit_price", {"equals": 0}, "9.99", "0", "unit_price is 0: 0.0000"),
        ("unit_price", {"below": 1, "above": 50}, "9.99", "51", "unit_price is below 1 or is above 50: 51.0000"),
        ("source_item", {"above": 5}, "DE,1", "DE,6", "source_item is above 5: 6"),
        ("brand", {"missing": True}, "acme", "", "brand is missing: "),
        ("user_id", {"missing": True, **VIEW}, "purchase", "view", "user_id is missing: "),
        ("brand", {"equals": "it's"}, "acme", "it's", "brand is it's: it's"),
        ("country", {"none_of": ["DE", "AT"]}, "DE", "XX", "country is none of DE, AT: XX"),
        ("country", {"one_of": ["XX", "YY"]}, "DE", "YY", "country is one of XX, YY: YY"),
        ("visitor_id", {"matches": "^test"}, "v1", "test-7", "visitor_id matches ^test: test-7"),
        ("product_id", {"not_matches": "^p[0-9]$"}, "p1", "q1", "product_id does not match ^p[0-9]$: q1"),
        ("visitor_id", {"longer_than": 3}, "v1", "éééé", "visitor_id is longer than 3: éééé"),
        ("event_ts", {"above": "2026-06-01T00:00:00+02:00"}, "2026-01-05T10", "2026-05-31T23", None),
        ("event_type", REFUND, "purchase", "refund", "no refunds, refunds!"),
    ],
)
def test_each_condition_rejects_the_row_that_breaks_it_and_only_that(
    column: str, asked: dict[str, Any], was: str, text: str, said: str | None, settings: Settings
) -> None:
    own = with_rules(settings, {"name": "own", "column": column, **asked})
    rows, bad = stage(own, "canonical", HEADER, GOOD, GOOD.replace(was, text))
    assert bad == [(3, "own")]
    assert [r["source_line"] for r in rows] == [2]
    assert said is None or rejected(settings)[1][0]["message"] == said


@pytest.mark.parametrize(
    "rule",
    [
        PRICE,
        {"name": "own", "column": "brand", "none_of": ["other"]},
        {"name": "own", "column": "brand", "not_matches": "x"},
        {"name": "own", "column": "brand", "longer_than": 0},
        {"name": "own", "column": "user_id", "one_of": ["x"]},  # which the file does not have
    ],
)
def test_what_is_missing_breaks_only_a_rule_that_asks_for_it(rule: dict[str, Any], settings: Settings) -> None:
    rows, bad = stage(with_rules(settings, rule), "canonical", HEADER, "2026-01-05T10:00:00Z,view,v1,,,,,")
    assert (len(rows), bad) == (1, [])


def test_a_rule_holds_for_its_types_source_and_format_only(settings: Settings) -> None:
    free = GOOD.replace("9.99", "0")
    own = {"column": "unit_price", "equals": 0}
    rules = (
        {"name": "of_views", "event_types": ["view"], **own},
        {"name": "of_another_source", "source": "other", **own},
        {"name": "of_another_format", "source_format": "ga4", **own},
        {"name": "off", "severity": "off", **own},
    )
    _, bad = stage(with_rules(settings, *rules), "canonical", HEADER, free, free.replace("purchase", "view"))
    assert bad == [(3, "of_views")]
    _, bad = stage(with_rules(Settings(home=settings.home / "b"), *rules, source="other"), "canonical", HEADER, free)
    assert bad == [(2, "of_another_source")]


def test_the_first_broken_rule_names_the_reject(settings: Settings) -> None:
    rules = (
        {"name": "second", "column": "unit_price", "above": 5},
        {"name": "first", "column": "brand", "equals": "acme"},
    )
    _, bad = stage(with_rules(settings, *rules), "canonical", HEADER, GOOD, GOOD.replace("v1", ""))
    assert bad == [(2, "second"), (3, "missing_visitor_id")]


def test_a_warning_stages_the_event_and_is_counted_before_deduplication(settings: Settings) -> None:
    absurd = GOOD.replace("9.99", "10001")
    lines = [GOOD, absurd, absurd, absurd.replace("v1", ""), absurd.replace("acme", "")]
    own = with_rules(settings, {**PRICE, "severity": "warn"}, {"name": "brandless", "column": "brand", "missing": True})
    rows, bad = stage(own, "canonical", HEADER, *lines)
    assert bad == [(5, "missing_visitor_id"), (6, "brandless")]
    assert [r["source_line"] for r in rows] == [2, 3]
    report = Stager(own).stage()
    assert (report.warned_by_rule, report.duplicates) == ({"absurd_price": 2}, 1)
    (text,) = snapshot(own).batches["warned_by_rule"].to_pylist()
    assert json.loads(text) == {"absurd_price": 2}


REES46 = "event_time,event_type,product_id,category_id,category_code,brand,price,user_id,user_session"
NEGATIVE = "2019-11-01 00:00:00 UTC,view,1003461,2,,,-1,520088904,s"


@pytest.mark.parametrize(("severity", "warned"), [("warn", {"negative_number": 1}), ("off", {})])
def test_a_built_in_rule_warns_or_is_off(severity: str, warned: dict[str, int], settings: Settings) -> None:
    changed = with_rules(settings, {"name": "negative_number", "severity": severity})
    broken = NEGATIVE.replace(",-1,", ",x,")
    rows, bad = stage(changed, "rees46", REES46, NEGATIVE, broken)
    assert ([r["source_line"] for r in rows], bad) == ([2], [(3, "bad_number")])
    assert Stager(changed).stage().warned_by_rule == warned


@pytest.mark.parametrize(
    ("rules", "said"),
    [
        ([{**PRICE, "abov": 1}], "rule 'absurd_price' has the unknown key 'abov'"),
        ([{**PRICE, "column": "price"}], "rule 'absurd_price' has the bad value 'price' for 'column'"),
        ([{**PRICE, "column": "session_start"}], "for 'column'; allowed: a column of the events as they are read"),
        ([{**PRICE, "above": "10"}], "bad value '10' for 'above'; allowed: a number; unit_price is decimal"),
        ([{**PRICE, "above": True}], "bad value True for 'above'"),
        ([{**PRICE, "above": float("nan")}], "for 'above'; allowed: a number"),
        ([{**PRICE, "above": 0.00001}], "for 'above'; allowed: a number with 14 digits"),
        ([{**PRICE, "column": "brand"}], "for 'above'; allowed: of columns that are decimal or integer or"),
        ([{**PRICE, "matches": "x"}], "for 'matches'; allowed: of columns that are text; unit_price is decimal"),
        ([{"name": "a", "column": "brand", "one_of": [7]}], "rule 'a' has the bad value 7 for 'one_of'; allowed: text"),
        ([{"name": "a", "column": "brand", "one_of": []}], "for 'one_of'; allowed: a list of at least one value"),
        ([{"name": "a", "column": "brand", "one_of": "acme"}], "for 'one_of'; allowed: a list"),
        ([{"name": "a", "column": "brand", "matches": "("}], "for 'matches'; allowed: a regular expression"),
        ([{"name": "a", "column": "brand", "matches": "(?!x)"}], "for 'matches'; allowed: a regular expression"),
        ([{"name": "a", "column": "brand"}], "for 'column'; allowed: with one or more of missing"),
        ([{"name": "a", "missing": True}], "rule 'a' has the bad value None for 'column'"),
        ([{"name": "a", "column": "brand", "missing": False}], "for 'missing'; allowed: true"),
        ([{"name": "a", "column": "event_ts", "above": "2026-01-05"}], "for 'above'; allowed: a time with an offset"),
        ([{"name": "a", "column": "event_type", "equals": "veiw"}], "for 'equals'; allowed: one of view"),
        ([{**PRICE, "event_types": ["veiw"]}], "for 'event_types'; allowed: a list of some of view"),
        ([{**PRICE, "severity": "error"}], "for 'severity'; allowed: one of reject, warn, off"),
        ([{**PRICE, "name": "Absurd price"}], "for 'name'; allowed: 1 to 63"),
        ([PRICE, PRICE], "for 'name'; allowed: a name that no other of your rules has"),
        ([{**PRICE, "name": "bad_number"}], "for 'name'; allowed: a name of its own; this one is built in"),
        ([{"name": "bad_timestamp", "severity": "warn"}], "allowed: none, for without it there is no event to stage"),
        ([{"name": "bad_quoting", "severity": "off"}], "allowed: none, for such a record cannot be split"),
        ([{"name": "bad_availability", "severity": "off"}], "allowed: none, for it is a rule for files of products"),
        ([{"name": "no_such_rule", "severity": "warn"}], "there is no such rule whose severity could be changed"),
        (["x"], "rule 'number 1' has the bad value 'x'"),
        ({"name": "a"}, "setting 'rules' has the bad value"),
    ],
)  # fmt: skip
def test_a_rule_that_makes_no_sense_is_refused_by_name_and_key(rules: Any, said: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Settings(rules=rules)
    assert said in caught.value.message


def test_a_rule_for_a_format_that_is_not_there_is_refused(settings: Settings) -> None:
    with pytest.raises(ConfigError, match="source format 'nothing'"):
        RuleSet(with_rules(settings, {**PRICE, "source_format": "nothing"}), "canonical")


def test_rules_come_from_a_file_and_from_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("ecom.toml").write_text(
        '[[rules]]\nname = "absurd_price"\nseverity = "warn"\ncolumn = "unit_price"\nabove = 10_000.5\n'
        '[[rules]]\nname = "future"\ncolumn = "event_ts"\nabove = 2027-01-01T00:00:00Z\n'
        'event_types = ["view", "purchase"]\n'
    )
    written = Settings()
    assert [(rule.name, rule.severity) for rule in written.rules] == [("absurd_price", "warn"), ("future", "reject")]
    Path("ecom.toml").unlink()
    for name, value in written.environment().items():
        monkeypatch.setenv(name, value)
    assert rules_key(Settings(), "a", "canonical") == rules_key(written, "a", "canonical") != ""


def test_the_key_changes_with_what_applies_and_only_then(settings: Settings) -> None:
    def key(*rules: dict[str, Any], source: str = "a", source_format: str = "canonical") -> str:
        return rules_key(with_rules(settings, *rules), source, source_format)

    other = {"name": "b", "column": "brand", "missing": True}
    assert key() == key({**PRICE, "severity": "off"}) == key({**PRICE, "source": "b"}) == ""
    assert key(PRICE) == key({**PRICE, "source": "a", "source_format": "canonical"})
    keys = [
        key(PRICE), key({**PRICE, "above": 9_999}), key({**PRICE, "severity": "warn"}), key({**PRICE, "message": "m"}),
        key(PRICE, other), key(other, PRICE), key({"name": "bad_number", "severity": "warn"}), key(),
    ]  # fmt: skip
    assert len(set(keys)) == len(keys)


def test_a_changed_rule_asks_for_a_replay(settings: Settings) -> None:
    absurd = GOOD.replace("9.99", "10001")
    assert stage(settings, "canonical", HEADER, GOOD, absurd)[1] == []
    held = with_rules(settings, PRICE)
    with pytest.raises(RestageError) as caught:
        Stager(held).stage()
    assert "rejected --replay" in caught.value.hint
    assert Pipeline(held).replay().rejected_by_rule == {"absurd_price": 1}
    report = Pipeline(settings).replay()
    assert (report.staged, report.rejected_by_rule) == (2, {})


class TestLimit:
    """``max_rejected``: what is allowed exactly, and that more leaves nothing behind."""

    def ingest(self, settings: Settings, bad: int, good: int, name: str = "events.csv") -> None:
        settings.home.mkdir(exist_ok=True)
        rows = [GOOD.replace("v1", f"{name}{n}") for n in range(good)] + [GOOD.replace("v1", "")] * bad
        path = settings.home / name
        path.write_text("\n".join([HEADER, *rows, "", ""]) + "\n")
        Ingestor(settings).ingest(path, source_format="canonical")

    @pytest.mark.parametrize(
        ("limit", "bad", "good", "fails"),
        [
            (2, 2, 1, False), (2, 3, 1000, True), (0, 0, 1, False), ("0", 1, 1, True), (None, 9, 0, False),
            ("1%", 1, 99, False), ("1%", 2, 198, False), ("1%", 1, 98, True), (0.01, 1, 99, False),
            (0.01, 2, 197, True), ("33.3%", 1, 2, True), ("33.4%", 1, 2, False), ("100%", 3, 0, False),
            (1.0, 3, 0, False), (1, 3, 0, True),
        ],
    )  # fmt: skip
    def test_as_many_are_allowed_and_one_more_is_not(
        self, limit: Any, bad: int, good: int, fails: bool, settings: Settings
    ) -> None:
        limited = Settings(home=settings.home, max_rejected=limit)
        self.ingest(limited, bad, good)
        if not fails:
            assert Stager(limited).stage().rejected == bad
            return
        with pytest.raises(TooManyRejectedError):
            Stager(limited).stage()

    def test_a_stage_over_the_limit_leaves_nothing_and_can_go_on(self, settings: Settings) -> None:
        limited = Settings(home=settings.home, max_rejected="50%")
        self.ingest(limited, 1, 1, "first.csv")
        assert Stager(limited).stage().rejected == 1
        before = sorted(path for path in settings.home.rglob("*") if path.is_file())
        self.ingest(limited, 2, 1, "second.csv")
        (settings.home / "other.csv").write_text("x")
        with pytest.raises(TooManyRejectedError) as caught:
            Stager(limited).stage()
        error = caught.value
        assert error.facts["rejected_by_rule"] == {"missing_visitor_id": 2}
        assert error.facts["samples"] == ["second.csv:3: missing_visitor_id: visitor_id is empty"]
        assert "2 of 3 new records" in error.message
        assert "max_rejected" in error.hint
        assert snapshot(limited).version == 1
        assert not left_of_the_dead(limited)
        now = {path for path in (settings.home / "lake" / "staged").rglob("*") if path.is_file()}
        assert {path for path in now if path.suffix == ".parquet"} <= set(before)
        assert not [path for path in (settings.home / "warehouse").rglob("*") if path.is_file()]
        report = Stager(Settings(home=settings.home, max_rejected=2)).stage()
        assert (report.new_batches, report.rejected) == (1, 3)

    def test_what_was_accepted_before_does_not_count_when_it_is_read_again(self, settings: Settings) -> None:
        self.ingest(settings, 3, 1)
        Stager(settings).stage()
        assert Stager(Settings(home=settings.home, max_rejected=0)).replay().replayed_batches == 1

    @pytest.mark.parametrize("value", ["101%", "-1", "x", "2.5", True, -1, "1 %", ""])
    def test_another_limit_is_refused(self, value: Any) -> None:
        with pytest.raises(ConfigError, match="max_rejected"):
            Settings(max_rejected=value)


def test_rejected_records_are_told_by_rule_with_samples(settings: Settings) -> None:
    absurd = GOOD.replace("9.99", "10001")
    held = with_rules(settings, {**PRICE, "message": "too dear: {value}"})
    stage(held, "canonical", HEADER, *([absurd] * 4), "no", GOOD)
    first, second = rejected_by_rule(held)
    assert (first.rule, first.records, first.severity, first.description) == (
        "absurd_price", 4, "reject", "too dear: {value}",
    )  # fmt: skip
    assert [(row["name"], row["source_line"], row["raw_text"]) for row in first.samples] == [
        ("events.csv", line, absurd) for line in (2, 3, 4)
    ]
    assert (second.rule, second.records, second.description) == (
        "too_few_fields", 1, BUILT_IN["too_few_fields"].description,
    )  # fmt: skip
    assert rejected_by_rule(settings)[0].severity == ""


class Dear:
    """A rule plug-in."""

    name = "dear"
    severity = "warn"
    message = "dearer than the shop's dearest"
    version = "1"

    def condition(self, events: Any) -> Any:
        return (events.unit_price > 100) & (events.user_id.isnull()) & (events.source == "default")


class TestDear(EventRuleContract):
    good = ({"unit_price": 100}, {"unit_price": 101, "user_id": "u"}, {})
    bad = ({"unit_price": "100.0001"},)

    @pytest.fixture
    def rule(self) -> Any:
        return Dear()


class TestPlugin:
    @pytest.fixture(autouse=True)
    def installed(self, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
        found: dict[str, Any] = {"dear": Dear}
        real_names, real_load = plugins.names, plugins.load
        monkeypatch.setattr(plugins, "names", lambda kind: sorted(found) if kind == "rules" else real_names(kind))
        monkeypatch.setattr(
            plugins, "load", lambda kind, name: found[name] if kind == "rules" else real_load(kind, name)
        )
        return found

    def test_its_events_are_staged_and_counted(self, settings: Settings) -> None:
        rows, bad = stage(settings, "canonical", HEADER, GOOD, GOOD.replace("9.99", "101"))
        assert (len(rows), bad) == (2, [])
        assert Stager(settings).stage().warned_by_rule == {"dear": 1}

    def test_settings_change_its_severity(self, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("ecom_analytics.rule_settings._of_plugins", lambda: {"dear"})
        changed = with_rules(settings, {"name": "dear", "severity": "reject"})
        assert stage(changed, "canonical", HEADER, GOOD, GOOD.replace("9.99", "101"))[1] == [(3, "dear")]

    def test_its_version_is_in_the_key(self, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
        before = rules_key(settings, "a", "canonical")
        monkeypatch.setattr(Dear, "version", "2")
        assert rules_key(settings, "a", "canonical") not in ("", before)

    @pytest.mark.parametrize(("key", "value"), [("name", "other"), ("severity", "error")])
    def test_one_that_breaks_the_contract_is_refused(
        self, key: str, value: str, settings: Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Dear, key, value)
        with pytest.raises(PluginError, match="rule plug-in 'dear'"):
            RuleSet(settings, "canonical")

    def test_a_condition_that_is_none_is_refused(self, settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(Dear, "condition", lambda self, events: events.unit_price)
        with pytest.raises(PluginError, match="no boolean expression"):
            stage(settings, "canonical", HEADER, GOOD)
