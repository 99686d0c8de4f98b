"""Builds in tests begin with dbt loaded: a warm process, which has imported it and started nothing, forks one for each.

Loading dbt is a third of what a small build costs. Whatever runs the package as a program of its own starts its builds
the real way.
"""

from __future__ import annotations

import array
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from typing import IO, Any


class WarmProcess:
    """The process that forks; :meth:`start` takes the place of :class:`subprocess.Popen`."""

    def __init__(self) -> None:
        ours, its = socket.socketpair()
        environment = {key: value for key, value in os.environ.items() if not key.startswith("ECOM_ANALYTICS_")}
        command = [sys.executable, "-P", __file__, str(its.fileno())]
        self._process = subprocess.Popen(
            command, pass_fds=[its.fileno()], env={**environment, "PYTHONPATH": os.pathsep.join(sys.path)}
        )
        its.close()
        self._socket = ours

    def start(
        self, command: list[str], *, stdin: int, stdout: int, stderr: IO[bytes], env: dict[str, str], process_group: int
    ) -> Any:
        """Start the worker of a build in a fork, with pipes of its own."""
        assert (stdin, stdout, process_group) == (subprocess.PIPE, subprocess.PIPE, 0)
        its_in, to_it = os.pipe()
        from_it, its_out = os.pipe()
        ends, its_end = os.pipe()
        request = json.dumps({"arguments": command[4], "env": env, "folder": os.getcwd()}).encode()
        fds = array.array("i", [its_in, its_out, stderr.fileno(), its_end])
        self._socket.sendmsg([len(request).to_bytes(8)], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, fds)])
        self._socket.sendall(request)
        for fd in (its_in, its_out, its_end):
            os.close(fd)
        pid = int.from_bytes(self._socket.recv(8, socket.MSG_WAITALL))
        return Fork(pid, to_it, from_it, ends)

    def close(self) -> None:
        self._socket.close()
        self._process.wait()


class Fork:
    """What of :class:`subprocess.Popen` a build uses."""

    def __init__(self, pid: int, to_it: int, from_it: int, ends: int) -> None:
        self.pid = pid
        self.stdin = os.fdopen(to_it, "wb", buffering=0)
        self.stdout = os.fdopen(from_it, "rb")
        self._ends: int | None = ends
        self._code: int | None = None

    def poll(self) -> int | None:
        if self._code is None:
            try:
                os.kill(self.pid, 0)
            except ProcessLookupError:
                return self.wait()
        return self._code

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)

    def wait(self) -> int:
        """Wait for the end: then the watcher writes how it ended."""
        if self._ends is not None:
            with os.fdopen(self._ends, "rb") as ends:
                self._ends = None
                self._code = int(ends.read().decode())
        assert self._code is not None
        return self._code


@contextlib.contextmanager
def warm() -> Iterator[WarmProcess]:
    """A warm process, until the end."""
    process = WarmProcess()
    try:
        yield process
    finally:
        process.close()


def main() -> None:
    """Load dbt, then fork for each request."""
    with socket.socket(fileno=int(sys.argv[1])) as requests:
        from ecom_analytics.marts import worker

        worker.load()
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        while True:
            head, control, *_ = requests.recvmsg(8, socket.CMSG_SPACE(16))
            if not head:
                return
            [(_, _, data)] = control
            fds = array.array("i", data)
            request = json.loads(requests.recv(int.from_bytes(head), socket.MSG_WAITALL))
            said, says = os.pipe()
            watcher = os.fork()
            if watcher == 0:
                watch(worker, request, fds, says)
            os.close(says)
            for fd in fds:
                os.close(fd)
            with os.fdopen(said, "rb") as pid:
                requests.sendall(pid.read(8))


def watch(worker: Any, request: dict[str, Any], fds: array.array[int], says: int) -> None:
    """Run the build in a fork of this fork, and write how it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    *standard, end = fds
    pid = os.fork()
    if pid == 0:
        os.setpgid(0, 0)
        os.close(end)
        os.close(says)
        for number, fd in enumerate(standard):
            os.dup2(fd, number)
            os.close(fd)
        sys.stdin, sys.stdout, sys.stderr = open(0), open(1, "w"), open(2, "w")  # noqa: SIM115
        sys.argv = ["-c", request["arguments"]]
        os.environ.clear()
        os.environ.update(request["env"])
        os.chdir(request["folder"])
        worker.main()  # an exception ends this process like any other
        os._exit(0)
    for fd in standard:
        os.close(fd)
    os.write(says, pid.to_bytes(8))
    os.close(says)
    _, status = os.waitpid(pid, 0)
    os.write(end, str(os.waitstatus_to_exitcode(status)).encode())
    os._exit(0)


if __name__ == "__main__":
    main()
