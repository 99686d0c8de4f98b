"""Ceph's gateway to S3 on loopback: a cluster of one monitor, one store in memory and one gateway, in a folder.

Needs Debian's packages ceph-mon, ceph-osd and radosgw; no root, and no service that they install.
"""

from __future__ import annotations

import json
import os
import shlex
import shutil
import socket
import subprocess
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

PROGRAMS = ("ceph-mon", "ceph-osd", "ceph", "ceph-authtool", "monmaptool", "openssl", "radosgw", "radosgw-admin")

_PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])

KMS_KEY = "my-key"
"""The one key that the gateway encrypts with when it is asked for one of a key management service."""

SESSION_KEY = "0123456789abcdef"
"""What the tokens of sessions are encrypted with."""

_CONFIG = """\
[global]
fsid = {fsid}
run_dir = {folder}
log_file = {folder}/$name.log
admin_socket =
pid_file =
crash_dir = {folder}/crash
mon_cluster_log_file = {folder}/cluster.log
keyring = {folder}/keyring
mon_host = [v2:127.0.0.1:{mon_port}]
public_addr = 127.0.0.1
cluster_addr = 127.0.0.1
public_network = 127.0.0.0/8
auth_allow_insecure_global_id_reclaim = false
# What a cluster of one can do, and quickly.
paxos_propose_interval = 0.05
paxos_min_wait = 0.01
osd_pool_default_size = 1
osd_pool_default_min_size = 1
osd_pool_default_pg_num = 1
osd_pool_default_pg_autoscale_mode = off
osd_crush_chooseleaf_type = 0
mon_allow_pool_size_one = true
mon_data_avail_warn = 0
mon_data_avail_crit = 0
[mon]
mon_data = {folder}/mon
[osd]
osd_data = {folder}/osd
osd_objectstore = memstore
memstore_device_bytes = 8589934592
osd_class_load_list = *
osd_class_default_list = *
[client]
rgw_run_sync_thread = false
rgw_dynamic_resharding = false
rgw_crypt_require_ssl = false
rgw_crypt_s3_kms_backend = testing
rgw_crypt_s3_kms_encryption_keys = "{kms_key}=YmluCmJvb3N0CmJvb3N0LWJ1aWxkCmNlcGguY29uZgo="
[client.rgw]
rgw_frontends = beast tcp_nodelay=1 endpoint=127.0.0.1:{port} ssl_endpoint=127.0.0.1:{tls_port} \\
  ssl_certificate={folder}/certificate.pem ssl_private_key={folder}/key.pem
# A gateway that knows sessions calls a wrong signature AccessDenied, so there is another one for them.
[client.sessions]
rgw_frontends = beast tcp_nodelay=1 endpoint=127.0.0.1:{sessions_port}
rgw_s3_auth_use_sts = true
rgw_sts_key = {session_key}
"""

_MAKE_CERTIFICATE = shlex.split(
    "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=localhost "
    "-addext subjectAltName=IP:127.0.0.1 -keyout key.pem -out certificate.pem"
)


class CephServer(NamedTuple):
    """Where the gateways listen, the keys of a user, and ``radosgw-admin``, which answers in JSON."""

    endpoint: str
    tls_endpoint: str
    sessions_endpoint: str
    certificate: Path
    access_key: str
    secret_key: str
    admin: Callable[..., Any]


def missing() -> list[str]:
    """The programs that a cluster needs and this machine has not got."""
    return [program for program in PROGRAMS if shutil.which(program, path=_PATH) is None]


@contextmanager
def ceph_server(folder: Path, *, patience: float = 120) -> Iterator[CephServer]:
    """Start a cluster in an empty folder; nothing of it is left running.

    Raises
    ------
    RuntimeError
        What did not start, and the end of what it logged.
    """
    mon_port, port, tls_port, sessions_port = _free_ports(4)
    config = folder / "ceph.conf"
    fsid = str(uuid.uuid4())
    values = {"fsid": fsid, "folder": folder, "kms_key": KMS_KEY, "session_key": SESSION_KEY}
    ports = {"mon_port": mon_port, "port": port, "tls_port": tls_port, "sessions_port": sessions_port}
    config.write_text(_CONFIG.format(**values, **ports))
    environment = {"PATH": _PATH, "CEPH_CONF": str(config), "HOME": str(folder), "LC_ALL": "C.UTF-8"}

    def run(*command: str) -> str:
        done = subprocess.run(
            command, env=environment, cwd=folder, text=True, capture_output=True, timeout=patience, check=False
        )
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr[-2000:]}")
        return done.stdout

    def admin(*command: str) -> Any:
        return json.loads(run("radosgw-admin", "-n", "client.rgw", *command) or "null")

    with ExitStack() as running:

        def start(*command: str) -> None:
            name = f"{command[0]}-{command[-1]}"
            output = running.enter_context((folder / f"{name}.out").open("wb"))
            process = subprocess.Popen(command, env=environment, cwd=folder, stdout=output, stderr=output)
            running.callback(_end, process)
            processes[name] = process

        processes: dict[str, subprocess.Popen[bytes]] = {}
        _make_keys(folder / "keyring", run)
        monmap = str(folder / "monmap")
        run("monmaptool", "--create", "--fsid", fsid, "--addv", "a", f"[v2:127.0.0.1:{mon_port}]", monmap)
        run("ceph-mon", "--mkfs", "-i", "a", "--monmap", monmap, "--keyring", str(folder / "keyring"))
        start("ceph-mon", "-f", "-i", "a")
        osd = str(uuid.uuid4())
        run("ceph", "osd", "new", osd)
        (folder / "osd").mkdir()
        run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", osd)
        start("ceph-osd", "-f", "-i", "0")
        (key,) = admin("user", "create", "--uid", "tester", "--display-name", "Tester")["keys"]
        run(*_MAKE_CERTIFICATE)
        start("radosgw", "-f", "-n", "client.rgw")
        start("radosgw", "-f", "-n", "client.sessions")
        until = time.monotonic() + patience
        while not all(map(_listens, (port, tls_port, sessions_port))):
            for name, process in processes.items():
                if process.poll() is not None or time.monotonic() > until:
                    log = (folder / f"{name}.out").read_text(errors="replace")
                    raise RuntimeError(f"the gateway does not listen; {name} ends with: {log[-2000:]}")
            time.sleep(0.05)
        yield CephServer(
            endpoint=f"http://127.0.0.1:{port}",
            sessions_endpoint=f"http://127.0.0.1:{sessions_port}",
            tls_endpoint=f"https://127.0.0.1:{tls_port}",
            certificate=folder / "certificate.pem",
            access_key=key["access_key"],
            secret_key=key["secret_key"],
            admin=admin,
        )


def _make_keys(keyring: Path, run: Callable[..., str]) -> None:
    """The keys that the programs of the cluster know each other by."""
    run("ceph-authtool", "--create-keyring", str(keyring))
    for name, rights in {
        "mon.": {"mon": "allow *"},
        "client.admin": {"mon": "allow *", "osd": "allow *", "mgr": "allow *"},
        "osd.0": {"mon": "allow profile osd", "osd": "allow *", "mgr": "allow profile osd"},
        "client.rgw": {"mon": "allow rwx", "osd": "allow rwx"},
        "client.sessions": {"mon": "allow rwx", "osd": "allow rwx"},
    }.items():
        options = [word for part, right in rights.items() for word in ("--cap", part, right)]
        run("ceph-authtool", str(keyring), "--gen-key", "-n", name, *options)


def _free_ports(count: int) -> list[int]:
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def _listens(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def _end(process: subprocess.Popen[Any]) -> None:
    """What is in memory is not worth a good-bye."""
    process.kill()
    process.wait()
