"""Sorting entries on disk, in memory that does not grow with their number.

In: batches of entries in any order. Out: the same entries by bucket, key and age, as batches. Rows that are equal in
these stay in the order in which they came. Duplicates stay.

How: as many entries as fit into ``run_bytes`` are sorted and appended to one Arrow file, in small blocks whose first
and last place are remembered. Then the key space is cut into ranges that hold about ``run_bytes`` each; of every sorted
run only the blocks that touch the range are read, and what lies in the range is sorted. A range is never in memory
together with another one. Entries of one key are never cut apart, so a key with millions of versions needs memory for
them.

DuckDB was tried: with a limit of 100 MB it fails on 10 million entries ("failed to pin block"), and with more its
process grows beyond 300 MB. This takes about 2 us an entry and the same memory for any number (measured 2026-11,
pyarrow 26, DuckDB 2.0).
"""

from __future__ import annotations

import tempfile
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc

from s3batch.manifest.columns import plain, rows_where, texts
from s3batch.manifest.entries import BATCH_ENTRIES, ENTRY_SCHEMA
from s3batch.manifest.normalised import NormalisedManifest
from s3batch.manifest.order import Place, first_place, last_place
from s3batch.model.errors import UnavailableError

RUN_BYTES: Final = 16 * 1024**2
"""Entries sorted at a time. The peak is about three times this, while they are put in order."""
BLOCK_ENTRIES: Final = 1_000
"""Entries read at a time from a run: small, because a range reads one partly needed block from each run."""

_PLAIN_SCHEMA: Final = pa.schema(
    [pa.field(each.name, pa.string() if pa.types.is_dictionary(each.type) else each.type) for each in ENTRY_SCHEMA]
)
"""An Arrow file has one dictionary for all its batches, so words are filed as text."""
_NO_AGE: Final = -(2**63)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Block:
    """Some sorted entries on disk."""

    first: Place
    last: Place
    size_bytes: int
    load: Callable[[], pa.RecordBatch]
    taken: int = 0
    """Entries at its beginning that were used already."""


class ExternalSort:
    """Takes entries in any order and gives them back sorted, once. Close it to remove what it filed."""

    def __init__(self, scratch: Path, *, run_bytes: int = RUN_BYTES, block_entries: int = BLOCK_ENTRIES) -> None:
        """Make a nameless folder in ``scratch``."""
        scratch.mkdir(parents=True, exist_ok=True)
        self._folder = tempfile.TemporaryDirectory(prefix=".s3batch-sort-", dir=scratch)
        self._run_bytes = run_bytes
        self._block_entries = block_entries
        self._path = Path(self._folder.name) / "runs.arrow"
        options = pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False)
        self._writer = pa.ipc.new_file(str(self._path), _PLAIN_SCHEMA, options=options)
        self._filed_blocks = 0
        self._reader: pa.ipc.RecordBatchFileReader | None = None
        self._runs: list[deque[_Block]] = []
        self._pending: list[pa.RecordBatch] = []
        self._pending_bytes = 0

    def add_sorted(self, manifest: NormalisedManifest) -> None:
        """Take a manifest that is in order already, as the first run; it stays open and where it is."""
        blocks = (
            _Block(
                first=Place(chunk.bucket, chunk.first_key),
                last=Place(chunk.bucket, chunk.last_key),
                size_bytes=chunk.entries * 128,  # roughly: only the cutting into ranges depends on it
                load=partial(_load_chunk, manifest, number),
            )
            for number, chunk in enumerate(manifest.chunks)
        )
        self._runs.append(deque(blocks))

    def write(self, batch: pa.RecordBatch) -> None:
        """Take entries.

        Raises:
            UnavailableError: code ``SortFailed``: the disk is full.
        """
        if batch.num_rows == 0:
            return
        self._pending.append(batch)
        self._pending_bytes += batch.nbytes
        if self._pending_bytes >= self._run_bytes:
            self._file_run()

    def sorted_batches(self) -> Iterator[pa.RecordBatch]:
        """Yield all entries in order.

        Raises:
            UnavailableError: code ``SortFailed``: the disk is full.
        """
        self._file_run()
        self._writer.close()
        # Not mapped: pages of a mapped file would count as this process's memory.
        self._reader = pa.ipc.open_file(pa.OSFile(str(self._path), "rb"))
        for bound in [*self._bounds(), None]:
            batches = [part for run in self._runs for part in _take_before(run, bound)]
            if batches:
                yield from map(_as_entries, _sorted(batches).to_batches(max_chunksize=BATCH_ENTRIES))

    def close(self) -> None:
        """Remove what was filed."""
        self._writer.close()
        self._reader = None
        self._folder.cleanup()

    def _file_run(self) -> None:
        if not self._pending:
            return
        pending, self._pending, self._pending_bytes = self._pending, [], 0
        run = _sorted(pending)
        blocks: deque[_Block] = deque()
        try:
            for batch in run.to_batches(max_chunksize=self._block_entries):
                self._writer.write_batch(batch)
                load = partial(self._load_block, self._filed_blocks)
                first, last = first_place(batch), last_place(batch)
                blocks.append(_Block(first=first, last=last, size_bytes=batch.nbytes, load=load))
                self._filed_blocks += 1
        except OSError as error:
            raise UnavailableError(
                f"The manifest cannot be sorted in {self._folder.name}: {error}.",
                code="SortFailed",
                way_out="Free disk space there, or set TMPDIR or S3BATCH_HOME to a place that has more.",
            ) from error
        self._runs.append(blocks)

    def _load_block(self, number: int) -> pa.RecordBatch:
        if self._reader is None:
            raise RuntimeError("a block was asked for before all were filed")
        return self._reader.get_batch(number)

    def _bounds(self) -> list[Place]:
        """Return the places where ranges of about ``run_bytes`` begin, but for the first."""
        bounds: list[Place] = []
        size = 0
        for block in sorted((block for run in self._runs for block in run), key=lambda block: block.first):
            if size >= self._run_bytes and (not bounds or block.first > bounds[-1]):
                bounds.append(block.first)
                size = 0
            size += block.size_bytes
        return bounds


def _take_before(run: deque[_Block], bound: Place | None) -> Iterator[pa.RecordBatch]:
    """Take from a run what stands before the bound; the rest of a block that stands on both sides is left there."""
    while run and (bound is None or run[0].first < bound):
        block = run.popleft()
        batch = _as_plain(block.load()).slice(block.taken)
        if bound is None or block.last < bound:
            yield batch
            continue
        length = _count_before(batch, bound)
        run.appendleft(replace(block, first=bound, taken=block.taken + length))
        if length:
            # A copy: a slice would keep the whole block in memory, once for each run.
            yield batch.take(pa.array(range(length), pa.int32()))
        return


def _count_before(batch: pa.RecordBatch, bound: Place) -> int:
    buckets, keys = texts(batch, "bucket"), texts(batch, "key")
    bucket, key = pa.scalar(bound.bucket, pa.string()), pa.scalar(bound.key, pa.string())
    before = pc.or_(pc.less(buckets, bucket), pc.and_(pc.equal(buckets, bucket), pc.less(keys, key)))
    return len(rows_where(before))


def _sorted(batches: list[pa.RecordBatch]) -> pa.Table:
    """Use the batches up and return their entries in order, words as text; equal ones stay as they were."""
    table = pa.Table.from_batches([_as_plain(batch) for batch in batches]).combine_chunks()
    batches.clear()
    ages = pc.fill_null(table.column("last_modified").cast(pa.int64()), pa.scalar(_NO_AGE, pa.int64()))
    places = pa.table({"bucket": table.column("bucket"), "key": table.column("key"), "age": ages})
    order = pc.sort_indices(places, sort_keys=[(name, "ascending") for name in places.column_names])
    return table.take(order).combine_chunks()


def _as_entries(batch: pa.RecordBatch) -> pa.RecordBatch:
    columns: list[pa.Array[Any]] = [
        batch.column(field.name).dictionary_encode() if pa.types.is_dictionary(field.type) else batch.column(field.name)
        for field in ENTRY_SCHEMA
    ]
    return pa.RecordBatch.from_arrays(columns, schema=ENTRY_SCHEMA)


def _as_plain(batch: pa.RecordBatch) -> pa.RecordBatch:
    columns: list[pa.Array[Any]] = [
        plain(batch.column(field.name)) if pa.types.is_string(field.type) else batch.column(field.name)
        for field in _PLAIN_SCHEMA
    ]
    return pa.RecordBatch.from_arrays(columns, schema=_PLAIN_SCHEMA)


def _load_chunk(manifest: NormalisedManifest, number: int) -> pa.RecordBatch:
    table = manifest.read_chunk(number).unify_dictionaries().combine_chunks()
    return table.to_batches()[0]
