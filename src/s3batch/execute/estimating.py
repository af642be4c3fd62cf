"""What a plan's estimate needs to know beside the entries: of the buckets, of the ledger, of a move's later steps.

In: a plan, its figures, the job. Out: the plan with its estimate. Only GET and HEAD are sent, at most four and one
for each further bucket to delete from, and none where the answer would change nothing; what may not be asked is not
known, and never fails a plan.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from s3batch.execute.services import RunnerServices
from s3batch.ledger.records import Job, JobFilter
from s3batch.model.errors import InconsistentError
from s3batch.model.job import JobSpec, Operation, Plan
from s3batch.model.objects import MAX_COPY_BYTES
from s3batch.model.status import JobStatus
from s3batch.plan.estimate import BucketFacts, Step, estimate_job, later_steps_note
from s3batch.plan.figures import PlanFigures
from s3batch.plan.pace import FinishedJob
from s3batch.plan.prices import read_prices
from s3batch.plan.requests import RequestCount, count_requests, requests_of_kinds
from s3batch.s3.bucket_settings import ENCRYPTION
from s3batch.s3.client import S3Reader
from s3batch.s3.errors import S3RefusedError

_KMS = "aws:kms"
"""How the names of both kinds of encryption by KMS begin."""

LEAST_SUCCEEDED = 0.9
"""Share of a job's tasks that must have succeeded for its pace to count: what is refused is refused quickly."""

MEASURED_JOBS = 20
"""Finished jobs that are looked at, the newest first: what is long ago was another machine or another load."""


def plan_figures(spec: JobSpec, *, with_ages: bool, now_ms: int) -> PlanFigures:
    """Return empty figures for a job; ``with_ages``: originals will go, and their age decides about fees."""
    days = {name: each.minimum_days for name, each in read_prices().classes.items() if each.minimum_days}
    return PlanFigures(
        multipart_threshold=min(spec.copy.multipart_threshold, MAX_COPY_BYTES + 1),
        part_size=spec.copy.part_size,
        minimum_days=days if with_ages else {},
        now_ms=now_ms,
    )


async def estimate_plan(
    plan: Plan, job: Job, services: RunnerServices, figures: PlanFigures, source_buckets: Sequence[str]
) -> Plan:
    """Return the plan with what the job, and of a move the steps after it, is expected to cost and take.

    Raises:
        UnavailableError: the store does not answer.
    """
    steps = [job.spec, *_later_steps(job, services)]
    async with await S3Reader.open(job.spec.connection) as reader:
        facts = await read_facts(reader, steps, source_buckets)
    counts = [count_requests(figures, spec, is_aws=facts.is_aws) for spec in steps]
    if job.operation is Operation.UNDO:
        counts = [requests_of_kinds(plan.requests)]  # they follow from what the delete recorded
    first, *later = (
        _estimate(spec, counted, figures, facts, services) for spec, counted in zip(steps, counts, strict=True)
    )
    if later:
        notes = (*first.estimate.notes, later_steps_note(later))
        return replace(plan, estimate=replace(first.estimate, notes=notes))
    return replace(plan, estimate=first.estimate)


def _estimate(
    spec: JobSpec, counts: Sequence[RequestCount], figures: PlanFigures, facts: BucketFacts, services: RunnerServices
) -> Step:
    chosen = JobFilter(statuses=(JobStatus.COMPLETE,), operations=(spec.operation,))
    finished = finished_of(services.store.list_jobs(chosen, limit=MEASURED_JOBS))
    found = estimate_job(figures, spec, counts, facts, prices=read_prices(), finished=finished)
    return Step(operation=spec.operation, requests=sum(each.count for each in counts), estimate=found)


def _later_steps(job: Job, services: RunnerServices) -> list[JobSpec]:
    """Return what a move is going to do after this step."""
    if job.move_id is None:
        return []
    return [each.spec for each in services.store.jobs_by_move(job.move_id) if each.step > job.step]


def finished_of(jobs: Iterable[Job]) -> list[FinishedJob]:
    """Return what complete jobs did, of those that can be understood and did what they were to do."""
    found = []
    for job in jobs:
        try:
            spec = job.spec
        except InconsistentError:
            continue  # of a later version: nothing to compare with
        tasks = job.succeeded + job.failed + job.kept
        if job.succeeded >= tasks * LEAST_SUCCEEDED:
            found.append(FinishedJob(spec=spec, tasks=tasks, bytes=job.bytes_total, active_ms=job.active_ms))
    return found


async def read_facts(reader: S3Reader, steps: Sequence[JobSpec], source_buckets: Sequence[str]) -> BucketFacts:
    """Ask the buckets what decides about the estimate of these steps."""
    deletes = any(spec.operation is Operation.DELETE and not spec.delete.permanent for spec in steps)
    keeps_versions = deletes and all([await _is_versioned(reader, bucket) for bucket in source_buckets])
    if not reader.is_aws:
        return BucketFacts(is_aws=False, keeps_versions=keeps_versions)
    target = steps[0].mapping.target_bucket if steps[0].mapping is not None else ""
    is_copy = steps[0].operation is Operation.COPY and bool(target)
    return BucketFacts(
        is_aws=True,
        source_region=await _region(reader, source_buckets[0]),
        target_region=await _region(reader, target) if is_copy else "",
        keeps_versions=keeps_versions,
        encrypts_by_kms=is_copy and await _encrypts_by_kms(reader, target),
    )


async def _is_versioned(reader: S3Reader, bucket: str) -> bool:
    try:
        return await reader.get_bucket_versioning(bucket) == "Enabled"
    except S3RefusedError:
        return False


async def _region(reader: S3Reader, bucket: str) -> str:
    try:
        return await reader.head_bucket(bucket)
    except S3RefusedError:
        return ""


async def _encrypts_by_kms(reader: S3Reader, bucket: str) -> bool:
    try:
        return (await reader.get_bucket_setting(bucket, ENCRYPTION)).algorithm.startswith(_KMS)
    except S3RefusedError:
        return False
