"""One place says how S3 is reached; boto3 and deltalake reach the same."""

from __future__ import annotations

import pytest

from ecom_analytics import Settings
from ecom_analytics.errors import LakeError
from ecom_analytics.storages import storage_options
from ecom_analytics.storages.s3_client import s3_client

pytest_plugins = ["s3_server"]

LAKE = "s3://shop/lake"


def delta(uri: str, options: dict[str, str], **more):
    import pyarrow as pa
    from deltalake import write_deltalake

    write_deltalake(uri, pa.table({"a": [1, 2]}), storage_options=options, **more)


def test_a_folder_needs_none():
    assert storage_options(Settings()) == {}
    assert storage_options(Settings(lake=LAKE), "/data/exports") == {}


def test_a_delta_table_lies_where_boto3_finds_it(s3_endpoint, s3_bucket):
    from deltalake import DeltaTable

    settings = Settings(lake=f"s3://{s3_bucket}/lake", s3_endpoint_url=s3_endpoint)
    uri = f"{settings.lake}/staged/t"
    delta(uri, storage_options(settings))
    keys = [entry["Key"] for entry in s3_client(settings).list_objects_v2(Bucket=s3_bucket)["Contents"]]
    assert "lake/staged/t/_delta_log/00000000000000000000.json" in keys
    assert DeltaTable(uri, storage_options=storage_options(settings)).to_pyarrow_table().num_rows == 2


def test_of_racing_commits_one_wins(s3_endpoint, s3_bucket):
    from deltalake.exceptions import DeltaError

    settings = Settings(lake=f"s3://{s3_bucket}/lake", s3_endpoint_url=s3_endpoint)
    delta(f"{settings.lake}/t", storage_options(settings))
    with pytest.raises(DeltaError, match="already exists"):
        delta(f"{settings.lake}/t", storage_options(settings), mode="error")


def test_encryption_is_asked_for(s3_endpoint, s3_bucket):
    settings = Settings(
        lake=f"s3://{s3_bucket}/lake",
        s3_endpoint_url=s3_endpoint,
        s3_server_side_encryption="aws:kms",
        s3_kms_key_id="my-key",
    )
    delta(f"{settings.lake}/t", storage_options(settings))
    client = s3_client(settings)
    for entry in client.list_objects_v2(Bucket=s3_bucket)["Contents"]:
        answer = client.head_object(Bucket=s3_bucket, Key=entry["Key"])
        assert (answer["ServerSideEncryption"], answer["SSEKMSKeyId"]) == ("aws:kms", "my-key"), entry["Key"]


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"s3_region": "eu-central-1"}, ("eu-central-1", "true", "false", None)),
        ({"s3_region": "cn-north-1"}, ("cn-north-1", "true", "false", None)),
        ({}, ("us-east-1", "true", "false", None)),
        ({"s3_addressing_style": "path"}, ("us-east-1", "false", "false", None)),
        ({"s3_endpoint_url": "http://minio:9000"}, ("us-east-1", "false", "true", "http://minio:9000")),
        (
            {"s3_endpoint_url": "https://a.r2.cloudflarestorage.com", "s3_region": "auto"},
            ("auto", "false", "false", "https://a.r2.cloudflarestorage.com"),
        ),
        (
            {"s3_endpoint_url": "https://ceph:7480", "s3_addressing_style": "virtual"},
            ("us-east-1", "true", "false", "https://shop.ceph:7480"),
        ),
    ],
)
def test_endpoint_region_and_addressing(s3_endpoint, monkeypatch, values, expected):
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    options = storage_options(Settings(lake=LAKE, **values))
    names = ("AWS_REGION", "AWS_VIRTUAL_HOSTED_STYLE_REQUEST", "AWS_ALLOW_HTTP", "AWS_ENDPOINT_URL")
    assert tuple(options.get(name) for name in names) == expected
    assert options["AWS_CONDITIONAL_PUT"] == "etag"


def test_the_endpoint_that_boto3_finds_by_itself(s3_endpoint, monkeypatch):
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", "http://store:9000")
    assert storage_options(Settings(lake=LAKE))["AWS_ENDPOINT_URL"] == "http://store:9000"


def test_credentials_are_those_of_boto3_and_are_not_shown(s3_endpoint, monkeypatch, tmp_path):
    profile = tmp_path / "credentials"
    profile.write_text(
        "[shop]\naws_access_key_id = theKey\naws_secret_access_key = theSecret\naws_session_token = theToken\n"
    )
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(variable)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(profile))
    monkeypatch.setenv("AWS_PROFILE", "shop")
    options = storage_options(Settings(lake=LAKE))
    names = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
    assert [options[name] for name in names] == ["theKey", "theSecret", "theToken"]
    assert "us-east-1" in f"{options!r}"
    assert not any(secret in f"{options} {options!r}" for secret in ("theKey", "theSecret", "theToken"))


def test_no_credentials(s3_endpoint, monkeypatch):
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(variable)
    with pytest.raises(LakeError, match="no credentials") as caught:
        storage_options(Settings(lake=LAKE))
    assert "AWS_ACCESS_KEY_ID" in caught.value.hint
