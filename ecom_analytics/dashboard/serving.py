"""Serves the dashboard with waitress."""

from __future__ import annotations

import ipaddress
import logging
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import TYPE_CHECKING, Any

from ecom_analytics.dashboard import create_app
from ecom_analytics.errors import ConfigError

if TYPE_CHECKING:
    from ecom_analytics.config import Settings

THREADS = 8

CONNECTIONS = 2_000
"""Connections at once: those that say nothing keep no thread, and must not keep others out."""

IDLE_SECONDS = 30
"""A connection that says nothing for so long is closed."""


def check_reach(settings: Settings) -> None:
    """Whether only this machine can reach the dashboard, or who asks must show a token.

    Raises
    ------
    ConfigError
        Neither: anyone who reaches the address could read all figures, and all users' events.
    """
    if settings.dashboard_token is not None:
        return
    try:
        told = socket.getaddrinfo(settings.host or None, None, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        inside = all(ipaddress.ip_address(str(one[4][0]).partition("%")[0]).is_loopback for one in told)
    except OSError:
        return  # an address that does not exist fails with its own error
    if not inside:
        raise ConfigError(
            f"{settings.host} is open to other machines, and no token is asked of who comes from there",
            hint="set ECOM_ANALYTICS_DASHBOARD_TOKEN, or pass --insecure if something else keeps strangers out",
            key="host",
            value=settings.host,
        )


def serve(settings: Settings, *, ready: Callable[[str], None] = lambda address: None) -> None:
    """Serve until interrupted (Ctrl+C or SIGTERM).

    Parameters
    ----------
    settings : Settings
        ``host`` and ``port`` say where; port 0 picks a free one.
    ready : callable
        Called with the address once it answers.

    Raises
    ------
    ConfigError
        The address is in use, or cannot be served on.
    """

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    in_main = threading.current_thread() is threading.main_thread()  # no other thread may handle signals
    with _server(settings) as server:
        before = signal.signal(signal.SIGTERM, stop) if in_main else None
        try:
            ready(server.address)
            server.run()
        except KeyboardInterrupt:
            pass
        finally:
            if in_main:
                signal.signal(signal.SIGTERM, before)


@contextmanager
def serving(settings: Settings) -> Iterator[str]:
    """Serve from a thread for as long as the block lasts; gives the address.

    Examples
    --------
    ::

        with serving(Settings(port=0)) as address:
            urllib.request.urlopen(address + "healthz")
    """
    with _server(settings) as server:
        thread = threading.Thread(target=server.run, name="dashboard", daemon=True)
        thread.start()
        try:
            yield server.address
        finally:
            server.stop()
            thread.join(timeout=10)


class _Server:
    """Waitress on a socket of ours, which is bound first, so that a busy port leaves nothing open."""

    def __init__(self, settings: Settings, bound: socket.socket) -> None:
        import waitress.server

        # A request that waits for a thread is nothing to warn of.
        logging.getLogger("waitress.queue").setLevel(logging.ERROR)
        self._channels: dict[int, Any] = {}
        self._waitress = waitress.server.create_server(
            create_app(settings),
            map=self._channels,
            sockets=[bound],
            threads=THREADS,
            ident=None,
            connection_limit=CONNECTIONS,
            channel_timeout=IDLE_SECONDS,
            asyncore_use_poll=True,  # select takes no more than 1,024 files
        )
        host, port = bound.getsockname()[:2]
        if host in ("0.0.0.0", "::"):  # noqa: S104  any address: this machine's own one is the one to show
            host = "127.0.0.1"
        self.address = f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"

    def run(self) -> None:
        """Answer requests until :meth:`stop`, or a KeyboardInterrupt."""
        self._waitress.run()

    def stop(self) -> None:
        """Have the thread that runs close all connections, and end."""
        self._waitress.trigger.pull_trigger(self._close_channels)

    def close(self) -> None:
        self._waitress.task_dispatcher.shutdown()
        self._close_channels()

    def _close_channels(self) -> None:
        from waitress.wasyncore import close_all

        close_all(self._channels)


@contextmanager
def _server(settings: Settings) -> Iterator[_Server]:
    with _bind(settings) as bound:
        server = _Server(settings, bound)
        try:
            yield server
        finally:
            server.close()


def _bind(settings: Settings) -> socket.socket:
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            settings.host, settings.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind(address)
        except OSError:
            bound.close()
            raise
    except OSError as error:
        raise ConfigError(
            f"cannot serve on {settings.host}:{settings.port}: {error.strerror or error}",
            hint="choose another port, such as --port 0 for a free one",
            key="port",
            value=settings.port,
        ) from error
    return bound
