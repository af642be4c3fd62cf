"""A move: a copy, a verify and a delete job, linked, over one pinned manifest.

A hold adds a second verify, a backup a copy and a verify of its own. Each step depends on the one before; the ledger
ends the rest when one fails or is cancelled. The delete step waits for a confirmation unless that was given at the
beginning.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from s3batch.control.actor import NOBODY, Actor
from s3batch.control.jobs import DEFAULT_PRIORITY, new_job_id
from s3batch.control.proven_delete import record_steps, steps_to_delete
from s3batch.ledger.records import Job
from s3batch.ledger.store import LedgerStore
from s3batch.model.errors import RefusedError
from s3batch.model.job import DeleteOptions, JobSpec, KeyMapping, ManifestSource, Operation, VerifyOptions


def create_move(
    store: LedgerStore,
    copy: JobSpec,
    *,
    verify: VerifyOptions,
    delete: DeleteOptions,
    hold_s: int | None = None,
    backup: KeyMapping | None = None,
    is_confirmed: bool,
    is_dry_run: bool = False,
    now_ms: int,
    priority: int = DEFAULT_PRIORITY,
    description: str = "",
    actor: Actor = NOBODY,
    make_id: Callable[[], str] = new_job_id,
) -> list[Job]:
    """Record the jobs of a move in one transaction and return them in their order.

    The delete requires of its proof what verify compares (safety.md rule 13). ``hold_s``: that long after verify a
    second one renews the evidence, and the delete takes that. ``backup``: the originals are copied there, and those
    copies verified, before the delete, which keeps what is not proven there. ``is_confirmed``: the delete may begin as
    soon as its evidence is complete. ``is_dry_run``: the copy stops at its plan.

    Raises:
        RefusedError: the copy has no mapping, or the delete would not need evidence.
    """
    if copy.mapping is None or delete.unverified:
        raise RefusedError("A move copies, verifies and deletes; none of it can be left out.", code="NotAMove")
    move_id, copy_id, verify_id = (make_id() for _ in range(3))
    verify_spec = replace(
        copy, operation=Operation.VERIFY, source=ManifestSource(job_id=copy_id), verify=verify, list_source_at_end=False
    )
    delete_spec = replace(copy, delete=replace(delete, required=verify.attributes), list_source_at_end=True)
    # the copy's plan refuses what the delete would refuse
    copy = replace(copy, delete=DeleteOptions(permanent=delete.permanent))
    steps = steps_to_delete(verify_spec, verify_id, delete_spec, hold_s=hold_s, backup=backup, make_id=make_id)
    return record_steps(
        store,
        [(copy_id, copy), (verify_id, verify_spec), *steps],
        move_id=move_id,
        is_confirmed=is_confirmed,
        is_dry_run=is_dry_run,
        now_ms=now_ms,
        priority=priority,
        description=description,
        actor=actor,
    )
