"""Entries that name versions: from ListObjectVersions of a prefix, filtered.

In: a reader of a store, a prefix, which versions are wanted, a filter. Out: batches of entries with version ids, in the
store's order, and afterwards what was seen. Delete markers hold nothing: they are counted and never become entries.
Pages are asked for one after another, because each begins where the one before ended; a page that does not go on is an
error. Several versions of one key are put in order of age by ``normalise`` (safety.md rule 10).
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from enum import StrEnum
from typing import Protocol

import pyarrow as pa

from s3batch.manifest.chosen_entries import ChosenEntries
from s3batch.manifest.columns import TEXT, WORD, constant_words
from s3batch.manifest.entries import ENTRY_SCHEMA
from s3batch.manifest.filters import Filter
from s3batch.model.errors import UnavailableError
from s3batch.s3.answers import ObjectVersion, VersionsPage
from s3batch.s3.listing import Proof


class VersionScope(StrEnum):
    """Which versions of a key are wanted."""

    CURRENT = "current"
    """What a read without version id answers; keys under a delete marker have none."""
    NONCURRENT = "noncurrent"
    """All others."""
    ALL = "all"


class VersionLister(Protocol):
    """What is needed of a store."""

    async def list_object_versions(
        self, bucket: str, prefix: str, *, key_marker: str | None = None, version_id_marker: str | None = None
    ) -> VersionsPage:
        """Return one page; both markers are exclusive."""
        ...


class VersionGenerator(ChosenEntries):
    """One listing of versions turned into entries. Iterate over it once.

    ``proof`` is None where a limit ended the listing early.
    """

    def __init__(self, reader: VersionLister, bucket: str, prefix: str, scope: VersionScope, kept: Filter) -> None:
        """Nothing is asked before the iteration begins."""
        super().__init__(prefix, kept)
        self._reader = reader
        self._bucket = bucket
        self._prefix = prefix
        self._scope = scope
        self._requests = 0
        self.listed = 0
        """Versions and markers seen so far in the store."""
        self.markers = 0
        """Delete markers among them."""
        self.proof: Proof | None = None

    async def _listed_entries(self) -> AsyncGenerator[pa.RecordBatch]:
        async with aclosing(self._pages()) as pages:
            async for versions in pages:
                yield _entries(self._bucket, versions)
        self.proof = Proof(
            keys=self.listed,
            requests=self._requests,
            ranges=1,
            empty_pages=0,
            seams_renewed=0,
            single_lane_reason="each page of versions begins where the one before ended",
            is_sorted=True,
        )

    async def _pages(self) -> AsyncGenerator[Sequence[ObjectVersion]]:
        """Yield the wanted versions of each page."""
        marker: tuple[str | None, str | None] = (None, None)
        while True:
            page = await self._reader.list_object_versions(
                self._bucket, self._prefix, key_marker=marker[0], version_id_marker=marker[1]
            )
            self._requests += 1
            self.listed += len(page.versions)
            self.markers += sum(version.is_delete_marker for version in page.versions)
            yield [version for version in page.versions if self._is_wanted(version)]
            if not page.is_truncated:
                return
            following = (page.next_key_marker, page.next_version_id_marker)
            if following == marker or not page.next_key_marker:
                raise UnavailableError(
                    f"The listing of the versions of s3://{self._bucket}/{self._prefix} does not go on after {marker}.",
                    code="ListingStuck",
                    way_out="Nothing was written. Make the manifest of versions by other means for this store.",
                )
            marker = following

    def _is_wanted(self, version: ObjectVersion) -> bool:
        if version.is_delete_marker:
            return False
        return self._scope is VersionScope.ALL or version.is_latest == (self._scope is VersionScope.CURRENT)


def _entries(bucket: str, versions: Sequence[ObjectVersion]) -> pa.RecordBatch:
    """Return versions as entries; a store without versions calls each of its objects ``null``."""
    length = len(versions)
    times = pa.array([version.last_modified for version in versions], TEXT)
    return pa.RecordBatch.from_arrays(
        [
            constant_words(bucket, length),
            pa.array([version.key for version in versions], TEXT),
            pa.array([version.version_id for version in versions], TEXT),
            pa.array([version.size for version in versions], pa.int64()),
            pa.array([version.etag for version in versions], TEXT),
            times.cast(ENTRY_SCHEMA.field("last_modified").type),
            pa.array([version.storage_class or None for version in versions], TEXT).dictionary_encode(),
            pa.nulls(length, WORD),
        ],
        schema=ENTRY_SCHEMA,
    )
