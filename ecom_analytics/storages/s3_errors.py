"""What boto3 raises, in the library's words; the one place where they are mapped."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from ecom_analytics.errors import EcomError, LakeError, StorageFullError

CREDENTIALS = "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or a profile that boto3 finds"
"""What to do where there are none."""

_HINTS = {
    "NoSuchBucket": "create the bucket, or correct its name and the setting s3_endpoint_url",
    "AccessDenied": "allow these credentials to list, read, write and delete below this prefix",
    "403": "check the credentials, and that they may list, read, write and delete below this prefix",
    "InvalidAccessKeyId": CREDENTIALS,
    "SignatureDoesNotMatch": "check the secret key and the clock of this machine",
    "RequestTimeTooSkewed": "set the clock of this machine",
    "ExpiredToken": "renew the session's credentials",
    "InvalidBucketName": "correct the bucket's name",
    "PermanentRedirect": "set s3_region to the bucket's region",
    "AuthorizationHeaderMalformed": "set s3_region to the bucket's region",
    "IllegalLocationConstraintException": "set s3_region to the bucket's region",
    "301": "set s3_region to the bucket's region",
    "NoSuchUpload": "the upload was aborted by someone else: run it again",
    "KMS.NotFoundException": "check the setting s3_kms_key_id",
    "NotImplemented": "if it is about a checksum, set s3_checksums to md5",
    "BadDigest": "run it again; what arrived was not what was sent",
    "SlowDown": "the store is busy: run it again later",
}

_FULL = {"QuotaExceeded", "XMinioStorageFull", "InsufficientStorage", "507"}


def code_of(error: BaseException) -> str:
    """The code that the store answered with, or nothing."""
    response = getattr(error, "response", None) or {}
    return str(response.get("Error", {}).get("Code", ""))


def explanation(error: Exception, uri: str) -> Exception:
    """The error to raise for one that boto3 raised.

    :class:`FileNotFoundError` and :class:`FileExistsError` where the storage protocol promises them.
    """
    from botocore.exceptions import (
        BotoCoreError,
        ClientError,
        ConnectTimeoutError,
        EndpointConnectionError,
        NoCredentialsError,
        PartialCredentialsError,
        ProfileNotFound,
    )

    if isinstance(error, EcomError | FileNotFoundError | FileExistsError):
        return error
    if isinstance(error, ClientError):
        return _answer(error, code_of(error), uri)
    if isinstance(error, NoCredentialsError | PartialCredentialsError | ProfileNotFound):
        return LakeError(f"no credentials for {uri}: {error}", hint=CREDENTIALS, uri=uri)
    if isinstance(error, EndpointConnectionError | ConnectTimeoutError):
        return LakeError(
            f"cannot reach the store of {uri}: {error}",
            hint="check s3_endpoint_url, s3_region and the network",
            uri=uri,
        )
    if isinstance(error, BotoCoreError):
        return LakeError(f"the transfer of {uri} failed: {error}", hint="check the network, then run it again", uri=uri)
    return LakeError(
        f"the transfer of {uri} broke off: {type(error).__name__}: {error}", hint="check the network, then run it again"
    )


def _answer(error: Exception, code: str, uri: str) -> Exception:
    if code in ("NoSuchKey", "404"):
        return FileNotFoundError(errno.ENOENT, "no such object", uri)
    if code in ("PreconditionFailed", "ConditionalRequestConflict", "412", "409"):
        return FileExistsError(errno.EEXIST, "the object exists", uri)
    if code in _FULL:
        return StorageFullError(f"no space left for {uri} ({code})", hint="raise the quota or free some space", uri=uri)
    text = getattr(error, "response", {}).get("Error", {}).get("Message", "")
    return LakeError(
        f"the store refused {uri}: {code}{f' ({text})' if text else ''}",
        hint=_HINTS.get(code, "see what the store's documentation says about this code"),
        uri=uri,
        code=code,
    )


@contextmanager
def explained(uri: str) -> Iterator[None]:
    """Raise the library's errors for boto3's."""
    from botocore.exceptions import BotoCoreError, ClientError

    try:
        yield
    except (BotoCoreError, ClientError) as error:
        raise explanation(error, uri) from error
