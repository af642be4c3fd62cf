"""A move: a copy, a verify and a delete job, linked, over one pinned manifest.

Each step depends on the one before; the ledger ends the rest when one fails or is cancelled. The delete step waits for
a confirmation unless that was given at the beginning.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from s3batch.control.jobs import DEFAULT_PRIORITY, new_job_id
from s3batch.ledger.records import Job, NewJob
from s3batch.ledger.store import LedgerStore
from s3batch.model.errors import RefusedError
from s3batch.model.job import DeleteOptions, JobSpec, ManifestSource, Operation, VerifyOptions


def create_move(
    store: LedgerStore,
    copy: JobSpec,
    *,
    verify: VerifyOptions,
    delete: DeleteOptions,
    is_confirmed: bool,
    is_dry_run: bool = False,
    now_ms: int,
    priority: int = DEFAULT_PRIORITY,
    description: str = "",
    make_id: Callable[[], str] = new_job_id,
) -> list[Job]:
    """Record the three jobs of a move in one transaction and return them in their order.

    The delete requires of its proof what verify compares (safety.md rule 13). ``is_confirmed``: it may begin as soon as
    verify is complete. ``is_dry_run``: the copy stops at its plan.

    Raises:
        RefusedError: the copy has no mapping, or the delete would not need evidence.
    """
    if copy.mapping is None or delete.unverified:
        raise RefusedError("A move copies, verifies and deletes; none of it can be left out.", code="NotAMove")
    move_id, copy_id, verify_id, delete_id = (make_id() for _ in range(4))
    verify_spec = replace(
        copy, operation=Operation.VERIFY, source=ManifestSource(job_id=copy_id), verify=verify, list_source_at_end=False
    )
    delete_spec = replace(
        copy,
        operation=Operation.DELETE,
        source=ManifestSource(job_id=verify_id),
        delete=replace(delete, required=verify.attributes),
        list_source_at_end=True,
    )
    copy = replace(copy, delete=delete_spec.delete)  # its plan refuses what the delete would refuse
    steps = [
        NewJob(
            id=copy_id,
            spec=copy,
            move_id=move_id,
            step=1,
            priority=priority,
            description=description,
            confirmation_required=is_dry_run,
        ),
        NewJob(
            id=verify_id,
            spec=verify_spec,
            move_id=move_id,
            step=2,
            depends_on=copy_id,
            priority=priority,
            description=description,
        ),
        NewJob(
            id=delete_id,
            spec=delete_spec,
            move_id=move_id,
            step=3,
            depends_on=verify_id,
            priority=priority,
            description=description,
            confirmation_required=not is_confirmed,
        ),
    ]
    return store.create_jobs(steps, now_ms=now_ms)
