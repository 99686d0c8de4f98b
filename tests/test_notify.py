"""Who should know is told: of failed runs, stale data, and metrics that are too low or too high."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from ecom_analytics import Pipeline, Settings, plugins
from ecom_analytics.errors import ConfigError, EcomError, MissingFileError, PluginError, TestsFailedError
from ecom_analytics.history import Recording
from ecom_analytics.metrics import metric_values
from ecom_analytics.notify import notices, send
from ecom_analytics.notify.webhook import RETRIES, Webhook
from ecom_analytics.reports import Anomaly, Notice
from ecom_analytics.warehouse import Warehouse

HEADER = "timestamp,visitorid,event,itemid,transactionid\n"
DAY = 86_400_000
START = 1_433_222_532_117
NOW = datetime(2015, 6, 6, 9, tzinfo=UTC)
NOTICE = Notice("run_failed", "run failed: no file", "1", None, NOW, {"error": "MissingFileError"})


class Receiver:
    """A server that takes notices, or answers as it is told."""

    def __init__(self) -> None:
        self.answers: list[int] = []
        self.bodies: list[dict[str, Any]] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                receiver.bodies.append(json.loads(body))
                self.send_response(receiver.answers.pop(0) if receiver.answers else 200)
                self.send_header("Location", "/elsewhere")
                self.end_headers()

            def log_message(self, *arguments: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hush-hush"


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver()
    thread = threading.Thread(target=found.server.serve_forever, args=(0.01,))
    thread.start()
    yield found
    found.server.shutdown()
    thread.join()
    found.server.server_close()


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    """Four days: one, two, three and four views of a visitor each."""
    home = tmp_path_factory.mktemp("notify")
    file = home / "events.csv"
    views = (f"{START + day * DAY + view},{view},view,1,\n" for day in range(4) for view in range(day + 1))
    file.write_text(HEADER + "".join(views))
    settings = Settings(home=home / "data")
    Pipeline(settings).run(file, export=False)
    return settings


def told(settings: Settings, **change: Any) -> list[Notice]:
    changed = Settings(home=settings.home, **change)
    report = Pipeline(settings).build()
    return list(notices(changed, "1", report, (), NOW))


def test_a_webhook_gets_the_notice_as_json(receiver: Receiver) -> None:
    Webhook(receiver.url)(NOTICE)
    [body] = receiver.bodies
    assert body["text"] == "ecom-analytics: run failed: no file"
    assert body | NOTICE.to_dict() == body


@pytest.mark.parametrize("answers", [[503], [429, 500, 502, 504]])
def test_a_webhook_is_tried_again(receiver: Receiver, answers: list[int]) -> None:
    receiver.answers = list(answers)
    Webhook(receiver.url, backoff=0)(NOTICE)
    assert receiver.bodies == [receiver.bodies[0]] * (len(answers) + 1)


@pytest.mark.parametrize(
    ("answers", "tries", "words"), [([503] * 9, RETRIES + 1, "answered 503"), ([404], 1, "404"), ([302], 1, "302")]
)
def test_a_webhook_that_does_not_take_it_is_an_error_without_the_address(
    receiver: Receiver, answers: list[int], tries: int, words: str
) -> None:
    receiver.answers = answers
    with pytest.raises(EcomError, match=words) as caught:
        Webhook(receiver.url, backoff=0)(NOTICE)
    assert len(receiver.bodies) == tries
    assert "hush" not in str(caught.value) + caught.value.hint


def test_nobody_there_is_an_error_without_the_address() -> None:
    with pytest.raises(EcomError, match="the webhook at 127.0.0.1 was not reached") as caught:
        Webhook("http://127.0.0.1:9/hush-hush", backoff=0)(NOTICE)
    assert "hush" not in str(caught.value)


def test_the_address_is_a_secret(receiver: Receiver, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, webhook_url=receiver.url)
    hook = Webhook.from_settings(settings)
    for text in (repr(settings), str(settings), repr(hook), json.dumps(settings.environment())):
        assert "hush" not in text
    with pytest.raises(ConfigError, match="webhook_url") as caught:
        Webhook("file:///hush-hush")
    assert "hush" not in str(caught.value)


def test_a_failed_run_is_told(receiver: Receiver, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home", webhook_url=receiver.url)
    with pytest.raises(MissingFileError):
        Pipeline(settings, run_id="nightly-7").run(tmp_path / "none.csv")
    [body] = receiver.bodies
    assert (body["kind"], body["run_id"]) == ("run_failed", "nightly-7")
    assert "none.csv" in body["message"]
    assert body["facts"]["error"] == "MissingFileError"
    assert body["facts"]["hint"]


def test_failed_tests_are_named(receiver: Receiver, shop: Settings, tmp_path: Path) -> None:
    (tmp_path / "wrong.sql").write_text("select 1 as answer")
    test = {"accepted_values": {"arguments": {"values": [42]}}}
    column = {"name": "answer", "data_tests": [test]}
    (tmp_path / "wrong.yml").write_text(json.dumps({"models": [{"name": "wrong", "columns": [column]}]}))
    settings = Settings(home=shop.home, models=tmp_path, webhook_url=receiver.url)
    with pytest.raises(TestsFailedError):
        Pipeline(settings).build()
    [body] = receiver.bodies
    assert body["facts"]["failed_tests"] == ["accepted_values_wrong_answer__42"]


def test_a_good_run_tells_nothing(receiver: Receiver, shop: Settings) -> None:
    settings = Settings(home=shop.home, webhook_url=receiver.url)
    assert Pipeline(settings).run(export=False).notices == ()
    assert receiver.bodies == []


def test_a_webhook_that_fails_stops_nothing(
    receiver: Receiver, shop: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    receiver.answers = [404]
    settings = Settings(home=shop.home, webhook_url=receiver.url, stale_hours=1)
    [notice] = Pipeline(settings).run(export=False).notices
    assert notice.kind == "stale_data"
    assert "a hook failed" in caplog.text
    assert "answered 404" in caplog.text
    assert "hush" not in caplog.text


@pytest.mark.parametrize(("hours", "stale"), [(24.5, []), (23.5, ["stale_data"])])
def test_old_data_are_told(shop: Settings, hours: float, stale: list[str]) -> None:
    """The newest event is of June 5, 05:22."""
    assert [notice.kind for notice in told(shop, stale_hours=hours + 3.4)] == stale


@pytest.mark.parametrize(
    ("limit", "message"),
    [
        ({"metric": "visitors", "below": 3}, None),
        ({"metric": "visitors", "below": 3.5}, "Visitors of 2015-06-04: 3, which is below 3.5"),
        ({"metric": "visitors", "above": 3}, None),
        ({"metric": "visitors", "above": 2}, "Visitors of 2015-06-04: 3, which is above 2"),
        ({"metric": "sessions", "above": 5, "days": 3}, "Sessions of 2015-06-02 to 2015-06-04: 6, which is above 5"),
        ({"metric": "aov", "below": 100}, None),
        ({"metric": "wisitors", "below": 100}, "a threshold names 'wisitors', which is no metric of the catalogue"),
    ],
)
def test_a_metric_of_the_last_whole_days_is_told_beyond_its_threshold(
    shop: Settings, limit: dict[str, Any], message: str | None
) -> None:
    """A metric that the data cannot tell, or a ratio of nothing, is neither too low nor too high."""
    found = told(shop, thresholds=[limit])
    assert [notice.message for notice in found] == ([message] if message else [])
    if message and "value" in found[0].facts:
        days = date(2015, 6, 4) - timedelta(days=limit.get("days", 1) - 1), date(2015, 6, 4)
        assert found[0].facts["value"] == metric_values(Warehouse(shop), [limit["metric"]], *days)[limit["metric"]]


@pytest.mark.parametrize(
    "limit", [{"metric": "visitors"}, {"below": 1}, {"metric": "visitors", "under": 1}, {"metric": "a", "days": 0}]
)
def test_a_bad_threshold_is_refused(limit: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="thresholds"):
        Settings(thresholds=[limit])


def test_thresholds_come_from_the_file(tmp_path: Path) -> None:
    Path("ecom.toml").write_text('[[thresholds]]\nmetric = "visitors"\nbelow = 10\n')
    assert [limit.metric for limit in Settings().thresholds] == ["visitors"]


def test_what_is_unusual_is_told(shop: Settings) -> None:
    anomaly = Anomaly("anomaly_events", "daily", "Monday has 3 events", 3, 90, 110)
    [notice] = notices(shop, "1", Pipeline(shop).build(), [anomaly], NOW)
    assert (notice.kind, notice.message, notice.facts["low"]) == ("unusual", "Monday has 3 events", 90)


def test_hooks_of_others_are_called_and_one_that_fails_does_not_silence_the_next(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[Notice] = []

    class Loud:
        @classmethod
        def from_settings(cls, settings: Settings) -> Callable[[Notice], None]:
            return heard.append

    def broken(notice: Notice) -> None:
        raise RuntimeError("no line")

    kinds = {"broken": broken, "loud": Loud}
    monkeypatch.setattr(plugins, "load", lambda kind, name: kinds[name])
    send(settings.model_copy(update={"hooks": ("broken", "loud")}), [NOTICE])
    assert heard == [NOTICE]
    assert "RuntimeError: no line" in caplog.text


def test_a_hook_that_is_not_there_is_said_before_anything_is_done(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path / "home", hooks=("carrier_pigeon",))
    file = tmp_path / "events.csv"
    file.write_text(f"{HEADER}{START},1,view,1,\n")
    with pytest.raises(PluginError, match="carrier_pigeon"):
        Pipeline(settings).ingest(file)
    assert not Path(settings.lake).exists()


def test_spans_tell_of_runs_and_stages(settings: Settings) -> None:
    from opentelemetry import trace
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)

    def fail() -> None:
        with Recording(settings, "run", run_id="7") as run:
            with run.stage("ingest"):
                pass
            with run.stage("stage"):
                raise EcomError("no")

    with pytest.raises(EcomError):
        fail()
    ingest, stage, run = exporter.get_finished_spans()
    assert [span.name.removeprefix("ecom_analytics.") for span in (run, ingest, stage)] == [
        "run",
        "run.ingest",
        "run.stage",
    ]
    assert ingest.parent is not None
    assert ingest.parent.span_id == run.context.span_id
    assert ingest.attributes is not None
    assert ingest.attributes["ecom_analytics.run_id"] == "7"
    assert [span.status.is_ok for span in (ingest, stage, run)] == [True, False, False]
