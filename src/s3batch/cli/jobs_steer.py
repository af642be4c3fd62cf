"""``s3batch jobs watch|confirm|pause|resume|cancel|retry``: the commands that follow a job, or make one."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Annotated

import typer

from s3batch.cli.flat import flat
from s3batch.cli.following import Rest, follow
from s3batch.cli.options import DEFAULT_PRIORITY, Following
from s3batch.cli.see_through import INTERRUPTED, knows_number, print_detached, see_through, shown_plan
from s3batch.cli.session import Session, now_ms, open_session, print_result, read_jobs
from s3batch.control import jobs as control
from s3batch.control.retry import retry as retry_jobs
from s3batch.control.standing import due_job
from s3batch.ledger.records import Job, ShownPlan
from s3batch.model.errors import RefusedError
from s3batch.model.job import Operation
from s3batch.model.status import JobStatus

app = typer.Typer(rich_markup_mode=None, add_completion=False)

IdArgument = Annotated[
    str, typer.Argument(metavar="ID", help="Of a job or a move; its beginning will do where no other begins so.")
]


def _sha256(text: str) -> str:
    """Return a SHA-256, or enough of its beginning to tell manifests apart."""
    given = text.strip().lower()
    if not re.fullmatch(r"[0-9a-f]{8,64}", given):
        raise typer.BadParameter(f"{text!r} is not the beginning of a SHA-256: give 8 to 64 hexadecimal digits.")
    return given


@app.command()
@flat
def watch(job_id: IdArgument, *, following: Following) -> None:
    """Follow a job to its next rest. Ctrl-C leaves; the job goes on."""
    with open_session(following) as session:
        see_through(session, session.store.find_jobs(job_id), may_pause=False, may_ask=False)


@app.command()
@flat
def confirm(
    job_id: IdArgument,
    *,
    objects: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=0, help="Only if its plan is about so many objects; an unverified delete needs it."
        ),
    ] = None,
    manifest_sha256: Annotated[
        str | None,
        typer.Option(
            metavar="HEX", parser=_sha256, help="Only if its manifest has this SHA-256, or one that begins so."
        ),
    ] = None,
    following: Following,
) -> None:
    """Let a job that waits for its confirmation run.

    In a terminal the number of objects of a delete is asked for. What was shown, who confirmed it and when is recorded.
    """
    with open_session(following) as session:
        jobs = session.store.find_jobs(job_id)
        job = due_job(jobs)
        shown = ShownPlan(objects=objects, manifest_sha256=manifest_sha256)
        how = "by command" if shown == ShownPlan() else "by options"
        if objects is None and _needs_number(session, job):
            _require_number(session, job)
            how = "typed"
            shown = shown_plan(job) if manifest_sha256 is None else replace(shown, objects=job.total)
        control.confirm(session.store, jobs, actor=session.actor, now_ms=now_ms(), shown=shown, how=how)
        see_through(session, jobs)


@app.command()
@flat
def resume(job_id: IdArgument, *, following: Following) -> None:
    """Let a paused job go on, or one whose runner was killed."""
    with open_session(following) as session:
        jobs = session.store.find_jobs(job_id)
        control.resume(session.store, jobs, actor=session.actor.name, now_ms=now_ms())
        see_through(session, jobs)


@app.command()
@flat
def pause(job_id: IdArgument, *, following: Following) -> None:
    """Pause a job; what is done stays done."""
    with open_session(following) as session:
        jobs = session.store.find_jobs(job_id)
        control.pause(session.store, jobs, actor=session.actor.name, now_ms=now_ms())
        _settle(session, jobs)


@app.command()
@flat
def cancel(job_id: IdArgument, *, following: Following) -> None:
    """End a job or a move; what is done stays done.

    It is in the report, which is written for a cancelled job as well.
    """
    with open_session(following) as session:
        jobs = session.store.find_jobs(job_id)
        control.cancel(session.store, jobs, actor=session.actor.name, now_ms=now_ms())
        _settle(session, jobs)


@app.command()
@flat
def retry(
    job_id: IdArgument,
    *,
    code: Annotated[
        list[str] | None, typer.Option(metavar="CODE", help="Only tasks that ended with this code (repeatable).")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Stop at the plan.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before proven originals are deleted.")] = False,
    priority: Annotated[int, typer.Option(metavar="N", min=0, max=2**31 - 1, help="Higher ones run first.")] = (
        DEFAULT_PRIORITY
    ),
    following: Following,
) -> None:
    """Make a new job of the tasks that failed or were kept.

    A delete is verified anew first. Of a move, what was not moved is moved again.
    """
    with open_session(following) as session:
        jobs = retry_jobs(
            session.store,
            session.store.find_jobs(job_id),
            codes=tuple(code or ()),
            is_confirmed=yes,
            is_dry_run=dry_run,
            now_ms=now_ms(),
            priority=priority,
            actor=session.actor,
        )
        see_through(session, jobs, is_new=True, dry_run=dry_run)


def _settle(session: Session, jobs: list[Job]) -> None:
    """Wait until the jobs rest; a wish was recorded, so success is that they do."""
    following = session.following
    if following.detach:
        print_detached(read_jobs(session.store, jobs), as_json=following.as_json)
        return
    rest, found = follow(
        session.store,
        session.home,
        jobs,
        workers=following.workers,
        as_json=following.as_json,
        actor=session.actor.name,
        may_pause=False,
    )
    print_result(found, as_json=following.as_json)
    raise typer.Exit(INTERRUPTED if rest is Rest.LEFT else 0)


def _needs_number(session: Session, job: Job) -> bool:
    """Tell whether whoever confirms must give the number of objects: an unverified delete, or somebody to ask."""
    is_due = job.status is JobStatus.SUSPENDED and job.operation is Operation.DELETE
    return is_due and (job.spec.delete.unverified or session.may_ask)


def _require_number(session: Session, job: Job) -> None:
    if not (session.may_ask and knows_number(job)):
        what = "of which no copy was verified" if job.spec.delete.unverified else "whose copies are proven"
        raise RefusedError(
            f"Job {job.id} would delete objects {what}; their number was not given right.",
            code="NotConfirmed",
            way_out=f"`s3batch jobs show {job.id}` shows the plan; then give the number with --objects N.",
        )
