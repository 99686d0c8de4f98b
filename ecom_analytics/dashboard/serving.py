"""Serves the dashboard with waitress."""

from __future__ import annotations

import signal
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
    server = _server(settings)

    def stop(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, stop)
    try:
        ready(_address(server))
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
    server = _server(settings)
    thread = threading.Thread(target=server.run, name="dashboard", daemon=True)
    thread.start()
    try:
        yield _address(server)
    finally:
        server.close()
        thread.join(timeout=10)


def _server(settings: Settings) -> Any:
    import waitress

    try:
        return waitress.create_server(
            create_app(settings), host=settings.host, port=settings.port, threads=THREADS, ident=None
        )
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"cannot serve on {settings.host}:{settings.port}: {getattr(error, 'strerror', None) or error}",
            hint="choose another port, such as --port 0 for a free one",
            key="port",
            value=settings.port,
        ) from error


def _address(server: Any) -> str:
    host, port = server.effective_host, server.effective_port
    if host in ("0.0.0.0", "::"):
        host = "127.0.0.1"
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
