"""The built-in source formats of events keep the contract that plug-ins inherit."""

from __future__ import annotations

import pytest

from ecom_analytics import plugins
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


def test_no_built_in_format_of_events_is_left_out() -> None:
    held = {kind.name for kind in BuiltIn.__subclasses__()}
    formats = {name: plugins.load("source_formats", name) for name in plugins.names("source_formats")}
    assert held == {name for name, kind in formats.items() if getattr(kind, "kind", "events") == "events"}
