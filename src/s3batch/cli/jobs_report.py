"""``s3batch jobs report``: where a job's files are, and the rows that did not succeed."""

from __future__ import annotations

import sys
from collections import defaultdict
from pathlib import Path
from typing import Annotated

import typer

from s3batch.cli.options import Following
from s3batch.cli.render import report_lines
from s3batch.cli.session import open_session, print_document, print_lines
from s3batch.control.views import job_document
from s3batch.ledger.records import Job, Segment
from s3batch.ledger.store import LedgerStore
from s3batch.manifest.normalised import NormalisedManifest
from s3batch.model.errors import RefusedError
from s3batch.model.job import ReportScope
from s3batch.report.ended import ended_chunks
from s3batch.report.rows import ENTRY_COLUMNS, OUTCOME_COLUMNS, report_rows

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def report(
    job_id: Annotated[str, typer.Argument(metavar="ID", help="Of a job or a move, or its beginning.")],
    *,
    failed: Annotated[
        bool,
        typer.Option("--failed", help="Print the failed and kept rows as CSV, in the form of AWS's completion report."),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")] = False,
) -> None:
    """Tell where the completion report, the old -> new mapping and the list of what remains are.

    With --failed: the rows that failed or were kept, as Bucket,Key,VersionId,TaskStatus,HTTPStatusCode,ErrorCode,
    ResultMessage without a header, keys URL-encoded; such a file can be a manifest again.
    """
    with open_session(Following(as_json=as_json)) as session:
        jobs = session.store.find_jobs(job_id)
        if failed:
            for job in jobs[-1:] if _has_rows(jobs[-1]) else jobs:
                _print_failed(session.store, job)
            return
        if not any(job.report for job in jobs):
            raise RefusedError(
                f"Job {jobs[-1].id} is {jobs[-1].status} and has no report yet.",
                code="NoReport",
                way_out=f"`s3batch jobs watch {jobs[-1].id}` shows how it ends.",
            )
        if as_json:
            members = ("job_id", "operation", "status", "report", "mapping", "remaining", "extra", "codes")
            documents = [{name: job_document(job)[name] for name in members} for job in jobs]
            print_document(documents[0] if len(jobs) == 1 else {"move_id": jobs[0].move_id, "jobs": documents})
        else:
            print_lines(report_lines(jobs))


def _has_rows(job: Job) -> bool:
    """Tell whether the job has outcomes; a move's last step with outcomes speaks for the steps before it."""
    return job.counts.ended > 0


def _print_failed(store: LedgerStore, job: Job) -> None:
    """Print the rows that did not succeed, chunk by chunk, so that a large report does not fill the memory.

    Raises:
        InconsistentError: a damaged manifest or segment.
    """
    if job.manifest_path is None:
        return
    by_chunk: defaultdict[int, list[Segment]] = defaultdict(list)
    for segment in store.segments(job.id):
        by_chunk[segment.chunk_no].append(segment)
    with NormalisedManifest.open(Path(job.manifest_path)) as manifest:
        for chunk in ended_chunks(
            manifest,
            lambda number: by_chunk.get(number, []),
            entry_columns=ENTRY_COLUMNS,
            outcome_columns=OUTCOME_COLUMNS,
        ):
            sys.stdout.buffer.write(report_rows(chunk, ReportScope.FAILED_TASKS_ONLY).failed_text)
    sys.stdout.buffer.flush()
