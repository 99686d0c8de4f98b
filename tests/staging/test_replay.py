"""Batches that are read again, or that are gone: the tables become those of a lake that was never otherwise."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from deltalake import DeltaTable
from staged_rows import HEADER, ingest, left_of_the_dead, staged_rows

from ecom_analytics import Ingestor, Pipeline, Settings, Stager
from ecom_analytics.cli import main
from ecom_analytics.errors import InputError, LakeError, RestageError
from ecom_analytics.lake import batches, replaced_name
from ecom_analytics.staging import attempt, snapshot
from ecom_analytics.storages import open_storage

WRONG = """
[event_ts]
path = "zeit"
format = "%d.%m.%Y %H:%M"

[columns]
event_type = { path = "art", map = { view = "view" } }
visitor_id = "kunde"
"""
RIGHT = WRONG.replace('view = "view"', 'ansicht = "view"')


def rows_of(settings: Settings, keys: list[str] | None = None) -> dict[str, list[tuple[Any, ...]]]:
    return {name: rows for name, rows in staged_rows(settings).items() if keys is None or name in keys}


def key(settings: Settings, name: str) -> tuple[str, str]:
    (found,) = [b for b in batches(open_storage(settings.lake, settings)) if b.name == name]
    return found.source, found.batch_id


def again(settings: Settings, *names: str) -> Any:
    """Read these files again, whatever is in them."""
    keys = {key(settings, name) for name in names}
    return Stager(settings)._stage_with(lambda state, stale: keys)


def home(folder: Path) -> Settings:
    folder.mkdir()
    return Settings(home=folder)


def german(folder: Path, *kinds: str) -> Path:
    path = folder / "klicks.csv"
    lines = [f"0{day}.01.2026 10:00,{kind},k{day}" for day, kind in enumerate(kinds, 1)]
    path.write_text("zeit,art,kunde\n" + "\n".join(lines) + "\n")
    return path


def test_a_corrected_mapping_is_replayed(tmp_path: Path) -> None:
    for name, text in {"wrong": WRONG, "right": RIGHT}.items():
        (tmp_path / f"{name}.toml").write_text(text)
    settings, clean = home(tmp_path / "a"), home(tmp_path / "b")
    file = german(tmp_path, "ansicht", "view", "ansicht")
    Ingestor(Settings(home=settings.home, mapping=tmp_path / "wrong.toml")).ingest(file)
    ingest(settings, tmp_path, "other.csv", ["2026-01-02T10:00:00Z,view,v,p,", "no"], "other")
    first = Stager(settings).stage()
    assert (first.staged, first.rejected) == (2, 3)

    report = Pipeline(Settings(home=settings.home, mapping=tmp_path / "right.toml")).replay()

    assert (report.replayed_batches, report.new_batches, report.staged, report.rejected) == (2, 0, 4, 1)
    Ingestor(Settings(home=clean.home, mapping=tmp_path / "right.toml")).ingest(file)
    ingest(clean, tmp_path, "other.csv", ["2026-01-02T10:00:00Z,view,v,p,", "no"], "other")
    Stager(clean).stage()
    assert rows_of(settings) == rows_of(clean)
    assert Stager(settings).stage().stage_id is None


def test_a_mapping_without_a_rejected_record_is_corrected_too(tmp_path: Path) -> None:
    wrong = RIGHT + 'product_id = "kunde"\n'
    for name, text in {"wrong": wrong, "right": RIGHT}.items():
        (tmp_path / f"{name}.toml").write_text(text)
    settings = home(tmp_path / "a")
    Ingestor(Settings(home=settings.home, mapping=tmp_path / "wrong.toml")).ingest(german(tmp_path, "ansicht"))
    Stager(settings).stage()
    corrected = Pipeline(Settings(home=settings.home, mapping=tmp_path / "right.toml"))
    assert corrected.replay().replayed_batches == 1
    assert DeltaTable(f"{settings.lake}/staged/events").to_pyarrow_table()["product_id"].to_pylist() == [None]
    assert corrected.replay().stage_id is None


def test_a_correction_that_does_not_fit_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "right.toml").write_text(RIGHT)
    (tmp_path / "absurd.toml").write_text(RIGHT.replace('"kunde"', '"nobody"'))
    settings = home(tmp_path / "a")
    Ingestor(Settings(home=settings.home, mapping=tmp_path / "right.toml")).ingest(german(tmp_path, "view"))
    Stager(settings).stage()
    before = {
        path: path.read_bytes() for part in ("raw", "staged") for path in Path(settings.lake, part).rglob("*.json")
    }
    with pytest.raises(InputError, match="nobody"):
        Pipeline(Settings(home=settings.home, mapping=tmp_path / "absurd.toml")).replay()
    after = {
        path: path.read_bytes() for part in ("raw", "staged") for path in Path(settings.lake, part).rglob("*.json")
    }
    assert after == before


def test_replay_of_one_rule_or_source_leaves_the_others(settings: Settings, tmp_path: Path) -> None:
    ingest(settings, tmp_path, "a.csv", ["no,view,v,p,"], "a")
    ingest(settings, tmp_path, "b.csv", ["2026-01-02T10:00:00Z,dance,v,p,"], "b")
    ingest(settings, tmp_path, "c.csv", ["2026-01-02T10:00:00Z,view,v,p,"], "c")
    Stager(settings).stage()
    before = rows_of(settings)
    assert Stager(settings).replay(rule="bad_timestamp").replayed_batches == 1
    assert Stager(settings).replay(source="b").replayed_batches == 1
    assert Stager(settings).replay(source="b", rule="bad_timestamp").replayed_batches == 0
    assert Stager(settings).replay().replayed_batches == 2
    assert rows_of(settings) == before
    assert not left_of_the_dead(settings)


@pytest.mark.parametrize("seed", range(12))
def test_reading_any_batches_again_changes_nothing(seed: int, settings: Settings, tmp_path: Path) -> None:
    chance = random.Random(seed)
    names = random_batches(chance, settings, tmp_path)
    before = rows_of(settings)
    for _ in range(3):
        chosen = chance.sample(names, chance.randint(1, len(names)))
        assert again(settings, *chosen).replayed_batches == len(chosen)
        assert rows_of(settings) == before
    assert [t for t in ("events", "duplicates", "rejected", "batches") if visible(settings, t) != len(before[t])] == []


@pytest.mark.parametrize("seed", range(12))
def test_batches_whose_place_others_took_leave_no_trace(seed: int, settings: Settings, tmp_path: Path) -> None:
    chance = random.Random(seed)
    names = random_batches(chance, settings, tmp_path / "files")
    gone = chance.sample(names, chance.randint(1, len(names)))
    clean = home(tmp_path / "clean")
    lake = open_storage(settings.lake, settings)
    for batch in list(batches(lake)):
        if batch.name in gone:
            with lake.create(replaced_name(batch.source, batch.batch_id)) as to:
                to.write(b"{}")
            lake.delete(batch.record_name)
            lake.delete(batch.object_name)
        else:
            ingest_as_is(clean, tmp_path / "files" / batch.name, batch.source)
    report = Stager(settings).stage()
    Stager(clean).stage()
    assert rows_of(settings) == rows_of(clean)
    assert (report.batches, report.new_batches) == (len(names) - len(gone), 0)
    assert Stager(settings).stage().stage_id is None
    assert snapshot(settings).account.adds_up


def ingest_as_is(settings: Settings, path: Path, source: str) -> None:
    Ingestor(settings).ingest(path, source=source, source_format="canonical")


def random_batches(chance: random.Random, settings: Settings, folder: Path) -> list[str]:
    """Several stages of several files each: sessions and repeated ids over midnight, duplicates, rejects, blanks."""
    folder.mkdir(exist_ok=True)
    names = []
    for number in range(chance.randint(2, 6)):
        rows = []
        for _ in range(chance.randint(1, 6)):
            hour, minute = chance.choice([("05T23", 50), ("06T00", 5), ("06T00", 20), ("06T12", 0), ("08T01", 0)])
            rows.append(f"2026-01-{hour}:{minute:02}:00Z,view,{chance.choice('vw')},p,{chance.choice(['', 'x', 'y'])}")
        rows += chance.sample(["", "no", "cut short", "x,view,v,p,"], 2)
        name = f"{number}.csv"
        (folder / name).write_text(HEADER + "\n".join(rows) + "\n")
        ingest_as_is(settings, folder / name, chance.choice(["web", "app"]))
        names.append(name)
        if chance.random() < 0.5:
            Stager(settings).stage()
    Stager(settings).stage()
    return sorted({batch.name for batch in batches(open_storage(settings.lake, settings))})


def visible(settings: Settings, table: str) -> int:
    """Rows that any reader of Delta sees."""
    rows: int = DeltaTable(f"{settings.lake}/staged/{table}").to_pyarrow_dataset().count_rows()
    return rows


def test_what_is_known_of_products_is_read_again_with_its_stage(settings: Settings, tmp_path: Path) -> None:
    tree = tmp_path / "tree.csv"
    tree.write_text("categoryid,parentid\n1,\n2,1\n")
    other = tmp_path / "more.csv"
    other.write_text("categoryid,parentid\n3,1\n")
    Ingestor(settings).ingest(tree, other)
    ingest(settings, tmp_path, "a.csv", ["2026-01-02T10:00:00Z,view,v,p,", "no"])
    Stager(settings).stage()
    assert again(settings, "tree.csv").replayed_batches == 1
    table = DeltaTable(f"{settings.lake}/staged/categories").to_pyarrow_table()
    assert sorted(table["category_id"].to_pylist()) == ["1", "2", "3"]
    assert len(snapshot(settings).catalogue["categories"]) == 2
    assert snapshot(settings).account.adds_up
    assert again(settings, "a.csv").replayed_batches == 1
    assert snapshot(settings).account.staged == 4
    table = DeltaTable(f"{settings.lake}/staged/categories").to_pyarrow_table()
    assert sorted(table["category_id"].to_pylist()) == ["1", "2", "3"]


def test_other_rules_are_refused_until_all_is_replayed(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(HEADER + '2026-01-02T10:00:00Z,view,v,"p\nq",\n')
    ingest_as_is(settings, tmp_path / "a.csv", "web")
    assert Stager(settings).stage().staged == 1
    other = Settings(home=settings.home, max_record_lines=1)
    with pytest.raises(RestageError, match="1 staged batch were read under other rules") as caught:
        Stager(other).stage()
    assert "rejected --replay" in caught.value.hint
    report = Stager(other).replay()
    assert (report.staged, report.rejected_by_rule) == (0, {"bad_quoting": 1, "too_few_fields": 1})
    assert Stager(other).stage().stage_id is None


def test_replay_says_so_when_the_raw_bytes_are_no_longer_there(settings: Settings, tmp_path: Path) -> None:
    ingest(settings, tmp_path, "a.csv", ["no"])
    Stager(settings).stage()
    (batch,) = batches(open_storage(settings.lake, settings))
    open_storage(settings.lake, settings).delete(batch.record_name)
    before = rows_of(settings)
    with pytest.raises(LakeError, match="no longer in the lake") as caught:
        Stager(settings).replay()
    assert "restore" in caught.value.hint
    assert rows_of(settings) == before


def test_many_stages_keep_few_files_of_batches(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attempt, "COMPACT", 3)
    for number in range(8):
        ingest(settings, tmp_path, f"{number}.csv", [f"2026-01-02T10:0{number}:00Z,view,v,p,", "no"])
        Stager(settings).stage()
        assert visible(settings, "batches") == snapshot(settings).batches.num_rows == number + 1
        assert len(DeltaTable(f"{settings.lake}/staged/batches").file_uris()) <= 3
    assert snapshot(settings).account.rejected_by_rule == {"too_few_fields": 8}


def test_the_command_replays(settings: Settings, tmp_path: Path) -> None:
    for name, text in {"wrong": WRONG, "right": RIGHT}.items():
        (tmp_path / f"{name}.toml").write_text(text)
    Ingestor(Settings(home=settings.home, mapping=tmp_path / "wrong.toml")).ingest(german(tmp_path, "ansicht"))
    Stager(settings).stage()
    arguments = ["rejected", "--replay", "--home", str(settings.home), "--mapping", str(tmp_path / "right.toml")]
    result = CliRunner().invoke(main, [*arguments, "--json"])
    assert result.exit_code == 0, result.output
    report = json.loads(result.output.splitlines()[-1])
    assert (report["replayed_batches"], report["rejected"], report["staged"]) == (1, 0, 1)
    result = CliRunner().invoke(main, arguments)
    assert json.loads(result.output.splitlines()[-1])["replayed_batches"] == 0
