"""A process that has loaded what a test needs, and forks for each line that it is told."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from typing import Any


@contextlib.contextmanager
def warm_process(program: str) -> Iterator[Callable[..., int | None]]:
    """A function that has a program do its work under some settings, to its death or not.

    It is given a line of JSON, the settings' environment among it, and answers with a line of JSON.
    """
    environment = {**os.environ, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        [sys.executable, program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def run(settings: Any, **how: Any) -> int | None:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write(json.dumps({"settings": settings.environment(), **how}) + "\n")
            process.stdin.flush()
            answer: int | None = json.loads(process.stdout.readline())
            return answer

        yield run
        process.stdin.close()
        process.wait()
