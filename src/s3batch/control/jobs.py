"""Intent in, state out: creating single jobs, and the acts that take a job's or a move's id.

Surfaces call these; they only write to the ledger. A runner reads it there and does it.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence

from s3batch.control.actor import NOBODY, Actor
from s3batch.ledger.records import Job, NewJob, ShownPlan
from s3batch.ledger.store import LedgerStore
from s3batch.model.errors import RefusedError
from s3batch.model.job import JobSpec, Operation
from s3batch.model.status import TERMINAL, JobStatus

DEFAULT_PRIORITY = 10
"""AWS's usual value; higher numbers run first."""


def new_job_id() -> str:
    """Return a new id: a UUID, as AWS's job ids are."""
    return str(uuid.uuid4())


def create_job(
    store: LedgerStore,
    spec: JobSpec,
    *,
    now_ms: int,
    priority: int = DEFAULT_PRIORITY,
    description: str = "",
    confirmation_required: bool = False,
    actor: Actor = NOBODY,
    make_id: Callable[[], str] = new_job_id,
) -> Job:
    """Record a job; a runner prepares it, and runs it unless a confirmation is required.

    A job that takes another's manifest depends on that one.
    """
    depends_on = None if spec.source.is_retry else spec.source.job_id
    if depends_on is not None:
        _require_usable(store.get_job(depends_on))
    is_confirmed = spec.operation in {Operation.DELETE, Operation.UNDO} and not confirmation_required
    new = NewJob(
        id=make_id(),
        spec=spec,
        depends_on=depends_on,
        priority=priority,
        description=description,
        confirmation_required=confirmation_required,
        actor=actor.name,
        confirmation=confirmation_in_advance(actor) if is_confirmed else None,
    )
    return store.create_jobs([new], now_ms=now_ms)[0]


def confirmation_in_advance(actor: Actor) -> dict[str, object]:
    """Return what is recorded of a confirmation that came with the request (``--yes``), before there was a plan."""
    return {"how": "with the request", **actor.facts}


def _require_usable(job: Job) -> None:
    """Refuse to build on a job that ended before all its tasks had an outcome."""
    if job.status in TERMINAL and job.status is not JobStatus.COMPLETE:
        raise RefusedError(
            f"Job {job.id} is {job.status}: not all of its tasks have an outcome to build on.",
            code="JobStatus",
            way_out=f"`s3batch jobs retry {job.id}` makes a new job of what did not succeed.",
        )


def pause(store: LedgerStore, jobs: Sequence[Job], *, actor: str, now_ms: int) -> list[Job]:
    """Ask the jobs that have not ended to pause; of a move, the step that is under way.

    Raises:
        RefusedError: all of them have ended.
    """
    return [store.request_pause(job.id, actor=actor, now_ms=now_ms) for job in _current(jobs, "pause")]


def resume(store: LedgerStore, jobs: Sequence[Job], *, actor: str, now_ms: int) -> list[Job]:
    """Ask the jobs that have not ended to go on; one whose runner died goes on with the next runner.

    Raises:
        RefusedError: all of them have ended, or the one that is due waits for a confirmation.
    """
    return [store.request_resume(job.id, actor=actor, now_ms=now_ms) for job in _current(jobs, "resume")]


def cancel(store: LedgerStore, jobs: Sequence[Job], *, actor: str, now_ms: int) -> list[Job]:
    """Ask the jobs that have not ended to end; what was done stays done and is in the report.

    The last step of a move is asked first, so that none begins because the one before it has ended.

    Raises:
        RefusedError: all of them have ended.
    """
    waiting = [job for job in jobs if job.status not in TERMINAL]
    if not waiting:
        raise _ended(jobs, "cancel")
    return [store.request_cancel(job.id, actor=actor, now_ms=now_ms) for job in reversed(waiting)]


def confirm(
    store: LedgerStore,
    jobs: Sequence[Job],
    *,
    actor: Actor,
    now_ms: int,
    shown: ShownPlan | None = None,
    how: str = "",
) -> list[Job]:
    """Let the suspended one among ``jobs`` run; its plan must be the one that was ``shown``.

    Raises:
        RefusedError: none of them waits for a confirmation, or its plan is another one (``PlanChanged``).
    """
    suspended = [job for job in jobs if job.status is JobStatus.SUSPENDED] or list(_current(jobs, "confirm"))
    facts = {"how": how, **actor.facts}
    return [store.confirm(suspended[0].id, actor=actor.name, now_ms=now_ms, shown=shown, facts=facts)]


def set_priority(store: LedgerStore, jobs: Sequence[Job], priority: int, *, actor: str, now_ms: int) -> list[Job]:
    """Give all that have not ended another priority.

    Raises:
        RefusedError: all of them have ended, or the number is out of range.
    """
    waiting = [job for job in jobs if job.status not in TERMINAL]
    if not waiting:
        raise _ended(jobs, "give another priority to")
    return [store.set_priority(job.id, priority, actor=actor, now_ms=now_ms) for job in waiting]


def _current(jobs: Sequence[Job], verb: str) -> Sequence[Job]:
    """Return the one job that is due: the first of a move's steps that has not ended."""
    for job in jobs:
        if job.status not in TERMINAL:
            return [job]
    raise _ended(jobs, verb)


def _ended(jobs: Sequence[Job], verb: str) -> RefusedError:
    job = jobs[-1]
    return RefusedError(
        f"Job {job.id} is {job.status}: there is nothing to {verb}.",
        code="JobStatus",
        way_out=f"`s3batch jobs retry {job.id}` makes a new job of what did not succeed.",
    )
