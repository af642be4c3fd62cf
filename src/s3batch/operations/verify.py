"""The verify operation: prove, row by row, that the object under the mapped key is a copy of what the manifest pinned.

In goes a chunk with pinned sizes and ETags. The target's key range is listed once and compared in bulk; what that
shows as missing or different is confirmed by HEAD (safety.md rule 12); what ETags cannot decide is asked for
checksums, and at level ``bytes`` both sides are read. Out comes one outcome per row: succeeded with level, ETag and
size of the target, or failed with ``TargetMissing``, ``TargetDifferent``, ``MetadataDiffers``, ``TagsDiffer``,
``Undecided``, ``SourceChanged``, ``TargetExists`` (what is there was there before the copy, which failed) or the
store's own code. Nothing is written. A row about which the store, the network or the credentials failed has no outcome:
the rest is recorded, then the attempt ends as unavailable.

The source is compared by what the manifest pinned, never by an ETag read now (rule 1): a HEAD of the source carries
the pinned ETag as its condition and serves only to read a checksum, and the attributes, of that very object. Where
attributes are asked for, a row is proven only when its bytes and then each of them were compared.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from s3batch.ledger.segments import NO_OUTCOME, SUCCEEDED
from s3batch.model.attributes import Attribute
from s3batch.model.errors import S3BatchError
from s3batch.model.job import CopyOptions, KeyMapping, Level
from s3batch.model.objects import S3Object
from s3batch.model.outcome import Code
from s3batch.operations.compared_attributes import AttributeComparison
from s3batch.operations.interruptible import StoppedError, for_each, until_stopped
from s3batch.operations.outage import Outage
from s3batch.operations.readings import Seen, is_about_object, key_before, look, pick, target_keys_of
from s3batch.operations.task import ChunkWork, PinnedSource, TaskContext
from s3batch.s3.answers import ObjectHead
from s3batch.s3.errors import NO_SUCH_KEY, PRECONDITION_FAILED, S3Error, S3RefusedError
from s3batch.s3.reader import S3Reader
from s3batch.verify.attributes import covered_word
from s3batch.verify.checksums import Verdict, compare_bytes, compare_checksums, is_layout_in_question, is_same_layout
from s3batch.verify.compare import compare

HEADS_AT_ONCE = 64
"""Rows of one chunk that are asked for checksums at the same time; the throttle bounds the requests of all chunks."""

STREAMS_AT_ONCE = 4
"""Rows of one chunk whose bytes are read at the same time, two streams each: this bounds the memory."""

PARTS_PER_PAGE = 1_000
MAX_PARTS = 10_000
"""S3's limits on one page of part sizes and on an object's parts (GetObjectAttributes, User Guide, read 2026-11)."""


AS_USUAL = CopyOptions()
"""Copies of which nothing was set anew."""


@dataclass(frozen=True, kw_only=True, slots=True)
class VerifyOperation:
    """Compares each row's target with the pinned entry.

    Level ``etag`` asks for checksums only where ETags cannot decide; ``checksum`` asks for them on every row,
    ``bytes`` reads every row. ``response`` also accepts the copy's own answer, if it is still the target's ETag; it
    needs the copy job's answers as the chunk's evidence.
    """

    mapping: KeyMapping
    level: Level = Level.ETAG
    attributes: frozenset[Attribute] = frozenset()
    """What is compared beside the bytes, by requests for each row."""
    copy: CopyOptions = AS_USUAL
    """How the copies were made: what was set anew there is wanted here."""

    async def run(self, work: ChunkWork, context: TaskContext) -> None:
        """Do the rows of ``work`` and record their outcomes; rows that a stop left over have none."""
        work = without_taken(work, context)
        if work.rows and not context.stop.is_set:
            try:
                comparison = AttributeComparison(
                    asked=self.attributes, copy=self.copy, source=context.source, target=context.target
                )
                chunk = _Chunk(
                    mapping=self.mapping, level=self.level, comparison=comparison, work=work, context=context
                )
                await chunk.verify()
            except StoppedError:
                return
            finally:
                doubt_failed_copies(work, context)


def without_taken(work: ChunkWork, context: TaskContext) -> ChunkWork:
    """Record the rows whose copy found its target taken, and return the work without them.

    An equal object that somebody else put there has the bytes, not what belongs to them (metadata, tags): the copy
    failed, so its source must not go.
    """
    if work.evidence is None or not work.evidence.taken:
        return work
    taken = work.evidence.taken
    for row in work.rows:
        if row in taken:
            message = "What is at the target was there before the copy, which failed; it is no proof."
            context.outcomes.fail(row, Code.TARGET_EXISTS, message=message)
    return replace(work, rows=[row for row in work.rows if row not in taken])


def doubt_failed_copies(work: ChunkWork, context: TaskContext) -> None:
    """Take back what was proven of rows whose copy had failed: it may have failed at the tags or the grants.

    Copied again by a retry, and proven by the verify of that, they are as good as any.
    """
    failed = frozenset() if work.evidence is None else work.evidence.failed
    for row in failed.intersection(work.rows):
        if context.outcomes.status[row] == SUCCEEDED:
            message = "Its copy failed after the bytes were there, so something else of it may be missing."
            context.outcomes.fail(row, Code.NOT_PROVEN, message=message)


@dataclass(kw_only=True, slots=True)
class _Chunk:
    """One chunk while it is verified. Positions count the rows that are to be done."""

    mapping: KeyMapping
    level: Level
    comparison: AttributeComparison
    work: ChunkWork
    context: TaskContext
    target_keys: list[str] = field(default_factory=list)
    outage: Outage = field(default_factory=Outage)

    async def verify(self) -> None:
        """Compare by listing, then decide row by row, by HEAD, what that does not prove.

        Raises:
            UnavailableError: some rows must wait.
        """
        rows, outcomes = self.work.rows, self.context.outcomes
        self.target_keys = target_keys_of(self.mapping, pick(self.work.keys, rows))
        outcomes.level = str(Level.ETAG if self.level is Level.RESPONSE else self.level)
        outcomes.covered = covered_word(self.comparison.asked)
        outcomes.checked_at_ms = self.context.now_ms()
        seen = await until_stopped(self.context.stop, self._look())
        unproven = self._compare(seen)
        limit = STREAMS_AT_ONCE if self.level is Level.BYTES else HEADS_AT_ONCE
        stop, outage = self.context.stop, self.outage
        await for_each(unproven, self._decide, limit=limit, stop=stop, is_pointless=lambda: outage.is_lasting)
        outage.raise_if_any()

    async def _look(self) -> Seen:
        """List the target range of the rows."""
        before = key_before(self.work, self.work.rows)
        after = None if before is None else self.mapping.target_key(before)
        return await look(self.context.target, self.mapping.target_bucket, self.target_keys, after=after)

    def _compare(self, seen: Seen) -> Sequence[int]:
        """Record what the listing proves and return the other positions.

        A listing is believed where it shows an equal ETag. Missing and different are said only after a HEAD.
        """
        rows = self.work.rows
        if self.level in {Level.CHECKSUM, Level.BYTES} or self.comparison.asked:
            return range(len(rows))
        found = compare(pick(self.work.etags, rows), pick(self.work.sizes, rows), seen.etags, seen.sizes)
        exceptions = {*found.missing, *found.different, *found.undecided}
        self._record_equal(seen, exceptions)
        if self.level is Level.RESPONSE:
            exceptions.difference_update(each for each in found.undecided if self._is_as_answered(each, seen))
        return sorted(exceptions)

    def _record_equal(self, seen: Seen, exceptions: set[int]) -> None:
        """Record every row as proven by its ETag, but the exceptions."""
        outcomes, rows = self.context.outcomes, self.work.rows
        if not exceptions and len(rows) == outcomes.n_rows:
            outcomes.status[:] = bytes([SUCCEEDED]) * len(rows)
            outcomes.etags, outcomes.sizes = list(seen.etags), list(seen.sizes)
            return
        for position, row in enumerate(rows):
            if position not in exceptions:
                outcomes.succeed(row, etag=seen.etags[position], size=seen.sizes[position])

    def _is_as_answered(self, position: int, seen: Seen) -> bool:
        """Record the row as proven by the copy's answer, if the target still has exactly that ETag."""
        row, evidence = self.work.rows[position], self.work.evidence
        etag, size = seen.etags[position], seen.sizes[position]
        if evidence is None or not evidence.answered[row] or evidence.target_etags[row] != etag:
            return False
        self.context.outcomes.succeed(row, etag=etag, size=size, level=str(Level.RESPONSE))
        return True

    async def _decide(self, position: int) -> None:
        """Read one row's target, and where needed its source, by requests of their own, and record the outcome."""
        row = self.work.rows[position]
        try:
            await self._decide_by_target(row, self.target_keys[position])
        except StoppedError:
            self.context.outcomes.status[row] = NO_OUTCOME
        except S3BatchError as error:
            await self._fail(row, error)

    async def _decide_by_target(self, row: int, target_key: str) -> None:
        """Decide by the target alone where that is enough for the level, else go on to the source."""
        work, outcomes = self.work, self.context.outcomes
        checked_at_ms = self.context.now_ms()
        try:
            target = await self.context.target.head_object(self.mapping.target_bucket, target_key, checksum_mode=True)
        except S3Error as error:
            if error.code != NO_SUCH_KEY:
                raise
            self._missing(row)
            return
        if target.size != work.sizes[row]:
            self._different(row, target.etag, target.size)
            return
        level = self._level_by_etag(row, target.etag)
        if level is not None:
            await self._prove(row, target_key, target, level, checked_at_ms)
        elif self._is_answer_outdated(row):
            outcomes.fail(
                row,
                Code.TARGET_DIFFERENT,
                message=f"The target was written again after the copy: its ETag is {target.etag} now.",
                etag=target.etag,
                size=target.size,
            )
        else:
            await self._decide_by_source(row, target_key, target, checked_at_ms)

    def _level_by_etag(self, row: int, etag: str) -> Level | None:
        """Return the level at which the target's ETag alone proves the row, if it does and that is enough."""
        if self.level in {Level.CHECKSUM, Level.BYTES}:
            return None
        if etag and etag == self.work.etags[row]:
            return Level.ETAG
        evidence = self.work.evidence
        if self.level is Level.RESPONSE and evidence is not None and evidence.answered[row]:
            return Level.RESPONSE if evidence.target_etags[row] == etag else None
        return None

    def _is_answer_outdated(self, row: int) -> bool:
        """Tell whether the copy's answer was asked for as proof and the target no longer has its ETag."""
        evidence = self.work.evidence
        return self.level is Level.RESPONSE and evidence is not None and evidence.answered[row]

    async def _decide_by_source(self, row: int, target_key: str, target: ObjectHead, checked_at_ms: int) -> None:
        """Compare checksums, or at level ``bytes`` the bytes, of the pinned source and the target."""
        source = await self._pinned_source(row)
        if source is None:
            return
        if self.level is Level.BYTES:
            verdict = await self._compare_bytes(row, target_key, target)
            level = Level.BYTES
        else:
            verdict = await self._compare_checksums(row, target_key, source, target)
            level = Level.CHECKSUM
        if verdict is Verdict.PROVEN:
            await self._prove(row, target_key, target, level, checked_at_ms)
        elif verdict is Verdict.DIFFERENT:
            self._different(row, target.etag, target.size)
        else:
            message = f"ETags differ ({self.work.etags[row]}, {target.etag}) and no checksum is comparable."
            if self.level is Level.BYTES:
                message = "An object was not the same while it was read."
            elif self.work.etags[row] == target.etag:
                message = "Both sides carry no checksum that is comparable."
            self.context.outcomes.fail(row, Code.UNDECIDED, message=message, etag=target.etag, size=target.size)

    async def _pinned_source(self, row: int) -> ObjectHead | None:
        """Return the source's HEAD if it is still the pinned object; else record that it is not."""
        work = self.work
        etag = work.etags[row]
        version_id = None if work.version_ids is None else work.version_ids[row]
        try:
            source = await self.context.source.head_object(
                work.bucket, work.keys[row], version_id=version_id, if_match=etag, checksum_mode=True
            )
        except S3Error as error:
            if error.code != PRECONDITION_FAILED:
                raise
            self.context.outcomes.fail(row, Code.SOURCE_CHANGED, error.status, "The source was written again.")
            return None
        if (source.etag, source.size) != (etag, work.sizes[row]):  # a store that does not know If-Match on HEAD
            self.context.outcomes.fail(
                row, Code.SOURCE_CHANGED, message=f"The source's ETag is {source.etag}; the manifest pinned {etag}."
            )
            return None
        return source

    async def _compare_checksums(self, row: int, target_key: str, source: ObjectHead, target: ObjectHead) -> Verdict:
        """Compare the recorded checksums; ask for part sizes only where they could decide."""
        verdict = compare_checksums(source, target)
        if verdict is Verdict.UNDECIDED and is_layout_in_question(source, target):
            work = self.work
            version_id = None if work.version_ids is None else work.version_ids[row]
            source_parts = await part_sizes(self.context.source, work.bucket, work.keys[row], version_id)
            target_parts = await part_sizes(self.context.target, self.mapping.target_bucket, target_key, None)
            return compare_checksums(source, target, is_same_layout=is_same_layout(source_parts, target_parts))
        return verdict

    async def _compare_bytes(self, row: int, target_key: str, target: ObjectHead) -> Verdict:
        """Read and hash both sides, each on condition that it is the object that was looked at."""
        work = self.work
        version_id = None if work.version_ids is None else work.version_ids[row]
        comparing = compare_bytes(
            self.context.source.stream_object(
                work.bucket, work.keys[row], version_id=version_id, if_match=work.etags[row]
            ),
            self.context.target.stream_object(self.mapping.target_bucket, target_key, if_match=target.etag),
            pinned_size=work.sizes[row],
        )
        try:
            return await until_stopped(self.context.stop, comparing)
        except S3Error as error:
            if error.code != PRECONDITION_FAILED:
                raise
            return Verdict.UNDECIDED

    async def _prove(self, row: int, target_key: str, target: ObjectHead, level: Level, checked_at_ms: int) -> None:
        """Record a row whose bytes are proven as proven, unless what else was asked for is not as it should be."""
        if self.comparison.asked and not await self._has_equal_attributes(row, target_key, target):
            return
        self.context.outcomes.succeed(
            row,
            etag=target.etag,
            size=target.size,
            version_id=target.version_id,
            level=str(level),
            checked_at_ms=checked_at_ms,
        )

    async def _has_equal_attributes(self, row: int, target_key: str, target: ObjectHead) -> bool:
        """Tell whether the attributes are equal; if they are not, or nobody can tell, that is recorded."""
        work, comparison = self.work, self.comparison
        pinned = PinnedSource(
            bucket=work.bucket,
            key=work.keys[row],
            size=work.sizes[row],
            etag=work.etags[row],
            version_id=None if work.version_ids is None else work.version_ids[row],
        )
        place = S3Object(bucket=self.mapping.target_bucket, key=target_key)
        tags = await comparison.read_tags(pinned, place, target)  # before the HEADs that tell whose tags these were
        source = await self._pinned_source(row)
        if source is None:
            return False
        finding = comparison.judge(source, await comparison.same_target(place, target), tags)
        if finding is None:
            return True
        self.context.outcomes.fail(row, finding.code, message=finding.message, etag=target.etag, size=target.size)
        return False

    def _missing(self, row: int) -> None:
        self.context.outcomes.fail(row, Code.TARGET_MISSING, message="Nothing is at the target.")

    def _different(self, row: int, etag: str, size: int) -> None:
        expected = self.work.sizes[row]
        by_bytes = f"The target has {size} bytes, the source {expected}."
        message = by_bytes if size != expected else "The target has other bytes than the source."
        self.context.outcomes.fail(row, Code.TARGET_DIFFERENT, message=message, etag=etag, size=size)

    async def _fail(self, row: int, error: S3BatchError) -> None:
        """Record a row that could not be decided; or leave it for later."""
        sides = ((self.context.source, self.work.bucket), (self.context.target, self.mapping.target_bucket))
        if not await is_about_object(error, sides, is_first_attempt=self.work.is_first_attempt):
            self.outage.leave(error)
            return
        status = error.status if isinstance(error, S3Error) and error.status else None
        self.context.outcomes.fail(row, error.code, status, str(error))


async def part_sizes(reader: S3Reader, bucket: str, key: str, version_id: str | None) -> list[int]:
    """Return the sizes of an object's parts; none where the store does not tell them."""
    sizes: list[int] = []
    marker = 0
    while len(sizes) < MAX_PARTS:
        try:
            page = await reader.get_object_attributes(
                bucket, key, version_id=version_id, max_parts=PARTS_PER_PAGE, part_number_marker=marker
            )
        except S3RefusedError:
            return []  # without part sizes the row stays undecided, which proves nothing
        sizes += [part.size for part in page.parts]
        if page.next_part_number_marker is None or not page.parts:
            return sizes
        marker = page.next_part_number_marker
    return sizes
