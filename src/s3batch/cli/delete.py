"""``s3batch delete``: delete originals whose copies a verify job has proven; or, named as such, unverified objects."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import Annotated

import typer

from s3batch.cli.deferred import effective_connection, pinned, upgrade
from s3batch.cli.durations import duration_parser
from s3batch.cli.flat import flat
from s3batch.cli.options import (
    Creating,
    Following,
    PermanentOption,
    ProbePrefixOption,
    Probing,
    Reporting,
    Store,
    TrustListingsOption,
    size_parser,
)
from s3batch.cli.request import manifest_source, probe_options, require_complete, step_of, with_reporting
from s3batch.cli.see_through import see_through
from s3batch.cli.session import Session, now_ms, open_session
from s3batch.control.backups import backup_mapping
from s3batch.control.jobs import create_job, new_job_id
from s3batch.control.proven_delete import record_steps, steps_to_delete
from s3batch.ledger.records import Job
from s3batch.ledger.store import LedgerStore
from s3batch.model.attributes import Attribute
from s3batch.model.errors import RefusedError, UsageError
from s3batch.model.job import DEFAULT_MAX_EVIDENCE_AGE_S, DeleteOptions, JobSpec, KeyMapping, ManifestSource, Operation
from s3batch.model.objects import parse_s3_uri, require_exact_prefix
from s3batch.plan.proof import require_whole, sources_of

app = typer.Typer(rich_markup_mode=None, add_completion=False)

_EITHER = "Write --job VERIFY_JOB, or --manifest URL --unverified."

JobOption = Annotated[
    str | None, typer.Option("--job", metavar="VERIFY_JOB", help="Delete what this verify job, or move, has proven.")
]
ManifestOption = Annotated[
    str | None, typer.Option("--manifest", metavar="URL", help="With --unverified: delete what this manifest names.")
]
FormatOption = Annotated[
    str | None,
    typer.Option("--manifest-format", metavar="csv|json|parquet", help="By default as the manifest's content says."),
]
UnverifiedOption = Annotated[
    bool,
    typer.Option("--unverified", help="No copy was proven. The number of objects must be typed; --yes does not do."),
]
MaxDeleteOption = Annotated[
    int | None, typer.Option("--max-delete", metavar="N", min=0, help="Refuse to delete more objects than this.")
]
MaxDeleteBytesOption = Annotated[
    int | None,
    typer.Option(
        "--max-delete-bytes", metavar="SIZE", parser=size_parser, help="Refuse to delete more bytes than this together."
    ),
]
RequireOption = Annotated[
    list[Attribute] | None,
    typer.Option(help="Only where verify compared this, too (repeatable). A move requires what its verify compares."),
]


HoldOption = Annotated[
    int | None,
    typer.Option(
        metavar="SPAN",
        parser=duration_parser,
        help="Wait so long (24h, 7d), verify once more, and delete by that: a change of mind costs nothing meanwhile.",
    ),
]
MaxEvidenceAgeOption = Annotated[
    int,
    typer.Option(
        metavar="SPAN", parser=duration_parser, show_default="7d", help="Keep what was not proven within this span."
    ),
]


BackupOption = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        help="First copy the originals below this prefix and verify that; what is not proven stays.",
    ),
]


@app.command(
    epilog="Exit codes: 0 all deleted, or planned and waiting for the confirmation; 1 some failed; 2 usage;"
    " 3 sources kept; 4 refused, nothing started; 5 store or ledger unavailable; 130 interrupted, the job is paused."
)
@flat
def delete(
    job: JobOption = None,
    manifest: ManifestOption = None,
    manifest_format: FormatOption = None,
    *,
    unverified: UnverifiedOption = False,
    max_delete: MaxDeleteOption = None,
    max_delete_bytes: MaxDeleteBytesOption = None,
    hold: HoldOption = None,
    max_evidence_age: MaxEvidenceAgeOption = DEFAULT_MAX_EVIDENCE_AGE_S,
    backup: BackupOption = None,
    require: RequireOption = None,
    permanent: PermanentOption = False,
    trust_listings: TrustListingsOption = False,
    probe_prefix: ProbePrefixOption = None,
    store: Store,
    reporting: Reporting,
    creating: Creating,
    following: Following,
) -> None:
    """Delete the originals whose copies --job has proven.

    Original and copy are read again just before each delete; whatever is not as it was proven is kept and reported.
    In a bucket with versioning a delete leaves a delete marker; with --permanent the exact versions that the manifest
    names are gone for good.
    """
    if (job is None) != unverified or (job is not None and manifest is not None):
        raise UsageError("Say what is to be deleted, in one of two ways.", way_out=_EITHER)
    if unverified and creating.yes:
        raise UsageError(
            "--yes does not confirm an unverified delete.",
            way_out="Leave it out; in a script, run `s3batch jobs confirm ID --objects N` afterwards.",
        )
    if unverified and hold is not None:
        raise UsageError(
            "--hold is the time before a proof is renewed, and an unverified delete has none.",
            way_out="Leave it out, and confirm the job when the time has come; or write --job VERIFY_JOB.",
        )
    if unverified and backup is not None:
        raise UsageError(
            "--backup copies what a verify job is about, and an unverified delete has none.",
            way_out="Move the objects to the backup instead: `s3batch move --manifest URL --to BACKUP`.",
        )
    if unverified and require:
        raise UsageError(
            "--require is about a proof, and an unverified delete has none.",
            way_out="Leave it out, or write --job VERIFY_JOB.",
        )
    options = DeleteOptions(
        unverified=unverified,
        max_objects=max_delete,
        max_bytes=max_delete_bytes,
        required=tuple(require or ()),
        permanent=permanent,
        max_evidence_age_s=max_evidence_age,
        trust_listings=trust_listings,
    )
    probe = probe_options(Probing(probe_prefix=probe_prefix), is_dry_run=creating.dry_run)
    spec = _unverified_request(manifest, manifest_format, options, store, reporting) if unverified else None
    with open_session(following, upgrade=upgrade) as session:
        asked = spec or _of_verify(session.store, str(job), options, store, reporting)
        recorded = _record(session, replace(asked, probe=probe), hold, backup, creating)
        see_through(session, recorded, is_new=True, dry_run=creating.dry_run)


def _record(session: Session, spec: JobSpec, hold_s: int | None, backup: str | None, creating: Creating) -> list[Job]:
    """Record the delete, and the jobs that a hold or a backup puts before it."""
    if hold_s is None and backup is None:
        recorded = create_job(
            session.store,
            spec,
            now_ms=now_ms(),
            priority=creating.priority,
            description=creating.description,
            confirmation_required=creating.dry_run or not creating.yes,
            actor=session.actor,
        )
        return [recorded]
    verify = session.store.get_job(str(spec.source.job_id))
    *_, origin = sources_of(verify, session.store.get_job)
    steps = steps_to_delete(
        replace(verify.spec, connection=spec.connection),
        verify.id,
        spec,
        hold_s=hold_s,
        backup=backup_of(backup, source=origin, mapping=spec.mapping),
        make_id=new_job_id,
    )
    return record_steps(
        session.store,
        steps,
        after=verify.id,
        is_confirmed=creating.yes,
        is_dry_run=creating.dry_run,
        now_ms=now_ms(),
        priority=creating.priority,
        description=creating.description,
        actor=session.actor,
    )


def backup_of(url: str | None, *, source: ManifestSource, mapping: KeyMapping | None) -> KeyMapping | None:
    """Return where a backup goes, if there is to be one.

    Raises:
        UsageError: the address is none.
        RefusedError: an inexact prefix, or one among the originals or the copies.
    """
    if url is None:
        return None
    return backup_mapping(require_exact_prefix(parse_s3_uri(url), raw=False), source=source, mapping=mapping)


def _unverified_request(
    manifest: str | None, manifest_format: str | None, options: DeleteOptions, store: Store, reporting: Reporting
) -> JobSpec:
    """Return the specification of a delete that only the pinned identity of each object guards."""
    if manifest is None:
        raise UsageError("--unverified needs --manifest.", way_out=_EITHER)
    source = manifest_source(manifest, manifest_format=manifest_format, filter_={})
    connection = effective_connection(store, os.environ)
    spec = JobSpec(
        operation=Operation.DELETE,
        source=pinned(source, connection),
        delete=options,
        connection=connection,
    )
    return with_reporting(spec, reporting)


def _of_verify(ledger: LedgerStore, job_id: str, options: DeleteOptions, store: Store, reporting: Reporting) -> JobSpec:
    """Return the specification that deletes what a verify job has proven."""
    found = ledger.find_jobs(job_id)
    verify = require_complete(step_of(found, Operation.VERIFY, job_id))
    require_whole(verify, ledger.get_job)
    _refuse_uncovered(verify, options)
    spec = replace(
        verify.spec,
        operation=Operation.DELETE,
        source=ManifestSource(job_id=verify.id),
        delete=options,
        connection=replace(verify.spec.connection, concurrency=store.concurrency, max_rate=store.max_rate),
    )
    return replace(with_reporting(spec, reporting), chunk_entries=verify.spec.chunk_entries)


def _refuse_uncovered(verify: Job, options: DeleteOptions) -> None:
    """Refuse a delete of which the gate would keep every source, because verify compared less than is required."""
    missing = [name for name in options.required if name not in verify.spec.verify.attributes]
    if missing:
        ways = " ".join(f"--with-{name}" for name in missing)
        raise RefusedError(
            f"Job {verify.id} did not compare {', '.join(missing)}, which --require asks of it.",
            code="NotCovered",
            way_out=f"Verify again with {ways}, or leave --require out.",
        )
