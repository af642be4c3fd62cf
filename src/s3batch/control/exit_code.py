"""The exit code that a job's end stands for: the first that applies of 5, 4, 3, 1 and 0 (safety.md rule 26)."""

from __future__ import annotations

from collections.abc import Sequence

from s3batch.ledger.records import Job
from s3batch.model.job import Extra, Operation
from s3batch.model.status import JobStatus

SUCCEEDED = 0
TASKS_FAILED = 1
DIFFERENCES = 3
REFUSED = 4
UNAVAILABLE = 5

_CODE_BY_FAMILY = {"refused": REFUSED, "usage": REFUSED, "unavailable": UNAVAILABLE, "inconsistent": UNAVAILABLE}


def exit_code(jobs: Sequence[Job]) -> int:
    """Return the exit code for these jobs, which are at rest; of a move, for all its steps together."""
    found = {_exit_code(job) for job in jobs}
    return next(code for code in (UNAVAILABLE, REFUSED, DIFFERENCES, TASKS_FAILED, SUCCEEDED) if code in found)


def _exit_code(job: Job) -> int:
    counts = job.counts
    if job.status is JobStatus.FAILED:
        by_family = _CODE_BY_FAMILY.get(job.status_reason or "", TASKS_FAILED)
        # "Refused" promises that nothing was started; a job that did some of its work failed at it.
        return TASKS_FAILED if by_family == REFUSED and counts.ended else by_family
    if counts.kept or counts.findings or _has_refused_extra(job):
        return DIFFERENCES
    if counts.failed or job.status is JobStatus.CANCELLED:
        return TASKS_FAILED
    return SUCCEEDED


def _has_refused_extra(job: Job) -> bool:
    """Tell whether a verify found objects at the target that no entry explains, and was told that this is wrong."""
    if job.operation is not Operation.VERIFY or job.spec.verify.extra is not Extra.FAIL:
        return False
    extra = (job.report or {}).get("extra")
    return isinstance(extra, dict) and bool(extra.get("entries"))
