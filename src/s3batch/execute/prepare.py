"""Preparing a job: from where its entries come to a normalised manifest and a plan. Nothing in a store is changed.

But where the user named prefixes for canaries: they come and go there, once nothing else refuses the job.

Order of writes: the manifest is complete on disk under its own name before the ledger names it; a crash before that is
prepared again from the beginning.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from itertools import takewhile
from pathlib import Path
from typing import cast

import pyarrow as pa

from s3batch.config import JobFolder
from s3batch.execute.estimating import estimate_plan, plan_figures
from s3batch.execute.exposed_versions import find_exposed
from s3batch.execute.kept_attributes import require_readable
from s3batch.execute.pinning import Tell, pin_entries
from s3batch.execute.probed_plan import probe_for_plan
from s3batch.execute.proof import check_evidence
from s3batch.execute.services import RunnerServices
from s3batch.ledger.records import Job, Segment
from s3batch.ledger.segments import read_outcomes
from s3batch.manifest.filters import Filter, filtered
from s3batch.manifest.generator import generate_entries
from s3batch.manifest.location import open_manifest
from s3batch.manifest.normalise import Normalised, Normaliser
from s3batch.manifest.normalised import ChunkInfo, NormalisedManifest
from s3batch.model.attributes import Keep
from s3batch.model.errors import InconsistentError, RefusedError
from s3batch.model.job import Connection, JobSpec, KeyMapping, Operation, Plan
from s3batch.model.objects import S3Object
from s3batch.model.status import TERMINAL
from s3batch.operations.null_versions import SUSPENDED
from s3batch.plan.collisions import KeySpan, check_collisions
from s3batch.plan.figures import PlanFigures
from s3batch.plan.findings import require_permitted, warnings_of
from s3batch.plan.mapping import check_mapping
from s3batch.plan.preflight import copy_findings, source_findings
from s3batch.plan.requests import count_by_kind, count_requests
from s3batch.plan.staleness import inventory_warning
from s3batch.plan.undo import UNDO_COLUMNS, UndoFigures
from s3batch.plan.versions import check_versions
from s3batch.plan.warnings import store_warnings
from s3batch.report.retry_manifest import write_retry_manifest
from s3batch.s3.bucket_reading import read_bucket
from s3batch.s3.client import S3Reader
from s3batch.s3.errors import S3RefusedError

_TELL_EVERY = 20_000
_EXAMPLES = 3
_PLAN_COLUMNS = ("key", "version_id", "size", "etag", "last_modified", "storage_class", "problem")


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """What preparing found out."""

    plan: Plan
    manifest: Path
    chunks: Sequence[ChunkInfo]


async def prepare(job: Job, services: RunnerServices, tell: Tell) -> Prepared:
    """Read, complete, sort and check the entries of a job, and plan it.

    Raises:
        RefusedError: the manifest or the mapping cannot be used as it is; the message has examples.
        UnavailableError: a store did not answer.
    """
    spec, folder = job.spec, services.home.job(job.id)
    folder.root.mkdir(parents=True, exist_ok=True)
    duplicates = 0
    told: list[str] = []
    if spec.source.job_id is not None and not spec.source.is_retry:
        path = Path(_manifest_of(spec.source.job_id, services))
        _check_predecessor(spec, services.store.get_job(spec.source.job_id))
        told += check_evidence(spec, services.store, now_ms=services.now_ms())
    else:
        path = folder.manifest
        async with await S3Reader.open(spec.connection) as reader:
            normalised = await _gather_entries(job, services, reader, path, tell, warnings=told)
            duplicates = normalised.duplicates
            await pin_entries(reader, path, spec, scratch_folder(folder), tell)
    with NormalisedManifest.open(path) as manifest:
        if not manifest.chunks:
            raise RefusedError(
                "The manifest holds no entry: there is nothing to do.",
                code="EmptyManifest",
                way_out="Check the prefix and the filters; `s3batch manifest create` shows what they find.",
            )
        is_aws = await _is_aws(spec.connection)
        # of a move, what its delete would refuse is refused before the first copy
        will_delete = spec.operation is Operation.DELETE or (job.move_id is not None and job.step == 1)
        figures = plan_figures(spec, with_ages=will_delete and is_aws, now_ms=services.now_ms())
        plan = await asyncio.to_thread(
            _plan, spec, manifest, scratch_folder(folder), duplicates, figures, is_aws=is_aws, will_delete=will_delete
        )
        plan = replace(plan, warnings=(*told, *plan.warnings))
        if will_delete:
            found = await _source_warnings(spec, manifest)
            plan = replace(plan, warnings=(*plan.warnings, *found))
        if spec.operation is Operation.UNDO:
            plan = await asyncio.to_thread(_plan_undo, plan, manifest, services, str(spec.source.job_id))
            await _require_versions_listed(spec.connection, manifest)
        if spec.operation is Operation.COPY and spec.mapping is not None:
            async with await S3Reader.open(spec.connection) as reader:
                await require_readable(reader, spec, manifest)
            found = await _target_warnings(spec, spec.mapping)
            plan = replace(plan, warnings=(*plan.warnings, *found))
        plan = await estimate_plan(plan, job, services, figures, [span.bucket for span in _spans(manifest.chunks)])
        if spec.probe.prefixes:  # last of all: where anything else refuses the job, nothing is written
            plan = await probe_for_plan(job, plan, tuple(span.bucket for span in _spans(manifest.chunks)))
        return Prepared(plan=plan, manifest=path, chunks=manifest.chunks)


def key_spans(manifest_path: str) -> tuple[KeySpan, ...]:
    """Return the first and last key of the manifest's entries in each bucket."""
    with NormalisedManifest.open(Path(manifest_path)) as manifest:
        return _spans(manifest.chunks)


def scratch_folder(folder: JobFolder) -> Path:
    """Return the job's folder for what may be thrown away, made if need be."""
    folder.scratch.mkdir(parents=True, exist_ok=True)
    return folder.scratch


async def store_time_ms(connection: Connection, span: KeySpan) -> int:
    """Return the time by the store's clock, as its answer about the folder of the span's keys tells it."""
    async with await S3Reader.open(connection) as reader:
        return await reader.store_time_ms(span.bucket, span.folder)


async def bucket_versioning(connection: Connection, bucket: str) -> str:
    """Return ``Enabled``, ``Suspended`` or nothing."""
    async with await S3Reader.open(connection) as reader:
        return await reader.get_bucket_versioning(bucket)


async def versioning_by_source(spec: JobSpec, source_buckets: Sequence[str]) -> dict[str, str]:
    """Return, by source bucket, the versioning of the bucket that is written: what a delete or copy leaves behind.

    Looked at whenever the job becomes active: it may have been changed since the plan. A delete must know; a copy whose
    user may not ask looks for version ids in the answers.

    Raises:
        S3RefusedError: versioning of a bucket to delete from may not be read.
    """
    if spec.operation is Operation.DELETE:
        return {bucket: await bucket_versioning(spec.connection, bucket) for bucket in source_buckets}
    if spec.operation is Operation.VERIFY or spec.mapping is None:
        return {}
    try:
        versioning = await bucket_versioning(spec.connection, spec.mapping.target_bucket)
    except S3RefusedError:
        versioning = "Enabled"
    return dict.fromkeys(source_buckets, versioning)


def _manifest_of(job_id: str, services: RunnerServices) -> str:
    path = services.store.get_job(job_id).manifest_path
    if path is None:
        raise RefusedError(
            f"Job {job_id} has no manifest: it was not prepared.",
            code="NoManifest",
            way_out=f"`s3batch jobs show {job_id}` tells what became of it.",
        )
    return path


def _check_predecessor(spec: JobSpec, before: Job) -> None:
    """Refuse a delete whose evidence would be about other targets than those it names, and an undo of no delete."""
    if spec.operation is Operation.UNDO and (before.operation is not Operation.DELETE or before.status not in TERMINAL):
        raise RefusedError(
            f"Job {before.id} is a {before.operation} job that is {before.status}; an undo needs a delete that ended.",
            code="WrongOperation",
            way_out="Name the delete job: `s3batch jobs undo DELETE_JOB`.",
        )
    if spec.operation is not Operation.DELETE or spec.delete.unverified:
        return
    if before.operation is not Operation.VERIFY or before.spec.mapping != spec.mapping:
        raise RefusedError(
            f"Job {before.id} is no verify job of this mapping, so it proves nothing about these deletes.",
            code="NotProven",
            way_out="Name the verify job: `s3batch delete --job VERIFY_JOB`.",
        )


async def _gather_entries(
    job: Job, services: RunnerServices, reader: S3Reader, path: Path, tell: Tell, *, warnings: list[str]
) -> Normalised:
    """Write the normalised manifest from a listing, a manifest file, or another job's failed rows.

    ``warnings`` takes what the source says about itself.
    """
    spec, folder = job.spec, services.home.job(job.id)
    scratch = scratch_folder(folder)
    if spec.source.is_retry:
        return await asyncio.to_thread(_gather_retry, spec, services, path)
    with Normaliser(path, scratch=scratch, chunk_entries=spec.chunk_entries, chunk_bytes=spec.chunk_bytes) as writer:
        told = 0
        async for batch in _batches(spec, reader, scratch, warnings, services.now_ms()):
            await _write_off_loop(writer, batch)
            if writer.entries - told >= _TELL_EVERY:
                told = writer.entries
                await tell({"listed": told})
        return await asyncio.to_thread(writer.finish)


async def _write_off_loop(writer: Normaliser, batch: pa.RecordBatch) -> None:
    """Write a batch; small ones cost less than a thread's hand-over."""
    writer.write(batch)
    await asyncio.sleep(0)


async def _batches(
    spec: JobSpec, reader: S3Reader, scratch: Path, warnings: list[str], now_ms: int
) -> AsyncIterator[pa.RecordBatch]:
    source = spec.source
    if source.list_bucket is not None:
        kept = Filter(**source.filter)
        async for batch in generate_entries(reader, source.list_bucket, source.list_prefix, kept, spool_dir=scratch):
            yield batch
        return
    if source.url is None:
        raise InconsistentError("The job says nothing about where its entries come from.", code="NoSource")
    async with open_manifest(reader, source.url, format=source.format, pin=source.pin, scratch=scratch) as opened:
        if (made_ms := opened.findings.inventory_created_ms) is not None:
            warnings.append(inventory_warning(str(opened.findings.inventory_bucket), made_ms, now_ms=now_ms))
        for batch in filtered(opened.batches(), Filter(**source.filter)):
            yield batch


def _gather_retry(spec: JobSpec, services: RunnerServices, path: Path) -> Normalised:
    """Write the failed and kept rows of another job, with the identities that it had pinned."""
    job_id = str(spec.source.job_id)
    by_chunk: defaultdict[int, list[Segment]] = defaultdict(list)
    for segment in services.store.segments(job_id):
        by_chunk[segment.chunk_no].append(segment)
    with NormalisedManifest.open(Path(_manifest_of(job_id, services))) as manifest:
        written = write_retry_manifest(
            path,
            manifest,
            lambda number: by_chunk.get(number, []),
            codes=spec.source.codes,
            with_unended=not spec.source.codes,
            chunk_entries=spec.chunk_entries,
            chunk_bytes=spec.chunk_bytes,
        )
    return Normalised(
        entries=written.entries, bytes=written.bytes, duplicates=0, duplicate_samples=(), was_in_order=True
    )


async def _is_aws(connection: Connection) -> bool:
    async with await S3Reader.open(connection) as reader:
        return reader.is_aws


async def _source_warnings(spec: JobSpec, manifest: NormalisedManifest) -> tuple[str, ...]:
    """Return what the source buckets will do when originals go, and what becomes current then.

    Raises:
        S3RefusedError: the bucket's versioning, or its versions where they matter, may not be read.
    """
    found: list[str] = []
    async with await S3Reader.open(spec.connection) as reader:
        for span in _spans(manifest.chunks):
            versioning = await reader.get_bucket_versioning(span.bucket)
            if versioning == SUSPENDED and not spec.delete.permanent:
                await reader.list_object_versions(span.bucket, span.first_key, max_keys=1)
            source = await read_bucket(reader, span.bucket)
            findings = source_findings(source, _shared_prefix(span), requester_pays=spec.connection.requester_pays)
            found += warnings_of(findings)
        if spec.delete.permanent:
            found += (await find_exposed(reader, manifest)).warning()
    return tuple(found)


def _shared_prefix(span: KeySpan) -> str:
    """Return what all keys of a span begin with: they are sorted, so that is what the first and the last share."""
    pairs = zip(span.first_key, span.last_key, strict=False)
    return "".join(one for one, _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def _plan_undo(plan: Plan, manifest: NormalisedManifest, services: RunnerServices, delete_id: str) -> Plan:
    """Count what the delete job's record lets an undo do; refuse where that is nothing."""
    by_chunk: defaultdict[int, list[Segment]] = defaultdict(list)
    for segment in services.store.segments(delete_id):
        by_chunk[segment.chunk_no].append(segment)
    figures = UndoFigures()
    for number, chunk in enumerate(manifest.chunks):
        figures.add(read_outcomes(by_chunk[number], chunk.entries, columns=UNDO_COLUMNS), chunk.entries)
    mapping = services.store.get_job(delete_id).spec.mapping
    figures.require_markers(delete_id, bucket=manifest.chunks[0].bucket, mapping=mapping)
    return replace(
        plan, markers=figures.markers, requests=figures.requests(), warnings=(*plan.warnings, *figures.notes())
    )


async def _require_versions_listed(connection: Connection, manifest: NormalisedManifest) -> None:
    """Ask for a version of each bucket, so that a missing permission is found before the job runs."""
    async with await S3Reader.open(connection) as reader:
        for span in _spans(manifest.chunks):
            await reader.list_object_versions(span.bucket, span.first_key, max_keys=1)


async def _target_warnings(spec: JobSpec, mapping: KeyMapping) -> tuple[str, ...]:
    """Return what the target bucket will do to the copies, or that nobody may ask (safety.md rule 24).

    Raises:
        RefusedError: a copy would not last (``TargetExpires``), or there is no such bucket.
    """
    async with await S3Reader.open(spec.connection) as reader:
        target = await read_bucket(reader, mapping.target_bucket)
        if target.versioning == SUSPENDED:  # the versions of each target will be listed: may they be?
            await reader.list_object_versions(mapping.target_bucket, mapping.add_prefix, max_keys=1)
    attributes = spec.copy.attributes
    findings = copy_findings(
        target,
        mapping.add_prefix,
        ignore_lifecycle=spec.copy.ignore_lifecycle,
        has_encryption=attributes.encryption is not None or Keep.ENCRYPTION in attributes.keep,
    )
    require_permitted(findings)
    return warnings_of(findings)


def _plan(
    spec: JobSpec,
    manifest: NormalisedManifest,
    scratch: Path,
    duplicates: int,
    figures: PlanFigures,
    *,
    is_aws: bool,
    will_delete: bool,
) -> Plan:
    """Check the mapping of every entry and count what the job is going to do; ``figures`` take the counts."""
    for number in range(len(manifest.chunks)):
        table = manifest.read_chunk(number, _PLAN_COLUMNS)
        keys = _keys(table)
        if spec.mapping is not None:
            check_mapping(keys, spec.mapping)
        check_versions(keys, table.column("version_id").to_pylist(), spec, will_delete=will_delete)
        figures.add(table)
    if spec.mapping is not None:
        check_collisions(manifest.path, _spans(manifest.chunks), spec.mapping, scratch=scratch)
    _check_amount(spec, entries=manifest.entries, total_bytes=manifest.bytes)
    return Plan(
        entries=manifest.entries,
        bytes=manifest.bytes,
        chunks=len(manifest.chunks),
        missing=figures.missing,
        missing_examples=tuple(figures.missing_examples),
        archived=figures.archived,
        multipart=figures.multipart,
        duplicates=duplicates,
        decidable_by_etag=figures.single_part_etags,
        requests=count_by_kind(count_requests(figures, spec, is_aws=is_aws)),
        largest_bytes=figures.largest,
        examples=_examples(manifest, spec.mapping),
        warnings=(*_warnings(spec, figures), *store_warnings(spec, is_aws=is_aws)),
        manifest_sha256=manifest.sha256,
    )


def _check_amount(spec: JobSpec, *, entries: int, total_bytes: int) -> None:
    """Refuse a delete of more than was said to be meant."""
    if spec.operation is not Operation.DELETE:
        return
    limits = (
        (entries, "objects", spec.delete.max_objects, ""),
        (total_bytes, "bytes", spec.delete.max_bytes, "-bytes"),
    )
    for amount, what, limit, ending in limits:
        if limit is not None and amount > limit:
            raise RefusedError(
                f"The job would delete {amount:,} {what}; --max-delete{ending} allows {limit:,}.",
                code="TooManyDeletes",
                way_out=f"Look at the manifest; then raise --max-delete{ending}.",
            )


def _spans(chunks: Sequence[ChunkInfo]) -> tuple[KeySpan, ...]:
    """Return each bucket's first and last key; chunks are sorted by bucket and key."""
    span_by_bucket: dict[str, KeySpan] = {}
    for chunk in chunks:
        first = span_by_bucket[chunk.bucket].first_key if chunk.bucket in span_by_bucket else chunk.first_key
        span_by_bucket[chunk.bucket] = KeySpan(bucket=chunk.bucket, first_key=first, last_key=chunk.last_key)
    return tuple(span_by_bucket.values())


def _examples(manifest: NormalisedManifest, mapping: KeyMapping | None) -> tuple[tuple[str, str], ...]:
    chunk = manifest.chunks[0]
    keys = _keys(manifest.read_chunk(0, ("key",)))[:_EXAMPLES]
    return tuple(
        (
            str(S3Object(bucket=chunk.bucket, key=key)),
            "" if mapping is None else str(S3Object(bucket=mapping.target_bucket, key=mapping.target_key(key))),
        )
        for key in keys
    )


def _warnings(spec: JobSpec, figures: PlanFigures) -> list[str]:
    """Say what a user should know before the job runs."""
    found = []
    if figures.missing:
        found.append(f"{figures.missing:,} entries were not found and will fail as NoSuchKey.")
    if figures.archived and spec.operation is Operation.COPY:
        found.append(f"{figures.archived:,} objects are archived and cannot be copied before a restore.")
    if spec.operation is Operation.DELETE and spec.delete.unverified:
        found.append("No copy of these objects was verified; nothing but their identity guards each delete.")
    return found


def _keys(table: pa.Table) -> list[str]:
    return cast("list[str]", table.column("key").to_pylist())
