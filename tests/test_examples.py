"""Each example runs, as a reader would run it, on real parts."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ecom_analytics import Pipeline, Settings, Warehouse
from ecom_analytics.generate import generate
from ecom_analytics.testing.hooks import HookContract
from ecom_analytics.testing.rules import EventRuleContract
from ecom_analytics.testing.source_formats import SourceFormatContract

pytest_plugins = ["s3_server"]

EXAMPLES = Path(__file__).parent.parent / "examples"
TESTED = {
    *("custom_stage", "embed_in_flask", "export_to_s3", "own_format", "own_hook", "own_panel", "own_rule"),
    *("quickstart", "upload_to_s3"),
}


def run(name: str, *arguments: str, **environment: str) -> str:
    """What the example prints, run as a program in the working directory."""
    done = subprocess.run(
        [sys.executable, "-W", "error::ResourceWarning", EXAMPLES / f"{name}.py", *arguments],
        env={**os.environ, **environment},
        text=True,
        capture_output=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def imported(name: str):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / f"{name}.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a file of events and a home that they were run into."""
    folder = tmp_path_factory.mktemp("shop")
    generate(folder / "events.csv", like="shop", events=2_000, days=3)
    Pipeline(Settings(home=folder / "home")).run(folder / "events.csv", source="shop", export=False)
    return folder


def test_every_example_is_tested():
    assert {path.stem for path in EXAMPLES.glob("*.py")} == TESTED


def test_quickstart():
    lines = run("quickstart").splitlines()
    assert "records: " in lines[0]
    assert lines[1].endswith("tests passed")
    assert "net_value" in lines[2]


def test_quickstart_is_ten_lines_long_at_most():
    lines = (EXAMPLES / "quickstart.py").read_text().splitlines()[1:]
    assert len([line for line in lines if line]) <= 10


def test_upload_to_s3_sends_each_day_once(shop, s3_endpoint, s3_bucket):
    endpoint = {"ECOM_ANALYTICS_S3_ENDPOINT_URL": s3_endpoint}
    first = run("upload_to_s3", str(shop / "events.csv"), f"s3://{s3_bucket}/lake", **endpoint).splitlines()
    assert first[-1].startswith(f"{len(first) - 1} of {len(first) - 1} days")
    assert len(first) > 2
    second = run("upload_to_s3", str(shop / "events.csv"), f"s3://{s3_bucket}/lake", **endpoint).splitlines()
    assert second[-1].startswith(f"0 of {len(first) - 1} days")


def test_upload_to_s3_says_what_is_wrong_in_one_sentence(s3_endpoint, s3_bucket):
    with pytest.raises(AssertionError, match=r"no_such\.csv") as caught:
        run("upload_to_s3", "no_such.csv", f"s3://{s3_bucket}/lake", ECOM_ANALYTICS_S3_ENDPOINT_URL=s3_endpoint)
    assert "Traceback" not in str(caught.value)


def test_export_to_s3_writes_every_mart_in_both_formats(shop, s3_endpoint, s3_bucket):
    import boto3

    to = f"s3://{s3_bucket}/marts"
    printed = run("export_to_s3", to, "--home", str(shop / "home"), ECOM_ANALYTICS_S3_ENDPOINT_URL=s3_endpoint)
    listed = boto3.client("s3", endpoint_url=s3_endpoint).list_objects_v2(Bucket=s3_bucket)["Contents"]
    names = {entry["Key"].rpartition("/")[2] for entry in listed}
    marts = Warehouse(Settings(home=shop / "home")).public_marts()
    assert {f"{mart}.{kind}" for mart in marts for kind in ("parquet", "csv")} <= names
    assert "manifests/00000001.json" in printed.splitlines()[-1]


def test_custom_stage_answers_from_the_lake_alone(shop):
    lines = run("custom_stage", str(shop / "events.csv")).splitlines()
    total = Warehouse(Settings(home=shop / "home")).sql("SELECT sum(views)::BIGINT AS views FROM daily").to_pylist()
    assert sum(int(line.split()[1]) for line in lines[1:]) == total[0]["views"]
    assert len(lines) == 25


def test_own_format_is_found_recognised_and_staged(tmp_path, monkeypatch):
    package = tmp_path / "till-1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: till\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text("[ecom_analytics.source_formats]\ntill = own_format:Till\n")
    log = tmp_path / "till.log"
    log.write_text(
        "2026-03-02 10:00:00|SCAN|card-17|4006381333931|2|3.49|\n"
        "2026-03-02 10:01:00|SALE|card-17|4006381333931|2|3.49|receipt-881\n"
        "2026-03-02 10:01:00|SALE|card-17|4006381333931|2|free|receipt-881\n"
    )
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(EXAMPLES)]))
    done = subprocess.run(
        [sys.executable, "-m", "ecom_analytics", "run", "till.log", "--no-export", "--home", "home", "--json"],
        cwd=tmp_path, text=True, capture_output=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout.splitlines()[-1])
    assert [batch["source_format"] for batch in report["ingest"]["batches"]] == ["till"]
    assert (report["stage"]["staged"], report["stage"]["rejected_by_rule"]) == (2, {"bad_number": 1})
    (order,) = Warehouse(Settings(home=tmp_path / "home")).sql("SELECT * FROM transactions").to_pylist()
    assert (order["transaction_id"], str(order["net_value"]), order["currency"]) == ("receipt-881", "6.9800", "EUR")


class TestOwnFormat(SourceFormatContract):
    good = b"2026-03-02 10:00:00|SCAN|card-17|4006381333931|2|3.49|\n"
    bad = {good.replace(b"SCAN", b"LOOK"): "unknown_event_type", good.replace(b"|2|", b"|-2|"): "negative_number"}  # noqa: RUF012

    @pytest.fixture
    def source_format(self):
        return imported("own_format").Till()


def test_own_rule_is_found_and_warns(tmp_path, monkeypatch):
    package = tmp_path / "yen-1.0.dist-info"
    package.mkdir()
    (package / "METADATA").write_text("Metadata-Version: 2.1\nName: yen\nVersion: 1.0\n")
    (package / "entry_points.txt").write_text("[ecom_analytics.rules]\nfractional_yen = own_rule:FractionalYen\n")
    rows = ["event_ts,event_type,visitor_id,unit_price,currency", "2026-01-05T10:00:00Z,view,v,9.5,JPY"]
    (tmp_path / "events.csv").write_text("\n".join([*rows, rows[1].replace("9.5", "9"), ""]))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(tmp_path), str(EXAMPLES)]))
    changed = '[{"name": "fractional_yen", "severity": "reject"}]'
    for rules, staged, warned in (("[]", 2, {"fractional_yen": 1}), (changed, 1, {})):
        monkeypatch.setenv("ECOM_ANALYTICS_RULES", rules)
        for command in (["ingest", "events.csv"], ["stage"]):
            done = subprocess.run(
                [sys.executable, "-m", "ecom_analytics", *command, "--home", f"home{staged}", "--json"],
                cwd=tmp_path, text=True, capture_output=True, timeout=300,
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
        report = json.loads(done.stdout.splitlines()[-1])
        assert (report["staged"], report["warned_by_rule"]) == (staged, warned)


def test_own_panel_stands_on_its_page_with_its_csv_and_the_filters(shop, monkeypatch):
    from ecom_analytics import create_app
    from ecom_analytics.panels import listing

    found = {**listing.panels(), "basket_sizes": imported("own_panel").BasketSizes()}
    monkeypatch.setattr(listing, "panels", lambda: found)
    monkeypatch.setattr("ecom_analytics.dashboard.pages.panels", lambda: found)
    settings = Settings(home=shop / "home")
    client = create_app(settings).test_client()
    assert b'data-panel="basket_sizes"' in client.get("/sales").data
    assert b'data-panel="basket_sizes"' not in client.get("/products").data
    rows = client.get("/api/v1/panels/basket_sizes?period=all").get_json()["data"]["rows"]
    sql = "SELECT least(quantity, 10) AS pieces, count(*) AS transactions FROM transactions GROUP BY 1 ORDER BY 1"
    assert rows == Warehouse(settings).sql(sql).to_pylist() != []
    told = client.get("/api/v1/panels/basket_sizes.csv?period=all").text.splitlines()
    assert told == ["pieces,transactions", *(f"{row['pieces']},{row['transactions']}" for row in rows)]
    mobile = client.get("/api/v1/panels/basket_sizes?period=all&device=mobile").get_json()["data"]["rows"]
    [counted] = (
        Warehouse(settings)
        .sql("SELECT count(*) AS n FROM transactions JOIN sessions USING (source, session_id) WHERE device = 'mobile'")
        .to_pylist()
    )
    assert 0 < sum(row["transactions"] for row in mobile) == counted["n"] < sum(row["transactions"] for row in rows)


class TestOwnRule(EventRuleContract):
    good = ({"currency": "JPY", "unit_price": 100}, {"currency": "EUR", "unit_price": "9.99"}, {})
    bad = ({"currency": "JPY", "unit_price": "9.99"},)

    @pytest.fixture
    def rule(self):
        return imported("own_rule").FractionalYen()


def test_embed_in_flask_serves_the_dashboard_under_a_prefix_to_staff_only(shop):
    client = imported("embed_in_flask").make_app(str(shop / "home"), password="secret").test_client()
    assert client.get("/").status_code == 200
    assert client.get("/analytics/").status_code == 401
    page = client.get("/analytics/", auth=("any", "secret"))
    assert page.status_code == 200
    for asset in re.findall(r'(?:href|src)="([^"#]+)"', page.text):
        assert asset.startswith("/analytics/")
        assert client.get(asset, auth=("any", "secret")).status_code == 200
    meta = client.get("/analytics/api/v1/meta", auth=("any", "secret")).json
    assert meta["meta"]["build_id"] == Warehouse(Settings(home=shop / "home")).current().build_id


class TestOwnHook(HookContract):
    """The example's hook keeps the contract of all hooks."""

    @pytest.fixture
    def hook(self, tmp_path):
        return imported("own_hook").Journal(tmp_path / "journal.txt")

    def test_it_writes_a_line_a_notice(self, hook, shop):
        settings = {"ECOM_ANALYTICS_HOME": str(shop / "home"), "ECOM_ANALYTICS_STALE_HOURS": "1"}
        assert run("own_hook", **settings) == "1 notices\n"
        assert "stale_data: the newest event" in (shop / "home" / "journal.txt").read_text()


class TestNightly:
    """The script for cron: what it prints, and its exit codes."""

    @staticmethod
    def call(folder: Path, **more: str) -> subprocess.CompletedProcess[str]:
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        environment = {**os.environ, "PATH": path, "ECOM_ANALYTICS_HOME": str(folder / "home"), **more}
        command = [str(EXAMPLES / "schedulers" / "nightly.sh"), str(folder / "drops")]
        return subprocess.run(command, env=environment, text=True, capture_output=True, timeout=300, check=False)

    def test_a_good_night_and_one_without_news(self, tmp_path):
        (tmp_path / "drops").mkdir()
        generate(tmp_path / "drops" / "events.csv", like="shop", events=500, days=2)
        for changed in (True, False):
            done = self.call(tmp_path)
            assert done.returncode == 0, done.stdout + done.stderr
            assert json.loads(done.stdout.splitlines()[-1])["changed"] == changed

    def test_bad_nights(self, tmp_path):
        from ecom_analytics import MartBuilder

        done = self.call(tmp_path)
        assert (done.returncode, done.stdout.splitlines()[-1]) == (
            1,
            "nightly: failed with exit code 1; see: ecom-analytics runs show",
        )
        (tmp_path / "drops").mkdir()
        (tmp_path / "drops" / "events.csv").write_text(
            "timestamp,visitorid,event,itemid,transactionid\nnever,1,view,1,\n"
        )
        done = self.call(tmp_path, ECOM_ANALYTICS_MAX_REJECTED="0")
        assert done.returncode == 3
        assert "the data failed" in done.stdout
        with MartBuilder(Settings(home=tmp_path / "home")).lock():
            done = self.call(tmp_path)
        assert done.returncode == 0
        assert "another run is under way" in done.stdout
