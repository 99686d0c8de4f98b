"""The built-in source formats of events keep the contract that plug-ins inherit."""

from __future__ import annotations

from pathlib import Path

import pytest

from ecom_analytics import Settings, plugins
from ecom_analytics.protocols import SourceFormat
from ecom_analytics.testing.source_formats import SourceFormatContract


class BuiltIn(SourceFormatContract):
    name = ""

    @pytest.fixture
    def source_format(self) -> SourceFormat:
        built_in: SourceFormat = plugins.load("source_formats", self.name)()
        return built_in

    def test_is_sure_of_its_own_files(self, source_format: SourceFormat) -> None:
        assert source_format.detect(self.good) > 0.5


class TestRetailRocket(BuiltIn):
    name = "retailrocket"
    header = b"timestamp,visitorid,event,itemid,transactionid\n"
    good = header + b"1433221332117,257597,view,355908,\n1433224214164,992329,transaction,248676,14418.0\n"
    bad = {  # noqa: RUF012
        header + b"soon,257597,view,355908,\n": "bad_timestamp",
        header + b"1433224214164,992329,transaction,248676,\n": "missing_transaction_id",
        header + b"1433224214164\n": "too_few_fields",
    }


class TestCanonical(BuiltIn):
    name = "canonical"
    header = b"event_ts,event_type,visitor_id,unit_price\n"
    good = header + b"2026-01-05T10:00:00Z,view,v1,9.99\n"
    bad = {header + b"2026-01-05T10:00:00Z,view,v1,1e3\n": "bad_number"}  # noqa: RUF012


class TestRees46(BuiltIn):
    name = "rees46"
    header = b"event_time,event_type,product_id,category_id,category_code,brand,price,user_id,user_session\n"
    good = (
        header + b"2019-11-01 00:00:00 UTC,view,1003461,2053013555631882655,electronics,xiaomi,489.07,520088904,4d3\n"
    )
    bad = {header + b"2019-11-01 00:00:00 UTC,look,1003461,2,,,489.07,520088904,4d3\n": "unknown_event_type"}  # noqa: RUF012


class TestSegment(BuiltIn):
    name = "segment"
    good = (
        b'{"type": "track", "event": "Order Completed", "anonymousId": "a", "timestamp": "2026-01-05T10:00:00Z", '
        b'"properties": {"order_id": "1", "products": [{"product_id": "p"}, {"product_id": "q"}]}}\n'
    )
    bad = {  # noqa: RUF012
        good.replace(
            b'"order_id": "1", "products": [{"product_id": "p"}, ', b'"products": ['
        ): "missing_transaction_id",
        good[:-3] + b"\n": "bad_json",
    }


class TestGa4(BuiltIn):
    name = "ga4"
    good = (
        b'{"event_timestamp": "1767607200000000", "event_name": "purchase", "user_pseudo_id": "1.2", "device": {}, '
        b'"ecommerce": {"transaction_id": "t"}, "items": [{"item_id": "p"}, {"item_id": "q"}]}\n'
    )
    bad = {  # noqa: RUF012
        good.replace(b'[{"item_id": "p"}, {"item_id": "q"}]', b"[]").replace(b'"t"', b'""'): "missing_transaction_id",
        good.replace(b"1767607200000000", b"1767607200").replace(b'{"item_id": "p"}, ', b""): "timestamp_out_of_range",
    }


class TestSnowplow(BuiltIn):
    name = "snowplow"
    header = b"event_id,event_name,collector_tstamp,derived_tstamp,domain_userid\n"
    good = header + b"e1,page_view,2022-12-22 13:25:47.779,2022-12-22 13:25:47.677,v1\n"
    bad = {  # noqa: RUF012
        header + b"e1,page_view,2022-12-22 13:25:47.779,2022-12-22 13:25:47.677,\n": "missing_visitor_id",
        header + b"e1,page_view,,soon,v1\n": "bad_timestamp",
    }


class TestMapping(SourceFormatContract):
    good = b'{"t": 1767607200, "who": "v1", "what": "clicks", "things": [{"sku": "p"}, {"sku": "q"}]}\n'
    bad = {good.replace(b"1767607200", b'"soon"').replace(b', {"sku": "q"}', b""): "bad_timestamp"}  # noqa: RUF012

    @pytest.fixture
    def source_format(self, tmp_path: Path) -> SourceFormat:
        mapping = tmp_path / "mapping.toml"
        mapping.write_text(
            '[file]\neach = "things"\n[event_ts]\npath = "t"\nformat = "seconds"\n[columns]\nvisitor_id = "who"\n'
            'product_id = "things[].sku"\nevent_type = {path = "what", map = {clicks = "view"}}\n'
        )
        return plugins.load("source_formats", "mapping").from_settings(Settings(mapping=mapping))


def test_no_built_in_format_of_events_is_left_out() -> None:
    held = {kind.name for kind in BuiltIn.__subclasses__()} | {"mapping"}
    formats = {name: plugins.load("source_formats", name) for name in plugins.names("source_formats")}
    assert held == {name for name, kind in formats.items() if getattr(kind, "kind", "events") == "events"}
