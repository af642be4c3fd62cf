"""The order of a normalised manifest: by bucket, then by key, both as UTF-8 bytes (which is S3's own order).

In: batches of entries. Out: whether they go on in order, and the same batches without duplicates. Nothing is sorted
here. Versions of one key stand together; version ids are opaque and never compared for order (safety.md rule 10).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from s3batch.manifest.columns import few_words, plain, rows_where, texts
from s3batch.manifest.entries import shown
from s3batch.model.errors import RefusedError
from s3batch.model.objects import S3Object

MAX_SAMPLES: Final = 20
"""Duplicates that are kept as examples."""


class Place(NamedTuple):
    """Where an entry stands in the order."""

    bucket: str
    key: str


def first_place(batch: pa.RecordBatch) -> Place:
    """Return the place of the first entry of a batch that is not empty."""
    return Place(batch.column("bucket")[0].as_py(), batch.column("key")[0].as_py())


def last_place(batch: pa.RecordBatch) -> Place:
    """Return the place of the last entry of a batch that is not empty."""
    row = batch.num_rows - 1
    return Place(batch.column("bucket")[row].as_py(), batch.column("key")[row].as_py())


def goes_on_in_order(batch: pa.RecordBatch, after: Place | None) -> bool:
    """Return whether no entry of the batch stands before its predecessor; equal places are in order."""
    if batch.num_rows == 0:
        return True
    if after is not None and first_place(batch) < after:
        return False
    keys = texts(batch, "key")
    ordered = pc.less_equal(keys[:-1], keys[1:])
    if _has_several_buckets(batch):
        buckets = plain(batch.column("bucket"))
        before, behind = buckets[:-1], buckets[1:]
        ordered = pc.or_(pc.less(before, behind), pc.and_(pc.equal(before, behind), ordered))
    return bool(pc.all(ordered, min_count=0).as_py())


def repeats_place(batch: pa.RecordBatch, after: Place | None) -> pa.BooleanArray:
    """Return for each entry whether it stands at the same place as the one before it."""
    keys = texts(batch, "key")
    same = pc.equal(keys[:-1], keys[1:])
    if _has_several_buckets(batch):
        buckets = plain(batch.column("bucket"))
        same = pc.and_(same, pc.equal(buckets[:-1], buckets[1:]))
    first = pa.array([after is not None and first_place(batch) == after])
    return pa.concat_arrays([first, same])


def _has_several_buckets(batch: pa.RecordBatch) -> bool:
    return len(few_words(batch, "bucket").dictionary) > 1


@dataclass(kw_only=True)
class DuplicateFilter:
    """Drops entries that name an object named before: same bucket, key and version id. Input must be in order.

    Two rows for one object with different ETags or sizes are refused: they would pin it to two identities.
    """

    dropped: int = 0
    samples: list[S3Object] = field(default_factory=list)
    _place: Place | None = None
    _identity_by_version: dict[str | None, tuple[str | None, int | None]] = field(default_factory=dict)

    def keep_first(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """Return the batch without duplicates of its own or of earlier batches' entries.

        Raises:
            RefusedError: code ``ConflictingDuplicates``.
        """
        if batch.num_rows == 0:
            return batch
        repeats = repeats_place(batch, self._place)
        if not pc.any(repeats).as_py():
            self._start_group(batch.slice(batch.num_rows - 1))
            self._place = last_place(batch)
            return batch
        kept = self._walk(batch, rows_where(repeats))
        self._place = last_place(batch)
        return batch if len(kept) == batch.num_rows else batch.take(pa.array(kept, pa.int32()))

    def _walk(self, batch: pa.RecordBatch, repeated_rows: Sequence[int]) -> list[int]:
        dropped: set[int] = set()
        previous_repeated = -1
        for row in repeated_rows:
            if row > 0 and row - 1 != previous_repeated:
                self._start_group(batch.slice(row - 1, 1))
            previous_repeated = row
            if not self._is_new(batch.slice(row, 1)):
                dropped.add(row)
        if previous_repeated != batch.num_rows - 1:
            self._start_group(batch.slice(batch.num_rows - 1))
        return [row for row in range(batch.num_rows) if row not in dropped]

    def _start_group(self, row: pa.RecordBatch) -> None:
        version_id, etag, size = _identity(row)
        self._identity_by_version = {version_id: (etag, size)}

    def _is_new(self, row: pa.RecordBatch) -> bool:
        version_id, etag, size = _identity(row)
        if version_id not in self._identity_by_version:
            self._identity_by_version[version_id] = (etag, size)
            return True
        seen_etag, seen_size = self._identity_by_version[version_id]
        named = S3Object(bucket=first_place(row).bucket, key=first_place(row).key)
        if _differ(seen_etag, etag) or _differ(seen_size, size):
            raise RefusedError(
                f"The manifest names {shown(str(named))} twice, with different contents: "
                f"ETag {seen_etag}, {seen_size} bytes and ETag {etag}, {size} bytes.",
                code="ConflictingDuplicates",
                way_out="Keep the row that is right, or make the manifest again from one listing.",
            )
        self.dropped += 1
        if len(self.samples) < MAX_SAMPLES:
            self.samples.append(named)
        return False


def _identity(row: pa.RecordBatch) -> tuple[str | None, str | None, int | None]:
    return row.column("version_id")[0].as_py(), row.column("etag")[0].as_py(), row.column("size")[0].as_py()


def _differ(one: str | int | None, other: str | int | None) -> bool:
    return one is not None and other is not None and one != other
