"""What erasure leaves of exports: those of the build that is served, and no other file."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow.parquet as pq
from deltalake import DeltaTable
from exporting import publish

from ecom_analytics import Exporter, Settings
from ecom_analytics.erasure import published

BUILDS = ("20260101T000000Z-aaaaaa", "20260102T000000Z-bbbbbb")


def erase(settings: Settings) -> dict[str, list[str]]:
    """Serve a build without the user u2, and let exports follow."""
    publish(settings, BUILDS[1], 2)
    published.export_anew(settings)
    found = published.old_exports(settings, BUILDS[1])
    published.remove_exports(settings, found)
    return found


def users_left(exports: Path) -> set[str]:
    rows = [row for path in exports.rglob("*.parquet") for row in pq.read_table(path).to_pylist()]
    texts = [path.read_text() for kind in ("*.csv", "*.jsonl") for path in exports.rglob(kind)]
    found = {row["user_id"] for row in rows if "user_id" in row}
    return found | {user for text in texts for user in ("u0", "u1", "u2") if f'"{user}"' in text}


def test_formats_and_marts_stay_as_they_were_and_the_user_does_not(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    publish(settings, BUILDS[0])
    exports = Path(settings.exports)
    Exporter(settings).export(formats=["parquet", "delta", "csv"])
    Exporter(settings).export(formats=["jsonl"], select=["users"])
    dead = exports / "runs/20260101T000000Z-dddddd/users.parquet"
    dead.parent.mkdir()
    dead.write_bytes(next(exports.glob("runs/*/users.parquet")).read_bytes())
    assert users_left(exports) == {"u0", "u1", "u2"}
    found = erase(settings)
    assert set(filter(None, found)) == {BUILDS[0]}
    assert users_left(exports) == {"u0", "u1"}
    manifest = Exporter(settings).newest()
    assert manifest is not None
    wanted = {(mart, kind) for mart in ("users", "daily") for kind in ("csv", "delta", "parquet")} | {
        ("users", "jsonl")
    }
    kinds = {(table.table, table.format) for table in manifest.tables}
    assert kinds == wanted
    assert DeltaTable(exports / "delta/users").to_pyarrow_table().num_rows == 2
    assert json.loads((exports / "latest.json").read_text())["manifest"] == manifest.name
    assert not Exporter(settings).export(formats=["parquet", "delta", "csv"]).exported


def test_a_table_of_an_older_export_goes(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    publish(settings, BUILDS[0])
    Exporter(settings).export(formats=["delta"])
    publish(settings, "20260101T120000Z-cccccc", 4)
    Exporter(settings).export(formats=["parquet"])
    erase(settings)
    exports = Path(settings.exports)
    assert users_left(exports) == {"u0", "u1"}
    assert not [path for path in exports.glob("delta/**/*") if path.is_file()]


def test_exports_as_they_looked_once(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    publish(settings, BUILDS[0])
    exports = Path(settings.exports)
    old = exports / BUILDS[0]
    old.mkdir(parents=True)
    (old / "users.csv").write_text('user_id\n"u2"\n')
    (old / "manifest.json").write_text(json.dumps({"formats": ["csv"], "tables": []}))
    (exports / "latest.json").write_text(json.dumps({"manifest": f"{BUILDS[0]}/manifest.json"}))
    assert set(erase(settings)) == {BUILDS[0]}
    assert not old.exists()
    assert users_left(exports) == {"u0", "u1"}


def test_nothing_is_left_where_nothing_is_served(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    publish(settings, BUILDS[0])
    Exporter(settings).export(formats=["parquet", "delta"])
    published.remove_exports(settings, published.old_exports(settings, None))
    assert [path for path in Path(settings.exports).rglob("*") if path.is_file()] == []
