"""Copy: each entry to its mapped key, pinned to the object that the manifest names, never over something else.

For each chunk: read what is at the targets (one listing of their range), decide what to do with the rows whose target
is taken, copy the rest. Small objects take one request each, large ones and those with a multipart ETag go in parts. A
row that a former attempt of this job had copied already is recognised and not copied again (safety.md rule 9).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

from s3batch.model.job import CopyOptions, IfTargetExists, KeyMapping
from s3batch.model.objects import MAX_COPY_BYTES, S3Object
from s3batch.model.outcome import Code
from s3batch.operations.multipart_copy import (
    PinnedSource,
    StoppedError,
    TargetGuard,
    abort_earlier_uploads,
    copy_in_parts,
    source_layout,
)
from s3batch.operations.small_copies import SmallCopies
from s3batch.operations.task import ChunkWork, TaskContext
from s3batch.s3.answers import CopyResult, ObjectHead
from s3batch.s3.errors import S3Error, TransportError
from s3batch.s3.lookup import Observed, look_up

LARGE_OBJECTS_IN_FLIGHT = 8
"""Objects copied in parts at once per chunk; each has many parts under way."""

_SECOND_MS = 1000
_PRECONDITION_FAILED = 412


@dataclass(frozen=True, kw_only=True, slots=True)
class CopyOperation:
    """Copies the rows of a chunk. See :mod:`s3batch.operations.task` for the shape."""

    mapping: KeyMapping
    options: CopyOptions
    is_versioned: bool = True
    """Of the target bucket: only then are the answers' headers worth reading."""

    async def run(self, work: ChunkWork, context: TaskContext) -> None:
        """Copy every row of ``work`` and record its outcome."""
        await abort_earlier_uploads(context)
        skip = len(self.mapping.strip_prefix)
        target_keys = [self.mapping.add_prefix + key[skip:] for key in work.keys]
        chunk = _ChunkCopy(operation=self, work=work, context=context, target_keys=target_keys)
        await chunk.run()


@dataclass(kw_only=True)
class _ChunkCopy:
    """One chunk's copy: what the rows have in common while it runs."""

    operation: CopyOperation
    work: ChunkWork
    context: TaskContext
    target_keys: Sequence[str]
    guards: dict[int, TargetGuard] = field(default_factory=dict)
    """Rows that may replace what is at their target, and what it must still be."""

    async def run(self) -> None:
        rows = await self._rows_to_copy()
        small, large = [], []
        threshold = min(self.operation.options.multipart_threshold, MAX_COPY_BYTES + 1)
        sizes, etags = self.work.sizes, self.work.etags
        for row in rows:
            if sizes[row] < threshold and "-" not in etags[row] and row not in self.guards:
                small.append(row)
            else:
                large.append(row)
        room = asyncio.Semaphore(LARGE_OBJECTS_IN_FLIGHT)
        async with asyncio.TaskGroup() as group:
            for row in large:
                group.create_task(self._copy_singly(row, room))
            if small:
                group.create_task(self._copy_small(small))

    async def _rows_to_copy(self) -> Sequence[int]:
        """Read the targets; record an outcome for rows that need no copy or must not be copied, return the others."""
        work, context = self.work, self.context
        after = None if work.after is None else self.operation.mapping.target_key(work.after)
        wanted = [self.target_keys[row] for row in work.rows]
        seen = await look_up(context.target, self.operation.mapping.target_bucket, wanted, after=after)
        if not seen.errors and not any(etag is not None for etag in seen.etags):
            return work.rows
        earlier = {upload.key for upload in context.earlier_uploads}
        rows = []
        for position, row in enumerate(work.rows):
            if position in seen.errors:
                error = seen.errors[position]
                context.outcomes.fail(row, error.code, getattr(error, "status", None), error.message)
            elif seen.etags[position] is None or self._is_to_be_replaced(row, seen, position, earlier):
                rows.append(row)
        return rows

    def _is_to_be_replaced(self, row: int, seen: Observed, position: int, earlier: set[str]) -> bool:
        """Decide about a taken target; ``False`` when the row got its outcome here."""
        outcomes, work = self.context.outcomes, self.work
        etag, size = seen.etags[position], seen.sizes[position]
        is_same = etag == work.etags[row] and size == work.sizes[row]
        if not work.is_first_attempt and seen.modified_ms(position) >= _whole_second(self.context.job_started_at_ms):
            is_own = is_same or (self.target_keys[row] in earlier and size == work.sizes[row])
            if is_own:
                outcomes.succeed(row, etag=etag, size=size, code=Code.ALREADY_COPIED)
                return False
        match self.operation.options.if_target_exists:
            case IfTargetExists.OVERWRITE:
                self.guards[row] = TargetGuard(if_match=etag)
                return True
            case IfTargetExists.SKIP:
                outcomes.succeed(row, etag=etag, size=size, code=Code.SKIPPED)
            case IfTargetExists.SKIP_IF_SAME if is_same:
                outcomes.succeed(row, etag=etag, size=size, code=Code.ALREADY_SAME)
            case IfTargetExists.SKIP_IF_SAME | IfTargetExists.FAIL:
                self._fail_taken(row, etag=etag, size=size, is_same=is_same)
        return False

    def _fail_taken(self, row: int, *, etag: str | None, size: int, is_same: bool) -> None:
        what = "an equal object" if is_same else f"another object ({size} bytes, ETag {etag})"
        self.context.outcomes.fail(
            row,
            Code.TARGET_EXISTS,
            412,
            f"The target has {what}; --if-target-exists says what to do about it.",
            etag=etag,
            size=size,
        )

    async def _copy_small(self, rows: Sequence[int]) -> None:
        classes = {self.work.storage_classes[row] for row in rows}
        copies = SmallCopies(
            work=self.work,
            context=self.context,
            target_bucket=self.operation.mapping.target_bucket,
            target_keys=self.target_keys,
            headers_by_class={each: self._headers(each) for each in classes},
            want_versions=self.operation.is_versioned or self.work.version_ids is not None,
            rows=rows,
            settle=self._settle,
        )
        await copies.run()

    def _headers(self, storage_class: str | None) -> dict[str, str]:
        """Return what CopyObject must be told: it makes every copy STANDARD unless the class is given."""
        wanted = self.operation.options.storage_class or storage_class
        return {} if wanted in (None, "STANDARD") else {"x-amz-storage-class": wanted}

    async def _copy_singly(self, row: int, room: asyncio.Semaphore) -> None:
        """Copy one object by coroutine: in parts, or in one request where it replaces what is there."""
        async with room:
            if self.context.stop.is_set:
                return
            try:
                result = await self._copy_large(row)
            except StoppedError:
                return
            except (S3Error, TransportError) as error:
                await self._settle(row, error, is_ambiguous=error.is_ambiguous)
                return
            self.context.outcomes.succeed(
                row,
                etag=result.etag,
                size=self.work.sizes[row],
                version_id=result.version_id,
                source_version_id=result.source_version_id,
            )

    async def _copy_large(self, row: int) -> CopyResult:
        source = self._source(row)
        options, target = self.operation.options, self._target(row)
        guard = self.guards.get(row, TargetGuard(if_none_match=True))
        storage_class = options.storage_class or self.work.storage_classes[row]
        layout = await source_layout(self.context, source)
        if layout is None and source.size < min(options.multipart_threshold, MAX_COPY_BYTES + 1):
            return await self.context.target.copy_object(
                source.bucket,
                source.key,
                target.bucket,
                target.key,
                source_version_id=source.version_id,
                source_if_match=source.etag,
                if_none_match=guard.if_none_match,
                if_match=guard.if_match,
                headers=self._headers(self.work.storage_classes[row]),
            )
        return await copy_in_parts(
            self.context,
            source,
            target,
            layout=layout,
            part_size=options.part_size,
            storage_class=storage_class,
            guard=guard,
        )

    def _source(self, row: int) -> PinnedSource:
        work = self.work
        return PinnedSource(
            bucket=work.bucket,
            key=work.keys[row],
            size=work.sizes[row],
            etag=work.etags[row],
            version_id=None if work.version_ids is None else work.version_ids[row],
        )

    def _target(self, row: int) -> S3Object:
        return S3Object(bucket=self.operation.mapping.target_bucket, key=self.target_keys[row])

    async def _settle(self, row: int, error: S3Error | TransportError, *, is_ambiguous: bool) -> None:
        """Record the outcome of a copy that failed, after reading what may tell more.

        A 412 does not say which condition failed, and after a lost answer it may be our own copy that is in the way.
        """
        code, status = error.code, error.status if isinstance(error, S3Error) else None
        if status != _PRECONDITION_FAILED and not is_ambiguous:
            self.context.outcomes.fail(row, code, status, error.message)
            return
        try:
            await self._settle_by_reading(row, error, is_ambiguous=is_ambiguous)
        except (S3Error, TransportError) as unread:
            message = f"{error.message} Reading again failed too: {unread.message}"
            self.context.outcomes.fail(row, Code.UNKNOWN_OUTCOME, status, message)

    async def _settle_by_reading(self, row: int, error: S3Error | TransportError, *, is_ambiguous: bool) -> None:
        outcomes, work = self.context.outcomes, self.work
        target = await self._head(self._target(row), None)
        if target is not None and is_ambiguous and self._is_own_copy(row, target):
            outcomes.succeed(row, etag=target.etag, size=target.size, version_id=target.version_id)
            return
        source = await self._head(S3Object(bucket=work.bucket, key=work.keys[row]), self._source(row).version_id)
        if source is None:
            outcomes.fail(row, Code.NO_SUCH_KEY, 404, "The source is not there any more.")
        elif source.etag != work.etags[row]:
            message = f"The source's ETag is {source.etag}, the manifest pinned {work.etags[row]}."
            outcomes.fail(row, Code.SOURCE_CHANGED, _PRECONDITION_FAILED, message)
        elif target is not None and row not in self.guards:
            is_same = target.etag == work.etags[row] and target.size == work.sizes[row]
            self._fail_taken(row, etag=target.etag, size=target.size, is_same=is_same)
        else:
            outcomes.fail(row, error.code, error.status if isinstance(error, S3Error) else None, error.message)

    def _is_own_copy(self, row: int, target: ObjectHead) -> bool:
        """Tell whether what is at the target can only be what this job wrote after its answer was lost."""
        return (
            target.size == self.work.sizes[row]
            and target.etag == self.work.etags[row]
            and target.last_modified_ms >= _whole_second(self.context.job_started_at_ms)
        )

    async def _head(self, place: S3Object, version_id: str | None) -> ObjectHead | None:
        try:
            return await self.context.target.head_object(place.bucket, place.key, version_id=version_id)
        except S3Error as error:
            if error.code == Code.NO_SUCH_KEY:
                return None
            raise


def _whole_second(time_ms: int) -> int:
    """Return the beginning of the second: stores tell times in whole seconds."""
    return time_ms // _SECOND_MS * _SECOND_MS
