"""One object copied in parallel parts, so that the copy is the object: nothing of it is kept by S3 itself here.

Before the upload the source is read (HEAD, tags) and everything that makes it what it is goes onto the new upload.
Every part pins the source's ETag, so a source that is replaced half-way gives an error, never a torn copy. The part
layout is the source's own where it is known: then both ETags are equal and a listing proves the copy (safety.md rule
11).

Order of writes: create the upload, write its id to the journal, then the first part. A crash before the journal leaves
an upload without parts; a crash after it leaves an upload that the next attempt aborts (safety.md rule 21). Before the
completion the journal gets the ETag that it shall give, so that the next attempt knows this one's work.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from s3batch.model.errors import S3BatchError
from s3batch.model.objects import S3Object
from s3batch.operations.attributed_copies import AttributedCopies
from s3batch.operations.interruptible import StoppedError
from s3batch.operations.own_copies import EarlierCompletion
from s3batch.operations.task import PinnedSource, TaskContext
from s3batch.operations.upload_headers import CHECKSUM_HEADERS, upload_headers
from s3batch.plan.parts import (
    DEFAULT_PART_BYTES,
    S3_LIMITS,
    ByteRange,
    part_ranges,
    parts_in_etag,
    ranges_of_layout,
    uniform_layout,
)
from s3batch.s3.answers import CopyResult, PartResult
from s3batch.s3.errors import (
    NO_SUCH_KEY,
    NOT_IMPLEMENTED,
    PRECONDITION_FAILED,
    S3Error,
    S3RefusedError,
    TransportError,
)
from s3batch.s3.retry import RetryClass, backoff_s

PARTS_IN_FLIGHT = 32
"""Parts of one object under way at once, so that several large objects share the connections."""

MAX_COMPLETIONS = 5
"""Completions of one upload whose outcome nobody knows, before the object is given up."""

_PERHAPS_DONE = frozenset({"NoSuchUpload", "PreconditionFailed"})
"""What a completion is refused with when the upload was completed before."""

_CHECKSUM_REFUSALS = frozenset({"InvalidArgument", "InvalidRequest", NOT_IMPLEMENTED})
"""With one of these a store refuses an upload whose checksum it does not know; it is begun without one then."""

_TOO_SMALL = "EntityTooSmall"


@dataclass(frozen=True, kw_only=True, slots=True)
class TargetGuard:
    """What must hold of the target when the copy is completed (safety.md rule 6)."""

    if_none_match: bool = False
    if_match: str | None = None


async def source_layout(context: TaskContext, source: PinnedSource) -> tuple[int, ...] | None:
    """Return the sizes of the source's parts, or ``None`` where the store does not tell.

    HEAD of part 1 gives the first size and the count; stores without it may list the parts by GetObjectAttributes.

    Raises:
        UnavailableError: the store was not there to be asked. An answer that would come next time is worth waiting for.
    """
    parts = parts_in_etag(source.etag)
    if not parts:
        return None
    if parts == 1:
        return (source.size,)
    try:
        # without a condition: some stores compare it with the part's ETag, and every part's copy has one
        first = await context.source.head_object(source.bucket, source.key, version_id=source.version_id, part_number=1)
        if first.parts_count == parts:
            layout = uniform_layout(source.size, first_part=first.size, parts=parts)
            if layout is not None:
                return layout
        sizes = await _part_sizes(context, source)
    except S3RefusedError:
        return None  # a store without these calls; the copy itself reports what is wrong with the source
    return sizes if len(sizes) == parts and sum(sizes) == source.size else None


async def _part_sizes(context: TaskContext, source: PinnedSource) -> tuple[int, ...]:
    """Return the sizes of all parts that GetObjectAttributes lists, page by page."""
    sizes: list[int] = []
    marker: int | None = None
    while True:
        page = await context.source.get_object_attributes(
            source.bucket, source.key, version_id=source.version_id, part_number_marker=marker
        )
        sizes += [part.size for part in page.parts]
        if page.next_part_number_marker is None or not page.parts:
            return tuple(sizes)
        marker = page.next_part_number_marker


async def copy_in_parts(
    context: TaskContext,
    source: PinnedSource,
    target: S3Object,
    *,
    layout: Sequence[int] | None,
    part_size: int | None,
    storage_class: str | None,
    guard: TargetGuard,
    attributed: AttributedCopies,
) -> CopyResult:
    """Copy one object in parts and return what the store answered to the completion.

    A layout with parts that the target does not take gives way to parts of the usual size.

    Raises:
        RefusedError: the copy would lose something, or the object cannot be cut into parts.
        S3Error, TransportError: the copy failed; the upload was aborted.
        StoppedError: the stop signal came; the upload was aborted.
        PermissionExpiredError: the time to write was over; the upload was aborted.
    """
    read = await attributed.read(source, is_in_parts=True)
    headers, tags = upload_headers(read, storage_class, attributed.attributes), read.tags or ()
    usual = part_ranges(source.size, part_size_wanted=part_size or DEFAULT_PART_BYTES)
    if layout is not None and not (context.target.is_aws and _has_small_parts(layout)):
        try:
            return await _upload(context, source, target, ranges_of_layout(layout), headers, tags, guard)
        except S3RefusedError as error:
            if error.code != _TOO_SMALL:
                raise
    return await _upload(context, source, target, usual, headers, tags, guard)


def _has_small_parts(layout: Sequence[int]) -> bool:
    return any(size < S3_LIMITS.smallest_part for size in layout[:-1])


async def _upload(  # noqa: PLR0917 - all of them are what makes the one object
    context: TaskContext,
    source: PinnedSource,
    target: S3Object,
    ranges: Sequence[ByteRange],
    headers: Mapping[str, str],
    tags: Sequence[tuple[str, str]],
    guard: TargetGuard,
) -> CopyResult:
    """Make one upload of these parts, and abort it if anything fails."""
    upload_id = await _begin(context, target, headers)
    # Ceph RGW 16 and MiniStack 1.5 take the header with the tags and forget it (seen 2026-11)
    are_tags_due = bool(tags) and not (context.target.is_aws and "x-amz-tagging" in headers)
    try:
        context.journal.begin(target.bucket, target.key, upload_id)
        parts = await _copy_parts(context, source, target, upload_id, ranges)
        await require_target(context, target, guard)
        context.journal.complete(upload_id, etag=expected_etag(parts), tags_due=are_tags_due)
        result = await _complete(context, target, upload_id, parts, guard)
    except BaseException:
        await _abort_quietly(context, target, upload_id)
        raise
    if are_tags_due:
        await context.target.put_object_tagging(target.bucket, target.key, tags, version_id=result.version_id)
    context.journal.end(upload_id)
    return result


async def _begin(context: TaskContext, target: S3Object, headers: Mapping[str, str]) -> str:
    """Begin the upload; without the checksum where the store does not know it."""
    if context.stop.is_set:
        raise StoppedError
    try:
        return await context.target.create_multipart_upload(target.bucket, target.key, headers=headers)
    except S3RefusedError as error:
        plain = {name: value for name, value in headers.items() if name not in CHECKSUM_HEADERS}
        if error.code not in _CHECKSUM_REFUSALS or len(plain) == len(headers):
            raise
        return await context.target.create_multipart_upload(target.bucket, target.key, headers=plain)


async def require_target(context: TaskContext, target: S3Object, guard: TargetGuard) -> None:
    """Read the target where the store may ignore the condition on it; on AWS the condition is enough.

    A race of one request remains there (safety.md rule 6).

    Raises:
        S3RefusedError: ``PreconditionFailed``, as the store would have said.
    """
    if context.target.is_aws:
        return
    try:
        etag: str | None = (await context.target.head_object(target.bucket, target.key)).etag
    except S3RefusedError as error:
        if error.code != NO_SUCH_KEY:
            raise
        etag = None
    if (guard.if_none_match and etag is not None) or (guard.if_match is not None and etag != guard.if_match):
        found = "nothing is there" if etag is None else f"its ETag is {etag}"
        raise S3RefusedError(
            f"The target changed while the copy was made: {found}.", code=PRECONDITION_FAILED, status=412
        )


async def copy_tags(context: TaskContext, source: PinnedSource, target: S3Object, attributed: AttributedCopies) -> None:
    """Put the tags on a target that an earlier attempt completed and could not finish."""
    read = await attributed.read(source, is_in_parts=True)
    await context.target.put_object_tagging(target.bucket, target.key, read.tags or ())


async def abort_earlier_uploads(context: TaskContext) -> dict[str, list[EarlierCompletion]]:
    """Abort what older attempts at this chunk left open; return, by target key, what they may have completed."""
    completions: dict[str, list[EarlierCompletion]] = {}
    for upload in context.earlier_uploads:
        was_open = await context.target.abort_multipart_upload(upload.bucket, upload.key, upload.upload_id)
        if upload.etag is not None:
            completion = EarlierCompletion(
                etag=upload.etag, tags_due=upload.tags_due, is_gone=not (was_open or upload.is_given_up)
            )
            completions.setdefault(upload.key, []).append(completion)
    return completions


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
    """Complete the upload; where the answer does not settle it, read what is at the target, then try again.

    A completion that was carried out twice does no harm: the second one finds no upload.
    """
    for attempt in range(1, MAX_COMPLETIONS + 1):
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
            # A request that was delivered twice on the way is answered the second time: the first may have done it.
            if not error.is_ambiguous and error.code not in _PERHAPS_DONE:
                raise
            made = await _find_completed(context, target, parts)
            if made is not None:
                return made
            if isinstance(error, S3RefusedError) or attempt == MAX_COMPLETIONS:
                raise
        pause_s = backoff_s(attempt, RetryClass.SERVER, random.random())  # noqa: S311 - no secret
        await asyncio.sleep(pause_s)
    raise AssertionError("the last attempt returns or raises")


async def _find_completed(context: TaskContext, target: S3Object, parts: Sequence[PartResult]) -> CopyResult | None:
    """Return what is at the target if it can only be what this upload made."""
    try:
        head = await context.target.head_object(target.bucket, target.key)
    except (S3Error, TransportError):
        return None
    began_ms = context.job_started_at_ms // 1000 * 1000  # stores tell times in whole seconds
    if head.etag != expected_etag(parts) or head.last_modified_ms < began_ms:
        return None
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
        context.journal.give_up(upload_id)
    finally:
        with suppress(S3BatchError):
            await context.target.abort_multipart_upload(target.bucket, target.key, upload_id)
