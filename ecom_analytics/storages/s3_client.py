"""How S3 is reached: every client's endpoint, region, addressing, encryption and credentials, from the settings."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ecom_analytics.errors import ConfigError, LakeError
from ecom_analytics.storages.s3_errors import CREDENTIALS, explained

if TYPE_CHECKING:
    import boto3
    from mypy_boto3_s3 import S3Client

    from ecom_analytics.config import Settings

CONNECTIONS = 32
"""Connections that a client keeps open: more threads than these would wait for each other."""

_OF_AMAZON = re.compile(r"https://s3([.-][a-z0-9-]+)*\.amazonaws\.com(\.cn)?/?")


def s3_client(settings: Settings) -> S3Client:
    """A boto3 client made from the settings; the one place where one is made.

    Credentials come by boto3's usual chain: environment, profile, container, instance.
    """
    from botocore.config import Config

    config = Config(
        retries={"mode": "adaptive", "total_max_attempts": 5},
        s3={"addressing_style": settings.s3_addressing_style},
        connect_timeout=10,
        read_timeout=60,
        max_pool_connections=CONNECTIONS,
        request_checksum_calculation="when_required",  # what we write has its checksum already
        response_checksum_validation="when_required" if settings.s3_checksums == "md5" else "when_supported",
        user_agent_extra="ecom-analytics",
    )
    where = settings.s3_endpoint_url or "S3"
    with explained(where):
        try:
            client = _session().client(
                "s3", endpoint_url=settings.s3_endpoint_url, region_name=settings.s3_region, config=config
            )
        except ValueError as error:  # boto3 refuses an endpoint that is no URL
            raise ConfigError(f"the S3 endpoint {where!r} cannot be used: {error}", hint="s3_endpoint_url") from error
    _send_at_once(client)
    return client


def _session() -> boto3.session.Session:
    """A session of its own, which looks for credentials now, but does not read boto3's own data again."""
    import boto3
    from botocore.session import Session

    session = Session()
    session.register_component("data_loader", _loader(session.get_config_variable("data_path")))
    return boto3.session.Session(botocore_session=session)


@cache
def _loader(path: str | None) -> Any:
    from botocore.loaders import create_loader

    return create_loader(path)


def _send_at_once(client: S3Client) -> None:
    """Send bodies without asking first (``Expect: 100-continue``), which costs each request a round trip more."""
    from botocore import handlers

    asks = getattr(handlers, "add_expect_header", None)
    if asks is not None:
        client.meta.events.unregister("before-call.s3", asks)


def encryption(settings: Settings) -> dict[str, str]:
    """What the settings ask of every new object, as arguments of boto3."""
    asked = {"ServerSideEncryption": settings.s3_server_side_encryption, "SSEKMSKeyId": settings.s3_kms_key_id}
    return {key: value for key, value in asked.items() if value}


class StorageOptions(dict[str, str]):
    """Options of a store, secrets among them, which are not shown."""

    def __repr__(self) -> str:
        return repr({key: "***" if re.search("SECRET|TOKEN|ACCESS_KEY", key) else self[key] for key in self})


def storage_options(settings: Settings, address: str = "") -> StorageOptions:
    """How ``deltalake`` (its ``object_store``) reaches what lies at an address, as boto3 would.

    Credentials, endpoint and region are those that boto3 finds, taken now: where they expire, ask again.

    Parameters
    ----------
    settings : Settings
    address : str, optional
        What will be reached; by default the lake.

    Returns
    -------
    dict of str
        Nothing for a folder.

    Raises
    ------
    LakeError
        There are no credentials.

    Examples
    --------
    >>> from ecom_analytics import Settings
    >>> storage_options(Settings(lake="/data/shop/lake"))
    {}
    """
    scheme, _, rest = (address or settings.lake).partition("://")
    if scheme != "s3" or not rest:
        return StorageOptions()
    client = s3_client(settings)
    endpoint, virtual = _endpoint(settings, client.meta.endpoint_url, rest.partition("/")[0])
    region = client.meta.region_name
    options = {
        "AWS_REGION": "us-east-1" if region in ("", "aws-global") else region,
        "AWS_VIRTUAL_HOSTED_STYLE_REQUEST": str(virtual).lower(),
        "AWS_ALLOW_HTTP": str(endpoint.startswith("http:")).lower(),
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_CONDITIONAL_PUT": "etag",
        "AWS_SERVER_SIDE_ENCRYPTION": settings.s3_server_side_encryption or "",
        "AWS_SSE_KMS_KEY_ID": settings.s3_kms_key_id or "",
        **_credentials(),
    }
    return StorageOptions({key: value for key, value in options.items() if value})


def _endpoint(settings: Settings, found: str, bucket: str) -> tuple[str, bool]:
    """The endpoint, or nothing for Amazon's own; and whether the bucket is part of the host's name."""
    style = settings.s3_addressing_style
    if not settings.s3_endpoint_url and _OF_AMAZON.fullmatch(found):
        return "", style != "path"
    if style != "virtual":  # as boto3 does with an endpoint of one's own
        return found, False
    url = urlsplit(found)
    return url._replace(netloc=f"{bucket}.{url.netloc}").geturl(), True


def _credentials() -> dict[str, Any]:
    with explained("S3"):
        found = _session().get_credentials()
        if found is None:
            raise LakeError("no credentials for S3", hint=CREDENTIALS)
        frozen = found.get_frozen_credentials()
    return {
        "AWS_ACCESS_KEY_ID": frozen.access_key,
        "AWS_SECRET_ACCESS_KEY": frozen.secret_key,
        "AWS_SESSION_TOKEN": frozen.token,
    }
