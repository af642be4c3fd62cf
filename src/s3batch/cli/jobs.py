"""``s3batch jobs``: list, follow and steer jobs. Wherever an id is asked for, a move's id or a beginning will do."""

from __future__ import annotations

from typing import Annotated, ClassVar

import typer

from s3batch.cli.lazy import LazyGroup
from s3batch.cli.options import Following
from s3batch.cli.render import event_lines, list_lines, plan_lines, summary_lines
from s3batch.cli.session import document_of, now_ms, open_session, print_document, print_lines, read_jobs
from s3batch.control import jobs as control
from s3batch.control.views import job_document
from s3batch.ledger.records import MAX_JOBS, JobFilter
from s3batch.model.job import Operation
from s3batch.model.status import JobStatus

_SHOWN_JOBS = 50


class JobCommands(LazyGroup):
    """The commands below, and those that need more than the ledger."""

    modules: ClassVar = {
        "watch": ("s3batch.cli.jobs_steer", "Follow a job to its next rest. Ctrl-C leaves; the job goes on."),
        "confirm": ("s3batch.cli.jobs_steer", "Let a job that waits for its confirmation run."),
        "pause": ("s3batch.cli.jobs_steer", "Pause a job; what is done stays done."),
        "resume": ("s3batch.cli.jobs_steer", "Let a paused job go on, or one whose runner was killed."),
        "cancel": ("s3batch.cli.jobs_steer", "End a job or a move; what is done stays done."),
        "retry": ("s3batch.cli.jobs_steer", "Make a new job of the tasks that failed or were kept."),
        "undo": ("s3batch.cli.jobs_undo", "Remove the delete markers that a delete job made."),
        "report": ("s3batch.cli.jobs_report", "Tell where the report is; print the failed rows."),
    }


app = typer.Typer(
    cls=JobCommands,
    rich_markup_mode=None,
    add_completion=False,
    no_args_is_help=True,
    help="List, follow and steer jobs; read their reports.",
)

IdArgument = Annotated[
    str, typer.Argument(metavar="ID", help="Of a job or a move; its beginning will do where no other begins so.")
]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]


@app.command("list")
def list_jobs(
    *,
    status: Annotated[list[JobStatus] | None, typer.Option(help="Only these (repeatable).")] = None,
    operation: Annotated[list[Operation] | None, typer.Option(help="Only these (repeatable).")] = None,
    limit: Annotated[int, typer.Option(metavar="N", min=1, max=MAX_JOBS, help="At most so many.")] = _SHOWN_JOBS,
    as_json: AsJson = False,
) -> None:
    """List jobs, the newest first."""
    chosen = JobFilter(statuses=tuple(status or ()), operations=tuple(operation or ()))
    with open_session(Following(as_json=as_json)) as session:
        jobs = session.store.list_jobs(chosen, limit=limit)
        if as_json:
            print_document([job_document(job) for job in jobs])
        elif jobs:
            print_lines(list_lines(jobs))
        else:
            print_lines(["No job is in this ledger." if not (status or operation) else "No such job."])


@app.command()
def show(job_id: IdArgument, *, as_json: AsJson = False) -> None:
    """Show everything about a job or a move."""
    with open_session(Following(as_json=as_json)) as session:
        jobs = session.store.find_jobs(job_id)
        if as_json:
            print_document(document_of(jobs, events_of=session.store.all_events))
            return
        print_lines(summary_lines(jobs))
        for job in jobs:
            print_lines(["", *plan_lines(job), "  events", *event_lines(session.store.all_events(job.id))])


@app.command()
def priority(
    job_id: IdArgument,
    number: Annotated[int, typer.Argument(metavar="N", min=0, max=2**31 - 1, help="Higher ones run first.")],
    *,
    as_json: AsJson = False,
) -> None:
    """Give a job or a move another priority."""
    with open_session(Following(as_json=as_json)) as session:
        jobs = session.store.find_jobs(job_id)
        changed = control.set_priority(session.store, jobs, number, actor=session.actor.name, now_ms=now_ms())
        if as_json:
            print_document(document_of(read_jobs(session.store, jobs)))
        else:
            print_lines([f"{job.operation} {job.id} has priority {job.priority}" for job in changed])
