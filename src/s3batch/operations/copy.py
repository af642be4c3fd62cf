"""Copy: each entry to its mapped key, pinned to the object that the manifest names, never over something else.

For each chunk: read what is at the targets, decide what to do with the rows whose target is taken, copy the rest.
Small objects take one request each, large ones and those with a multipart ETag go in parts. A row that a former attempt
of this job had copied already is recognised and not copied again (safety.md rule 9).

On AWS one listing of the chunk's targets is enough, because every copy carries a condition on its target. Other stores
may ignore it without a word, so there the targets are read in portions, right before each portion is copied (rule 6).

A row that could not be done for reasons that may pass gets no outcome; see :mod:`s3batch.operations.outage`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import compress
from operator import not_

from s3batch.model.errors import S3BatchError
from s3batch.model.job import CopyOptions, IfTargetExists, KeyMapping
from s3batch.model.objects import MAX_COPY_BYTES, MAX_KEY_BYTES, S3Object
from s3batch.model.outcome import Code
from s3batch.operations.attributed_copies import AttributedCopies
from s3batch.operations.copy_headers import SourceAttributes
from s3batch.operations.interruptible import StoppedError, for_each, until_stopped
from s3batch.operations.multipart_copy import (
    TargetGuard,
    abort_earlier_uploads,
    copy_in_parts,
    copy_tags,
    require_target,
    source_layout,
)
from s3batch.operations.null_versions import null_versions
from s3batch.operations.outage import Outage, may_be_the_object, may_pass
from s3batch.operations.own_copies import EarlierCompletion, find_completion, is_faithful
from s3batch.operations.readings import pick
from s3batch.operations.small_copies import SmallCopies
from s3batch.operations.task import ChunkWork, PinnedSource, TaskContext
from s3batch.s3.answers import CopyResult, ObjectHead
from s3batch.s3.errors import PermissionExpiredError, S3Error, S3RefusedError
from s3batch.s3.lookup import Observed, look_up

LARGE_OBJECTS_IN_FLIGHT = 8
"""Objects copied in parts at once per chunk; each has many parts under way."""

PORTION_ROWS = 1_000
"""Rows whose targets are read at once where the store's conditions are not known to work: one page of a listing."""

READINGS_AT_ONCE = 32
"""Rows of a portion that need a closer look, looked at the same time."""

_SECOND_MS = 1000
_PRECONDITION_FAILED = 412


@dataclass(frozen=True, kw_only=True, slots=True)
class CopyOperation:
    """Copies the rows of a chunk. See :mod:`s3batch.operations.task` for the shape."""

    mapping: KeyMapping
    options: CopyOptions
    is_versioned: bool = True
    """Of the target bucket: only then are the answers' headers worth reading."""
    is_suspended: bool = False
    """Whether the target bucket's versioning is: a copy may destroy a null version there that nothing shows."""

    async def run(self, work: ChunkWork, context: TaskContext) -> None:
        """Copy every row of ``work`` and record its outcome.

        Raises:
            UnavailableError: rows were left for later; the others are recorded.
        """
        completions = await abort_earlier_uploads(context)
        skip = len(self.mapping.strip_prefix)
        target_keys = [self.mapping.add_prefix + key[skip:] for key in work.keys]
        chunk = _ChunkCopy(
            operation=self,
            work=work,
            context=context,
            target_keys=target_keys,
            completions=completions,
            attributed=AttributedCopies(
                attributes=self.options.attributes, source=context.source, target=context.target
            ),
        )
        await chunk.run()


@dataclass(kw_only=True)
class _ChunkCopy:
    """One chunk's copy: what the rows have in common while it runs."""

    operation: CopyOperation
    work: ChunkWork
    context: TaskContext
    target_keys: Sequence[str]
    completions: Mapping[str, Sequence[EarlierCompletion]]
    """Uploads of earlier attempts that may have made what is at these target keys."""
    guards: dict[int, TargetGuard] = field(default_factory=dict)
    """Rows that may replace what is at their target, and what it must still be."""
    attributed: AttributedCopies
    outage: Outage = field(default_factory=Outage)

    async def run(self) -> None:
        small = self._small_copies()
        large, attributed = asyncio.Semaphore(LARGE_OBJECTS_IN_FLIGHT), asyncio.Semaphore(READINGS_AT_ONCE)
        async with asyncio.TaskGroup() as group:
            group.create_task(small.run())
            try:
                for portion in self._portions():
                    if self.context.stop.is_set or self.outage.is_lasting:
                        break
                    rows = await self._rows_to_copy(portion)
                    by_request = self._are_small(rows)
                    small.extend(list(compress(rows, by_request)))
                    for row in compress(rows, map(not_, by_request)):
                        group.create_task(self._copy_singly(row, large if self._is_large(row) else attributed))
                    await small.until_low()
            except StoppedError:
                pass  # what is under way is finished, the rest stays without an outcome
            except Exception as error:  # noqa: BLE001 - what was copied so far must be recorded first
                self.outage.end(error)
            finally:
                small.finish()
        self.outage.raise_if_any()

    def _portions(self) -> Sequence[Sequence[int]]:
        """Return the rows in the portions in which their targets are read."""
        rows = self.work.rows
        step = len(rows) if self.context.target.is_aws else PORTION_ROWS
        return [rows[first : first + step] for first in range(0, len(rows), step)]

    def _are_small(self, rows: Sequence[int]) -> list[bool]:
        """Tell which rows take one request and nothing else."""
        if not self.attributed.are_plain:
            return [False] * len(rows)
        sizes, etags, guards, threshold = self.work.sizes, self.work.etags, self.guards, self._threshold
        return [sizes[row] < threshold and "-" not in etags[row] and row not in guards for row in rows]

    def _is_large(self, row: int) -> bool:
        """Tell whether a row may be copied in parts."""
        return self.work.sizes[row] >= self._threshold or "-" in self.work.etags[row]

    @property
    def _threshold(self) -> int:
        return min(self.operation.options.multipart_threshold, MAX_COPY_BYTES + 1)

    def _small_copies(self) -> SmallCopies:
        classes = set(self.work.storage_classes)
        return SmallCopies(
            work=self.work,
            context=self.context,
            target_bucket=self.operation.mapping.target_bucket,
            target_keys=self.target_keys,
            headers_by_class={each: self._headers(each) for each in classes},
            want_versions=self.operation.is_versioned or self.work.version_ids is not None,
            settle=self._settle,
            outage=self.outage,
        )

    async def _rows_to_copy(self, rows: Sequence[int]) -> Sequence[int]:
        """Read the targets; record an outcome for rows that need no copy or must not be copied, return the others."""
        wanted = pick(self.target_keys, rows)
        looking = look_up(self.context.target, self.operation.mapping.target_bucket, wanted, after=self._before(rows))
        seen = await until_stopped(self.context.stop, looking)
        if not seen.errors and not any(etag is not None for etag in seen.etags):
            return await self._without_hidden(rows)
        to_copy, taken = [], []
        for position, row in enumerate(rows):
            if position in seen.errors:
                await self._settle(row, seen.errors[position], is_ambiguous=False)
            elif seen.etags[position] is None:
                to_copy.append(row)
            else:
                taken.append(position)

        async def decide(position: int) -> None:
            row = rows[position]
            try:
                if await self._is_to_be_replaced(row, seen, position):
                    to_copy.append(row)
            except S3BatchError as error:
                await self._settle(row, error, is_ambiguous=False)

        await for_each(taken, decide, limit=min(READINGS_AT_ONCE, len(taken)), stop=self.context.stop)
        return await self._without_hidden(sorted(to_copy))

    async def _without_hidden(self, rows: Sequence[int]) -> Sequence[int]:
        """Record rows whose copy would destroy a null version below other versions, and return the others."""
        if not self.operation.is_suspended:
            return rows
        target, stop, bucket = self.context.target, self.context.stop, self.operation.mapping.target_bucket
        found, unread = await null_versions(target, bucket, pick(self.target_keys, rows), stop=stop)
        if stop.is_set:
            raise StoppedError
        free = []
        for position, row in enumerate(rows):
            if position in unread:
                await self._settle(row, unread[position], is_ambiguous=False)
            elif position in found and not found[position].is_latest:
                message = "The target has a null version below others, which the copy would destroy."
                self.context.outcomes.fail(row, Code.NULL_VERSION_AT_RISK, message=message)
            else:
                free.append(row)
        return free

    def _before(self, rows: Sequence[int]) -> str | None:
        """Return the mapped key right before the first of ``rows``, where the listing of their targets begins."""
        first, mapping = rows[0], self.operation.mapping
        source = self.work.keys[first - 1] if first else self.work.after
        if source is None or not source.startswith(mapping.strip_prefix):
            return None
        before = mapping.target_key(source)
        return before if before < self.target_keys[first] and len(before.encode()) <= MAX_KEY_BYTES else None

    async def _is_to_be_replaced(self, row: int, seen: Observed, position: int) -> bool:
        """Decide about a taken target; ``False`` when the row got its outcome here, or is left for later."""
        outcomes, work = self.context.outcomes, self.work
        etag, size = seen.etags[position], seen.sizes[position]
        is_same = etag == work.etags[row] and size == work.sizes[row]
        is_perhaps_own = not work.is_first_attempt and self._is_since_start(seen.modified_ms(position))
        if is_perhaps_own and await self._is_of_earlier_attempt(row, etag, size):
            outcomes.succeed(row, etag=etag, size=size, code=Code.ALREADY_COPIED)
            return False
        match self.operation.options.if_target_exists:
            case IfTargetExists.OVERWRITE:
                self.guards[row] = TargetGuard(if_match=etag)
                return True
            case IfTargetExists.SKIP:
                outcomes.succeed(row, etag=etag, size=size, code=Code.SKIPPED)
            case IfTargetExists.SKIP_IF_SAME if is_same and await self._has_attributes(row):
                outcomes.succeed(row, etag=etag, size=size, code=Code.ALREADY_SAME)
            case IfTargetExists.SKIP_IF_SAME | IfTargetExists.FAIL:
                self._fail_taken(row, etag=etag, size=size, is_same=is_same)
        return False

    async def _has_attributes(self, row: int) -> bool:
        """Tell whether an equal object at the target has all that a copy would have been given by further requests.

        A job that is retried may find its own copy without them: it failed for exactly that.
        """
        if self.attributed.are_plain and not self._is_large(row):
            return True
        try:
            read = await self.attributed.read(self._source(row), is_in_parts=self._is_large(row))
            return await self.attributed.is_kept(self._target(row), read, storage_class=self._class(row))
        except S3RefusedError:
            return False  # what may not be read is not known to be the same

    async def _is_of_earlier_attempt(self, row: int, etag: str | None, size: int) -> bool:
        """Tell whether an earlier attempt of this job wrote what is at the target; finish what it left undone."""
        if not await self._is_own_copy(row, etag, size):
            return False
        await self._finish(row)
        return True

    async def _is_own_copy(self, row: int, etag: str | None, size: int) -> bool:
        target, is_same_size = self._target(row), size == self.work.sizes[row]
        completion = find_completion(self.completions.get(target.key, ()), etag=etag, is_same_size=is_same_size)
        if completion is not None:
            if completion.tags_due:
                await copy_tags(self.context, self._source(row), target, self.attributed)
            return True
        if not is_same_size:
            return False
        if etag == self.work.etags[row]:
            return True
        source, there = await self._head_source(row), await self._head(target)
        return source is not None and there is not None and self._is_faithful(row, source, there)

    def _is_faithful(self, row: int, source: ObjectHead, target: ObjectHead) -> bool:
        options = self.operation.options
        return source.etag == self.work.etags[row] and is_faithful(
            source, target, storage_class=options.storage_class, attributes=options.attributes
        )

    async def _finish(self, row: int) -> None:
        """See to the attributes of a copy that an earlier attempt made: it may have ended right after the copy."""
        if not self.attributed.are_plain:
            read = await self.attributed.read(self._source(row))
            await self.attributed.finish(self._target(row), read, storage_class=self._class(row))

    def _fail_taken(self, row: int, *, etag: str | None, size: int, is_same: bool) -> None:
        what = "an equal object" if is_same else f"another object ({size} bytes, ETag {etag})"
        if is_same and self.operation.options.if_target_exists is IfTargetExists.SKIP_IF_SAME:
            what = "an object of equal bytes without the attributes that the copy would have"
        self.context.outcomes.fail(
            row,
            Code.TARGET_EXISTS,
            _PRECONDITION_FAILED,
            f"The target has {what}; --if-target-exists says what to do about it.",
            etag=etag,
            size=size,
        )

    def _headers(self, storage_class: str | None) -> dict[str, str]:
        """Return the headers that all plain copies of one class have."""
        wanted = self.operation.options.storage_class or storage_class
        return self.attributed.headers(SourceAttributes(), storage_class=wanted) if self.attributed.are_plain else {}

    def _class(self, row: int) -> str | None:
        return self.operation.options.storage_class or self.work.storage_classes[row]

    async def _copy_singly(self, row: int, room: asyncio.Semaphore) -> None:
        """Copy one object by coroutine: in parts, or in one request where it replaces what is there."""
        async with room:
            if self.context.stop.is_set or self.outage.is_lasting:
                return
            try:
                result = await self._copy_large(row)
            except StoppedError:
                return
            except S3BatchError as error:
                await self._settle(row, error, is_ambiguous=getattr(error, "is_ambiguous", False))
                return
            except Exception as error:  # noqa: BLE001 - the other rows are still to be recorded
                self.outage.end(error)
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
        layout = await source_layout(self.context, source)
        if layout is None and source.size < self._threshold:
            return await self._copy_by_request(row, source, target, guard)
        result = await copy_in_parts(
            self.context,
            source,
            target,
            layout=layout,
            part_size=options.part_size,
            storage_class=self._class(row),
            guard=guard,
            attributed=self.attributed,
        )
        await self._finish(row)
        return result

    async def _copy_by_request(
        self, row: int, source: PinnedSource, target: S3Object, guard: TargetGuard
    ) -> CopyResult:
        """Copy in one request: the source's attributes are read before it, and seen to after it, as asked."""
        read = await self.attributed.read(source)
        await require_target(self.context, target, guard)
        result = await self.context.target.copy_object(
            source.bucket,
            source.key,
            target.bucket,
            target.key,
            source_version_id=source.version_id,
            source_if_match=source.etag,
            if_none_match=guard.if_none_match,
            if_match=guard.if_match,
            headers=self.attributed.request_headers(read, storage_class=self._class(row)),
        )
        await self.attributed.finish(target, read, storage_class=self._class(row), version_id=result.version_id)
        return result

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

    async def _settle(self, row: int, error: S3BatchError, *, is_ambiguous: bool) -> None:
        """Record the outcome of a copy that failed, after reading what may tell more; or leave the row for later.

        A 412 does not say which condition failed, and after a lost answer it may be our own copy that is in the way.
        """
        status = error.status or None if isinstance(error, S3Error) else None
        if isinstance(error, PermissionExpiredError):
            return
        try:
            if (is_ambiguous or status == _PRECONDITION_FAILED) and await self._is_settled_by_reading(
                row, is_lost=is_ambiguous
            ):
                return
            is_for_later = may_pass(error) and not await self._is_hopeless(row, error)
        except S3BatchError as unread:
            if may_pass(unread):
                self.outage.leave(unread)
            else:
                message = f"{error.message} Reading again failed too: {unread.message}"
                self.context.outcomes.fail(row, Code.UNKNOWN_OUTCOME, status, message)
            return
        if is_for_later:
            self.outage.leave(error)
        else:
            self.context.outcomes.fail(row, error.code, status, str(error))

    async def _is_hopeless(self, row: int, error: S3BatchError) -> bool:
        """Tell whether the store fails at this object again and again while it answers other questions."""
        if self.work.is_first_attempt or not may_be_the_object(error):
            return False
        await self._head(self._target(row))
        return True

    async def _is_settled_by_reading(self, row: int, *, is_lost: bool) -> bool:
        """Read both sides and record what they tell; ``False`` where they tell nothing more than the error did.

        ``is_lost``: an answer was lost, so what has the pinned ETag is our own. Otherwise someone else may have been
        quicker; only libcurl's silent repetition on a new connection makes our own copy possible, and the target must
        be faithful in everything to count as it.
        """
        outcomes, work = self.context.outcomes, self.work
        target, source = await self._head(self._target(row)), await self._head_source(row)
        is_pinned = source is not None and source.etag == work.etags[row]
        if target is not None and self._is_since_start(target.last_modified_ms):
            is_same = target.etag == work.etags[row] and target.size == work.sizes[row]
            is_equal = source is not None and self._is_faithful(row, source, target)
            if is_equal or (is_lost and is_same):
                await self._finish(row)
                outcomes.succeed(
                    row, etag=target.etag, size=target.size, version_id=target.version_id, code=Code.ALREADY_COPIED
                )
                return True
        if source is None:
            outcomes.fail(row, Code.NO_SUCH_KEY, 404, "The source is not there any more.")
        elif not is_pinned:
            message = f"The source's ETag is {source.etag}, the manifest pinned {work.etags[row]}."
            outcomes.fail(row, Code.SOURCE_CHANGED, _PRECONDITION_FAILED, message)
        elif target is not None and row not in self.guards:
            is_same = target.etag == work.etags[row] and target.size == work.sizes[row]
            self._fail_taken(row, etag=target.etag, size=target.size, is_same=is_same)
        else:
            return False
        return True

    def _is_since_start(self, modified_ms: int) -> bool:
        """Tell whether something was written after the job began; stores tell times in whole seconds."""
        return modified_ms >= self.context.job_started_at_ms // _SECOND_MS * _SECOND_MS

    async def _head_source(self, row: int) -> ObjectHead | None:
        source = self._source(row)
        return await self._head(S3Object(bucket=source.bucket, key=source.key), source.version_id)

    async def _head(self, place: S3Object, version_id: str | None = None) -> ObjectHead | None:
        try:
            return await self.context.target.head_object(
                place.bucket, place.key, version_id=version_id, checksum_mode=True
            )
        except S3RefusedError as error:
            if error.code == Code.NO_SUCH_KEY:
                return None
            raise
