"""The manifest of a job that tries failed tasks again.

In: a job's manifest and segments, and which outcomes are wanted. Out: a normalised manifest of those entries with the
identities (size, ETag, version id) that the first job had pinned: an object that has changed since is refused again,
not silently taken. What the plan found wrong with an entry (NoSuchKey) is taken off, so the new job looks again; such
an entry carries no identity, and preparing must complete it.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from s3batch.ledger.segments import read_outcomes
from s3batch.manifest.entries import ENTRY_SCHEMA
from s3batch.manifest.normalised import NormalisedManifest, NormalisedWriter
from s3batch.model.errors import RefusedError
from s3batch.model.job import DEFAULT_CHUNK_BYTES, DEFAULT_CHUNK_ENTRIES
from s3batch.model.outcome import TaskStatus
from s3batch.report.ended import SegmentsOfChunk

FAILED_OR_KEPT = (TaskStatus.FAILED, TaskStatus.KEPT)


@dataclass(frozen=True, kw_only=True, slots=True)
class RetryManifest:
    """A retry manifest that is complete on disk."""

    path: Path
    entries: int
    bytes: int


def write_retry_manifest(
    path: Path,
    manifest: NormalisedManifest,
    segments_of_chunk: SegmentsOfChunk,
    *,
    codes: Collection[str] = (),
    statuses: Collection[TaskStatus] = FAILED_OR_KEPT,
    chunk_entries: int = DEFAULT_CHUNK_ENTRIES,
    chunk_bytes: int = DEFAULT_CHUNK_BYTES,
    with_unended: bool = False,
) -> RetryManifest:
    """Write the entries whose tasks ended with one of ``statuses`` and, unless empty, one of ``codes``.

    ``with_unended``: also those whose tasks have no outcome, because the job was cancelled or failed before.

    Raises:
        RefusedError: code ``NothingToRetry``: no task ended so; no file is written.
        InconsistentError: a damaged manifest or segment, or an entry with two outcomes.
    """
    with NormalisedWriter(path, chunk_entries=chunk_entries, chunk_bytes=chunk_bytes) as writer:
        for number, info in enumerate(manifest.chunks):
            outcomes = read_outcomes(segments_of_chunk(number), info.entries, columns=("row", "status", "code"))
            entries = _wanted(manifest.read_chunk(number), outcomes, codes, statuses, with_unended=with_unended)
            for batch in entries.to_batches():
                writer.write(batch)
        if writer.entries == 0:
            wanted = f" with the code {' or '.join(codes)}" if codes else ""
            raise RefusedError(
                f"No task of this job ended as {' or '.join(statuses)}{wanted}.",
                code="NothingToRetry",
                way_out="The job's summary lists the codes of its failures.",
            )
    return RetryManifest(path=path, entries=writer.entries, bytes=writer.bytes)


def _wanted(
    entries: pa.Table,
    outcomes: pa.Table,
    codes: Collection[str],
    statuses: Collection[TaskStatus],
    *,
    with_unended: bool,
) -> pa.Table:
    """Return the entries of one chunk that are to be tried again, in their order."""
    status: Any = outcomes.column("status").cast(pa.string())
    is_wanted = pc.is_in(status, value_set=pa.array([str(each) for each in statuses], pa.string()))
    if codes:
        code: Any = outcomes.column("code").cast(pa.string())
        is_wanted = pc.and_(is_wanted, pc.is_in(code, value_set=pa.array([str(each) for each in codes], pa.string())))
    rows: Any = outcomes.column("row")
    chosen = rows.filter(is_wanted)
    if with_unended:
        numbers: Any = pa.array(range(entries.num_rows), pa.int32())
        is_left = pc.or_(pc.invert(pc.is_in(numbers, value_set=rows)), pc.is_in(numbers, value_set=chosen))
        chosen = numbers.filter(is_left)
    taken = entries.take(chosen)
    position = taken.schema.get_field_index("problem")
    no_problem: Any = pa.nulls(taken.num_rows, ENTRY_SCHEMA.field("problem").type)
    return taken.set_column(position, ENTRY_SCHEMA.field("problem"), no_problem).cast(ENTRY_SCHEMA)
