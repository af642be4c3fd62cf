"""From entries in any order to the normalised manifest: sorted, without duplicates, cut into chunks.

In: batches of entries, as a reader or a listing gives them. Out: the file, and what was decided on the way. Entries
that come in order (as those of a listing do) are written as they come. At the first entry that is out of order, what
was written becomes a sorted run, and all the rest goes through ``external_sort``.

Versions of one key are put in order of age: by last-modified time, and where that is equal or unknown, as they came
(safety.md rule 10).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

import pyarrow as pa

from s3batch.manifest.external_sort import RUN_BYTES, ExternalSort
from s3batch.manifest.normalised import NormalisedManifest, NormalisedWriter
from s3batch.manifest.order import DuplicateFilter, Place, goes_on_in_order, last_place
from s3batch.model.job import DEFAULT_CHUNK_BYTES, DEFAULT_CHUNK_ENTRIES
from s3batch.model.objects import S3Object


@dataclass(frozen=True, kw_only=True, slots=True)
class Normalised:
    """What normalising found and did. ``entries`` and ``bytes`` are without the duplicates."""

    entries: int
    bytes: int
    duplicates: int
    duplicate_samples: tuple[S3Object, ...]
    was_in_order: bool


class Normaliser:
    """Takes entries in any order, and writes the normalised manifest at the end. Memory does not grow with them.

    Use it as a context manager: an error leaves nothing behind.
    """

    def __init__(
        self,
        path: Path,
        *,
        chunk_entries: int = DEFAULT_CHUNK_ENTRIES,
        chunk_bytes: int = DEFAULT_CHUNK_BYTES,
        scratch: Path | None = None,
        sort_run_bytes: int = RUN_BYTES,
    ) -> None:
        """Open the output. ``scratch`` is the folder for spooling and sorting; by default that of ``path``."""
        self._path = path
        self._chunk_entries = chunk_entries
        self._chunk_bytes = chunk_bytes
        self._scratch = scratch or path.parent
        self._sort_run_bytes = sort_run_bytes
        self._writer = self._open_writer()
        self._duplicates = DuplicateFilter()
        self._last: Place | None = None
        self._sort: ExternalSort | None = None
        self._run: NormalisedManifest | None = None
        self._spooled = 0

    @property
    def entries(self) -> int:
        """Entries taken so far, without the duplicates found so far."""
        return self._writer.entries + self._spooled

    def write(self, batch: pa.RecordBatch) -> None:
        """Take entries.

        Raises:
            RefusedError: code ``ConflictingDuplicates``.
        """
        if batch.num_rows == 0:
            return
        if self._sort is None and not self._is_next(batch):
            self._sort = self._begin_sort()
        if self._sort is not None:
            self._sort.write(batch)
            self._spooled += batch.num_rows
            return
        self._writer.write(self._duplicates.keep_first(batch))
        self._last = last_place(batch)

    def finish(self) -> Normalised:
        """Sort if need be, put the manifest in place and say what was done.

        Raises:
            RefusedError: code ``ConflictingDuplicates``.
            UnavailableError: code ``SortFailed``: the scratch folder is full.
        """
        if self._sort is not None:
            self._duplicates = DuplicateFilter(dropped=self._duplicates.dropped, samples=self._duplicates.samples)
            for batch in self._sort.sorted_batches():
                self._writer.write(self._duplicates.keep_first(batch))
        self._writer.close()
        return Normalised(
            entries=self._writer.entries,
            bytes=self._writer.bytes,
            duplicates=self._duplicates.dropped,
            duplicate_samples=tuple(self._duplicates.samples),
            was_in_order=self._sort is None,
        )

    def abort(self) -> None:
        """Leave nothing behind."""
        self._writer.abort()
        if self._sort is not None:
            self._sort.close()
        if self._run is not None:
            self._run.close()
            self._run.path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.abort()

    def _is_next(self, batch: pa.RecordBatch) -> bool:
        """Return whether the batch can be written as it comes.

        Versions need the sort even when their keys are in order, because their age decides within a key.
        """
        has_versions = batch.column("version_id").null_count < batch.num_rows
        return not has_versions and goes_on_in_order(batch, self._last)

    def _begin_sort(self) -> ExternalSort:
        """Turn what was written so far into the first run of a sort, and begin the output anew."""
        sort = ExternalSort(self._scratch, run_bytes=self._sort_run_bytes)
        self._run = NormalisedManifest.open(self._writer.release())
        sort.add_sorted(self._run)
        self._spooled = self._writer.entries
        self._writer = self._open_writer()
        return sort

    def _open_writer(self) -> NormalisedWriter:
        return NormalisedWriter(self._path, chunk_entries=self._chunk_entries, chunk_bytes=self._chunk_bytes)


def normalise(
    batches: Iterable[pa.RecordBatch],
    path: Path,
    *,
    chunk_entries: int = DEFAULT_CHUNK_ENTRIES,
    chunk_bytes: int = DEFAULT_CHUNK_BYTES,
    scratch: Path | None = None,
) -> Normalised:
    """Write the normalised manifest of all the batches' entries to ``path``."""
    with Normaliser(path, chunk_entries=chunk_entries, chunk_bytes=chunk_bytes, scratch=scratch) as normaliser:
        for batch in batches:
            normaliser.write(batch)
        return normaliser.finish()
