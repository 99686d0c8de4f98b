"""The command line, as a user calls it: a process, its output and its exit code."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from ecom_analytics import __version__

COMMANDS = (
    "demo",
    "plan",
    "run",
    "ingest",
    "stage",
    "build",
    "export",
    "serve",
    "status",
    "runs",
    "rollback",
    "rejected",
    "trace",
    "diagnose",
    "verify",
    "maintain",
    "doctor",
    "generate",
    "plugins",
)


def call(*arguments: str, cwd: Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ecom_analytics", *arguments],
        cwd=cwd, capture_output=True, text=True, timeout=180, check=False, env={**os.environ, **(env or {})},
    )  # fmt: skip


def report(done: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    """The last JSON line; every line before it is JSON too."""
    assert done.returncode == 0, done.stdout + done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert events[-1]["event"] == "report"
    return dict(events[-1])


def on_a_terminal(*arguments: str, cwd: Path) -> tuple[int, str]:
    """Run with a terminal for standard output and error; the exit code and what a person sees."""
    master, slave = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "ecom_analytics", *arguments], cwd=cwd, stdout=slave, stderr=slave, stdin=slave,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "120"},
    )  # fmt: skip
    os.close(slave)
    seen = b""
    while True:
        try:
            chunk = os.read(master, 65_536)
        except OSError:
            break
        if not chunk:
            break
        seen += chunk
    os.close(master)
    return process.wait(timeout=60), seen.decode()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which a small file was generated and run."""
    folder = tmp_path_factory.mktemp("cli")
    made = report(
        call("generate", "events.csv", "--like", "shop", "--events", "3000", "--days", "5", "--faults", cwd=folder)
    )
    assert made["events"] == 3000
    assert (folder / "events.csv.faults.jsonl").is_file()
    done = report(call("run", "events.csv", cwd=folder))
    assert done["changed"] is True
    return folder


@pytest.mark.parametrize("command", [(), *((c,) for c in COMMANDS)], ids=lambda c: c[0] if c else "main")
def test_help_of_every_command(command: tuple[str, ...], tmp_path: Path) -> None:
    done = call(*command, "--help", cwd=tmp_path)
    assert done.returncode == 0
    assert "Usage:" in done.stdout
    if not command:
        assert all(f"  {name} " in done.stdout for name in COMMANDS)


def test_version(tmp_path: Path) -> None:
    assert __version__ in call("--version", cwd=tmp_path).stdout


def test_the_default_home_is_ecom_data_in_the_working_directory(folder: Path) -> None:
    name = (folder / "ecom-data" / "warehouse" / "CURRENT").read_text().strip()
    assert (folder / "ecom-data" / "warehouse" / name).is_file()
    assert (folder / "ecom-data" / "warehouse" / "ecommerce.duckdb").resolve().name == name
    assert (folder / "ecom-data" / "lake" / "raw" / "default" / "objects").is_dir()


def test_a_second_run_says_that_there_is_nothing_new(folder: Path) -> None:
    assert report(call("run", "events.csv", cwd=folder))["changed"] is False
    code, seen = on_a_terminal("run", "events.csv", cwd=folder)
    assert code == 0
    assert "Nothing new" in seen


def test_each_stage_alone(folder: Path, tmp_path: Path) -> None:
    events = str(folder / "events.csv")
    assert report(call("ingest", events, "--home", "h", cwd=tmp_path))["new"] == 1
    stage = report(call("stage", "--home", "h", cwd=tmp_path))
    assert stage["records"] == stage["staged"] + stage["duplicates"] + stage["rejected"] + stage["blank"]
    assert report(call("build", "--home", "h", cwd=tmp_path))["built"] is True
    tried = report(call("build", "--select", "daily bots", "--exclude", "bots", "--home", "h", cwd=tmp_path))
    assert (tried["published"], list(tried["rows"])) == (False, ["daily"])
    code, seen = on_a_terminal("build", "--home", "h", "--docs", "pages", cwd=tmp_path)
    assert code == 0
    assert "is up to date" in seen
    assert "Wrote pages/index.html" in seen
    assert (tmp_path / "pages" / "index.html").is_file()
    wrong = call("build", "--select", "dayly", "--home", "h", cwd=tmp_path)
    assert wrong.returncode != 0
    assert "did you mean 'daily'?" in wrong.stdout + wrong.stderr
    export = report(call("export", "out", "--as", "csv", "--home", "h", cwd=tmp_path))
    assert {table["format"] for table in export["tables"]} == {"csv"}
    assert (tmp_path / "out" / "latest.json").is_file()
    assert report(call("status", "--home", "h", cwd=tmp_path))["up_to_date"] is True


def test_rejected_shows_place_rule_and_text(folder: Path) -> None:
    done = call("rejected", "--limit", "3", cwd=folder)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) == 4
    assert {"name", "source_line", "rule", "message", "raw_text"} <= set(rows[0])
    code, seen = on_a_terminal("rejected", "--rule", "missing_visitor_id", cwd=folder)
    assert code == 0
    assert "events.csv:" in seen
    assert "Showing 3 of 3" in seen


def test_trace_leads_from_a_line_to_the_event_and_back(folder: Path) -> None:
    lines = (folder / "events.csv").read_text(encoding="utf-8", errors="replace").splitlines()
    rejects = [json.loads(line) for line in call("rejected", "--limit", "1", cwd=folder).stdout.splitlines()]
    bad = call("trace", f"events.csv:{rejects[0]['source_line']}", cwd=folder)
    assert report(bad)["answer"] == "rejected"
    assert json.loads(bad.stdout.splitlines()[0])["rule"] == rejects[0]["rule"]
    done = call("trace", "events.csv:2", cwd=folder)
    row, told = (json.loads(line) for line in done.stdout.splitlines())
    assert (told["answer"], row["source_line"], row["raw_text"]) == ("staged", 2, lines[1])
    again = call("trace", row["values"]["event_key"], cwd=folder)
    assert json.loads(again.stdout.splitlines()[0]) == row
    assert report(again)["command"] == "trace"
    code, seen = on_a_terminal("trace", "events.csv:2", cwd=folder)
    assert code == 0
    assert "events.csv:2: staged" in seen
    assert row["values"]["session_start"] in seen
    code, seen = on_a_terminal("trace", "events.csv:1", cwd=folder)
    assert (code, seen.strip()) == (0, "events.csv:1: header")
    code, seen = on_a_terminal("trace", "x" * 32, cwd=folder)
    assert code == 1
    assert "Hint:" in seen


def test_rejected_tells_by_rule_what_it_means_with_samples(folder: Path) -> None:
    code, seen = on_a_terminal("rejected", cwd=folder)
    assert code == 0, seen
    by_rule = report(call("rejected", cwd=folder))["by_rule"]
    assert sum(rule["records"] for rule in by_rule) == report(call("rejected", cwd=folder))["rejected"]
    for rule in by_rule:
        assert f"{rule['rule']}: {rule['records']} rejected. {rule['description']}" in seen
        assert 1 <= len(rule["samples"]) == min(3, rule["records"])
        for row in rule["samples"]:
            assert f"  {row['name']}:{row['source_line']}: {rule['rule']}: " in seen


def test_a_terminal_sees_a_sum_and_no_json(folder: Path, tmp_path: Path) -> None:
    code, seen = on_a_terminal("run", str(folder / "events.csv"), "--no-export", cwd=tmp_path)
    assert code == 0, seen
    assert "= staged" in seen
    assert "Published build" in seen
    assert '"event"' not in seen


def test_explain_shows_what_a_file_is_taken_for_and_writes_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(
        "timestamp;visitorid;event;itemid;transactionid;colour\n1433221332117;7;view;355908;;x\n1;2\n".encode("utf-16")
    )
    (tmp_path / "b.json").write_text("[1]")
    done = call("ingest", "--explain", "a.csv", "b.json", cwd=tmp_path)
    first, second = (json.loads(line) for line in done.stdout.splitlines()[:2])
    assert (first["source_format"], first["encoding"], first["delimiter"]) == ("retailrocket", "utf-16-le", ";")
    assert (first["new_columns"], first["events"][0]["visitor_id"]) == (["colour"], "7")
    assert first["rejected"][0]["rule"] == "too_few_fields"
    assert "b.json" in second["problem"]
    assert report(done)["refused"] == 1
    code, seen = on_a_terminal("ingest", "--explain", "a.csv", "b.json", cwd=tmp_path)
    assert code == 0
    shown = ["semicolon between fields, utf-16-le, a header", "retailrocket 1", "new columns  colour"]
    for part in [*shown, "line 2: event_ts", "line 3 rejected: too_few_fields", "2 files, of which 1 would be refused"]:
        assert part in seen
    assert not (tmp_path / "ecom-data").exists()


def test_ingest_says_in_a_line_what_differs(tmp_path: Path) -> None:
    head, row = "timestamp,visitorid,event,itemid,transactionid", "1433221332117,7,view,355908,"
    (tmp_path / "usual.csv").write_text(f"{head}\n{row}\n")
    (tmp_path / "new.csv").write_text(f"{head},colour\n{row},x\n")
    assert "know" not in on_a_terminal("ingest", "usual.csv", cwd=tmp_path)[1]
    assert "1 file: retailrocket does not know colour" in on_a_terminal("ingest", "new.csv", cwd=tmp_path)[1]
    assert "know" not in on_a_terminal("ingest", "new.csv", cwd=tmp_path)[1]  # it was told


def test_layout_options_reach_staging(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("event_ts/event_type/visitor_id\n2024-01-01T00:00:00Z/view/é\n".encode("latin-1"))
    report(call("ingest", "a.csv", "--encoding", "latin-1", "--delimiter", "/", "--header", "yes", cwd=tmp_path))
    assert report(call("stage", cwd=tmp_path))["staged"] == 1
    refused = call("ingest", "a.csv", "--encoding", "latin-99", cwd=tmp_path)
    assert refused.returncode == 1
    assert "setting 'encoding' has the bad value 'latin-99'" in refused.stderr


def test_plugins_are_listed(tmp_path: Path) -> None:
    found = report(call("plugins", cwd=tmp_path))
    assert {"canonical", "retailrocket"} <= set(found["source_formats"])
    assert {"parquet", "csv", "jsonl", "delta"} <= set(found["export_formats"])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("run", "none.csv"), "none.csv"),
        (("run", "--timezone", "Mars/Base"), "Mars/Base"),
        (("export",), "no"),
        (("generate", "x.csv", "--faults", "gremlins=1"), "gremlins"),
    ],
)
def test_an_error_is_one_sentence_and_a_hint_with_exit_code_1(
    arguments: tuple[str, ...], words: str, tmp_path: Path
) -> None:
    done = call(*arguments, cwd=tmp_path)
    assert done.returncode == 1
    first, hint = done.stderr.splitlines()
    assert first.startswith("Error: ")
    assert words in first
    assert hint.startswith("Hint: ")
    assert json.loads(done.stdout.splitlines()[-1])["event"] == "error"


def test_debug_shows_the_traceback(tmp_path: Path) -> None:
    done = call("--debug", "run", "none.csv", cwd=tmp_path)
    assert done.returncode == 1
    assert "Traceback" in done.stderr


def test_wrong_usage_is_exit_code_2(tmp_path: Path) -> None:
    assert call("run", "--no-such-option", cwd=tmp_path).returncode == 2


def test_options_override_environment_and_file(tmp_path: Path) -> None:
    (tmp_path / "ecom.toml").write_text('home = "from-file"\nsource = "file"\n')
    env = {"ECOM_ANALYTICS_HOME": "from-environment"}
    assert report(call("status", cwd=tmp_path))["lake"].endswith("/from-file/lake")
    assert report(call("status", cwd=tmp_path, env=env))["lake"].endswith("/from-environment/lake")
    assert report(call("status", "--home", "given", cwd=tmp_path, env=env))["lake"].endswith("/given/lake")


def test_an_unknown_key_in_the_file_or_the_environment_is_an_error(tmp_path: Path) -> None:
    done = call("status", cwd=tmp_path, env={"ECOM_ANALYTICS_TIMEZON": "UTC"})
    assert done.returncode == 1
    assert "timezon" in done.stderr
    (tmp_path / "ecom.toml").write_text("thread = 2\n")
    done = call("status", cwd=tmp_path)
    assert done.returncode == 1
    assert "did you mean 'threads'" in done.stderr


def test_demo_serves_and_says_where_and_refuses_to_mix(tmp_path: Path, folder: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-m", "ecom_analytics", "demo", "--events", "3000", "--port", "0"],
        cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    try:
        assert process.stdout is not None
        address = None
        for line in process.stdout:
            event = json.loads(line)
            if event["event"] == "serving":
                address = event["address"]
                break
        assert address
        with urllib.request.urlopen(f"{address.rstrip('/')}/api/v1/kpis", timeout=30) as answer:
            assert answer.status == 200
        with urllib.request.urlopen(address, timeout=30) as answer:
            assert b"<html" in answer.read()
    finally:
        process.terminate()
        assert process.wait(timeout=30) == 0
        process.stdout.close()  # type: ignore[union-attr]
        process.stderr.close()  # type: ignore[union-attr]
    mixed = call("demo", "--no-serve", cwd=folder)
    assert mixed.returncode == 1
    assert "--home" in mixed.stderr
