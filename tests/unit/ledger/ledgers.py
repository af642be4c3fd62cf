"""Values and ledgers that the ledger's tests share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path

from s3batch.ledger.records import Job, NewJob, Wanted
from s3batch.ledger.store import LedgerStore
from s3batch.model.job import JobSpec, KeyMapping, ManifestSource, Operation, Plan
from s3batch.model.status import JobStatus

LEASE_MS = 30_000


@dataclass(frozen=True, kw_only=True)
class PlannedChunk:
    """What the manifest knows of a chunk."""

    entries: int = 10
    bytes: int = 1000
    bucket: str = "archive"
    first_key: str = "sdo/a"
    last_key: str = "sdo/z"


@dataclass(frozen=True, kw_only=True)
class WrittenSegment:
    """What writing a segment returns."""

    rows: int
    succeeded: int
    failed: int = 0
    kept: int = 0
    bytes_done: int = 0
    by_code: Mapping[str, int] = field(default_factory=dict)
    path: Path | str = Path("segments/chunk-0.parquet")
    sha256: str = "5e" * 32


def specification(operation: Operation = Operation.COPY) -> JobSpec:
    """Return a plain specification."""
    return JobSpec(
        operation=operation,
        source=ManifestSource(list_bucket="archive", list_prefix="sdo/"),
        mapping=KeyMapping(target_bucket="archive", strip_prefix="sdo/", add_prefix="sdac/sdo/"),
    )


def new_job(job_id: str = "job-1", **members: object) -> NewJob:
    """Return a job to be recorded."""
    return NewJob(id=job_id, **{"spec": specification(), **members})  # type: ignore[arg-type]


def plan_of(chunks: Sequence[PlannedChunk]) -> Plan:
    """Return the plan that has these chunks."""
    return Plan(
        entries=sum(chunk.entries for chunk in chunks), bytes=sum(chunk.bytes for chunk in chunks), chunks=len(chunks)
    )


def active_job(
    ledger: LedgerStore, job_id: str = "job-1", *, chunks: Sequence[PlannedChunk] = (PlannedChunk(),), now_ms: int = 0
) -> int:
    """Record a job, take it to Active with these chunks, and return its epoch."""
    ledger.create_jobs([new_job(job_id)], now_ms=now_ms)
    epoch = ledger.acquire_job(job_id, runner_id="runner-1", host="here", now_ms=now_ms, lease_ms=LEASE_MS)
    assert epoch is not None
    assert ledger.set_status(job_id, epoch, JobStatus.NEW, JobStatus.PREPARING, now_ms=now_ms)
    assert ledger.save_plan(
        job_id, epoch, plan=plan_of(chunks), manifest_path="manifest.parquet", chunks=chunks, now_ms=now_ms
    )
    assert ledger.set_status(job_id, epoch, JobStatus.PREPARING, JobStatus.READY, now_ms=now_ms)
    assert ledger.set_status(job_id, epoch, JobStatus.READY, JobStatus.ACTIVE, now_ms=now_ms)
    return epoch


def counters(job: Job) -> tuple[int, int, int]:
    """Return succeeded, failed and kept."""
    return job.succeeded, job.failed, job.kept


def take_to(ledger: LedgerStore, status: JobStatus, job_id: str = "job-1") -> None:
    """Record a job and take it to ``status`` by a runner that then lets it go."""
    paths = {
        JobStatus.SUSPENDED: (JobStatus.PREPARING, JobStatus.SUSPENDED),
        JobStatus.READY: (JobStatus.PREPARING, JobStatus.READY),
        JobStatus.FAILED: (JobStatus.FAILED,),
    }
    ledger.create_jobs([new_job(job_id)], now_ms=0)
    epoch = ledger.acquire_job(job_id, runner_id="runner-1", host="here", now_ms=0, lease_ms=LEASE_MS)
    assert epoch is not None
    before = JobStatus.NEW
    for after in paths[status]:
        assert ledger.set_status(job_id, epoch, before, after, now_ms=1)
        before = after
    assert ledger.release_job(job_id, epoch, now_ms=2)


def job_in(status: JobStatus, *, wanted: Wanted | None = None, lease_until_ms: int | None = None) -> Job:
    """Return a job's record in any status."""
    absent = dict.fromkeys(each.name for each in fields(Job))
    numbers = {each.name: 0 for each in fields(Job) if each.type == "int"}
    members: dict[str, object] = {
        **absent,
        **numbers,
        "id": "job-1",
        "operation": "copy",
        "status": status,
        "wanted": wanted,
        "by_code_json": "{}",
        "confirmation_required": False,
        "spec_json": specification().to_json(),
        "description": "",
        "runner_id": None if lease_until_ms is None else "runner-1",
        "lease_until_ms": lease_until_ms,
    }
    return Job.from_row(members)
