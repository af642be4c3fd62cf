"""Trying again what did not succeed, as new jobs that look at everything anew.

The new job takes the failed and kept rows of the old one with the identities that were pinned then, so an object that
has changed since is refused again, never silently taken. A delete is never repeated on old evidence: its rows are
verified again first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from s3batch.control.actor import NOBODY, Actor
from s3batch.control.jobs import DEFAULT_PRIORITY, create_job, new_job_id
from s3batch.control.moves import create_move
from s3batch.control.proven_delete import record_steps, steps_to_delete
from s3batch.ledger.records import Job
from s3batch.ledger.store import LedgerStore
from s3batch.model.errors import RefusedError
from s3batch.model.job import CopyOptions, IfTargetExists, KeyMapping, ManifestSource, Operation, ProbeOptions
from s3batch.model.status import TERMINAL, JobStatus

_UNPROBED = ProbeOptions()
"""A prefix for canaries was named for one job, and a retry may be a dry run, which writes nothing."""


def retry(
    store: LedgerStore,
    jobs: Sequence[Job],
    *,
    codes: Sequence[str] = (),
    is_confirmed: bool = False,
    is_dry_run: bool = False,
    now_ms: int,
    priority: int = DEFAULT_PRIORITY,
    actor: Actor = NOBODY,
    make_id: Callable[[], str] = new_job_id,
) -> list[Job]:
    """Record new jobs for the rows of a job, or of a move, that failed or were kept; ``codes`` narrows them down.

    Without codes, a job that ended before its end (cancelled, failed) hands on the rows that never ran, too. A copy or
    verify becomes one job of its kind. A delete becomes a verify and a delete, with the hold and backup that it had. A
    move becomes a move of what its delete did not delete; copies that are there already are left as they are, if they
    are the same.

    Raises:
        RefusedError: the job is an undo (``WrongOperation``), has not ended (``NotEnded``), has no such rows
            (``NothingToRetry``), or it is a move whose delete did not run (``NotComplete``).
    """
    if len(jobs) > 1:
        return _retry_move(
            store,
            jobs,
            codes=codes,
            is_confirmed=is_confirmed,
            is_dry_run=is_dry_run,
            now_ms=now_ms,
            priority=priority,
            actor=actor,
            make_id=make_id,
        )
    job = _with_failures(jobs[0], codes)
    if job.operation is Operation.UNDO:
        raise RefusedError(
            f"Job {job.id} is an undo: it works on the record of a delete job and is not retried by its rows.",
            code="WrongOperation",
            way_out=f"`s3batch jobs undo {job.spec.source.job_id}` looks at all of them again.",
        )
    spec = replace(
        job.spec,
        source=_failed_rows_of(job, codes),
        copy=_again(job.spec.copy),
        delete=replace(job.spec.delete, backup_job_id=None),  # that one is about other rows
        verify=replace(job.spec.verify, extra=None),  # of some rows only, all other copies would be extra
        probe=_UNPROBED,
        list_source_at_end=False,
    )
    description = f"again what failed in {job.id}"
    if job.operation is Operation.DELETE and not spec.delete.unverified:
        verify_id, verify = make_id(), replace(spec, operation=Operation.VERIFY, hold_s=_hold_of(store, job))
        backup = _backup_of(store, job)
        steps = steps_to_delete(verify, verify_id, spec, hold_s=None, backup=backup, make_id=make_id)
        return record_steps(
            store,
            [(verify_id, verify), *steps],
            is_confirmed=is_confirmed,
            is_dry_run=is_dry_run,
            now_ms=now_ms,
            priority=priority,
            description=description,
            actor=actor,
        )
    return [
        create_job(
            store,
            spec,
            now_ms=now_ms,
            priority=priority,
            description=description,
            confirmation_required=is_dry_run or job.operation is Operation.DELETE,
            actor=actor,
            make_id=make_id,
        )
    ]


def _retry_move(
    store: LedgerStore,
    jobs: Sequence[Job],
    *,
    codes: Sequence[str],
    is_confirmed: bool,
    is_dry_run: bool,
    now_ms: int,
    priority: int,
    actor: Actor,
    make_id: Callable[[], str],
) -> list[Job]:
    copy, verify, delete = jobs[0], jobs[1], jobs[-1]
    if delete.status not in TERMINAL:
        raise _not_ended(delete)
    if delete.status is not JobStatus.COMPLETE:
        raise RefusedError(
            f"The move's delete job is {delete.status}: some of its objects have no outcome to choose by.",
            code="NotComplete",
            way_out="Run the same move again with --if-target-exists skip-if-same: copies that are there stay.",
        )
    job = _with_failures(delete, codes)
    spec = copy.spec
    return create_move(
        store,
        replace(spec, source=_failed_rows_of(job, codes), copy=_again(spec.copy), probe=_UNPROBED),
        verify=verify.spec.verify,
        delete=delete.spec.delete,
        hold_s=_hold_of(store, delete),
        backup=_backup_of(store, delete),
        is_confirmed=is_confirmed,
        is_dry_run=is_dry_run,
        now_ms=now_ms,
        priority=priority,
        description=f"again what was not moved in {copy.move_id}",
        actor=actor,
        make_id=make_id,
    )


def _hold_of(store: LedgerStore, delete: Job) -> int | None:
    """Return the hold that came before a delete: that of the verify job whose evidence it took."""
    verify_id = delete.spec.source.evidence_job_id
    return None if verify_id is None else store.get_job(verify_id).spec.hold_s


def _backup_of(store: LedgerStore, delete: Job) -> KeyMapping | None:
    """Return where the backup before a delete went."""
    backup_job_id = delete.spec.delete.backup_job_id
    return None if backup_job_id is None else store.get_job(backup_job_id).spec.mapping


def _again(options: CopyOptions) -> CopyOptions:
    """Return the options for a second go: a copy that was made without being recorded is there, and stays."""
    if options.if_target_exists is IfTargetExists.FAIL:
        return replace(options, if_target_exists=IfTargetExists.SKIP_IF_SAME)
    return options


def _failed_rows_of(job: Job, codes: Sequence[str]) -> ManifestSource:
    return ManifestSource(job_id=job.id, codes=tuple(codes), is_retry=True)


def _with_failures(job: Job, codes: Sequence[str]) -> Job:
    """Return the job if it has ended and has rows to try again."""
    if job.status not in TERMINAL:
        raise _not_ended(job)
    counts = job.counts
    unknown = [code for code in codes if code not in counts.by_code]
    has_unended = not codes and counts.ended < counts.total
    if unknown or not (counts.failed + counts.kept or has_unended):
        what = f"ended with {' or '.join(unknown)}" if unknown else "failed or was kept"
        there = ", ".join(f"{code} {count:,}" for code, count in counts.by_code.items())
        raise RefusedError(
            f"No task of job {job.id} {what}.",
            code="NothingToRetry",
            way_out=f"Its codes are: {there}." if there else "",
        )
    return job


def _not_ended(job: Job) -> RefusedError:
    return RefusedError(
        f"Job {job.id} is {job.status}: what it did not succeed in is not known yet.",
        code="NotEnded",
        way_out=f"Wait for its end (`s3batch jobs watch {job.id}`) or cancel it first.",
    )
