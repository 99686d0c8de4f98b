"""The S3 servers of the tests themselves; and what only Ceph checks: signatures, expiry, rights, quotas, TLS."""

from __future__ import annotations

import base64
import json
import os
import re
import secrets
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.error import HTTPError
from urllib.request import urlopen

import pytest
from ceph_server import SESSION_KEY

from ecom_analytics import Settings
from ecom_analytics.errors import LakeError, StorageFullError
from ecom_analytics.storages.s3 import S3Storage

if TYPE_CHECKING:
    from s3_server import S3Server

pytest_plugins = ["s3_server"]

TESTS = Path(__file__).parent


@pytest.mark.parametrize("s3_server", ["ministack"], indirect=True)
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_ministack_talks_to_nobody_but_us(s3_server, s3_bucket):
    assert s3_server.process
    addresses = {address for pair in _connections(s3_server.process) for address in pair}
    assert addresses <= {"127.0.0.1", "0.0.0.0"}  # the latter is who a listening socket is connected to
    assert "127.0.0.1" in addresses


def _connections(process: int) -> list[tuple[str, str]]:
    """Ours and theirs of each socket of a process, in both versions of IP, TCP and UDP."""
    links = [os.readlink(link) for link in Path(f"/proc/{process}/fd").iterdir()]
    own = {link.removeprefix("socket:[").rstrip("]") for link in links if link.startswith("socket:[")}
    tables = [Path(f"/proc/{process}/net/{name}") for name in ("tcp", "tcp6", "udp", "udp6")]
    rows = [line.split() for table in tables if table.exists() for line in table.read_text().splitlines()[1:]]
    return [(_address(row[1]), _address(row[2])) for row in rows if row[9] in own]


def _address(written: str) -> str:
    host = written.partition(":")[0]
    return ".".join(str(byte) for byte in reversed(bytes.fromhex(host))) if len(host) == 8 else host


@pytest.mark.parametrize("ci", ["true", ""])
def test_without_ceph_its_tests_skip_except_in_ci(tmp_path, ci):
    """The reason names what is missing and how to get it."""
    (tmp_path / "test_it.py").write_text("pytest_plugins = ['s3_server']\ndef test_it(s3_bucket): pass\n")
    code = (
        "import sys, ceph_server, pytest\n"
        "ceph_server.PROGRAMS = ('radosgw-that-is-not-here',)\n"
        "sys.exit(pytest.main(['-q', '-rs', '-m', 'ceph', '-p', 'no:cacheprovider', '-p', 'conftest',\n"
        "    '-W', 'ignore::pytest.PytestAssertRewriteWarning', '--rootdir', '.', '-c', '/dev/null', 'test_it.py']))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(TESTS), "CI": ci},
        cwd=tmp_path,
        text=True,
        capture_output=True,
        check=False,
    )
    assert "no radosgw-that-is-not-here (apt-get install ceph-mon ceph-osd radosgw)" in done.stdout, done.stderr
    assert done.returncode == (1 if ci else 0)


@pytest.mark.ceph
@pytest.mark.parametrize("s3_server", ["ceph"], indirect=True)
class TestCeph:
    @pytest.fixture
    def storage(self, s3_lake_server: Settings) -> S3Storage:
        return S3Storage(s3_lake_server.lake, s3_lake_server)

    @pytest.fixture
    def user(self, s3_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> str:
        """The name of another user, whose keys are now those of the environment."""
        assert s3_server.ceph
        name = f"user-{secrets.token_hex(4)}"
        (key,) = s3_server.ceph.admin("user", "create", "--uid", name, "--display-name", name)["keys"]
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", key["access_key"])
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key["secret_key"])
        return name

    @pytest.mark.parametrize(
        "work",
        [
            lambda storage: list(storage.list()),
            lambda storage: storage.exists("a"),
            lambda storage: storage.open("a").__enter__(),
            lambda storage: put(storage, "a"),
            lambda storage: put(storage, "a", b"x" * 20_000_000),
            lambda storage: storage.delete("a"),
        ],
    )
    def test_a_wrong_secret_is_told_without_it(self, storage, monkeypatch, work: Callable[[S3Storage], object]):
        wrong = secrets.token_urlsafe(30)
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", wrong)
        with pytest.raises(LakeError, match=r"SignatureDoesNotMatch|403") as caught:
            work(storage)
        assert caught.value.hint.startswith(("check the secret key", "check the credentials"))
        assert wrong not in told(caught.value)

    def test_an_unknown_key(self, storage, monkeypatch):
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "NOBODY")
        with pytest.raises(LakeError, match="InvalidAccessKeyId") as caught:
            list(storage.list())
        assert "AWS_ACCESS_KEY_ID" in caught.value.hint

    @pytest.fixture
    def session(self, s3_server: S3Server, s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
        """The token of a session, whose keys are now those of the environment."""
        import boto3

        assert s3_server.ceph
        endpoint = s3_server.ceph.sessions_endpoint
        s3_server.ceph.admin("caps", "add", "--uid", "tester", "--caps", "user-policy=*")
        rights = {"Effect": "Allow", "Action": ["s3:*", "sts:GetSessionToken"], "Resource": ["*"]}
        boto3.client("iam", endpoint_url=endpoint).put_user_policy(
            UserName="tester",
            PolicyName="sessions",
            PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": [rights]}),
        )
        answer = boto3.client("sts", endpoint_url=endpoint).get_session_token(DurationSeconds=900)
        keys = answer["Credentials"]
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", keys["AccessKeyId"])
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", keys["SecretAccessKey"])
        monkeypatch.setenv("AWS_SESSION_TOKEN", keys["SessionToken"])
        return str(keys["SessionToken"])

    @pytest.fixture
    def of_sessions(self, s3_server, storage, session) -> S3Storage:
        """The storage, reached through the gateway that knows sessions."""
        changes = {"s3_endpoint_url": s3_server.ceph.sessions_endpoint}
        return S3Storage(storage.uri(), storage.settings.model_copy(update=changes))

    def test_a_session(self, of_sessions):
        put(of_sessions, "a", b"x" * 20_000_000)
        assert list(of_sessions.list()) == ["a"]

    @pytest.mark.parametrize(
        "spoil", [lambda token: expired(token), lambda _: base64.b64encode(os.urandom(64)).decode()]
    )
    def test_a_session_that_has_expired_or_never_was(self, of_sessions, session, monkeypatch, spoil):
        token = spoil(session)
        monkeypatch.setenv("AWS_SESSION_TOKEN", token)
        with pytest.raises(LakeError, match=r"AccessDenied|InvalidArgument") as caught:  # it has no other word for it
            list(of_sessions.list())
        assert caught.value.hint
        assert token not in told(caught.value)

    @pytest.mark.parametrize("hours", [-2, 2])
    def test_a_clock_that_is_wrong(self, storage, clock, hours):
        clock(hours)
        with pytest.raises(LakeError, match="RequestTimeTooSkewed") as caught:
            list(storage.list())
        assert "clock" in caught.value.hint

    def test_a_signed_address_expires(self, storage, clock):
        import boto3
        from botocore.config import Config

        put(storage, "a", b"1")
        target = {"Bucket": storage.bucket, "Key": f"{storage.prefix}a"}
        config = Config(signature_version="s3v4")
        client = boto3.client("s3", endpoint_url=storage.settings.s3_endpoint_url, config=config)

        def read() -> bytes:
            url = client.generate_presigned_url("get_object", Params=target, ExpiresIn=600)
            with urlopen(url) as answer:
                return bytes(answer.read())

        assert read() == b"1"
        clock(-1)
        with pytest.raises(HTTPError, match="403") as caught:
            read()
        caught.value.close()

    def test_no_right_to_the_bucket(self, storage, user):
        for work in (lambda: list(storage.list()), lambda: put(storage, "a"), lambda: storage.open("a").__enter__()):
            with pytest.raises(LakeError, match="AccessDenied") as caught:
                work()
            assert "allow these credentials" in caught.value.hint

    @pytest.mark.parametrize("size", [200_000, 20_000_000])
    def test_a_full_quota(self, s3_server, s3_endpoint, user, size):
        import boto3

        s3_server.ceph.admin("quota", "set", "--quota-scope", "user", "--uid", user, "--max-size", "100000")
        s3_server.ceph.admin("quota", "enable", "--quota-scope", "user", "--uid", user)
        boto3.client("s3", endpoint_url=s3_endpoint).create_bucket(Bucket=user)
        storage = S3Storage(f"s3://{user}", Settings(s3_endpoint_url=s3_endpoint))
        with pytest.raises(StorageFullError, match="QuotaExceeded") as caught:
            put(storage, "a", b"x" * size)
        assert "quota" in caught.value.hint
        assert list(storage.list()) == []

    @pytest.fixture
    def tls(self, s3_server: S3Server, s3_bucket: str, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], S3Storage]:
        """The storage over TLS, with checksums of a kind."""
        assert s3_server.ceph
        monkeypatch.setenv("AWS_CA_BUNDLE", str(s3_server.ceph.certificate))
        endpoint = s3_server.ceph.tls_endpoint
        return lambda kind: S3Storage(f"s3://{s3_bucket}", Settings(s3_endpoint_url=endpoint, s3_checksums=kind))

    @pytest.mark.parametrize("checksums", ["crc32", "md5"])
    def test_over_tls(self, tls, checksums):
        """Where boto3's own checksums would be sent behind the bytes, which this Ceph refuses."""
        storage = tls(checksums)
        for name, size in (("small", 10), ("large", 20_000_000)):
            put(storage, name, b"x" * size)
            with storage.open(name) as stream:
                assert stream.read() == b"x" * size
            with pytest.raises(FileExistsError):
                put(storage, name, b"y" * size)

    def test_a_certificate_that_nobody_vouches_for(self, s3_server, s3_bucket):
        storage = S3Storage(f"s3://{s3_bucket}", Settings(s3_endpoint_url=s3_server.ceph.tls_endpoint))
        with pytest.raises(LakeError, match="(?i)certificate"):
            list(storage.list())

    @pytest.mark.parametrize("size", [3, 20_000_000])
    @pytest.mark.parametrize("over_tls", [False, True])
    def test_bytes_that_change_under_way_are_refused(self, storage, tls, over_tls, size):
        """Without TLS they are signed; over it Ceph knows no checksum but MD5."""
        storage = tls("md5") if over_tls else storage

        def change(request, **_):
            request.body = b"x" + bytes(request.body.read() if hasattr(request.body, "read") else request.body)[1:]

        for operation in ("PutObject", "UploadPart"):
            storage.client.meta.events.register(f"before-send.s3.{operation}", change)
        with pytest.raises(LakeError, match="BadDigest" if over_tls else "XAmzContentSHA256Mismatch"):
            put(storage, "a", b"a" * size)
        assert not storage.exists("a")


def expired(token: str) -> str:
    """A session's token with another time in it, since Ceph gives none that lasts less than 15 minutes."""
    from cryptography.hazmat.primitives.ciphers import Cipher
    from cryptography.hazmat.primitives.ciphers.algorithms import AES
    from cryptography.hazmat.primitives.ciphers.modes import CBC

    cipher = Cipher(AES(SESSION_KEY.encode()), CBC(b"cephsageyudagreg"))
    decryptor, encryptor = cipher.decryptor(), cipher.encryptor()
    plain = decryptor.update(base64.b64decode(token)) + decryptor.finalize()
    past, count = re.subn(rb"20\d\d(-\d\d-\d\dT)", rb"2020\1", plain)
    assert count
    return base64.b64encode(encryptor.update(past) + encryptor.finalize()).decode()


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Sets the clock that boto3 signs by wrong by some hours."""
    from botocore import auth

    now = auth.get_current_datetime
    return lambda hours: monkeypatch.setattr(
        auth, "get_current_datetime", lambda *arguments, **options: now(*arguments, **options) + timedelta(hours=hours)
    )


def put(storage: S3Storage, name: str, data: bytes = b"1") -> None:
    with storage.create(name) as stream:
        stream.write(data)


def told(error: LakeError) -> str:
    """All that an error says of itself, and of those it comes from."""
    texts, cause = [], error
    while cause:
        texts += [str(cause), repr(cause), json.dumps(vars(cause), default=repr)]
        cause = cause.__cause__ or cause.__context__
    return "\n".join(texts)
