"""What a manifest holds, in figures: counts, bytes, the largest, oldest and newest, by storage class and by folder.

In: batches of entries in any order. Out: one value. One pass, in memory bounded by a batch and ``MAX_GROUPS`` folders.

Folders are counted below the deepest folder that all entries share: of ``cdaweb/x/...`` and ``cdaweb/y/...`` these are
``x/`` and ``y/``. The shared folder is learned while reading; when it turns out to be less deep, what was counted
before lies in one folder of the new level, so nothing has to be read again.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final, cast

import pyarrow as pa
import pyarrow.compute as pc

from s3batch.manifest.columns import plain, texts, values_or_zero
from s3batch.model.objects import S3Object

LARGEST: Final = 5
MAX_GROUPS: Final = 1_000
DIRECTLY: Final = "(no further folder)"
OTHER: Final = "(other folders)"
UNKNOWN_CLASS: Final = "(unknown)"


@dataclass(kw_only=True, slots=True)
class Tally:
    """Objects and their bytes."""

    entries: int = 0
    bytes: int = 0

    def add(self, other: Tally) -> None:
        """Count another tally's objects too."""
        self.entries += other.entries
        self.bytes += other.bytes


@dataclass(frozen=True, kw_only=True, slots=True, order=True)
class Ranked:
    """An entry and the figure for which it is named: a size in bytes, or a time in milliseconds."""

    figure: int
    bucket: str
    key: str

    @property
    def uri(self) -> str:
        """Return the ``s3://`` form."""
        return str(S3Object(bucket=self.bucket, key=self.key))


@dataclass(kw_only=True, slots=True)
class ManifestStatistics:
    """The figures of a manifest. Bytes are of the entries whose size is known."""

    total: Tally = field(default_factory=Tally)
    entries_without_size: int = 0
    entries_without_etag: int = 0
    largest: list[Ranked] = field(default_factory=list)
    oldest: Ranked | None = None
    newest: Ranked | None = None
    by_storage_class: dict[str, Tally] = field(default_factory=dict)
    shared_folder: str | None = None
    """``bucket/folder/`` of all entries; empty when they are of several buckets."""
    by_folder: dict[str, Tally] = field(default_factory=dict)

    def add(self, batch: pa.RecordBatch) -> None:
        """Count the entries of a batch."""
        if batch.num_rows == 0:
            return
        sizes = batch.column("size")
        self.total.add(Tally(entries=batch.num_rows, bytes=pc.sum(values_or_zero(sizes)).as_py()))
        self.entries_without_size += sizes.null_count
        self.entries_without_etag += batch.column("etag").null_count
        self._rank_sizes(batch)
        self._rank_times(batch)
        classes = pc.fill_null(plain(batch.column("storage_class")), pa.scalar(UNKNOWN_CLASS))
        _merge(self.by_storage_class, _tally(cast("pa.StringArray", classes), sizes))
        self._count_folders(batch)

    def _rank_sizes(self, batch: pa.RecordBatch) -> None:
        if batch.column("size").null_count == batch.num_rows:
            return
        rows = pc.top_k_unstable(batch.column("size"), LARGEST)  # nulls come last
        top = batch.take(rows)
        named = _ranked(top, top.column("size").to_pylist())
        self.largest = heapq.nlargest(LARGEST, [*self.largest, *named])

    def _rank_times(self, batch: pa.RecordBatch) -> None:
        times = batch.column("last_modified").cast(pa.int64())
        if times.null_count == batch.num_rows:
            return
        bounds = cast("dict[str, int]", pc.min_max(times).as_py())
        for bound, choose, name in ((bounds["min"], min, "oldest"), (bounds["max"], max, "newest")):
            row = pc.index(times, pa.scalar(bound, pa.int64())).as_py()
            (found,) = _ranked(batch.slice(row, 1), [bound])
            before: Ranked | None = getattr(self, name)
            setattr(self, name, found if before is None else choose(before, found))

    def _count_folders(self, batch: pa.RecordBatch) -> None:
        buckets, keys = plain(batch.column("bucket")), texts(batch, "key")
        separators = pa.repeat(pa.scalar("/"), batch.num_rows)  # the last argument separates
        paths = pc.binary_join_element_wise(buckets, keys, separators)
        bounds = cast("dict[str, str]", pc.min_max(paths).as_py())
        shared = _shared_folder(bounds["min"], bounds["max"])
        if self.shared_folder is not None:
            shared = _shared_folder(shared, self.shared_folder)
            self._rise_to(shared)
        self.shared_folder = shared
        rests = pc.utf8_slice_codeunits(paths, start=len(shared))
        folders = pc.replace_substring_regex(rests, pattern="(?s)/.*", replacement="/")
        named = pc.if_else(pc.ends_with(folders, pattern="/"), folders, pa.scalar(DIRECTLY))
        _merge(self.by_folder, _tally(cast("pa.StringArray", named), batch.column("size")))

    def _rise_to(self, shared: str) -> None:
        """Put what was counted below the old shared folder into its place below the new one."""
        below = (self.shared_folder or "")[len(shared) :]
        if below:
            total = Tally()
            for tally in self.by_folder.values():
                total.add(tally)
            self.by_folder = {below[: below.index("/") + 1]: total}


def manifest_statistics(batches: Iterable[pa.RecordBatch]) -> ManifestStatistics:
    """Return the figures of all the batches' entries."""
    statistics = ManifestStatistics()
    for batch in batches:
        statistics.add(batch)
    return statistics


def _ranked(batch: pa.RecordBatch, figures: list[int | None]) -> list[Ranked]:
    buckets, keys = plain(batch.column("bucket")).to_pylist(), texts(batch, "key").to_pylist()
    return [
        Ranked(figure=figure, bucket=bucket or "", key=key or "")
        for figure, bucket, key in zip(figures, buckets, keys, strict=True)
        if figure is not None
    ]


def _tally(names: pa.Array[Any], sizes: pa.Array[Any]) -> dict[str, Tally]:
    table = pa.table({"name": names, "size": values_or_zero(sizes)})
    grouped = table.group_by("name", use_threads=False).aggregate([("size", "sum"), ("size", "count")])
    columns = (grouped.column(name).to_pylist() for name in ("name", "size_count", "size_sum"))
    return {name: Tally(entries=entries, bytes=total) for name, entries, total in zip(*columns, strict=True)}


def _merge(into: dict[str, Tally], counted: dict[str, Tally]) -> None:
    for name, tally in counted.items():
        is_known = name in into or len(into) < MAX_GROUPS
        into.setdefault(name if is_known else OTHER, Tally()).add(tally)


def _shared_folder(one: str, other: str) -> str:
    """Return the beginning that two paths share, up to its last slash."""
    length = next((at for at, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other)))
    return one[: one.rfind("/", 0, length) + 1]
