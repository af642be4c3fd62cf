"""From options to a job's specification, checked as far as that needs no request (safety.md rule 2).

Pure: the connection and the manifest's pin are worked out elsewhere and come in.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from s3batch.cli.attributes import copy_attributes
from s3batch.cli.deferred import Filter, manifest_object
from s3batch.cli.options import Attributes, Copying, FromTo, Probing, Reporting, Selection
from s3batch.ledger.records import Job
from s3batch.model.errors import RefusedError, UsageError
from s3batch.model.job import (
    Connection,
    CopyOptions,
    JobSpec,
    KeyMapping,
    ManifestSource,
    Operation,
    ProbeOptions,
    ReportOptions,
    ReportScope,
)
from s3batch.model.objects import S3Prefix, parse_s3_uri, require_exact_prefix
from s3batch.model.status import JobStatus
from s3batch.plan.canaries import parse_probe_prefix

_BY_KEY_ONLY = frozenset({"include", "exclude", "regex", "limit", "sample", "seed"})
"""Filters that a manifest's bare rows can answer; the others need what a listing tells."""


def filter_arguments(selection: Selection, *, random_seed: int) -> dict[str, Any]:
    """Return the filter as a specification holds it; empty keeps everything.

    Raises:
        UsageError: code ``InvalidFilter``.
    """
    if selection == Selection():
        return {}
    seed = selection.seed if selection.seed is not None else random_seed
    return Filter(
        include=tuple(selection.include or ()),
        exclude=tuple(selection.exclude or ()),
        regex=selection.regex,
        min_size=selection.min_size,
        max_size=selection.max_size,
        modified_after_ms=selection.modified_after,
        modified_before_ms=selection.modified_before,
        storage_classes=tuple(selection.storage_class_in or ()),
        limit=selection.limit,
        sample=selection.sample,
        seed=seed if selection.sample is not None else 0,
    ).to_arguments()


def source_and_mapping(where: FromTo, filter_: dict[str, Any]) -> tuple[ManifestSource, KeyMapping]:
    """Return where the entries come from and where they go.

    Raises:
        UsageError: too few or too many addresses, or one that is none.
        RefusedError: an inexact prefix (``InexactPrefix``), or source and target are the same (``SourceIsTarget``).
    """
    if where.manifest is not None:
        return _from_manifest(where, where.manifest, filter_)
    if where.to is not None:
        raise UsageError("--to goes with --manifest.", way_out="Write SOURCE TARGET, or --manifest URL --to TARGET.")
    if where.source is None or where.target is None:
        raise UsageError(
            "Source or target is missing.", way_out="Write s3://BUCKET/PREFIX/ twice, or --manifest URL --to TARGET."
        )
    source = require_exact_prefix(parse_s3_uri(where.source), raw=where.raw_prefix)
    target = require_exact_prefix(parse_s3_uri(where.target), raw=where.raw_prefix)
    strip = _strip_prefix(where, source.prefix)
    if not source.prefix.startswith(strip):
        raise UsageError(
            f"--strip-prefix {strip!r} is not the beginning of the source's prefix {source.prefix!r}.",
            way_out="Leave it out to strip the whole source prefix.",
        )
    mapping = KeyMapping(target_bucket=target.bucket, strip_prefix=strip, add_prefix=target.prefix)
    if source.bucket == target.bucket and strip == target.prefix:
        raise RefusedError(
            f"Source and target are the same: every key below {source} would keep its name.",
            code="SourceIsTarget",
            way_out="Give another target bucket or prefix.",
        )
    return ManifestSource(list_bucket=source.bucket, list_prefix=source.prefix, filter=filter_), mapping


def manifest_source(url: str, *, manifest_format: str | None, filter_: dict[str, Any]) -> ManifestSource:
    """Return a manifest as the source of entries; not pinned yet. A local path becomes absolute.

    Raises:
        UsageError: the address is none, or a filter needs what a manifest's rows may not tell.
    """
    if needs_listing := sorted(filter_.keys() - _BY_KEY_ONLY):
        named = ", ".join(name.removesuffix("_ms").replace("_", " ") for name in needs_listing)
        raise UsageError(
            f"A filter by {named} cannot be applied to a manifest: its rows need not tell.",
            way_out="Make a smaller manifest with `s3batch manifest create` and these filters.",
        )
    if manifest_format is not None and manifest_format not in ("csv", "json", "parquet"):
        raise UsageError(f"--manifest-format {manifest_format!r} is unknown.", way_out="Use csv, json or parquet.")
    if url.startswith("s3://"):
        manifest_object(url)
    else:
        url = str(Path(url).expanduser().absolute())
    return ManifestSource(url=url, format=manifest_format, filter=filter_)


def copy_options(options: Copying, attributes: Attributes) -> CopyOptions:
    """Return how objects are copied.

    Raises:
        UsageError: attributes that cannot be had, or not together.
    """
    return CopyOptions(
        attributes=copy_attributes(attributes),
        ignore_lifecycle=options.ignore_lifecycle,
        if_target_exists=options.if_target_exists,
        multipart_threshold=options.multipart_threshold,
        part_size=options.part_size,
        storage_class=options.storage_class,
    )


def probe_options(probing: Probing, *, is_dry_run: bool) -> ProbeOptions:
    """Return where canaries may be written.

    Raises:
        UsageError: no such prefix can be (``InvalidProbePrefix``), or nothing is to be written.
        RefusedError: ``InexactPrefix``.
    """
    prefixes = tuple(str(parse_probe_prefix(text)) for text in probing.probe_prefix or ())
    if prefixes and is_dry_run:
        raise UsageError(
            "--probe-prefix writes canaries, and a dry run writes nothing.",
            way_out="Leave one of them out; `s3batch check --probe-prefix` probes without a job.",
        )
    return ProbeOptions(prefixes=prefixes, ignore_losses=probing.ignore_losses)


def with_reporting(spec: JobSpec, options: Reporting) -> JobSpec:
    """Return the specification with where its report goes and when it gives up.

    Raises:
        UsageError: the report's address is none.
    """
    url = options.report
    if url is not None and url.startswith("s3://"):
        parse_s3_uri(url)
    elif url is not None:
        url = str(Path(url).expanduser().absolute())
    return replace(
        spec,
        report=ReportOptions(url=url, scope=ReportScope(options.report_scope)),
        chunk_entries=options.chunk_entries,
        failure_fraction=options.failure_threshold,
        failure_minimum=options.failure_minimum,
    )


def copy_spec(
    source: ManifestSource, mapping: KeyMapping, copy: CopyOptions, reporting: Reporting, connection: Connection
) -> JobSpec:
    """Return the specification of a copy."""
    return with_reporting(
        JobSpec(
            operation=Operation.COPY,
            source=source,
            mapping=mapping,
            copy=copy,
            connection=connection,
        ),
        reporting,
    )


def step_of(jobs: list[Job], operation: Operation, text: str) -> Job:
    """Return the job that ``text`` names: of this operation, or a move that has such a step.

    Raises:
        RefusedError: code ``WrongOperation``.
    """
    # of several verify jobs of a move: the one that its delete is built on, which a hold may have renewed
    proof_id = next((job.spec.source.evidence_job_id for job in jobs if job.operation is Operation.DELETE), None)
    asked = [job for job in jobs if job.operation is operation]
    found = next((job for job in asked if job.id == proof_id), asked[0] if asked else None)
    if found is not None:
        return found
    job = jobs[0]
    raise RefusedError(
        f"Job {text} is a {job.operation} job; a {operation} job is needed.",
        code="WrongOperation",
        way_out=f"Prove the copy first: `s3batch verify --job {job.id}`."
        if (job.operation, operation) == (Operation.COPY, Operation.VERIFY)
        else "`s3batch jobs list` shows all jobs with their operations.",
    )


def require_complete(job: Job) -> Job:
    """Return the job if it is complete: what it proved is known.

    Raises:
        RefusedError: code ``NotComplete``.
    """
    if job.status is JobStatus.COMPLETE:
        return job
    raise RefusedError(
        f"The {job.operation} job {job.id} is {job.status}: only a complete one can be built on.",
        code="NotComplete",
        way_out=f"`s3batch jobs show {job.id}` tells what it waits for or why it ended.",
    )


def _from_manifest(where: FromTo, manifest: str, filter_: dict[str, Any]) -> tuple[ManifestSource, KeyMapping]:
    if where.source is not None:
        raise UsageError(
            f"Both {where.source} and --manifest were given.",
            way_out="Write SOURCE TARGET, or --manifest URL --to TARGET.",
        )
    if where.to is None:
        raise UsageError("--manifest needs --to.", way_out="Say where the objects go: --to s3://BUCKET/PREFIX/.")
    target = require_exact_prefix(parse_s3_uri(where.to), raw=where.raw_prefix)
    strip = _strip_prefix(where, "")
    mapping = KeyMapping(target_bucket=target.bucket, strip_prefix=strip, add_prefix=target.prefix)
    return manifest_source(manifest, manifest_format=where.manifest_format, filter_=filter_), mapping


def _strip_prefix(where: FromTo, otherwise: str) -> str:
    if where.strip_prefix is None:
        return otherwise
    require_exact_prefix(S3Prefix(bucket="BUCKET", prefix=where.strip_prefix), raw=where.raw_prefix)
    return where.strip_prefix
