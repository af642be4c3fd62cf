"""From a proof to its delete: the verify that renews the proof after a hold, the backup, and the delete; linked jobs.

After a hold the evidence from before it is not good enough: what was proven then may have been changed since by a
lifecycle rule or a colleague. So a hold is the beginning of one more verify job over the same pinned entries, and the
delete takes that one's evidence (safety.md rule 14). A backup comes after the hold: who changes their mind has not paid
for it, and it is as young as it can be.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import count
from typing import TypeAlias

from s3batch.control.actor import NOBODY, Actor
from s3batch.control.backups import backup_specs
from s3batch.control.jobs import DEFAULT_PRIORITY, confirmation_in_advance
from s3batch.ledger.records import Job, NewJob
from s3batch.ledger.store import LedgerStore
from s3batch.model.job import JobSpec, KeyMapping, ManifestSource, Operation

Step: TypeAlias = tuple[str, JobSpec]
"""A job to be recorded: its id and what is asked of it."""


def renewal_of(verify: JobSpec, verify_id: str, *, hold_s: int) -> JobSpec:
    """Return the verify that waits and then finds anew what ``verify`` found, over the very same entries.

    What the copy said about itself is looked at again; where the first verify had no copy job, its own entries are
    taken, and none of its findings.
    """
    source = verify.source
    if source.evidence_job_id is None:
        source = ManifestSource(job_id=verify_id, is_entries_only=True)
    return replace(verify, source=source, hold_s=hold_s, verify=replace(verify.verify, extra=None))


def steps_to_delete(
    verify: JobSpec,
    verify_id: str,
    delete: JobSpec,
    *,
    hold_s: int | None,
    backup: KeyMapping | None,
    make_id: Callable[[], str],
) -> list[Step]:
    """Return what follows the verify job ``verify_id``, in order; the delete is the last."""
    steps: list[Step] = []
    proof_id, backup_job_id = verify_id, None
    if hold_s is not None:
        proof_id = make_id()
        steps.append((proof_id, renewal_of(verify, verify_id, hold_s=hold_s)))
    if backup is not None:
        copy_id, backup_job_id = make_id(), make_id()
        copied, checked = backup_specs(verify, backup, manifest_of=proof_id, copy_id=copy_id)
        steps += [(copy_id, copied), (backup_job_id, checked)]
    options = replace(delete.delete, backup_job_id=backup_job_id)
    source = ManifestSource(job_id=proof_id)
    last = replace(delete, operation=Operation.DELETE, source=source, delete=options, hold_s=None)
    return [*steps, (make_id(), last)]


def record_steps(
    store: LedgerStore,
    steps: Sequence[Step],
    *,
    after: str | None = None,
    move_id: str | None = None,
    is_confirmed: bool,
    is_dry_run: bool,
    now_ms: int,
    priority: int = DEFAULT_PRIORITY,
    description: str = "",
    actor: Actor = NOBODY,
) -> list[Job]:
    """Record jobs, each of which depends on the one before, in one transaction; the last is the delete.

    ``after``: the job that must be complete before the first begins. ``is_dry_run``: the first stops at its plan.
    ``is_confirmed``: the delete does not wait for a confirmation.
    """
    last_id = steps[-1][0]
    waiting = {steps[0][0]} if is_dry_run else set()
    waiting |= set() if is_confirmed else {last_id}
    jobs = [
        NewJob(
            id=job_id,
            spec=spec,
            move_id=move_id,
            step=0 if move_id is None else number,
            depends_on=before,
            priority=priority,
            description=description,
            confirmation_required=job_id in waiting,
            actor=actor.name,
            confirmation=confirmation_in_advance(actor) if job_id == last_id and is_confirmed else None,
        )
        for number, (job_id, spec), before in zip(count(1), steps, [after, *(each[0] for each in steps)], strict=False)
    ]
    return store.create_jobs(jobs, now_ms=now_ms)
