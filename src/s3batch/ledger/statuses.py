"""Changing a job's status: one place, so that every change follows the table and is recorded.

Used within the transaction of an intent or of a runner; what follows from a change (the end's time, chunks put back,
dependents ended) is written in that same transaction, so a crash leaves all of it or nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, select, update

from s3batch.ledger import schema
from s3batch.ledger.events import record_event
from s3batch.ledger.jobs import select_jobs
from s3batch.ledger.records import ChunkState, Job, Wanted
from s3batch.model.errors import InconsistentError
from s3batch.model.status import TERMINAL, JobStatus, may_follow

_RESTING = TERMINAL | {JobStatus.READY, JobStatus.PAUSED}
"""Statuses in which no chunk runs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class StatusChange:
    """A change of status, who makes it, and why."""

    to: JobStatus
    actor: str
    reason: str | None = None
    failure_code: str | None = None
    failure_reason: str | None = None


def change_status(connection: Connection, job: Job, change: StatusChange, *, now_ms: int) -> None:
    """Write ``change`` and all that follows from it.

    Raises:
        InconsistentError: the table of transitions has no such change, or tasks without outcome would be left behind.
    """
    if not may_follow(job.status, change.to):
        raise InconsistentError(f"Job {job.id} cannot go from {job.status} to {change.to}.", code="IllegalTransition")
    if change.to is JobStatus.COMPLETING:
        _require_all_done(connection, job)
    if change.to in _RESTING:
        put_back_running(connection, job.id)
    ended = change.to in TERMINAL
    values: dict[str, object] = {
        "status": str(change.to),
        "updated_at_ms": now_ms,
        "status_reason": change.reason,
        "failure_code": change.failure_code or job.failure_code,
        "failure_reason": change.failure_reason or job.failure_reason,
    }
    if change.to is JobStatus.SUSPENDED and job.wanted is Wanted.PAUSE:
        values["wanted"] = None  # it runs nothing now, and its confirmation says when it shall
    if ended:
        values |= {"ended_at_ms": now_ms, "wanted": None, "progress_json": None}
    connection.execute(update(schema.job).where(schema.job.c.id == job.id).values(values))
    record_event(
        connection,
        job.id,
        now_ms=now_ms,
        kind="status",
        actor=change.actor,
        detail={"from": job.status, "to": change.to, "reason": change.reason, "code": change.failure_code},
    )
    if ended and change.to is not JobStatus.COMPLETE:
        _end_dependents(connection, job, change.to, now_ms)


def cancel_at_once(connection: Connection, job: Job, change: StatusChange, *, now_ms: int) -> None:
    """End a job that nobody drives and that has done nothing; whoever still believes to hold it is fenced off."""
    table = schema.job
    fenced = {"epoch": table.c.epoch + 1, "runner_id": None, "runner_host": None, "lease_until_ms": None}
    connection.execute(update(table).where(table.c.id == job.id).values(fenced))
    change_status(connection, job, change, now_ms=now_ms)


def can_cancel_at_once(job: Job, now_ms: int) -> bool:
    """Tell whether cancelling needs no runner: nobody drives the job and no task of it has an outcome to report."""
    return (
        may_follow(job.status, JobStatus.CANCELLED)
        and not job.is_held(now_ms)
        and job.counts.ended == 0
        and (job.status is not JobStatus.CANCELLING)
    )


def put_back_running(connection: Connection, job_id: str) -> int:
    """Make every running chunk ready again and return how many; their attempts' late results will be dropped."""
    table = schema.chunk
    return connection.execute(
        update(table)
        .where(table.c.job_id == job_id, table.c.state == str(ChunkState.RUNNING))
        .values(state=str(ChunkState.READY), losses=table.c.losses + 1)
    ).rowcount


def _require_all_done(connection: Connection, job: Job) -> None:
    table = schema.chunk
    undone = connection.execute(
        select(table.c.chunk_no).where(table.c.job_id == job.id, table.c.state != str(ChunkState.DONE)).limit(1)
    ).first()
    if undone is not None:
        raise InconsistentError(
            f"Job {job.id} cannot complete: chunk {undone.chunk_no} has tasks without an outcome.",
            code="TasksWithoutOutcome",
        )


def _end_dependents(connection: Connection, job: Job, end: JobStatus, now_ms: int) -> None:
    """End the jobs that wait for one that will never be complete; those that already run are asked to."""
    table = schema.job
    waiting = select_jobs(
        connection, select(table).where(table.c.depends_on == job.id, table.c.ended_at_ms.is_(None)).with_for_update()
    )
    for dependent in waiting:
        if can_cancel_at_once(dependent, now_ms):
            reason = f"job {job.id}, on which this one depends, is {end}"
            change = StatusChange(to=JobStatus.CANCELLED, actor="ledger", reason=reason, failure_code="DependencyEnded")
            cancel_at_once(connection, dependent, change, now_ms=now_ms)
        else:
            want(connection, dependent, Wanted.CANCEL, actor="ledger", now_ms=now_ms)


def want(connection: Connection, job: Job, wanted: Wanted | None, *, actor: str, now_ms: int) -> None:
    """Record what the job's runner shall do, or that it need not any more."""
    if job.wanted is wanted:
        return
    connection.execute(update(schema.job).where(schema.job.c.id == job.id).values(wanted=wanted, updated_at_ms=now_ms))
    record_event(connection, job.id, now_ms=now_ms, kind="wanted", actor=actor, detail={"wanted": wanted})
