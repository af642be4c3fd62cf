"""One object copied in parallel parts, so that the copy is the object: nothing of it is kept by S3 itself here.

Before the upload the source is read (HEAD, tags) and everything that makes it what it is goes onto the new upload.
Every part pins the source's ETag, so a source that is replaced half-way gives an error, never a torn copy. The part
layout is the source's own where it is known: then both ETags are equal and a listing proves the copy (safety.md rule
11).

Order of writes: create the upload, write its id to the journal, then the first part. A crash before the journal leaves
an upload without parts; a crash after it leaves an upload that the next attempt aborts (safety.md rule 21).
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

from s3batch.model.objects import S3Object
from s3batch.operations.task import TaskContext
from s3batch.plan.parts import (
    DEFAULT_PART_BYTES,
    ByteRange,
    part_ranges,
    parts_in_etag,
    ranges_of_layout,
    uniform_layout,
)
from s3batch.s3.answers import CopyResult, ObjectHead, PartResult
from s3batch.s3.errors import S3Error, TransportError

PARTS_IN_FLIGHT = 32
"""Parts of one object under way at once, so that several large objects share the connections."""

_TAG_HEADER_BYTES = 2048
"""Longest ``x-amz-tagging`` header (PutObject API reference, read 2026-11); more tags are put afterwards."""

_MAX_TAGS_ON_CREATE = 10
"""Tags of one object (S3 User Guide, "Categorizing your storage using tags", read 2026-11)."""

_KEPT_HEADERS = (
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "content-type",
    "expires",
    "x-amz-website-redirect-location",
)


class StoppedError(Exception):
    """The stop signal came between two parts; the upload was aborted and the row has no outcome."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PinnedSource:
    """The object as the manifest pinned it."""

    bucket: str
    key: str
    size: int
    etag: str
    version_id: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class TargetGuard:
    """What must hold of the target when the copy is completed (safety.md rule 6)."""

    if_none_match: bool = False
    if_match: str | None = None


async def source_layout(context: TaskContext, source: PinnedSource) -> tuple[int, ...] | None:
    """Return the sizes of the source's parts, or ``None`` where the store does not tell.

    HEAD of part 1 gives the first size and the count; stores without it may list the parts by GetObjectAttributes.
    """
    parts = parts_in_etag(source.etag)
    if not parts:
        return None
    if parts == 1:
        return (source.size,)
    try:
        first = await context.source.head_object(
            source.bucket, source.key, version_id=source.version_id, part_number=1, if_match=source.etag
        )
        if first.parts_count == parts:
            layout = uniform_layout(source.size, first_part=first.size, parts=parts)
            if layout is not None:
                return layout
        attributes = await context.source.get_object_attributes(source.bucket, source.key, version_id=source.version_id)
    except S3Error:
        return None  # a store without these calls; the copy itself reports what is wrong with the source
    sizes = tuple(part.size for part in attributes.parts)
    return sizes if len(sizes) == parts and sum(sizes) == source.size else None


async def copy_in_parts(
    context: TaskContext,
    source: PinnedSource,
    target: S3Object,
    *,
    layout: Sequence[int] | None,
    part_size: int | None,
    storage_class: str | None,
    guard: TargetGuard,
) -> CopyResult:
    """Copy one object in parts and return what the store answered to the completion.

    Raises:
        S3Error, TransportError: the copy failed; the upload was aborted.
        StoppedError: the stop signal came; the upload was aborted.
    """
    head, tags = await _read_source(context, source)
    headers = _upload_headers(head, tags, storage_class)
    client = context.target
    if context.stop.is_set:
        raise StoppedError
    upload_id = await client.create_multipart_upload(target.bucket, target.key, headers=headers)
    context.journal.record(target.bucket, target.key, upload_id)
    try:
        ranges = (
            ranges_of_layout(layout)
            if layout is not None
            else part_ranges(source.size, part_size_wanted=part_size or DEFAULT_PART_BYTES)
        )
        parts = await _copy_parts(context, source, target, upload_id, ranges)
        result = await _complete(context, target, upload_id, parts, guard)
    except BaseException:
        await _abort_quietly(context, target, upload_id)
        raise
    context.journal.forget(upload_id)
    if tags and "x-amz-tagging" not in headers:
        await client.put_object_tagging(target.bucket, target.key, tags, version_id=result.version_id)
    return result


async def abort_earlier_uploads(context: TaskContext) -> None:
    """Abort what older attempts at this chunk left open; one that is gone is none."""
    for upload in context.earlier_uploads:
        try:
            await context.target.abort_multipart_upload(upload.bucket, upload.key, upload.upload_id)
        except S3Error as error:
            if error.code != "NoSuchUpload":
                raise


async def _read_source(context: TaskContext, source: PinnedSource) -> tuple[ObjectHead, tuple[tuple[str, str], ...]]:
    head = await context.source.head_object(
        source.bucket, source.key, version_id=source.version_id, if_match=source.etag, checksum_mode=True
    )
    # Not every store counts tags in HEAD, so they are always asked for.
    tags = await context.source.get_object_tagging(source.bucket, source.key, version_id=source.version_id)
    return head, tuple(tags)


def _upload_headers(head: ObjectHead, tags: Sequence[tuple[str, str]], storage_class: str | None) -> dict[str, str]:
    """Return the headers that make the new upload what the source is."""
    headers = {name: head.headers[name] for name in _KEPT_HEADERS if name in head.headers}
    headers |= {f"x-amz-meta-{name}": value for name, value in head.metadata.items()}
    wanted_class = storage_class or head.storage_class
    if wanted_class != "STANDARD":
        headers["x-amz-storage-class"] = wanted_class
    headers |= _checksum_headers(head.checksums, head.checksum_type)
    tagging = urlencode(tags)
    if tags and len(tags) <= _MAX_TAGS_ON_CREATE and len(tagging) <= _TAG_HEADER_BYTES:
        headers["x-amz-tagging"] = tagging
    return headers


def _checksum_headers(checksums: Mapping[str, str], checksum_type: str | None) -> dict[str, str]:
    """Ask for the source's checksum algorithm and type, so that both sides can be compared."""
    if not checksums:
        return {}
    headers = {"x-amz-checksum-algorithm": next(iter(checksums))}
    if checksum_type is not None:
        headers["x-amz-checksum-type"] = checksum_type
    return headers


async def _copy_parts(
    context: TaskContext, source: PinnedSource, target: S3Object, upload_id: str, ranges: Sequence[ByteRange]
) -> list[PartResult]:
    room = asyncio.Semaphore(PARTS_IN_FLIGHT)

    async def copy_part(number: int, byte_range: ByteRange) -> PartResult:
        async with room:
            if context.stop.is_set:
                raise StoppedError
            return await context.target.upload_part_copy(
                source.bucket,
                source.key,
                target.bucket,
                target.key,
                upload_id,
                number,
                # A range is refused for sources up to 5 MiB on some stores and never needed for a whole object.
                byte_range=None if len(ranges) == 1 else (byte_range.first, byte_range.last),
                source_version_id=source.version_id,
                source_if_match=source.etag,
            )

    tasks = [asyncio.create_task(copy_part(number, each)) for number, each in enumerate(ranges, start=1)]
    try:
        return await asyncio.gather(*tasks)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise


async def _complete(
    context: TaskContext, target: S3Object, upload_id: str, parts: Sequence[PartResult], guard: TargetGuard
) -> CopyResult:
    """Complete the upload; where the answer is lost, read what is at the target."""
    if context.stop.is_set:
        raise StoppedError
    try:
        return await context.target.complete_multipart_upload(
            target.bucket,
            target.key,
            upload_id,
            parts,
            if_none_match=guard.if_none_match,
            if_match=guard.if_match,
        )
    except (S3Error, TransportError) as error:
        if not error.is_ambiguous:
            raise
        try:
            head = await context.target.head_object(target.bucket, target.key)
        except S3Error:
            raise error from None
        if head.etag != expected_etag(parts):
            raise
        return CopyResult(etag=head.etag, version_id=head.version_id)


def expected_etag(parts: Sequence[PartResult]) -> str:
    """Return the ETag that S3 gives an upload of these parts (but for KMS): MD5 of the parts' MD5s, and their count."""
    try:
        joined = b"".join(bytes.fromhex(part.etag) for part in parts)
    except ValueError:
        return ""
    return f"{hashlib.md5(joined, usedforsecurity=False).hexdigest()}-{len(parts)}"


async def _abort_quietly(context: TaskContext, target: S3Object, upload_id: str) -> None:
    """Abort after a failure; if even that fails, the journal still knows the upload and the next attempt aborts it."""
    try:
        await context.target.abort_multipart_upload(target.bucket, target.key, upload_id)
    except (S3Error, TransportError):
        return
    context.journal.forget(upload_id)
