"""Seeing jobs through: follow them, ask where they wait for a confirmation, print the result, end with a code."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import typer

from s3batch.cli.following import Rest, follow, start_detached
from s3batch.cli.render import plan_lines, summary_lines
from s3batch.cli.session import Session, document_of, now_ms, print_document, print_lines, print_result
from s3batch.control import jobs as control
from s3batch.control.exit_code import exit_code
from s3batch.control.standing import due_job
from s3batch.ledger.records import Job, ShownPlan
from s3batch.model.job import Operation

INTERRUPTED = 130


def see_through(
    session: Session,
    jobs: Sequence[Job],
    *,
    is_new: bool = False,
    dry_run: bool = False,
    may_pause: bool = True,
    may_ask: bool = True,
) -> None:
    """Follow the jobs to their end, asking where they wait for a confirmation, and end with their exit code.

    The plan of new jobs is shown as soon as it is there; that of a dry run is its result.

    Raises:
        typer.Exit: always.
    """
    following = session.following
    if following.detach:
        found = start_detached(session.store, session.home, jobs, workers=following.workers)
        print_detached(found, as_json=following.as_json)
        raise typer.Exit(0)
    show_plan = is_new and not dry_run and not following.as_json
    while True:
        rest, found = follow(
            session.store,
            session.home,
            jobs,
            workers=following.workers,
            as_json=following.as_json,
            actor=session.actor.name,
            may_pause=may_pause,
            show_plan=show_plan,
        )
        show_plan = False
        may_confirm = rest is Rest.WAITS_FOR_CONFIRMATION and not dry_run and may_ask and session.may_ask
        if may_confirm and _is_confirmed(found):
            shown = shown_plan(due_job(found))
            control.confirm(session.store, found, actor=session.actor, now_ms=now_ms(), shown=shown, how="typed")
            continue
        print_result(found, as_json=following.as_json, with_plan=dry_run)
        raise typer.Exit(INTERRUPTED if rest in (Rest.PAUSED, Rest.LEFT) else exit_code(found))


def print_detached(jobs: Sequence[Job], *, as_json: bool) -> None:
    """Print the id by which the jobs are asked for; it alone, so that a script can take it."""
    if as_json:
        print_document(document_of(jobs))
        return
    name = jobs[0].move_id or jobs[-1].id
    print_lines([name])
    sys.stderr.write(f"A runner is at work. `s3batch jobs watch {name}` follows it.\n")


def shown_plan(job: Job) -> ShownPlan:
    """Return which plan somebody confirms who was shown this job."""
    return ShownPlan(objects=job.total, manifest_sha256=None if job.plan is None else job.plan.manifest_sha256)


def knows_number(job: Job) -> bool:
    """Tell whether whoever confirms a delete types how many objects it is about; its plan is shown first."""
    which = "them" if job.spec.delete.unverified else "those whose copies are proven"
    return _typed_number(job, f"Type the number of objects to delete {which} (anything else stops)") == job.total


def _knows_markers(job: Job) -> bool:
    """Tell whether whoever confirms an undo types how many markers it would remove."""
    typed = _typed_number(job, "Type the number of markers to remove them (anything else stops)")
    return job.plan is not None and typed == job.plan.markers


def _typed_number(job: Job, question: str) -> int | None:
    """Show a plan, ask, and return the number that was typed; nothing where it is none."""
    sys.stderr.write("".join(f"{line}\n" for line in plan_lines(job)))
    answer = typer.prompt(question, err=True, default="", show_default=False)
    text = str(answer).replace(",", "").strip()
    return int(text) if text.isascii() and text.isdecimal() else None


def _is_confirmed(jobs: Sequence[Job]) -> bool:
    job = due_job(jobs)
    if job.operation is Operation.DELETE:
        if before := jobs[: jobs.index(job)]:
            sys.stderr.write("".join(f"{line}\n" for line in (*summary_lines(before), "")))
        return knows_number(job)
    if job.operation is Operation.UNDO:
        return _knows_markers(job)
    lines = [*(summary_lines(jobs[: jobs.index(job)]) if len(jobs) > 1 else []), "", *plan_lines(job), ""]
    sys.stderr.write("".join(f"{line}\n" for line in lines))
    return typer.confirm(f"Run the {job.operation} job?", default=False, err=True)
