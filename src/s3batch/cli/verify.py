"""``s3batch verify``: prove that copies are the objects that they are copies of."""

from __future__ import annotations

import os
import secrets
from dataclasses import replace
from typing import Annotated

import typer

from s3batch.cli.deferred import effective_connection, pinned, upgrade
from s3batch.cli.flat import flat
from s3batch.cli.options import Creating, Following, FromTo, Proving, Reporting, Selection, Store
from s3batch.cli.request import filter_arguments, source_and_mapping, step_of, with_reporting
from s3batch.cli.see_through import see_through
from s3batch.cli.session import now_ms, open_session
from s3batch.control.jobs import create_job
from s3batch.ledger.store import LedgerStore
from s3batch.model.errors import UsageError
from s3batch.model.job import Extra, JobSpec, Level, ManifestSource, Operation, VerifyOptions

ExtraOption = Annotated[
    Extra | None,
    typer.Option(
        help="List the target, too, for objects that no entry explains, and write their manifest; with fail they count"
        " as a difference.",
        show_default=False,
    ),
]

app = typer.Typer(rich_markup_mode=None, add_completion=False)

JobOption = Annotated[
    str | None, typer.Option("--job", metavar="COPY_JOB", help="Verify what this copy job, or move, has copied.")
]


@app.command(
    epilog="Exit codes: 0 all proven; 1 some could not be looked at; 2 usage; 3 differences found; 4 refused, nothing"
    " started; 5 store or ledger unavailable; 130 interrupted, the job is paused."
)
@flat
def verify(
    where: FromTo,
    job: JobOption = None,
    *,
    selection: Selection,
    proving: Proving,
    extra: ExtraOption = None,
    store: Store,
    reporting: Reporting,
    creating: Creating,
    following: Following,
) -> None:
    """Compare SOURCE with TARGET, or each object of a copy job with its copy.

    Each object ends as proven, different, missing or undecided. With --job the objects are those that the copy pinned,
    and the job's result is what `s3batch delete --job` takes.
    """
    if job is not None and (where != FromTo() or filter_arguments(selection, random_seed=0)):
        raise UsageError(
            "--job stands alone: its objects, mapping and store are those of the copy.",
            way_out="Write SOURCE TARGET with filters, or --job COPY_JOB.",
        )
    options = replace(proving.options(), extra=extra)
    if job is None:
        spec = _request(where, selection, options, store, reporting)
        copy_job = None
    else:
        spec, copy_job = None, job
    with open_session(following, upgrade=upgrade) as session:
        recorded = create_job(
            session.store,
            spec or _of_copy(session.store, str(copy_job), options, store, reporting),
            now_ms=now_ms(),
            priority=creating.priority,
            description=creating.description,
            confirmation_required=creating.dry_run,
        )
        see_through(session, [recorded], is_new=True, dry_run=creating.dry_run)


def _request(
    where: FromTo, selection: Selection, options: VerifyOptions, store: Store, reporting: Reporting
) -> JobSpec:
    """Return the specification of a comparison of two prefixes."""
    if options.level is Level.RESPONSE:
        raise UsageError(
            "--level response rests on a copy's own answers, and no copy job is named.",
            way_out="Use --job COPY_JOB, or the level etag, checksum or bytes.",
        )
    filter_ = filter_arguments(selection, random_seed=secrets.randbelow(2**31))
    source, mapping = source_and_mapping(where, filter_)
    connection = effective_connection(store, os.environ)
    if source.url is not None:
        source = pinned(source, connection)
    spec = JobSpec(
        operation=Operation.VERIFY,
        source=source,
        mapping=mapping,
        verify=options,
        connection=connection,
    )
    _refuse_extra_of_some(spec)
    return with_reporting(spec, reporting)


def _of_copy(ledger: LedgerStore, job_id: str, options: VerifyOptions, store: Store, reporting: Reporting) -> JobSpec:
    """Return the specification that verifies a copy job: its objects, mapping and store."""
    copy = step_of(ledger.find_jobs(job_id), Operation.COPY, job_id)
    spec = replace(
        copy.spec,
        operation=Operation.VERIFY,
        source=ManifestSource(job_id=copy.id),
        verify=options,
        connection=replace(copy.spec.connection, concurrency=store.concurrency, max_rate=store.max_rate),
    )
    _refuse_extra_of_some(replace(spec, source=copy.spec.source))
    return replace(with_reporting(spec, reporting), chunk_entries=copy.spec.chunk_entries)


def _refuse_extra_of_some(spec: JobSpec) -> None:
    """Refuse to call all copies extra whose sources a filter, or a retry, left out."""
    if spec.verify.extra is not None and (spec.source.filter or spec.source.is_retry):
        raise UsageError(
            "--extra looks for objects that no entry explains, and here not all sources are entries.",
            way_out="Verify the whole of SOURCE and TARGET with --extra, without filters.",
        )
