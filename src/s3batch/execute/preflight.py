"""Looking before a job: what the buckets of a source and a target do, and what these credentials may read there.

In: a client that reads, the two places. Out: findings. Only GET and HEAD are sent: at most eight requests a bucket and
four for the abilities, which are tried on one existing object instead of guessed from policies.
"""

from __future__ import annotations

from collections.abc import Awaitable

from s3batch.model.errors import RefusedError
from s3batch.model.objects import ARCHIVED_CLASSES, S3Object, S3Prefix
from s3batch.plan.findings import Finding
from s3batch.plan.preflight import (
    Ability,
    Tried,
    ability_findings,
    copy_findings,
    pair_findings,
    source_findings,
)
from s3batch.s3.bucket_reading import read_bucket
from s3batch.s3.client import ListPage, S3Reader
from s3batch.s3.errors import S3RefusedError

_ONE_BYTE = (0, 0)


async def check_places(
    reader: S3Reader,
    source: S3Prefix,
    target: S3Prefix,
    *,
    ignore_lifecycle: bool,
    requester_pays: bool,
    writes_are_probed: bool = False,
) -> tuple[Finding, ...]:
    """Return everything that can be known without writing.

    Raises:
        S3RefusedError: ``NoSuchBucket``.
        UnavailableError: the store does not answer.
    """
    source_reading = await read_bucket(reader, source.bucket)
    target_reading = source_reading if source.bucket == target.bucket else await read_bucket(reader, target.bucket)
    return (
        *ability_findings(await _try_abilities(reader, source, target), writes_are_probed=writes_are_probed),
        *pair_findings(source_reading, target_reading),
        *source_findings(source_reading, source.prefix, requester_pays=requester_pays),
        *copy_findings(target_reading, target.prefix, ignore_lifecycle=ignore_lifecycle),
    )


async def _try_abilities(reader: S3Reader, source: S3Prefix, target: S3Prefix) -> list[Tried]:
    page, listed = await _try_listing(reader, source, Ability.LIST_SOURCE)
    _, target_listed = await _try_listing(reader, target, Ability.LIST_TARGET)
    return [listed, *await _try_reading(reader, source.bucket, page), target_listed]


async def _try_listing(reader: S3Reader, place: S3Prefix, ability: Ability) -> tuple[ListPage | None, Tried]:
    try:
        page = await reader.list_objects(place.bucket, place.prefix)
    except S3RefusedError as error:
        return None, Tried(ability=ability, place=str(place), refused=error.code)
    return page, Tried(ability=ability, place=str(place), is_empty=not page.keys)


async def _try_reading(reader: S3Reader, bucket: str, page: ListPage | None) -> list[Tried]:
    """Read one byte and the tags of one object: not an archived one, and the smallest that has a byte.

    A store may ignore the range.
    """
    if page is None or not page.keys:
        return []
    _, _, size, key = min(
        (storage_class in ARCHIVED_CLASSES, size == 0, size, key)
        for storage_class, size, key in zip(page.storage_classes, page.sizes, page.keys, strict=True)
    )
    reading = reader.get_object(bucket, key, byte_range=_ONE_BYTE) if size else reader.get_object(bucket, key)
    place = str(S3Object(bucket=bucket, key=key))
    return [
        Tried(ability=Ability.READ_SOURCE, place=place, refused=await _refusal(reading)),
        Tried(ability=Ability.READ_TAGS, place=place, refused=await _refusal(reader.get_object_tagging(bucket, key))),
    ]


async def _refusal(request: Awaitable[object]) -> str:
    """Return the code with which a request is refused; empty where it is not."""
    try:
        await request
    except RefusedError as error:
        # a store that ignores the range sends the whole object, so it may be read
        return "" if error.code == "ObjectTooLarge" else error.code
    return ""
