"""Fixture: moto with parts as small as one likes, and with the answer of a store where an upload is gone."""

from __future__ import annotations

import pytest


@pytest.fixture
def moto_uploads(monkeypatch: pytest.MonkeyPatch) -> None:
    """moto breaks (500, which boto3 tries again) where a store says that there is no such upload."""
    from moto.s3 import exceptions, models

    def missing(_: object, upload_id: str) -> None:
        raise exceptions.NoSuchUpload(upload_id)

    monkeypatch.setattr(models.MultipartDict, "__missing__", missing, raising=False)
    monkeypatch.setattr(models, "S3_UPLOAD_PART_MIN_SIZE", 1)
