"""The undo operation: remove the delete markers that a delete job made, so that its objects are current again.

In go a chunk of the delete job's manifest, with the identities that were pinned then, and the delete job's own record
of it as evidence: the version id of each marker. For up to 1,000 rows the newest versions of each key are listed, the
gate (``verify/undo_gate.py``) decides, and one DeleteObjects with exactly the recorded version ids is sent. Out comes
one outcome per row: the marker removed (with the version id that is current again), ``AlreadyUndone``,
``NotDeleted``, kept with the code of the gate, or failed with the store's.

Order: each batch is read, then sent, then recorded. A crash in between leaves markers that are gone without an outcome;
the next attempt finds their objects current and records ``AlreadyUndone``.

Nothing but a marker of this record is ever removed. A row without a marker on record is only looked at.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from s3batch.model.errors import InconsistentError, S3BatchError
from s3batch.model.outcome import Code
from s3batch.operations.delete_requests import Sent, Trouble
from s3batch.operations.interruptible import StoppedError, for_each, until_stopped
from s3batch.operations.marker_requests import MarkerSender, PermittedMarkers
from s3batch.operations.outage import Outage, may_be_the_object, may_pass
from s3batch.operations.readings import confirm, is_about_object, key_before, look, pick
from s3batch.operations.stop import boot_time_s
from s3batch.operations.task import ChunkWork, TaskContext
from s3batch.s3.answers import ObjectVersion
from s3batch.s3.errors import S3Error
from s3batch.s3.retry import RetryClass, backoff_s
from s3batch.verify.gate import MAX_READING_AGE_MS, Identity, Refusal
from s3batch.verify.undo_gate import permit_undo

BATCH_ROWS = 1_000
"""Keys of one DeleteObjects request (API reference, read 2026-11)."""

KEYS_AT_ONCE = 64
"""Keys of a batch whose versions are listed at the same time; the throttle bounds the requests of all chunks."""

NEWEST_VERSIONS = 2
"""What the gate looks at of a key: its latest version and the one below."""

MAX_ROUNDS = 5
"""How often a row is read and decided again before its trouble is recorded."""

_SUCCESSES = frozenset({Code.ALREADY_UNDONE, Code.NOT_DELETED})
_GONE_MEANWHILE = "NoSuchVersion"


class _Reading(NamedTuple):
    """The newest versions of a batch's keys, by row; a row that could not be read is not among them."""

    began_s: float
    at_ms: int
    versions_by_row: dict[int, Sequence[ObjectVersion]]

    def age_ms(self) -> int:
        """Return how old the oldest part of this is."""
        return round((boot_time_s() - self.began_s) * 1000)


@dataclass(frozen=True, kw_only=True, slots=True)
class UndoOperation:
    """Removes the marker that the delete job recorded for each row, if the gate permits it."""

    async def run(self, work: ChunkWork, context: TaskContext) -> None:
        """Do the rows of ``work`` and record their outcomes; rows that a stop left over have none."""
        if not work.rows or context.stop.is_set:
            return
        if work.version_ids is not None:
            raise InconsistentError(
                "Nothing was undone: the manifest names versions, which no delete job of ours deletes.",
                code="UndoNotPlanned",
                way_out="This is a bug; please report it.",
            )
        await _Chunk(work=work, context=context).undo_all()


class _Chunk:
    """One chunk while its markers are removed."""

    def __init__(self, *, work: ChunkWork, context: TaskContext) -> None:
        self._work = work
        self._context = context
        self._sender = MarkerSender(client=context.source, bucket=work.bucket, stop=context.stop)
        self._outage = Outage()
        evidence = work.evidence
        recorded = [None] * len(work.keys) if evidence is None else evidence.target_version_ids
        kept = frozenset[int]() if evidence is None else evidence.kept
        self._marker_ids = [marker_id or "" for marker_id in recorded]
        self._kept = kept

    async def undo_all(self) -> None:
        """Do all rows in batches; those that must wait have no outcome.

        Raises:
            UnavailableError: some must wait.
        """
        rows = self._work.rows
        marked = [row for row in rows if self._marker_ids[row]]
        others = [row for row in rows if not self._marker_ids[row]]
        try:
            for batch in _batches(others):
                await self._look_at(batch)
            for batch in _batches(marked):
                await self._undo(batch)
        except StoppedError:
            return
        self._outage.raise_if_any()

    async def _look_at(self, rows: Sequence[int]) -> None:
        """Record rows without a marker on record: they are current, or gone without a trace of ours."""
        outcomes = self._context.outcomes
        for row in rows:
            if row in self._kept:
                outcomes.succeed(row, code=Code.NOT_DELETED)
        unknown = [row for row in rows if row not in self._kept]
        if not unknown or self._outage.is_lasting:
            return
        reader, work, keys = self._context.source, self._work, pick(self._work.keys, unknown)
        at_ms = self._context.now_ms()
        try:
            seen = await until_stopped(
                self._context.stop, look(reader, work.bucket, keys, after=key_before(work, unknown))
            )
            doubtful = [
                place
                for place, row in enumerate(unknown)
                if (seen.etags[place], seen.sizes[place]) != self._pinned(row)
            ]
            await until_stopped(self._context.stop, confirm(reader, work.bucket, keys, seen, doubtful))
        except S3BatchError as error:
            self._leave_or_end(error)
            return
        for place, row in enumerate(unknown):
            if place in seen.errors:
                await self._fail_unread(row, seen.errors[place])
            elif (seen.etags[place], seen.sizes[place]) == self._pinned(row):
                outcomes.succeed(row, code=Code.NOT_DELETED, checked_at_ms=at_ms)
            else:
                what = "is gone" if seen.etags[place] is None else "was replaced"
                message = f"The object {what}, and the delete job has no marker of it on record."
                outcomes.keep(row, Code.NO_MARKER, message, checked_at_ms=at_ms)

    async def _undo(self, rows: Sequence[int]) -> None:
        """Read, decide, send, until each row has an outcome, must wait, or the rounds are used up."""
        waiting, trouble_by_row = list(rows), dict[int, Trouble]()
        for number in range(1, MAX_ROUNDS + 1):
            if not waiting or self._outage.is_lasting:
                return
            if self._context.stop.is_set:
                raise StoppedError
            if number > 1 and not all(trouble.is_unsent for trouble in trouble_by_row.values()):
                pause_s = backoff_s(number - 1, RetryClass.SERVER, random.random())  # noqa: S311 - no secret
                await until_stopped(self._context.stop, asyncio.sleep(pause_s))
            trouble_by_row = await self._take(waiting)
            waiting = sorted(trouble_by_row)
        for row in waiting:
            self._give_up(row, trouble_by_row[row])

    async def _take(self, rows: Sequence[int]) -> dict[int, Trouble]:
        """Try rows once and return those that are worth another round."""
        reading = await self._read(rows)
        again: dict[int, Trouble] = {}
        permitted = []
        for row, versions in reading.versions_by_row.items():
            refusal = permit_undo(
                key=self._work.keys[row],
                marker_id=self._marker_ids[row],
                pinned=self._pinned(row),
                versions=versions,
                age_ms=reading.age_ms(),
            )
            if refusal is None:
                permitted.append(row)
            elif refusal.code is Code.EVIDENCE_EXPIRED:
                again[row] = Trouble(code=refusal.code, message=refusal.message, is_unsent=True)
            else:
                self._record_refusal(row, refusal, versions, reading.at_ms)
        if permitted:
            again |= await self._send(permitted, reading)
        return again

    async def _read(self, rows: Sequence[int]) -> _Reading:
        """List the newest versions of each row's key."""
        reading = _Reading(boot_time_s(), self._context.now_ms(), {})
        work, context = self._work, self._context

        async def read(row: int) -> None:
            listing = context.source.list_object_versions(work.bucket, work.keys[row], max_keys=NEWEST_VERSIONS)
            try:
                page = await until_stopped(context.stop, listing)
            except S3BatchError as error:
                await self._fail_unread(row, error)
            else:
                reading.versions_by_row[row] = [each for each in page.versions if each.key == work.keys[row]]

        await for_each(
            rows,
            read,
            limit=min(KEYS_AT_ONCE, len(rows)),
            stop=context.stop,
            is_pointless=lambda: self._outage.is_lasting,
        )
        return reading

    async def _send(self, rows: list[int], reading: _Reading) -> dict[int, Trouble]:
        """Remove what was permitted, record what came of it, and return what is worth another round."""
        stop, sent = self._context.stop, Sent()
        permitted = PermittedMarkers(
            rows=rows,
            keys=[self._work.keys[row] for row in rows],
            marker_ids=[self._marker_ids[row] for row in rows],
            may_send=lambda: not stop.is_set and reading.age_ms() <= MAX_READING_AGE_MS,
        )
        try:
            await self._sender.send(permitted, sent)
        finally:
            for row in sent.deleted:
                self._record_undone(row, reading)
        again: dict[int, Trouble] = {}
        for row, trouble in sent.trouble_by_row.items():
            if trouble.is_final and trouble.code != _GONE_MEANWHILE:
                self._give_up(row, trouble)
            else:
                again[row] = trouble
        return again

    def _record_undone(self, row: int, reading: _Reading) -> None:
        """Record a marker that was removed, with the version that is current again."""
        etag, size = self._pinned(row)
        restored = reading.versions_by_row[row][1].version_id
        self._context.outcomes.succeed(row, etag=etag, size=size, version_id=restored, checked_at_ms=reading.at_ms)

    def _record_refusal(self, row: int, refusal: Refusal, versions: Sequence[ObjectVersion], at_ms: int) -> None:
        outcomes, (code, message) = self._context.outcomes, refusal
        if code in _SUCCESSES:
            etag, size = self._pinned(row)
            current = versions[0].version_id
            outcomes.succeed(row, code=code, etag=etag, size=size, version_id=current, checked_at_ms=at_ms)
        else:
            outcomes.keep(row, code, message, checked_at_ms=at_ms)

    def _pinned(self, row: int) -> Identity:
        return Identity(self._work.etags[row], self._work.sizes[row])

    def _give_up(self, row: int, trouble: Trouble) -> None:
        """Record a row whose marker was not removed, or leave it for later."""
        is_hopeless = not self._work.is_first_attempt and trouble.error and may_be_the_object(trouble.error)
        if trouble.error is not None and not is_hopeless:
            self._leave_or_end(trouble.error)
        elif trouble.code == Code.EVIDENCE_EXPIRED:
            self._context.outcomes.keep(row, trouble.code, trouble.message)
        else:
            self._context.outcomes.fail(row, trouble.code, trouble.http_status, trouble.message)

    async def _fail_unread(self, row: int, error: S3BatchError) -> None:
        """Record a row that could not be read, or leave it for later where that says nothing about it."""
        sides = [(self._context.source, self._work.bucket)]
        if await is_about_object(error, sides, is_first_attempt=self._work.is_first_attempt):
            status = error.status if isinstance(error, S3Error) and error.status else None
            self._context.outcomes.fail(row, error.code, status, str(error))
        else:
            self._outage.leave(error)

    def _leave_or_end(self, error: S3BatchError) -> None:
        """Leave rows without an outcome; no later attempt helps against what is refused to every key."""
        if may_pass(error):
            self._outage.leave(error)
        else:
            self._outage.end(error)


def _batches(rows: Sequence[int]) -> Iterator[Sequence[int]]:
    for first in range(0, len(rows), BATCH_ROWS):
        yield rows[first : first + BATCH_ROWS]
