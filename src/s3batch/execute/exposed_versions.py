"""Looking for the older versions that a permanent delete would make current: the versions of a manifest's key ranges.

In: a reader, a normalised manifest that names versions. Out: what was found, for the plan. Only ListObjectVersions is
sent, about one request for 1,000 versions that lie between the first and the last key of each chunk.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Iterator, Sequence
from itertools import groupby
from operator import attrgetter
from os.path import commonprefix

from s3batch.manifest.normalised import NormalisedManifest
from s3batch.plan.versions import ExposedVersions
from s3batch.s3.answers import ObjectVersion
from s3batch.s3.client import S3Reader
from s3batch.s3.lookup import text_before

_CHUNKS_AT_ONCE = 8
"""Chunks whose ranges are listed at the same time (ours, 2026-11): each is a chain of pages."""


async def find_exposed(reader: S3Reader, manifest: NormalisedManifest) -> ExposedVersions:
    """Return which keys of the manifest keep an older version that becomes current.

    Raises:
        S3RefusedError: versions may not be listed.
        UnavailableError: the store does not answer.
    """
    found = ExposedVersions()
    numbers = iter(range(len(manifest.chunks)))

    async def work() -> None:
        for number in numbers:  # shared by all: each takes the next chunk
            await _look_at_chunk(reader, manifest, number, found)

    await asyncio.gather(*(work() for _ in range(min(_CHUNKS_AT_ONCE, len(manifest.chunks)))))
    return found


async def _look_at_chunk(reader: S3Reader, manifest: NormalisedManifest, number: int, found: ExposedVersions) -> None:
    chunk = manifest.chunks[number]
    table = await asyncio.to_thread(manifest.read_chunk, number, ("key", "version_id"))
    named: defaultdict[str, set[str]] = defaultdict(set)
    for key, version_id in zip(table.column("key").to_pylist(), table.column("version_id").to_pylist(), strict=True):
        named[str(key)].add(str(version_id))
    async for versions in _versions_by_key(reader, chunk.bucket, chunk.first_key, chunk.last_key):
        key = versions[0].key
        if key in named:
            found.add(versions, named[key])


async def _versions_by_key(
    reader: S3Reader, bucket: str, first_key: str, last_key: str
) -> AsyncIterator[Sequence[ObjectVersion]]:
    """Yield for each key of a range its versions and markers, the newest first."""
    prefix = commonprefix([first_key, last_key])  # noqa: RUF071 - keys are text, no paths
    start = text_before(first_key)
    key_marker: str | None = start if start > prefix else None
    version_id_marker = None
    carried: list[ObjectVersion] = []
    while True:
        page = await reader.list_object_versions(
            bucket, prefix, key_marker=key_marker, version_id_marker=version_id_marker
        )
        keys = list(_grouped([*carried, *page.versions]))
        # the last key of a page may have more versions on the next one
        carried = list(keys.pop()) if page.is_truncated and keys else []
        for versions in keys:
            if versions[0].key > last_key:
                return
            yield versions
        if not page.is_truncated:
            return
        key_marker, version_id_marker = page.next_key_marker, page.next_version_id_marker


def _grouped(versions: Sequence[ObjectVersion]) -> Iterator[Sequence[ObjectVersion]]:
    """Yield the versions of each key; a store may tell markers apart from versions, so the latest is put first."""
    by_key = sorted(versions, key=lambda each: (each.key, not each.is_latest))
    for _, same in groupby(by_key, key=attrgetter("key")):
        yield list(same)
