"""The delete operation: delete the sources that the gate permits, and account for each of them.

In goes a chunk with pinned sizes and ETags and the proof that a verify job found. For each 1,000 rows, or as many fewer
as can be read within seconds where the store may ignore conditions, both sides are read again (safety.md rule 14), what
a listing shows as changed or missing is confirmed by HEAD (rule 12), the gate decides, and one DeleteObjects request is
sent with each key's ETag as its condition. Out comes one outcome per row: deleted, ``AlreadyGone``, kept with the code
of the gate, or failed with the store's.

Nothing is deleted that ``verify/gate.py`` did not permit in the same round. A key whose fate is unknown is read again
before it is sent again, so a versioned bucket never gets a second delete marker from one attempt; on a later attempt
the marker that an earlier one made is found and recorded (rules 16 and 18).

A row about which the store, the network or the credentials failed has no outcome: the rest is recorded, then the
attempt ends as unavailable. Whatever is raised, deletes that were answered are recorded first.

Consistency: what AWS lists is what is there. Elsewhere each object is asked for by HEAD on both sides, unless the user
vouches for the store's listings (``trust_listings``).
"""

from __future__ import annotations

import asyncio
import random
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from s3batch.ledger.outcome_columns import Remark
from s3batch.ledger.segments import SUCCEEDED
from s3batch.model.attributes import Attribute
from s3batch.model.errors import InconsistentError, S3BatchError, UnavailableError
from s3batch.model.job import DEFAULT_MAX_EVIDENCE_AGE_S, KeyMapping
from s3batch.model.outcome import Code
from s3batch.operations.both_sides import BothSides, confirm_both_sides, read_both_sides
from s3batch.operations.delete_requests import LOST, DeleteSender, Permitted, Sent, Trouble
from s3batch.operations.interruptible import StoppedError, for_each, until_stopped
from s3batch.operations.null_versions import SUSPENDED, null_versions
from s3batch.operations.outage import Outage, may_be_the_object, may_pass
from s3batch.operations.readings import is_about_object, pick, target_keys_of
from s3batch.operations.task import ChunkWork, TaskContext
from s3batch.s3.errors import NO_SUCH_KEY, PRECONDITION_FAILED, S3Error, S3RefusedError
from s3batch.s3.reader import S3Reader
from s3batch.s3.retry import RetryClass, backoff_s
from s3batch.s3.xml_answers import iso_ms
from s3batch.verify.gate import MAX_READING_AGE_MS, Readings, Refusal, find_refusals

BATCH_ROWS = 1_000
"""Keys of one DeleteObjects request (API reference, read 2026-11); also one page of each listing."""

BATCHES_AT_ONCE = 4
"""Batches of one chunk under way: enough to hide the readings behind the deletes, few enough to stop soon."""

FIRST_HEADED_ROWS = 64
"""Rows of the first batches where each is read by HEAD: how fast this store answers is not known yet."""

SOON_MS = 5_000
"""How old a reading may be where conditions are not known to be honoured: older ones are taken again for fewer rows, so
that what is overwritten meanwhile has seconds only to be lost in. A single row has the gate's minute."""

UNCONDITIONAL = "Deleted without a condition, which this store does not take: the reading before it was its guard."

MAX_ROUNDS = 5
"""How often a row is read and decided again before its trouble is recorded."""

_MUCH_FASTER = 4
"""A reading that took less than this part of its limit lets the next batches be twice as large."""

MARKERS_AT_ONCE = 32
"""Keys of one batch whose versions are listed at the same time, after an attempt whose answers were lost."""

_LISTED_TIME_STEP_MS = 1_000
"""Where a listing tells times in whole seconds, they are rounded down: a marker of ours may look so much older."""

_BY_LISTING = frozenset({Code.ALREADY_GONE, Code.SOURCE_CHANGED, Code.TARGET_MISSING, Code.TARGET_CHANGED})
"""Refusals that a late listing could cause, so a HEAD must confirm them."""

_UNLESS_UNREAD = _BY_LISTING | {Code.NULL_VERSION_AT_RISK}
"""Refusals that say nothing of a row about which the store did not answer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DeleteOperation:
    """Deletes each row's source if the gate permits it.

    ``unverified``: no copy was proven, the pinned identity alone guards each delete. ``versioning`` is that of the
    source bucket; where it is suspended, the versions of each key are listed first (safety.md rule 17).
    """

    mapping: KeyMapping | None
    unverified: bool = False
    versioning: str = ""
    trust_listings: bool = False
    required: frozenset[Attribute] = frozenset()
    """What the proof must cover beside the bytes."""
    is_permanent: bool = False
    """Delete the versions that the manifest names, for good (safety.md rule 16)."""
    max_evidence_age_ms: int = DEFAULT_MAX_EVIDENCE_AGE_S * 1000
    """How old a proof may be when its source is deleted."""

    def __post_init__(self) -> None:
        """Refuse what the plan should have refused."""
        if self.mapping is None and not self.unverified:
            raise _bug("a delete needs the mapping of its verify job")
        if self.unverified and self.required:
            raise _bug("an unverified delete has no proof that could cover anything")

    async def run(self, work: ChunkWork, context: TaskContext) -> None:
        """Do the rows of ``work`` and record their outcomes; rows that a stop left over have none."""
        rows = work.rows
        if not rows or context.stop.is_set:
            return
        if (work.version_ids is not None) != self.is_permanent or not all(work.version_ids or [True]):
            raise _bug("only the versions that a manifest names are deleted for good, and only when that was asked for")
        chunk = _Chunk(operation=self, work=work, context=context)
        await chunk.delete_all(rows)


class _Chunk:
    """One chunk while its sources are deleted."""

    def __init__(self, *, operation: DeleteOperation, work: ChunkWork, context: TaskContext) -> None:
        self._operation = operation
        self._work = work
        self._context = context
        self._sender = DeleteSender(client=context.source, bucket=work.bucket, stop=context.stop)
        self._own_targets = find_own_targets(work, operation.mapping)
        self._outage = Outage()
        self._is_aws = context.source.is_aws
        self._batch_rows = BATCH_ROWS if self._is_aws or operation.trust_listings else FIRST_HEADED_ROWS
        self._may_be_ours: set[int] = set()
        """Rows that an attempt may have deleted without knowing."""

    async def delete_all(self, rows: Sequence[int]) -> None:
        """Delete ``rows`` in batches; those that must wait have no outcome.

        Raises:
            UnavailableError: some must wait.
        """
        batches, stop = self._batches(rows), self._context.stop
        await for_each(batches, self._delete, limit=BATCHES_AT_ONCE, stop=stop, is_pointless=self._is_pointless)
        self._outage.raise_if_any()

    def _is_pointless(self) -> bool:
        return self._outage.is_lasting

    def _batches(self, rows: Sequence[int]) -> Iterator[Sequence[int]]:
        """Yield slices of ``rows`` of the size that is right by then."""
        first = 0
        while first < len(rows):
            size = self._batch_rows
            yield rows[first : first + size]
            first += size

    async def _delete(self, rows: Sequence[int]) -> None:
        """Read, decide, send, until each row of the batch has an outcome, must wait, or the rounds are used up."""
        waiting = [_Turn(rows, 1)]
        try:
            while waiting and not self._outage.is_lasting:
                turn = waiting.pop()
                waiting += await self._take(turn)
        except StoppedError:
            return

    async def _take(self, turn: _Turn) -> list[_Turn]:
        """Try a turn's rows once and return the turns that are still to come, the next one last."""
        rows, stop = turn.rows, self._context.stop
        try:
            sides, refusals = await until_stopped(stop, self._read_and_decide(rows))
        except S3BatchError as error:
            if not may_pass(error):
                raise
            self._outage.leave(error)
            return []
        limit_ms = MAX_READING_AGE_MS if self._is_aws or len(rows) == 1 else SOON_MS
        age_ms = sides.age_ms()
        if age_ms > limit_ms and len(rows) > 1:
            middle = len(rows) // 2
            self._batch_rows = max(min(self._batch_rows, middle), 1)
            return [turn._replace(rows=rows[middle:]), turn._replace(rows=rows[:middle])]
        if age_ms * _MUCH_FASTER < limit_ms and len(rows) >= self._batch_rows:
            self._batch_rows = min(self._batch_rows * 2, BATCH_ROWS)
        positions = _without(len(rows), refusals)
        again: dict[int, Trouble] = {}
        if positions:
            again = await self._send(pick(rows, positions), pick(sides.source_keys, positions), sides, limit_ms)
        again |= await self._record_refusals(rows, refusals, sides)
        return await self._turns_after(turn, again)

    async def _turns_after(self, turn: _Turn, again: dict[int, Trouble]) -> list[_Turn]:
        """Return the next turns of a turn's rows that have no outcome yet; give up those that had enough of them."""
        unsent = [row for row, trouble in sorted(again.items()) if trouble.is_unsent]
        tried = [row for row, trouble in sorted(again.items()) if not trouble.is_unsent]
        turns = []
        if unsent and len(again) < len(turn.rows):  # the others got on meanwhile, so these are not stuck
            turns.append(turn._replace(rows=unsent))
            unsent = []
        rows = sorted([*tried, *unsent])
        if rows and turn.number < MAX_ROUNDS:
            pause_s = backoff_s(turn.number, RetryClass.SERVER, random.random())  # noqa: S311 - no secret
            await until_stopped(self._context.stop, asyncio.sleep(pause_s))
            turns.append(_Turn(rows, turn.number + 1))
        else:
            for row in rows:
                self._give_up(row, again[row])
        return turns

    async def _send(self, rows: list[int], keys: list[str], sides: BothSides, limit_ms: int) -> dict[int, Trouble]:
        """Send what was permitted, record what came of it, and return what is worth another round."""
        stop, sent = self._context.stop, Sent()
        permitted = Permitted(
            rows=rows,
            keys=keys,
            etags=pick(self._work.etags, rows),
            version_ids=self._versions(rows),
            may_send=lambda: not stop.is_set and sides.remaining_s(limit_ms) > 0,
            remaining_s=sides.remaining_s,
        )
        try:
            await self._sender.send(permitted, sent)
        finally:
            self._record_deleted(sent, sides)
        again: dict[int, Trouble] = {}
        for row, trouble in sent.trouble_by_row.items():
            if trouble.may_be_done:
                self._may_be_ours.add(row)
            if trouble.is_final:
                self._give_up(row, trouble)
            else:
                again[row] = trouble
        return again

    async def _read_and_decide(self, rows: Sequence[int]) -> tuple[BothSides, dict[int, Refusal]]:
        """Read both sides and ask the gate; where its refusal rests on a listing, confirm by HEAD and ask again."""
        operation, context = self._operation, self._context
        mapping = None if operation.unverified else operation.mapping
        trusts = operation.trust_listings
        sides = await read_both_sides(
            self._work, context, mapping, rows, trust_listings=trusts, version_ids=self._versions(rows)
        )
        is_risky = operation.versioning == SUSPENDED and not operation.is_permanent
        at_risk = await self._null_at_risk(rows, sides) if is_risky else frozenset[int]()
        refusals = self._decide(rows, sides, at_risk)
        doubtful = [position for position, refusal in refusals.items() if refusal.code in _BY_LISTING]
        if doubtful:
            await confirm_both_sides(sides, context, doubtful)
            refusals = self._decide(rows, sides, at_risk)
        return sides, refusals

    def _versions(self, rows: Sequence[int]) -> list[str] | None:
        """Return the versions that are to be deleted for good, if any are."""
        named = self._work.version_ids
        return None if named is None else [str(named[row]) for row in rows]

    async def _null_at_risk(self, rows: Sequence[int], sides: BothSides) -> frozenset[int]:
        """Return the positions whose delete would destroy a null version other than the pinned object, or may do so."""
        reader, stop = self._context.source, self._context.stop
        found, unread = await null_versions(reader, sides.bucket, sides.source_keys, stop=stop)
        if stop.is_set:
            raise StoppedError
        sides.source.errors.update(unread)
        etags, sizes = self._work.etags, self._work.sizes
        others = {
            position
            for position, version in found.items()
            if not version.is_latest or (version.etag, version.size) != (etags[rows[position]], sizes[rows[position]])
        }
        return frozenset(others | unread.keys())

    def _decide(self, rows: Sequence[int], sides: BothSides, null_at_risk: frozenset[int]) -> dict[int, Refusal]:
        """Ask the gate about each row."""
        work, evidence, own = self._work, self._work.evidence, self._own_targets
        nothing: list[None] = [None] * len(rows)
        readings = Readings(
            pinned_etags=pick(work.etags, rows),
            pinned_sizes=pick(work.sizes, rows),
            source_etags=sides.source.etags,
            source_sizes=sides.source.sizes,
            needs_proof=not self._operation.unverified,
            proven=[False] * len(rows) if evidence is None else pick(evidence.proven, rows),
            proof_etags=nothing if evidence is None else pick(evidence.target_etags, rows),
            proof_sizes=nothing if evidence is None else pick(evidence.target_sizes, rows),
            proof_age_ms=self._evidence_age_ms(),
            max_proof_age_ms=self._operation.max_evidence_age_ms,
            required=self._operation.required,
            proof_covers=self._covered(rows),
            target_etags=sides.target.etags,
            target_sizes=sides.target.sizes,
            proof_version_ids=nothing if evidence is None else pick(evidence.target_version_ids, rows),
            target_version_ids=sides.target.version_ids,
            null_at_risk=null_at_risk,
            needs_backup=work.backed_up is not None,
            backed_up=() if work.backed_up is None else pick(work.backed_up, rows),
            own_targets=frozenset(place for place, key in enumerate(sides.source_keys if own else ()) if key in own),
        )
        return find_refusals(readings, age_ms=sides.age_ms())

    def _evidence_age_ms(self) -> int | None:
        """Return how old the oldest proof of this chunk is now."""
        evidence = self._work.evidence
        recorded_at_ms = None if evidence is None else evidence.recorded_at_ms
        return None if recorded_at_ms is None else self._context.now_ms() - recorded_at_ms

    def _covered(self, rows: Sequence[int]) -> Sequence[str | None]:
        """Return what the proofs of the rows cover, where that is asked for at all."""
        evidence = self._work.evidence
        if not self._operation.required or evidence is None or evidence.covered is None:
            return ()
        return pick(evidence.covered, rows)

    async def _record_refusals(
        self, rows: Sequence[int], refusals: dict[int, Refusal], sides: BothSides
    ) -> dict[int, Trouble]:
        """Record what the gate did not permit; return the rows whose readings only were too old."""
        again: dict[int, Trouble] = {}
        gone: list[int] = []
        for position, (code, message) in refusals.items():
            row, error = rows[position], sides.error_at(position)
            if error is not None and code in _UNLESS_UNREAD:
                await self._fail_unread(row, error, sides)  # not absent: unknown
            elif code is Code.EVIDENCE_EXPIRED:
                again[row] = Trouble(code=code, message=message, is_unsent=True)
            elif code is Code.ALREADY_GONE:
                gone.append(position)
            else:
                etag, size = sides.seen_target(position)
                self._context.outcomes.keep(row, code, message, etag=etag, size=size, checked_at_ms=sides.read_at_ms)
        if gone:
            await self._record_gone(rows, gone, sides)
        return again

    async def _record_gone(self, rows: Sequence[int], positions: list[int], sides: BothSides) -> None:
        """Record sources that were absent; where an attempt of ours may have made a delete marker, find its id."""

        async def record(position: int) -> None:
            row = rows[position]
            marker_id = None
            if self._leaves_markers and (row in self._may_be_ours or not self._work.is_first_attempt):
                try:
                    marker_id = await find_marker(
                        self._context.source,
                        self._work.bucket,
                        sides.source_keys[position],
                        not_before_ms=self._context.job_started_at_ms,
                    )
                except UnavailableError as error:
                    self._outage.leave(error)
                    return
            etag, size = sides.seen_target(position)
            self._context.outcomes.succeed(
                row,
                code=Code.ALREADY_GONE,
                etag=etag,
                size=size,
                version_id=marker_id,
                checked_at_ms=sides.read_at_ms,
            )

        await for_each(positions, record, limit=min(MARKERS_AT_ONCE, len(positions)), stop=self._context.stop)

    @property
    def _leaves_markers(self) -> bool:
        return bool(self._operation.versioning) and not self._operation.is_permanent

    def _record_deleted(self, sent: Sent, sides: BothSides) -> None:
        """Record what was deleted; for the usual batch, all of it and without markers, a few slices."""
        deleted = sent.deleted
        if not deleted:
            return
        outcomes, sizes = self._context.outcomes, self._work.sizes
        if outcomes.checked_at_ms is None:
            outcomes.checked_at_ms = sides.read_at_ms
        elif outcomes.checked_at_ms != sides.read_at_ms:
            outcomes.checked_at_ms_by_row.update(dict.fromkeys(deleted, sides.read_at_ms))
        status, outcome_sizes, version_ids = outcomes.status, outcomes.sizes, outcomes.version_ids
        assert isinstance(outcome_sizes, list)  # noqa: S101 - this operation never puts Arrow arrays there
        assert isinstance(version_ids, list)  # noqa: S101 - as above
        for row, marker_id in zip(deleted, sent.marker_ids, strict=True):
            status[row] = SUCCEEDED
            outcome_sizes[row] = sizes[row]
            version_ids[row] = marker_id
        for row in sent.unconditional:
            outcomes.remark_by_row[row] = Remark(message=UNCONDITIONAL)

    def _give_up(self, row: int, trouble: Trouble) -> None:
        """Record a row that was not deleted, or of which that is not known; or leave it for later."""
        outcomes = self._context.outcomes
        is_hopeless = not self._work.is_first_attempt and trouble.error and may_be_the_object(trouble.error)
        if trouble.error is not None and not is_hopeless:
            self._leave(trouble.error)
        elif trouble.code in {PRECONDITION_FAILED, NO_SUCH_KEY}:
            outcomes.keep(row, Code.SOURCE_CHANGED, trouble.message, http_status=trouble.http_status)
        elif trouble.code == Code.EVIDENCE_EXPIRED:
            outcomes.keep(row, trouble.code, trouble.message)
        else:
            outcomes.fail(row, trouble.code, trouble.http_status, trouble.message)

    def _leave(self, error: S3BatchError) -> None:
        """Leave a row without an outcome; no later attempt helps against what is refused to every key."""
        if may_pass(error):
            self._outage.leave(error)
        else:
            self._outage.end(error)

    async def _fail_unread(self, row: int, error: S3BatchError, sides: BothSides) -> None:
        """Record a row that could not be read again; one whose delete may have been carried out is unknown."""
        status = error.status if isinstance(error, S3Error) and error.status else None
        buckets = [(self._context.source, sides.bucket)]
        if sides.target_keys:
            buckets.append((self._context.target, sides.target_bucket))
        if not await is_about_object(error, buckets, is_first_attempt=self._work.is_first_attempt):
            self._outage.leave(error)
        elif row in self._may_be_ours:
            message = f"{LOST.message} Reading again failed too: {error}"
            self._context.outcomes.fail(row, Code.UNKNOWN_OUTCOME, status, message)
        else:
            self._context.outcomes.fail(row, error.code, status, str(error))


class _Turn(NamedTuple):
    """Rows that are to be read and decided together, and how often that was done before."""

    rows: Sequence[int]
    number: int


def find_own_targets(work: ChunkWork, mapping: KeyMapping | None) -> frozenset[str]:
    """Return the keys of the chunk that are also mapped keys of it (safety.md rule 4).

    The plan refuses such jobs by an exact join over the whole manifest; this is the last line of defence. Mapped keys
    begin with ``add_prefix``, so a chunk without such keys costs one bisection.
    """
    if mapping is None or mapping.target_bucket != work.bucket:
        return frozenset()
    keys = work.keys
    first = bisect_left(keys, mapping.add_prefix)
    if first == len(keys) or not keys[first].startswith(mapping.add_prefix):
        return frozenset()
    return frozenset(keys).intersection(target_keys_of(mapping, keys))


async def find_marker(reader: S3Reader, bucket: str, key: str, *, not_before_ms: int) -> str | None:
    """Return the id of the delete marker that is the key's latest version, if there is one and the store tells.

    One that was made before ``not_before_ms``, when the job began by the store's clock, is not this job's: an undo
    would bring back what somebody else has deleted.

    Raises:
        UnavailableError: the store did not answer.
    """
    try:
        page = await reader.list_object_versions(bucket, key, max_keys=1)
    except S3RefusedError:
        return None  # the object is gone all the same; only the id for an undo is not known
    for version in page.versions:
        if version.key == key and version.is_latest and version.is_delete_marker:
            made_at_ms = iso_ms(version.last_modified)
            is_ours = made_at_ms is not None and made_at_ms + _LISTED_TIME_STEP_MS > not_before_ms
            return version.version_id if is_ours else None
    return None


def _without(n_rows: int, refusals: dict[int, Refusal]) -> Sequence[int]:
    """Return the positions that were permitted."""
    if not refusals:
        return range(n_rows)
    return [position for position in range(n_rows) if position not in refusals]


def _bug(what: str) -> InconsistentError:
    return InconsistentError(
        f"Nothing was deleted: {what}.", code="DeleteNotPlanned", way_out="This is a bug; please report it."
    )
