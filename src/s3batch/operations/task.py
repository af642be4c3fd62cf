"""The one shape of every operation: what it is handed, where it records, when it must stop.

An operation is an object with ``async def run(work, context)``. It is handed one chunk's entries as columns, sends
requests through the context's clients, records an outcome for each row that it finishes, and returns early, leaving
rows without an outcome, when ``context.stop`` says so. It never writes to the ledger or to disk by itself.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from s3batch.ledger.segments import OutcomeColumns
from s3batch.operations.stop import StopSignal
from s3batch.s3.client import S3Client
from s3batch.verify.evidence import Evidence


@dataclass(frozen=True, kw_only=True, slots=True)
class ChunkWork:
    """One chunk's entries as columns of equal length, and which of them are still to be done.

    Rows are positions in the chunk. All entries are of one bucket and sorted by key.
    """

    bucket: str
    keys: Sequence[str]
    sizes: Sequence[int]
    etags: Sequence[str]
    storage_classes: Sequence[str | None]
    version_ids: Sequence[str | None] | None
    """``None`` where the manifest names no versions."""
    rows: Sequence[int]
    """Rows that have no outcome yet and no problem found by the plan, ascending."""
    after: str | None
    """The last key of the previous chunk in this bucket: the chunk's range begins right after it."""
    is_first_attempt: bool
    """False where an earlier attempt may have done part of the work without recording it."""
    backed_up: Sequence[bool] | None = None
    """Where a delete was told to back up first: whether a copy at the backup was proven, by row."""
    evidence: Evidence | None = None
    """What the job before found about each row: the copy's answers for verify, the proof for delete."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PinnedSource:
    """One object as the manifest pinned it."""

    bucket: str
    key: str
    size: int
    etag: str
    version_id: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class StartedUpload:
    """A multipart upload that some attempt began, and what it wrote down about it later."""

    bucket: str
    key: str
    upload_id: str
    etag: str | None = None
    """What the object was to have as its ETag; ``None``: its completion was never sent."""
    tags_due: bool = False
    """The object's tags were to be put after the completion."""
    is_given_up: bool = False
    """It was to be aborted: what is at the key is not its work, unless by its ETag."""


class UploadJournal(Protocol):
    """Remembers multipart uploads durably, so that a later attempt can abort them and knows its job's own work.

    Each method but ``end`` returns when its line survives a crash.
    """

    def begin(self, bucket: str, key: str, upload_id: str) -> None:
        """Write the upload down, before its first part is sent."""

    def complete(self, upload_id: str, *, etag: str, tags_due: bool) -> None:
        """Write down that the completion is sent next, and what ETag it shall give."""

    def give_up(self, upload_id: str) -> None:
        """Write down that the upload is aborted next."""

    def end(self, upload_id: str) -> None:
        """Write down that nothing is left to be done about the upload."""


@dataclass(kw_only=True, slots=True)
class TaskContext:
    """What an operation works with. One per chunk attempt; the clients are shared by all chunks of a process."""

    source: S3Client
    target: S3Client
    outcomes: OutcomeColumns
    stop: StopSignal
    journal: UploadJournal
    earlier_uploads: Sequence[StartedUpload] = ()
    """Uploads that older attempts at this chunk began: to be aborted before anything else."""
    job_started_at_ms: int = 0
    """When the job became active, by the store's clock: what was written to a target before is not this job's."""
    now_ms: Callable[[], int] = field(default=lambda: time.time_ns() // 1_000_000)


class ChunkOperation(Protocol):
    """What every operation offers."""

    async def run(self, work: ChunkWork, context: TaskContext) -> None:
        """Do the rows of ``work`` and record their outcomes in ``context.outcomes``."""
