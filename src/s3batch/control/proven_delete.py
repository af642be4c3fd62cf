"""A verify job and the delete that is built on it alone, recorded together; and the verify that follows a hold.

After a hold the evidence from before it is not good enough: what was proven then may have been changed since by a
lifecycle rule or a colleague. So a hold is the beginning of one more verify job over the same pinned entries, and the
delete takes that one's evidence (safety.md rule 14).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from s3batch.control.actor import NOBODY, Actor
from s3batch.control.jobs import DEFAULT_PRIORITY, confirmation_in_advance, new_job_id
from s3batch.ledger.records import Job, NewJob
from s3batch.ledger.store import LedgerStore
from s3batch.model.job import JobSpec, ManifestSource, Operation


def renewal_of(verify: JobSpec, verify_id: str, *, hold_s: int) -> JobSpec:
    """Return the verify that waits and then finds anew what ``verify`` found, over the very same entries.

    What the copy said about itself is looked at again; where the first verify had no copy job, its own entries are
    taken, and none of its findings.
    """
    source = verify.source
    if source.evidence_job_id is None:
        source = ManifestSource(job_id=verify_id, is_entries_only=True)
    return replace(verify, source=source, hold_s=hold_s, verify=replace(verify.verify, extra=None))


def create_verify_and_delete(
    store: LedgerStore,
    *,
    verify: JobSpec,
    delete: JobSpec,
    after: str | None = None,
    is_confirmed: bool,
    is_dry_run: bool,
    now_ms: int,
    priority: int = DEFAULT_PRIORITY,
    description: str = "",
    actor: Actor = NOBODY,
    make_id: Callable[[], str] = new_job_id,
) -> list[Job]:
    """Record both in one transaction; the delete takes the new verify job's evidence and no other.

    ``after``: the job that must be complete before the verify begins. ``is_dry_run``: the verify stops at its plan.
    """
    verify_id, delete_id = make_id(), make_id()
    first = NewJob(
        id=verify_id,
        spec=replace(verify, operation=Operation.VERIFY),
        depends_on=after,
        priority=priority,
        description=description,
        confirmation_required=is_dry_run,
        actor=actor.name,
    )
    second = NewJob(
        id=delete_id,
        spec=replace(delete, operation=Operation.DELETE, source=ManifestSource(job_id=verify_id), hold_s=None),
        depends_on=verify_id,
        priority=priority,
        description=description,
        confirmation_required=not is_confirmed,
        actor=actor.name,
        confirmation=confirmation_in_advance(actor) if is_confirmed else None,
    )
    return store.create_jobs([first, second], now_ms=now_ms)
