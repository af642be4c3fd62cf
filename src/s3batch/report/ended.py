"""The ended tasks of a job: entries of its manifest beside their outcomes, chunk by chunk.

In: a normalised manifest and, for each chunk, the segments that the ledger accepted. Out: for each chunk the entries
that have an outcome and, row for row beside them, the outcomes. Entries without an outcome (a cancelled job has such)
are left out. One chunk is in memory at a time. Which segments count is the ledger's knowledge, not this module's.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import pyarrow as pa

from s3batch.ledger.segments import AcceptedSegment, read_outcomes
from s3batch.manifest.normalised import ChunkInfo, NormalisedManifest

SegmentsOfChunk: TypeAlias = Callable[[int], Sequence[AcceptedSegment]]
"""Gives the accepted segments of a chunk by its number, in their order."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EndedChunk:
    """The ended tasks of one chunk; both tables have the same number of rows, in the manifest's order."""

    number: int
    info: ChunkInfo
    entries: pa.Table
    outcomes: pa.Table


def ended_chunks(
    manifest: NormalisedManifest,
    segments_of_chunk: SegmentsOfChunk,
    *,
    entry_columns: Sequence[str],
    outcome_columns: Sequence[str],
) -> Iterator[EndedChunk]:
    """Yield the ended tasks of each chunk that has any, with the named columns.

    Raises:
        InconsistentError: a damaged manifest or segment, or an entry with two outcomes.
    """
    for number, info in enumerate(manifest.chunks):
        segments = segments_of_chunk(number)
        if not segments:
            continue
        outcomes = read_outcomes(segments, info.entries, columns=outcome_columns)
        if outcomes.num_rows == 0:
            continue
        entries = manifest.read_chunk(number, entry_columns)
        if outcomes.num_rows < info.entries:
            entries = entries.take(outcomes.column("row"))
        yield EndedChunk(number=number, info=info, entries=entries, outcomes=outcomes)
