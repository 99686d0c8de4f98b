"""The dimensions of time, against Python's time zones."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ecom_analytics.answers.filters import Filters

MOMENTS = st.lists(
    st.datetimes(datetime(2024, 3, 1), datetime(2024, 12, 1)).map(lambda one: one.replace(tzinfo=UTC)), max_size=40
)


@pytest.mark.parametrize("zone", ["UTC", "America/New_York", "Asia/Kathmandu", "Australia/Lord_Howe"])
@given(moments=MOMENTS, only=st.sets(st.integers(0, 23), max_size=3))
def test_hours_are_those_of_the_store(zone: str, moments: list[datetime], only: set[int]) -> None:
    with duckdb.connect() as connection:
        connection.execute("SET TimeZone = 'UTC'; CREATE TABLE sessions (source TEXT, session_start TIMESTAMPTZ)")
        if moments:
            connection.executemany("INSERT INTO sessions VALUES ('a', ?)", [[one] for one in moments])
        relation = Filters({"hour": tuple(only)} if only else {}, zone=zone).relation("sessions", "hour")
        sql = f"SELECT hour, count(*) FROM {relation.sql} AS mart GROUP BY hour"
        found = dict(connection.execute(sql, relation.values).fetchall())
    hours = Counter(one.astimezone(ZoneInfo(zone)).hour for one in moments)
    assert found == {hour: count for hour, count in hours.items() if not only or hour in only}
