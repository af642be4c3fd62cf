"""Orders: what the attempts at the chunks of one running job are told.

Input: what a driver found out when the job became active. Output: an :class:`AttemptOrder` for each claimed chunk.
Secrets never travel; the rate is shared by the workers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from s3batch.execute.attempt import AttemptOrder, SegmentRef
from s3batch.execute.services import RunnerServices
from s3batch.ledger.records import ClaimedChunk, Segment
from s3batch.ledger.segments import segment_name
from s3batch.model.job import JobSpec


@dataclass(frozen=True, kw_only=True, slots=True)
class OrderMaker:
    """Makes the orders of one job."""

    services: RunnerServices
    job_id: str
    spec: JobSpec
    evidence_job_id: str | None
    """The job whose outcomes this one builds on."""
    manifest: str
    manifest_sha256: str
    buckets: Sequence[str]
    """The source bucket of each chunk."""
    versioning_by_bucket: Mapping[str, str]
    """By source bucket: the versioning of the bucket that is written."""
    started_at_ms: int

    def order(self, chunk: ClaimedChunk) -> AttemptOrder:
        """Return what an attempt at ``chunk`` is to do."""
        store, number = self.services.store, chunk.chunk_no
        folder = self.services.home.job(self.job_id)
        recorded = store.segments(self.job_id, number) if chunk.recorded else []
        evidence = store.segments(self.evidence_job_id, number) if self.evidence_job_id is not None else []
        backup_job_id = self.spec.delete.backup_job_id
        backup = store.segments(backup_job_id, number) if backup_job_id is not None else []
        return AttemptOrder(
            job_id=self.job_id,
            spec=_per_worker(self.spec, self.services.workers),
            chunk_no=number,
            epoch=chunk.epoch,
            is_first=chunk.epoch == 1,
            manifest=self.manifest,
            manifest_sha256=self.manifest_sha256,
            segment=str(folder.segments / segment_name(number, chunk.epoch)),
            journal=str(folder.journal),
            lock=str(folder.workers_lock),
            job_started_at_ms=self.started_at_ms,
            versioning=self.versioning_by_bucket.get(self.buckets[number], ""),
            recorded=_references(recorded),
            evidence=_references(evidence),
            backup=_references(backup),
            evidence_at_ms=min((each.created_at_ms for each in evidence), default=None),
        )


def _references(segments: Sequence[Segment]) -> tuple[SegmentRef, ...]:
    return tuple(SegmentRef(path=each.path, sha256=each.sha256) for each in segments)


def _per_worker(spec: JobSpec, workers: int) -> JobSpec:
    """Return the specification for one of so many workers: they share the job's rate."""
    rate = spec.connection.max_rate
    if rate is None or workers == 1:
        return spec
    return replace(spec, connection=replace(spec.connection, max_rate=rate / workers))
