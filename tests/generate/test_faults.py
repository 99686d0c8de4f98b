"""Faults: as many as were asked for, each where the ledger says, and the other lines as they would be without."""

from __future__ import annotations

import json
import re
from collections import Counter
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ecom_analytics.generate import generate, plan
from ecom_analytics.generate.faults import DEFAULT, KINDS

HOUR, DAY = 3_600_000, 86_400_000
REJECTED = ("bad_timestamps", "missing_ids", "ragged_lines", "bad_bytes", "unknown_events")
TYPES = {
    "retailrocket": {"view", "addtocart", "transaction"},
    "shop": {"view", "add_to_cart", "remove_from_cart", "checkout", "purchase", "refund", "search"},
}


class File:
    """A generated file and its ledger, read in plain Python."""

    def __init__(self, path: Path, like: str) -> None:
        self.lines = path.read_bytes().split(b"\n")
        assert self.lines.pop() == b""
        *self.entries, self.summary = map(json.loads, Path(f"{path}.faults.jsonl").read_text().splitlines())
        self.like = like
        self.columns = self.lines[0].decode().split(",")

    def fields(self, line: int) -> dict[str, str]:
        names = ["timestamp" if name == "event_ts" else name.replace("_", "") for name in self.columns]
        return dict(zip(names, self.lines[line - 1].decode().split(","), strict=True))

    def visitor(self, line: bytes) -> str | None:
        """The visitor of a good line."""
        return (
            line.decode().split(",")[1 if self.like == "retailrocket" else 2]
            if line and not self.wrong_with(line)
            else None
        )

    def time(self, line: int) -> int:
        text = self.fields(line)["timestamp"]
        return int(text) if text.isdigit() else round(datetime.fromisoformat(text).timestamp() * 1000)

    def of_kind(self, kind: str) -> list[dict[str, Any]]:
        return [entry for entry in self.entries if entry["kind"] == kind]

    def wrong_with(self, line: bytes) -> list[str]:
        """Which kinds of fault a strict reader finds in a line."""
        wrong = []
        try:
            text = line.decode()
        except UnicodeDecodeError:
            return ["bad_bytes"]
        if "\0" in text:
            return ["bad_bytes"]
        fields = text.split(",")
        if len(fields) != len(self.columns):
            return ["ragged_lines"]
        at = 0 if self.like == "retailrocket" else self.columns.index("event_ts")
        shape = r"1[0-9]{12}" if self.like == "retailrocket" else r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d\d\dZ"
        if not re.fullmatch(shape, fields[at]):
            wrong.append("bad_timestamps")
        if fields[2 if self.like == "retailrocket" else 1] not in TYPES[self.like]:
            wrong.append("unknown_events")
        if not fields[1 if self.like == "retailrocket" else 2]:
            wrong.append("missing_ids")
        return wrong


def made(folder: Path, like: Any, **arguments: Any) -> File:
    generate(folder / "events.csv", like=like, **arguments)
    return File(folder / "events.csv", like)


@pytest.fixture(scope="module", params=["retailrocket", "shop"])
def dirty(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> File:
    return made(
        tmp_path_factory.mktemp("dirty"),
        request.param,
        events=6_000,
        days=12,
        faults=dict.fromkeys(DEFAULT, 8) | {"bots": 1},
    )


@settings(max_examples=20, deadline=None)
@given(
    like=st.sampled_from(["retailrocket", "shop"]),
    events=st.integers(1_500, 3_000),
    days=st.integers(1, 9),
    cut=st.sampled_from([plan.CHUNK_VIEWS, 100]),
    seed=st.integers(0, 3),
    faults=st.fixed_dictionaries(
        {kind: st.integers(1, 2 if kind in {"duplicated_transactions", "bots"} else 40) for kind in KINDS}
    ),
)
def test_the_ledger_is_true_and_the_other_lines_are_untouched(
    like: Any,
    events: int,
    days: int,
    cut: int,
    seed: int,
    faults: dict[str, int],
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = tmp_path_factory.mktemp("faults")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(plan, "CHUNK_VIEWS", cut)
        generate(folder / "clean.csv", like=like, events=events, days=days, seed=seed)
        file = made(folder, like, events=events, days=days, seed=seed, faults=faults)
    assert Counter(entry["kind"] for entry in file.entries) == faults == file.summary["faults"]
    assert file.summary["lines"] == len(file.lines)
    numbers = [entry["line"] for entry in file.entries]
    assert numbers == sorted(set(numbers))
    for entry in file.entries:
        assert file.lines[entry["line"] - 1].decode("utf-8", errors="backslashreplace") == entry["text"]
    # without what the ledger lists, the file is the clean one, less the late lines
    added = {*numbers, *(entry["view_line"] for entry in file.of_kind("duplicated_transactions"))}
    bots = {entry["visitor_id"] for entry in file.of_kind("bots")}
    rest = [line for number, line in enumerate(file.lines, 1) if number not in added and file.visitor(line) not in bots]
    late = [file.lines[entry["line"] - 1] for entry in file.of_kind("late_events")]
    clean = (folder / "clean.csv").read_bytes().split(b"\n")[:-1]
    assert Counter(rest) + Counter(late) == Counter(clean)
    assert rest == sorted(rest, key=lambda line: b"" if line is rest[0] else line.split(b",")[0])


def test_each_bad_line_has_its_one_fault_and_no_other_line_has_any(dirty: File) -> None:
    kinds = {entry["line"]: entry["kind"] for entry in dirty.entries}
    for number, line in enumerate(dirty.lines[1:], 2):
        kind = kinds.get(number)
        if kind == "blank_lines":
            assert line == b""
        else:
            assert dirty.wrong_with(line) == ([kind] if kind in REJECTED else []), line


def test_bad_lines_are_bad_in_several_ways(dirty: File) -> None:
    commas = Counter(entry["text"].count(",") for entry in dirty.of_kind("ragged_lines"))
    width = len(dirty.columns)
    assert commas == {width - 2: 4, width: 4}
    assert len({entry["text"].split(",")[0] for entry in dirty.of_kind("bad_timestamps")}) == 4
    assert sum("\0" in entry["text"] for entry in dirty.of_kind("bad_bytes")) == 4


def test_a_duplicate_is_a_copy_of_a_good_line_further_up(dirty: File) -> None:
    for entry in dirty.of_kind("duplicate_rows"):
        assert entry["of_line"] < entry["line"]
        assert dirty.lines[entry["of_line"] - 1] == dirty.lines[entry["line"] - 1]
    days = [
        dirty.time(entry["line"] - 1) // DAY - dirty.time(entry["of_line"]) // DAY
        for entry in dirty.of_kind("duplicate_rows")
        if not dirty.wrong_with(dirty.lines[entry["line"] - 2])
    ]
    assert max(days) > 0, "some come on a later day"


def test_a_transaction_id_is_used_again_by_a_new_visitor_hours_later_after_a_view(dirty: File) -> None:
    good = [number for number, line in enumerate(dirty.lines[1:], 2) if line and not dirty.wrong_with(line)]
    visitors = Counter(dirty.fields(number)["visitorid"] for number in good)
    orders = [entry["transaction_id"] for entry in dirty.of_kind("duplicated_transactions")]
    assert len(set(orders)) == len(orders)
    for entry in dirty.of_kind("duplicated_transactions"):
        again, view, first = (dirty.fields(entry[name]) for name in ("line", "view_line", "of_line"))
        assert again["transactionid"] == first["transactionid"] == entry["transaction_id"]
        assert again["visitorid"] == view["visitorid"] != first["visitorid"]
        assert 2 * HOUR <= dirty.time(entry["line"]) - dirty.time(entry["of_line"]) <= 60 * HOUR
        assert dirty.time(entry["line"]) - dirty.time(entry["view_line"]) == 60_000
        item = "itemid" if dirty.like == "retailrocket" else "productid"
        assert again[item] == view[item] == first[item]
        assert visitors[again["visitorid"]] == 2
        assert not view["transactionid"]
        if dirty.like == "shop":
            assert (view["quantity"], view["ordertax"], again["userid"], again["sourcesessionid"]) == ("", "", "", "")
            assert len({row["sourceeventid"] for row in (again, view, first)}) == 3


def test_a_bot_is_a_visitor_of_its_own_that_never_pauses(dirty: File) -> None:
    [bot] = dirty.of_kind("bots")
    lines = [number for number, line in enumerate(dirty.lines, 1) if dirty.visitor(line) == bot["visitor_id"]]
    times = [dirty.time(number) for number in lines]
    assert (len(lines), lines[0]) == (bot["events"], bot["line"]) == (4_501, bot["line"])
    assert times == [*range(times[0], times[0] + 45_010_000, 10_000)]
    assert {dirty.fields(number)["transactionid"] for number in lines} == {""}
    if dirty.like == "shop":
        assert len({dirty.fields(number)["sourceeventid"] for number in lines}) == 4_501


def test_late_events_lie_at_the_end_days_after_their_time(dirty: File) -> None:
    late = dirty.of_kind("late_events")
    assert [entry["line"] for entry in late] == list(range(len(dirty.lines) - 7, len(dirty.lines) + 1))
    newest = max(
        dirty.time(number) for number, line in enumerate(dirty.lines[1:], 2) if line and not dirty.wrong_with(line)
    )
    assert all(newest - dirty.time(entry["line"]) > 1.9 * DAY for entry in late)


def test_a_line_that_moved_to_the_end_is_not_copied_where_it_was(tmp_path: Path) -> None:
    file = made(tmp_path, "retailrocket", events=700, days=5, faults={"late_events": 200, "duplicate_rows": 300})
    late = {entry["text"] for entry in file.of_kind("late_events")}
    copies = file.of_kind("duplicate_rows")
    assert len(late) == 200
    assert not late & {entry["text"] for entry in copies}
    assert all(file.lines[entry["of_line"] - 1].decode() == entry["text"] for entry in copies)


def test_the_default_mix_is_small_and_takes_what_there_is_room_for(tmp_path: Path) -> None:
    assert made(tmp_path, "shop", events=2_000, days=4, faults=True).summary["faults"] == DEFAULT
    tiny = generate(tmp_path / "tiny.csv", events=10, days=1, faults=True)
    assert "duplicated_transactions" not in tiny.faults
    assert tiny.faults["blank_lines"] == 2


def test_more_faults_than_events_are_possible(tmp_path: Path) -> None:
    file = made(tmp_path, "retailrocket", events=100, days=3, faults={"duplicate_rows": 500, "bad_bytes": 300})
    assert file.summary["faults"] == {"duplicate_rows": 500, "bad_bytes": 300}
    assert len(file.lines) == 901


def test_a_ledger_can_be_asked_for_without_faults_and_under_any_name(tmp_path: Path) -> None:
    report = generate(tmp_path / "a.csv", events=100, ledger=tmp_path / "told.jsonl")
    assert report.ledger == tmp_path / "told.jsonl"
    assert json.loads(report.ledger.read_text()) == {"kind": "summary", "lines": 101, "events": 100, "faults": {}}
    assert generate(tmp_path / "b.csv", events=100).ledger is None
