"""Fixtures: S3 servers on loopback, and an empty bucket in one.

A test that asks for ``s3_endpoint`` or ``s3_bucket`` runs once for each of :data:`S3_SERVERS`. To have it run with some
of them only: ``@pytest.mark.parametrize("s3_server", ["moto"], indirect=True)``.
"""

from __future__ import annotations

import itertools
import logging
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from ceph_server import CephServer, ceph_server, missing

if TYPE_CHECKING:
    from ecom_analytics import Settings

S3_SERVERS = ["moto", "ministack", pytest.param("ceph", marks=pytest.mark.ceph)]

_numbers = itertools.count(1)


class S3Server(NamedTuple):
    """A running server, and keys that it accepts."""

    name: str
    endpoint: str
    access_key: str = "testing"
    secret_key: str = "testing"
    process: int | None = None
    ceph: CephServer | None = None


@contextmanager
def _moto(_: Path) -> Iterator[S3Server]:
    """moto's server.

    moto looks whether a name is free and then writes, in two steps; a real store does both at once. So requests that
    are conditional take turns.
    """
    from moto.server import DomainDispatcherApplication, create_backend_app
    from werkzeug.serving import make_server

    moto = DomainDispatcherApplication(create_backend_app)
    turn = threading.Lock()

    def application(environ: dict[str, Any], start_response: Any) -> Any:
        with turn if "HTTP_IF_NONE_MATCH" in environ else nullcontext():
            return moto(environ, start_response)

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = make_server("127.0.0.1", 0, application, threaded=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield S3Server("moto", f"http://127.0.0.1:{server.server_port}")
    server.shutdown()
    server.server_close()
    thread.join()


@contextmanager
def _ministack(folder: Path) -> Iterator[S3Server]:
    """ministack in a process of its own, with nothing but S3, and nothing that it would start or look for besides."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "SERVICES": "s3",
        "SFTP_ENABLED": "0",
        "IOT_MTLS_ENABLED": "0",
        "DOCKER_HOST": f"unix://{folder}/no-docker",
        "LOG_LEVEL": "WARNING",
        "HOME": str(folder),
        "TMPDIR": str(folder),
        "PATH": os.environ.get("PATH", os.defpath),
    }
    log = folder / "ministack.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "ministack"], env=environment, cwd=folder, stdout=output, stderr=output
        )
    try:
        until = time.monotonic() + 60
        while not _listens(port):
            if process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"ministack did not start: {log.read_text(errors='replace')[-2000:]}")
            time.sleep(0.05)
        yield S3Server("ministack", f"http://127.0.0.1:{port}", process=process.pid)
    finally:
        process.kill()
        process.wait()


@contextmanager
def _ceph(folder: Path) -> Iterator[S3Server]:
    if lacking := missing():
        pytest.skip(f"Ceph is not here: no {', '.join(lacking)} (apt-get install ceph-mon ceph-osd radosgw)")
    with ceph_server(folder) as ceph:
        yield S3Server("ceph", ceph.endpoint, ceph.access_key, ceph.secret_key, ceph=ceph)


_START: dict[str, Callable[[Path], AbstractContextManager[S3Server]]] = {
    "moto": _moto,
    "ministack": _ministack,
    "ceph": _ceph,
}


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


@pytest.fixture(scope="session")
def s3_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], S3Server]]:
    """Starts a server when it is first asked for; all end with the session."""
    with ExitStack() as running:
        started: dict[str, S3Server | BaseException] = {}

        def server(name: str) -> S3Server:
            if name not in started:
                try:
                    started[name] = running.enter_context(_START[name](tmp_path_factory.mktemp(name)))
                except (OSError, RuntimeError, subprocess.SubprocessError, pytest.skip.Exception) as error:
                    started[name] = error
            result = started[name]
            if isinstance(result, BaseException):
                raise result
            return result

        yield server


@pytest.fixture
def s3_server(request: pytest.FixtureRequest, s3_servers: Callable[[str], S3Server]) -> S3Server:
    """The server that the test is run with; see the module."""
    return s3_servers(getattr(request, "param", "moto"))


@pytest.fixture
def s3_endpoint(s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> str:
    """The server's address, with credentials in the environment and no way to a real cloud."""
    import boto3

    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)  # it would keep the credentials of the server before
    for variable in ("AWS_PROFILE", "AWS_SESSION_TOKEN", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_CA_BUNDLE"):
        monkeypatch.delenv(variable, raising=False)
    for variable, value in {
        "AWS_ACCESS_KEY_ID": s3_server.access_key,
        "AWS_SECRET_ACCESS_KEY": s3_server.secret_key,
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_CONFIG_FILE": "/dev/null",
        "AWS_SHARED_CREDENTIALS_FILE": "/dev/null",
    }.items():
        monkeypatch.setenv(variable, value)
    return s3_server.endpoint


@pytest.fixture
def s3_bucket(s3_endpoint: str) -> str:
    """An empty bucket of the test's own."""
    import boto3

    name = f"bucket-{next(_numbers)}"
    boto3.client("s3", endpoint_url=s3_endpoint).create_bucket(Bucket=name)
    return name


@pytest.fixture
def s3_lake_server(s3_endpoint: str, s3_bucket: str, tmp_path: Path) -> Settings:
    """Settings whose lake lies in an empty bucket, and the rest in the test's own folder."""
    from ecom_analytics import Settings

    return Settings(home=tmp_path / "home", lake=f"s3://{s3_bucket}/lake", s3_endpoint_url=s3_endpoint)
