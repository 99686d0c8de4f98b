"""Stages that are killed: a warm process, which has imported all and started nothing, forks one for each.

Run as a program it reads one JSON object a line: ``settings``, ``replay`` (to read batches again) and either ``call``
(die at that call of a hooked function, counted from 1; 0 for never) and ``after`` (once it has returned), or
``seconds`` (die then). It answers with a line: how often a hooked function was called, or null if the stage was killed.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
from collections.abc import Callable
from functools import wraps
from typing import Any


def warm_up() -> None:
    """Load all that a stage needs, and start nothing: what has threads does not survive a fork."""
    import deltalake.transaction
    import pyarrow.dataset
    from pandera.backends.ibis.register import register_ibis_backends

    import ecom_analytics.staging.stager
    from ecom_analytics import Settings, plugins
    from ecom_analytics.engines import duckdb
    from ecom_analytics.staging import attempt, days, rejects, remote, validation
    from ecom_analytics.storages.s3_client import s3_client

    assert all((deltalake, pyarrow, ecom_analytics, duckdb, attempt, days, rejects, remote, validation))
    register_ibis_backends("ibis.expr.types.relations.Table")
    plugins.load("source_formats", "canonical")
    plugins.load("storages", "file")
    s3_client(Settings(s3_endpoint_url="http://127.0.0.1:9"))


def main() -> None:
    warm_up()
    from ecom_analytics import Stager

    for line in sys.stdin:
        asked = json.loads(line)
        mine, theirs = os.pipe()
        pid = os.fork()
        if not pid:
            os.close(mine)
            os.environ.update(asked["settings"])
            calls = hook(asked.get("call", 0), asked.get("after", False))
            (Stager().replay if asked.get("replay") else Stager().stage)()
            os.write(theirs, json.dumps(calls()).encode())
            os._exit(0)
        os.close(theirs)
        if "seconds" in asked and not select.select([mine], [], [], asked["seconds"])[0]:
            os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        said = os.read(mine, 100)
        os.close(mine)
        assert said or (os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL), status
        print(said.decode() or "null", flush=True)


def hook(deadly: int, after: bool) -> Callable[[], int]:
    """Die at one of the calls of whatever writes; a function that tells how many there were."""
    from ecom_analytics.cache import Cache
    from ecom_analytics.engines.duckdb import DuckDBEngine
    from ecom_analytics.staging import attempt, places, rejects, remote, sweep
    from ecom_analytics.storages.s3_upload import Upload

    count = 0

    def deadly_call(function: Any, *arguments: Any, **more: Any) -> Any:
        nonlocal count
        count += 1
        own = count
        if own == deadly and not after:
            os.kill(os.getpid(), signal.SIGKILL)
        result = function(*arguments, **more)
        if own == deadly:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    for holder, name in (
        *((module, "commit") for module in (attempt, sweep)),
        (attempt, "create_table"),
        (attempt.Attempt, "_write_batches"),
        (DuckDBEngine, "write_partitions"),
        (rejects.RejectFile, "_flush"),
        (rejects.RejectFile, "close"),
        (Upload, "write"),
        (Upload, "finish"),
        (Cache, "adopt"),
        (places.LocalPlace, "delete"),
        (remote.RemotePlace, "delete"),
    ):
        function = getattr(holder, name)
        setattr(holder, name, wraps(function)(lambda *a, f=function, **k: deadly_call(f, *a, **k)))
    return lambda: count


if __name__ == "__main__":
    main()
