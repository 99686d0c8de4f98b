"""Times the ingest to S3 beside bare uploads, against a server on loopback; pytest does not collect it.

    python tests/benchmarks/ingest_s3.py --server ministack --megabytes 1000 --files 10000 --rounds 3

The server (``ministack``, or moto's) is a process of its own, and so is each measured run, whose largest resident size
is told. Large: one file, ours against sha256 of it and ``boto3``'s ``upload_file``. Small: files of 2 kB, ours against
loops of ``upload_file`` and of ``put_object`` in a pool of as many threads as ours; then ours a second time. Only the
calls are timed, not the start of the interpreter. Ratios are of the medians.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import resource
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

BUCKET = "benchmark"
THREADS = 16
HEADER = b"timestamp,visitorid,event,itemid,transactionid\n"
MOTO = """
import logging, sys
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import WSGIRequestHandler, make_server
logging.getLogger("werkzeug").setLevel(logging.ERROR)
WSGIRequestHandler.protocol_version = "HTTP/1.1"
application = DomainDispatcherApplication(create_backend_app)
make_server("127.0.0.1", int(sys.argv[1]), application, threaded=True).serve_forever()
"""


@contextmanager
def served(kind: str) -> Iterator[str]:
    """A server in a process of its own: its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = ["ministack"] if kind == "ministack" else [sys.executable, "-c", MOTO, str(port)]
    environment = {**os.environ, "GATEWAY_PORT": str(port)}
    quiet = subprocess.DEVNULL
    with subprocess.Popen(command, env=environment, stdout=quiet, stderr=quiet) as server:
        try:
            for _ in range(300):
                with socket.socket() as probe:
                    if not probe.connect_ex(("127.0.0.1", port)):
                        break
                time.sleep(0.1)
            yield f"http://127.0.0.1:{port}"
        finally:
            server.kill()


def client(endpoint: str) -> Any:
    import boto3
    from botocore.config import Config

    return boto3.client("s3", endpoint_url=endpoint, config=Config(max_pool_connections=2 * THREADS))


def ours(endpoint: str, folder: Path, run: str) -> None:
    from ecom_analytics import Ingestor, Settings

    settings = Settings(
        lake=f"s3://{BUCKET}/{run}", s3_endpoint_url=endpoint, source_format="retailrocket", home=folder / "home"
    )
    report = Ingestor(settings).ingest(folder)
    assert report.files == len(list(folder.iterdir()))


def hash_and_upload_file(endpoint: str, folder: Path, run: str) -> None:
    s3 = client(endpoint)
    for path in folder.iterdir():
        with path.open("rb") as stream:
            hashlib.file_digest(stream, "sha256")
        s3.upload_file(str(path), BUCKET, f"{run}/{path.name}")


def upload_file(endpoint: str, folder: Path, run: str) -> None:
    s3 = client(endpoint)
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda path: s3.upload_file(str(path), BUCKET, f"{run}/{path.name}"), folder.iterdir()))


def put_object(endpoint: str, folder: Path, run: str) -> None:
    s3 = client(endpoint)

    def put(path: Path) -> None:
        s3.put_object(Bucket=BUCKET, Key=f"{run}/{path.name}", Body=path.read_bytes())

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(put, folder.iterdir()))


JOBS = {job.__name__: job for job in (ours, hash_and_upload_file, upload_file, put_object)}


def measured(job: str, endpoint: str, folder: Path, run: str) -> dict[str, float]:
    """Run a job in a process of its own."""
    command = [sys.executable, __file__, "--job", job, endpoint, str(folder), run]
    text = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    result: dict[str, float] = json.loads(text)
    return result


def do(job: str, endpoint: str, folder: str, run: str) -> None:
    if job == "ours":  # what is measured is the copying, not the import
        import boto3  # noqa: F401

        import ecom_analytics.ingest  # noqa: F401
    started = time.perf_counter()
    JOBS[job](endpoint, Path(folder), run)
    seconds = time.perf_counter() - started
    megabytes = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"seconds": round(seconds, 2), "peak_mb": round(megabytes)}))


def compare(kind: str, folder: Path, jobs: list[str], rounds: int, again: bool = False) -> dict[str, Any]:
    """Medians of each job, all on a server of their own in each round."""
    runs: dict[str, list[dict[str, float]]] = {}
    for number in range(rounds):
        for job in jobs[number % len(jobs) :] + jobs[: number % len(jobs)]:
            with served(kind) as endpoint:
                client(endpoint).create_bucket(Bucket=BUCKET)
                runs.setdefault(job, []).append(measured(job, endpoint, folder, "run"))
                if job == "ours" and again:
                    runs.setdefault("ours again", []).append(measured(job, endpoint, folder, "run"))
    seconds = {job: statistics.median(one["seconds"] for one in found) for job, found in runs.items()}
    ratios = {f"ours / {job}": round(seconds["ours"] / seconds[job], 2) for job in seconds if job != "ours"}
    return {"seconds": seconds, "ratios": ratios, "runs": runs}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", choices=["ministack", "moto"], default="ministack")
    parser.add_argument("--megabytes", type=int, default=1000)
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--job", nargs=4, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.job:
        do(*options.job)
        return
    os.environ.update(AWS_ACCESS_KEY_ID="a", AWS_SECRET_ACCESS_KEY="b", AWS_DEFAULT_REGION="us-east-1")
    with tempfile.TemporaryDirectory() as name:
        if options.megabytes:
            large = Path(name) / "large"
            large.mkdir()
            with (large / "events.csv").open("wb") as to:
                to.write(HEADER + b"1433221332117,257597,view,355908,\n")
                for _ in range(options.megabytes):
                    to.write(os.urandom(1_000_000))
            print("large", json.dumps(compare(options.server, large, ["ours", "hash_and_upload_file"], options.rounds)))
        if options.files:
            small = Path(name) / "small"
            small.mkdir()
            for number in range(options.files):
                rows = b"".join(b"%d,%d,view,%d,\n" % (1433221332117 + row, number, row) for row in range(75))
                (small / f"{number:06}.csv").write_bytes(HEADER + rows)
            jobs = ["ours", "upload_file", "put_object"]
            print("small", json.dumps(compare(options.server, small, jobs, options.rounds, again=True)))


if __name__ == "__main__":
    main()
