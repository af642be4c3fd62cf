"""Undoing a delete job, as a job of its own that is linked to it. Only the ledger is written.

The new job takes the delete job's manifest and record; what it may remove is decided by its plan and, marker by marker,
by ``verify/undo_gate.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from s3batch.control.actor import NOBODY, Actor
from s3batch.control.jobs import DEFAULT_PRIORITY, confirmation_in_advance, new_job_id
from s3batch.ledger.records import Job, NewJob
from s3batch.ledger.store import LedgerStore
from s3batch.model.errors import RefusedError
from s3batch.model.job import DeleteOptions, ManifestSource, Operation
from s3batch.model.status import TERMINAL


def undo(
    store: LedgerStore,
    jobs: Sequence[Job],
    *,
    confirmation_required: bool,
    now_ms: int,
    priority: int = DEFAULT_PRIORITY,
    actor: Actor = NOBODY,
    make_id: Callable[[], str] = new_job_id,
) -> Job:
    """Record the undo of a delete job, or of the delete of a move; also of one that was cancelled or failed.

    Raises:
        RefusedError: there is no delete job among ``jobs`` (``WrongOperation``), it was permanent
            (``PermanentDelete``), or it has not ended (``NotEnded``).
    """
    delete = _ended_delete(jobs)
    spec = replace(
        delete.spec,
        operation=Operation.UNDO,
        source=ManifestSource(job_id=delete.id),
        mapping=None,
        delete=DeleteOptions(),
        list_source_at_end=False,
    )
    new = NewJob(
        id=make_id(),
        spec=spec,
        depends_on=delete.id,
        priority=priority,
        description=f"undo of {delete.id}",
        confirmation_required=confirmation_required,
        actor=actor.name,
        confirmation=None if confirmation_required else confirmation_in_advance(actor),
    )
    return store.create_jobs([new], now_ms=now_ms)[0]


def _ended_delete(jobs: Sequence[Job]) -> Job:
    delete = next((job for job in jobs if job.operation is Operation.DELETE), None)
    if delete is None:
        raise RefusedError(
            f"Job {jobs[0].id} is a {jobs[0].operation} job; only a delete, also that of a move, is undone.",
            code="WrongOperation",
            way_out="`s3batch jobs list --operation delete` shows the delete jobs.",
        )
    if delete.spec.delete.permanent:
        raise RefusedError(
            f"The delete job {delete.id} deleted versions for good: there is no marker to remove.",
            code="PermanentDelete",
            way_out="Copy the objects back from where their copies or a backup are.",
        )
    if delete.status not in TERMINAL:
        raise RefusedError(
            f"The delete job {delete.id} is {delete.status}: what it deletes is not known yet.",
            code="NotEnded",
            way_out=f"Wait for its end (`s3batch jobs watch {delete.id}`) or cancel it first.",
        )
    return delete
