"""A move: a copy, a verify and a delete job, linked, over one pinned manifest; with a hold, a second verify after it.

Each step depends on the one before; the ledger ends the rest when one fails or is cancelled. The delete step waits for
a confirmation unless that was given at the beginning.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import count

from s3batch.control.actor import NOBODY, Actor
from s3batch.control.jobs import DEFAULT_PRIORITY, confirmation_in_advance, new_job_id
from s3batch.control.proven_delete import renewal_of
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
    hold_s: int | None = None,
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
    second one renews the evidence, and the delete takes that. ``is_confirmed``: the delete may begin as soon as its
    evidence is complete. ``is_dry_run``: the copy stops at its plan.

    Raises:
        RefusedError: the copy has no mapping, or the delete would not need evidence.
    """
    if copy.mapping is None or delete.unverified:
        raise RefusedError("A move copies, verifies and deletes; none of it can be left out.", code="NotAMove")
    move_id, copy_id, verify_id, delete_id = (make_id() for _ in range(4))
    proof_id = verify_id if hold_s is None else make_id()
    verify_spec = replace(
        copy, operation=Operation.VERIFY, source=ManifestSource(job_id=copy_id), verify=verify, list_source_at_end=False
    )
    delete_spec = replace(
        copy,
        operation=Operation.DELETE,
        source=ManifestSource(job_id=proof_id),
        delete=replace(delete, required=verify.attributes),
        list_source_at_end=True,
    )
    copy = replace(copy, delete=delete_spec.delete)  # its plan refuses what the delete would refuse
    specs = [(copy_id, copy), (verify_id, verify_spec)]
    if hold_s is not None:
        specs.append((proof_id, renewal_of(verify_spec, verify_id, hold_s=hold_s)))
    specs.append((delete_id, delete_spec))
    waits_for_confirmation = {copy_id: is_dry_run, delete_id: not is_confirmed}
    steps = [
        NewJob(
            id=job_id,
            spec=spec,
            move_id=move_id,
            step=step,
            depends_on=before,
            priority=priority,
            description=description,
            confirmation_required=waits_for_confirmation.get(job_id, False),
            actor=actor.name,
            confirmation=confirmation_in_advance(actor) if job_id == delete_id and is_confirmed else None,
        )
        for step, (job_id, spec), before in zip(count(1), specs, [None, *(each[0] for each in specs)], strict=False)
    ]
    return store.create_jobs(steps, now_ms=now_ms)
