"""Serves the dashboard with waitress."""

from __future__ import annotations

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
    server, address = _server(settings)

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        ready(address)
        server.run()
    except KeyboardInterrupt:
        pass
    finally:
        server.close()
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
    server, address = _server(settings)
    closing = threading.Event()

    def run() -> None:
        try:
            server.run()
        except OSError:  # waitress waits for events on what is closed under it
            if not closing.is_set():
                raise

    thread = threading.Thread(target=run, name="dashboard", daemon=True)
    thread.start()
    try:
        yield address
    finally:
        closing.set()
        server.task_dispatcher.shutdown()
        server.close()
        thread.join(timeout=10)


def _server(settings: Settings) -> tuple[Any, str]:
    """A server on a socket of ours, and its address. The socket is bound first, so that a busy port leaves nothing open."""
    import waitress

    bound = _bind(settings)
    try:
        server = waitress.create_server(create_app(settings), sockets=[bound], threads=THREADS, ident=None)
    except BaseException:
        bound.close()
        raise
    host, port = bound.getsockname()[:2]
    if host in ("0.0.0.0", "::"):  # any address: this machine's own one is the one to show
        host = "127.0.0.1"
    return server, f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"


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
