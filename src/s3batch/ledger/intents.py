"""What people want of a job: pause, resume, cancel, confirm, another priority.

Surfaces call these; a runner reads the wish and fulfils it. A wish that needs no runner is fulfilled at once. Each
method is one transaction and returns the job as it then is; asking twice is as good as asking once.

Which wish fits which status is decided by ``decide_pause``, ``decide_resume`` and ``decide_cancel``, which are pure.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import Enum, auto

from sqlalchemy import update

from s3batch.ledger import schema
from s3batch.ledger.events import record_event
from s3batch.ledger.jobs import JobBook, check_priority, select_job
from s3batch.ledger.records import Job, ShownPlan, Wanted
from s3batch.ledger.statuses import StatusChange, can_cancel_at_once, cancel_at_once, change_status, want
from s3batch.model.errors import RefusedError
from s3batch.model.job import Operation
from s3batch.model.status import TERMINAL, JobStatus


class Decision(Enum):
    """What to do about a wish."""

    NOTHING = auto()
    """It is so already, or will be by itself."""
    RECORD = auto()
    """The job's runner must do it."""
    AT_ONCE = auto()
    """No runner is needed."""
    REFUSE = auto()
    """The job is past it."""


def decide_pause(job: Job, now_ms: int) -> Decision:
    """Say what a wish to pause does; a suspended job runs nothing, so there is nothing to pause."""
    match job.status:
        case JobStatus.SUSPENDED | JobStatus.PAUSED:
            return Decision.NOTHING
        case JobStatus.READY if not job.is_held(now_ms) and job.wanted is not Wanted.CANCEL:
            return Decision.AT_ONCE
        case JobStatus.NEW | JobStatus.PREPARING | JobStatus.READY | JobStatus.ACTIVE | JobStatus.PAUSING:
            return Decision.NOTHING if job.wanted is Wanted.CANCEL else Decision.RECORD
        case JobStatus.COMPLETE | JobStatus.CANCELLED | JobStatus.FAILED:
            return Decision.REFUSE
        case JobStatus.COMPLETING | JobStatus.CANCELLING | JobStatus.FAILING:
            return Decision.NOTHING


def decide_resume(job: Job) -> Decision:
    """Say what a wish to go on does; on a job whose runner was killed it changes nothing, the next runner goes on."""
    match job.status:
        case JobStatus.PAUSED:
            return Decision.NOTHING if job.wanted is Wanted.CANCEL else Decision.AT_ONCE
        case JobStatus.NEW | JobStatus.PREPARING | JobStatus.READY | JobStatus.ACTIVE | JobStatus.PAUSING:
            return Decision.RECORD if job.wanted is Wanted.PAUSE else Decision.NOTHING
        case JobStatus.COMPLETE | JobStatus.CANCELLED | JobStatus.FAILED | JobStatus.SUSPENDED:
            return Decision.REFUSE
        case JobStatus.COMPLETING | JobStatus.CANCELLING | JobStatus.FAILING:
            return Decision.NOTHING


def decide_cancel(job: Job, now_ms: int) -> Decision:
    """Say what a wish to cancel does; a job that is writing its last report is past it."""
    match job.status:
        case JobStatus.CANCELLED | JobStatus.CANCELLING:
            return Decision.NOTHING
        case JobStatus.COMPLETE | JobStatus.FAILED | JobStatus.COMPLETING | JobStatus.FAILING:
            return Decision.REFUSE
        case _:
            return Decision.AT_ONCE if can_cancel_at_once(job, now_ms) else Decision.RECORD


def _refusal(job: Job, verb: str) -> RefusedError:
    if job.status is JobStatus.SUSPENDED:
        way_out = f"`s3batch jobs confirm {job.id}` lets it run."
    elif job.status in TERMINAL:
        way_out = f"`s3batch jobs retry {job.id}` makes a new job of what did not succeed."
    else:
        way_out = f"`s3batch jobs watch {job.id}` shows how it ends."
    return RefusedError(f"Job {job.id} is {job.status} and cannot {verb}.", code="JobStatus", way_out=way_out)


def require_as_shown(job: Job, shown: ShownPlan) -> None:
    """Refuse to confirm a plan that is not the one which was shown.

    Raises:
        RefusedError: code ``PlanChanged``.
    """
    sha256 = "" if job.plan is None else job.plan.manifest_sha256
    if shown.objects is not None and shown.objects != job.total:
        what = f"{job.total:,} objects, not {shown.objects:,}"
    elif shown.manifest_sha256 is not None and not sha256.startswith(shown.manifest_sha256):
        what = f"a manifest with SHA-256 {sha256 or '(none yet)'}, not {shown.manifest_sha256}"
    else:
        return
    raise RefusedError(
        f"The plan of job {job.id} is about {what}.",
        code="PlanChanged",
        way_out=f"`s3batch jobs show {job.id}` shows the plan as it is.",
    )


def plan_facts(job: Job) -> dict[str, object]:
    """Return what the plan of a job is about and what was asked of it, for the record of who confirmed it."""
    plan, asked = job.plan, json.loads(job.spec_json)
    return {
        "objects": job.total,
        "bytes": job.bytes_total,
        "manifest_sha256": None if plan is None else plan.manifest_sha256,
        "options": asked["delete"] if job.operation is Operation.DELETE else {},
        "profile": asked["connection"]["profile"],
    }


class Intents(JobBook):
    """Wishes about jobs."""

    def request_pause(self, job_id: str, *, actor: str, now_ms: int) -> Job:
        """Ask a job to pause: a waiting one is paused at once, a driven one by its runner.

        Raises:
            RefusedError: the job has ended, or there is none.
        """
        with self._write() as connection:
            job = select_job(connection, job_id)
            match decide_pause(job, now_ms):
                case Decision.REFUSE:
                    raise _refusal(job, "be paused")
                case Decision.NOTHING:
                    return job
                case Decision.RECORD:
                    want(connection, job, Wanted.PAUSE, actor=actor, now_ms=now_ms)
                case Decision.AT_ONCE:
                    want(connection, job, Wanted.PAUSE, actor=actor, now_ms=now_ms)
                    change = StatusChange(to=JobStatus.PAUSED, actor=actor, reason="paused on request")
                    change_status(connection, job, change, now_ms=now_ms)
            return select_job(connection, job_id)

    def request_resume(self, job_id: str, *, actor: str, now_ms: int) -> Job:
        """Ask a job to go on: a paused one becomes Ready, a wish to pause is taken back.

        Raises:
            RefusedError: the job has ended or waits for its confirmation, or there is none.
        """
        with self._write() as connection:
            job = select_job(connection, job_id)
            match decide_resume(job):
                case Decision.REFUSE:
                    raise _refusal(job, "be resumed")
                case Decision.NOTHING:
                    return job
                case Decision.RECORD:
                    want(connection, job, None, actor=actor, now_ms=now_ms)
                case Decision.AT_ONCE:
                    want(connection, job, None, actor=actor, now_ms=now_ms)
                    change = StatusChange(to=JobStatus.READY, actor=actor, reason="resumed on request")
                    change_status(connection, job, change, now_ms=now_ms)
            return select_job(connection, job_id)

    def request_cancel(self, job_id: str, *, actor: str, now_ms: int, reason: str = "cancelled on request") -> Job:
        """Ask a job to end: one that has done nothing and is not driven ends at once, others by a runner with a report.

        Raises:
            RefusedError: the job has ended otherwise or is writing its last report, or there is none.
        """
        with self._write() as connection:
            job = select_job(connection, job_id)
            match decide_cancel(job, now_ms):
                case Decision.REFUSE:
                    raise _refusal(job, "be cancelled")
                case Decision.NOTHING:
                    return job
                case Decision.RECORD:
                    want(connection, job, Wanted.CANCEL, actor=actor, now_ms=now_ms)
                case Decision.AT_ONCE:
                    change = StatusChange(to=JobStatus.CANCELLED, actor=actor, reason=reason)
                    cancel_at_once(connection, job, change, now_ms=now_ms)
            return select_job(connection, job_id)

    def confirm(
        self,
        job_id: str,
        *,
        actor: str,
        now_ms: int,
        shown: ShownPlan | None = None,
        facts: Mapping[str, object] | None = None,
    ) -> Job:
        """Let a suspended job run: Suspended becomes Ready, with who said so and when. Confirmed already: no change.

        The plan is compared with the one that was ``shown``, and recorded with ``facts`` about who confirmed it, in the
        transaction that makes the job Ready.

        Raises:
            RefusedError: the job is not waiting for a confirmation (``NotSuspended``), its cancellation is wanted, or
                its plan is another than the one that was shown (``PlanChanged``).
        """
        with self._write() as connection:
            job = select_job(connection, job_id)
            if shown is not None and job.plan_json is not None:
                require_as_shown(job, shown)
            if job.confirmed_at_ms is not None and job.status not in TERMINAL:
                return job
            if job.status is not JobStatus.SUSPENDED or job.wanted is Wanted.CANCEL:
                raise RefusedError(
                    f"Job {job_id} is {job.status} and does not wait for a confirmation.",
                    code="NotSuspended",
                    way_out=f"`s3batch jobs show {job_id}` tells what it waits for.",
                )
            connection.execute(
                update(schema.job).where(schema.job.c.id == job_id).values(confirmed_by=actor, confirmed_at_ms=now_ms)
            )
            detail = {**plan_facts(job), **(facts or {})}
            record_event(connection, job_id, now_ms=now_ms, kind="confirmed", actor=actor, detail=detail)
            change = StatusChange(to=JobStatus.READY, actor=actor, reason="confirmed")
            change_status(connection, job, change, now_ms=now_ms)
            return select_job(connection, job_id)

    def set_priority(self, job_id: str, priority: int, *, actor: str, now_ms: int) -> Job:
        """Set which jobs go first (higher numbers do); a running job keeps running.

        Raises:
            RefusedError: the number is out of AWS's range, the job has ended, or there is none.
        """
        check_priority(priority)
        with self._write() as connection:
            job = select_job(connection, job_id)
            if job.status in TERMINAL:
                raise _refusal(job, "get another priority")
            if job.priority == priority:
                return job
            connection.execute(
                update(schema.job).where(schema.job.c.id == job_id).values(priority=priority, updated_at_ms=now_ms)
            )
            detail = {"from": job.priority, "to": priority}
            record_event(connection, job_id, now_ms=now_ms, kind="priority", actor=actor, detail=detail)
            return select_job(connection, job_id)
