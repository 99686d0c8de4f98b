"""Work in threads that one thread watches over: it tells of the progress, and stops them all when one fails."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

_SMALL_ONES = 16
"""Small tasks that are under way at a time."""

_LARGE_ONES = 4
"""Large ones, which may have threads of their own."""


class StoppedError(Exception):
    """Another task failed, or the run was interrupted: this one is given up."""


@dataclass(frozen=True, slots=True)
class Task:
    """What is to be done."""

    call: Callable[[], Any]
    large: bool = False


class Tasks:
    """Runs tasks several at a time.

    Parameters
    ----------
    tell : callable
        Receives a name and how much more of it was done; called from the thread that calls :meth:`run`.
    """

    def __init__(self, tell: Callable[[str, int], None]) -> None:
        self._tell = tell
        self._events: SimpleQueue[Future[Any] | tuple[str, int]] = SimpleQueue()
        self._stop = threading.Event()
        self._small = ThreadPoolExecutor(_SMALL_ONES, "ingest")
        self._large = ThreadPoolExecutor(_LARGE_ONES, "ingest-large")

    def told(self, name: str, total: int) -> Told:
        """What a task tells of its progress with, up to a total."""
        return Told(name, total, self._events, self._stop)

    def run(self, tasks: Sequence[Task]) -> list[Any]:
        """Results of all tasks in their order, or the first error, when nothing runs any more."""
        futures = [(self._large if task.large else self._small).submit(task.call) for task in tasks]
        for future in futures:
            future.add_done_callback(self._events.put)
        left = len(futures)
        try:
            while left:
                event = self._events.get()
                if isinstance(event, tuple):
                    self._tell(*event)
                else:
                    event.result()
                    left -= 1
        except BaseException:
            self._stop.set()
            for future in futures:
                future.cancel()
            wait(futures)
            raise
        return [future.result() for future in futures]

    def close(self) -> None:
        for pool in (self._small, self._large):
            pool.shutdown(cancel_futures=True)


class Told:
    """Tells of one task's progress; called from the thread that does it.

    Attributes
    ----------
    share : float
        How much a byte counts: half, where all bytes are read twice.
    """

    def __init__(self, name: str, total: int, events: SimpleQueue[Any], stop: threading.Event) -> None:
        self._name = name
        self._total = total
        self._events = events
        self._stop = stop
        self._done = 0.0
        self._told = 0
        self.share = 1.0

    def __call__(self, count: int) -> None:
        """So much more was done; raises :class:`StoppedError` if it need not go on."""
        if self._stop.is_set():
            raise StoppedError
        self._done += count * self.share
        self._tell(int(self._done))

    def finish(self) -> None:
        self._tell(self._total)

    def _tell(self, done: int) -> None:
        done = min(done, self._total)
        if done > self._told:
            self._events.put((self._name, done - self._told))
            self._told = done
