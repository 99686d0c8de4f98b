"""Write down anew how batches of the lake are to be read, after a mapping or another setting was corrected."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ecom_analytics.errors import EmptyFileError, InputError, LakeError, NotLinesError, UnknownFormatError
from ecom_analytics.ingest.find import find
from ecom_analytics.ingest.judge import Judgement, judge
from ecom_analytics.ingest.look import look
from ecom_analytics.lake import Batch, BatchKey, read_batch
from ecom_analytics.storages import open_storage

if TYPE_CHECKING:
    from ecom_analytics.config import Settings


def correct(settings: Settings, keys: Iterable[BatchKey]) -> list[Batch]:
    """What :meth:`ecom_analytics.Ingestor.correct` does."""
    lake = open_storage(settings.lake, settings)
    changed = []
    for key in sorted(keys):
        batch = read_batch(lake, key)
        found = _judged(batch, lake.uri(batch.object_name), settings)
        corrected = batch if found is None else _corrected(batch, found)
        if corrected != batch:
            changed.append(corrected)
    for batch in changed:
        with lake.create(batch.record_name, if_absent=False) as to:
            to.write(batch.to_json())
    return changed


def details_of(found: Judgement) -> dict[str, Any]:
    """What is kept with a batch of what its bytes were taken for."""
    own: dict[str, Any] = found.kind.details() if hasattr(found.kind, "details") else {}
    details = {"layout": found.layout.to_dict(), found.kind.name: own}
    return {key: value for key, value in details.items() if value}


def _judged(batch: Batch, uri: str, settings: Settings) -> Judgement | None:
    """What the batch is taken for now; None if it is of another format and not recognised."""
    try:
        [candidate] = find((uri,), settings)
    except InputError as error:
        raise LakeError(
            f"the bytes of {batch.name!r} are missing: {uri}", hint="restore the lake's folder 'raw' from a backup"
        ) from error
    is_another = settings.source_format not in ("auto", batch.source_format)
    try:
        sample = look(candidate.file, settings)
        return judge(sample, candidate.file, _as_recorded(settings, batch), by_chance=is_another)
    except (EmptyFileError, NotLinesError, UnknownFormatError):
        if is_another:
            return None
        raise


def _as_recorded(settings: Settings, batch: Batch) -> Settings:
    """The settings, with the format of the batch where none was chosen."""
    from ecom_analytics.config import Settings

    if settings.source_format != "auto":
        return settings
    return Settings(**{**settings.model_dump(), "source_format": batch.source_format})


def _corrected(batch: Batch, found: Judgement) -> Batch:
    kept = {key: value for key, value in batch.details.items() if key not in ("layout", batch.source_format)}
    return replace(batch, source_format=found.kind.name, details={**kept, **details_of(found)})
