"""The served builds: requests hold on to the one they began with; the last one to let go of an old one closes it."""

from __future__ import annotations

import logging
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

from ecom_analytics.errors import EcomError, NotBuiltError
from ecom_analytics.warehouse import CURRENT, Build, Warehouse

if TYPE_CHECKING:
    import duckdb

    from ecom_analytics.config import Settings

QUERY_SECONDS = 20.0
"""A query that runs longer is stopped."""

AT_ONCE = 2
"""Questions that are computed at once; others wait for their turn."""

WAIT_SECONDS = 30.0
"""A question that waits longer is refused."""

RETRY_SECONDS = 5.0
"""A build that could not be opened is tried again after so long."""

_log = logging.getLogger(__name__)
T = TypeVar("T")


class QueryTooLongError(EcomError):
    """A query ran longer than :data:`QUERY_SECONDS`."""


class BusyServerError(EcomError):
    """Too many questions wait."""


class Generation:
    """One build, open."""

    def __init__(self, build: Build, connection: duckdb.DuckDBPyConnection) -> None:
        self.build = build
        self.memo: dict[str, Any] = {}
        self.leases = 0
        self.retired = False
        self._connection = connection

    def rows(self, sql: str, parameters: Sequence[Any] | dict[str, Any] = ()) -> list[dict[str, Any]]:
        """All rows of a query, on a cursor of its own.

        Raises
        ------
        QueryTooLongError
        """
        import duckdb

        cursor = self._connection.cursor()

        def interrupt() -> None:
            with suppress(duckdb.Error):  # it ended, and was closed, at this moment
                cursor.interrupt()

        stop = threading.Timer(QUERY_SECONDS, interrupt)
        stop.daemon = True
        stop.start()
        try:
            cursor.execute(sql, parameters)
            names = [column[0] for column in cursor.description or ()]
            return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
        except duckdb.InterruptException as error:
            raise QueryTooLongError(
                f"the query ran longer than {QUERY_SECONDS:g} seconds", hint="choose a shorter range, or try again"
            ) from error
        finally:
            stop.cancel()
            cursor.close()

    def close(self) -> None:
        self._connection.close()


class Generations:
    """Follows ``CURRENT``. Thread-safe.

    Parameters
    ----------
    settings : Settings
    """

    def __init__(self, settings: Settings) -> None:
        memory = {"memory_limit": settings.dashboard_memory_limit}
        self._warehouse = Warehouse(settings.model_copy(update=memory))
        self._lock = threading.Lock()
        self._newest: Generation | None = None
        self._unreadable = ""
        self._next_try = 0.0
        self._turns = threading.BoundedSemaphore(AT_ONCE)

    @contextmanager
    def lease(self) -> Iterator[Generation]:
        """The served build, kept open for as long as the block lasts.

        Raises
        ------
        NotBuiltError
            Nothing was published yet.
        """
        with self._lock:
            generation = self._follow()
            generation.leases += 1
        try:
            yield generation
        finally:
            with self._lock:
                generation.leases -= 1
                self._close_if_done(generation)

    def in_turn(self, compute: Callable[[], T]) -> T:
        """What ``compute`` returns, with few others at the same time.

        Raises
        ------
        BusyServerError
            Its turn did not come.
        """
        if not self._turns.acquire(timeout=WAIT_SECONDS):
            raise BusyServerError("too many questions wait for their answers", hint="try again in a moment")
        try:
            return compute()
        finally:
            self._turns.release()

    def _follow(self) -> Generation:
        """The generation that ``CURRENT`` names; as long as it cannot be opened, the one that was served before."""
        import duckdb

        served = self._newest
        name = self._served_name()
        if served is not None and name == served.build.path.name:
            return served
        known = name == self._unreadable
        if served is not None and known and time.monotonic() < self._next_try:
            return served
        try:
            newest = self._open()
        except (EcomError, duckdb.Error, OSError, ValueError, KeyError):
            if served is None:
                raise
            if not known:  # said once
                _log.exception("%s cannot be served; %s is served on", name, served.build.path.name)
            self._unreadable, self._next_try = name, time.monotonic() + RETRY_SECONDS
            return served
        self._newest = newest
        if served is not None:
            served.retired = True
            self._close_if_done(served)
        return newest

    def _open(self) -> Generation:
        for _ in range(4):
            build = self._warehouse.current()
            with suppress(FileNotFoundError):  # replaced and pruned since it was named
                return Generation(build, self._warehouse.connect(build))
        build = self._warehouse.current()
        return Generation(build, self._warehouse.connect(build))

    def _served_name(self) -> str:
        try:
            return (self._warehouse.folder / CURRENT).read_text(encoding="utf-8").strip()
        except FileNotFoundError as error:
            raise NotBuiltError("there is no published warehouse", hint="run `ecom-analytics run FILES`") from error

    @staticmethod
    def _close_if_done(generation: Generation) -> None:
        if generation.retired and generation.leases == 0:
            generation.close()


class Cache:
    """The last answers. Equal questions asked at the same time are computed once.

    Parameters
    ----------
    size : int
        How many answers are kept.
    """

    def __init__(self, size: int = 256) -> None:
        self._size = size
        self._lock = threading.Lock()
        self._answers: OrderedDict[Hashable, Any] = OrderedDict()
        self._pending: dict[Hashable, Future[Any]] = {}

    def get(self, key: Hashable, compute: Callable[[], Any]) -> Any:
        """The kept answer, or that of whoever computes it now, or a new one."""
        with self._lock:
            if key in self._answers:
                self._answers.move_to_end(key)
                return self._answers[key]
            pending = self._pending.get(key)
            mine = pending is None
            if pending is None:
                pending = self._pending[key] = Future()
        if not mine:
            return pending.result()
        try:
            answer = compute()
        except BaseException as error:
            with self._lock:
                del self._pending[key]
            pending.set_exception(error)
            raise
        with self._lock:
            del self._pending[key]
            self._answers[key] = answer
            if len(self._answers) > self._size:
                self._answers.popitem(last=False)
        pending.set_result(answer)
        return answer
