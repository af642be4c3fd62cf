"""The attempts of one job: chunks are claimed and handed to the engine, and what comes back is recorded.

The runner calls :meth:`Attempts.place` when there is room and hands in attempts' ends; the job's driver says when
chunks may be placed and asks whether something ended the job. Nothing is lost on the way: a chunk that was claimed and
not placed is put back, and an end that the ledger cannot take now is offered again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from s3batch.engines.port import AttemptId, Ended, EngineDiedError, Lost
from s3batch.execute.attempt import AttemptError, AttemptResult
from s3batch.execute.held_job import HeldJob
from s3batch.execute.orders import OrderMaker
from s3batch.execute.policy import MAX_LOSSES, Failure, Patience, bug_failure, failure_of
from s3batch.execute.services import RunnerServices
from s3batch.ledger.records import ClaimedChunk
from s3batch.ledger.segments import SegmentInfo
from s3batch.model.errors import S3BatchError, UnavailableError

_WATCH_INTERVAL_S = 0.25
_ABANDON_S = 30.0
"""How long the engine may take to tell the ends of attempts that were given up; it kills what does not end."""

_NOTHING = SegmentInfo(path=Path(), sha256="", rows=0, succeeded=0, failed=0, kept=0, bytes_done=0)


class Attempts:
    """The attempts of one job."""

    def __init__(
        self, services: RunnerServices, held: HeldJob, patience: Patience, *, wake: Callable[[], None]
    ) -> None:
        """``wake`` tells the runner that there may be something to place."""
        self.failure: Failure | None = None
        """What ends the job, once something does."""
        self.changed = asyncio.Event()
        """Set whenever there may be something new to look at."""
        self.is_exhausted = False
        """No chunk was ready when one was last asked for."""
        self._services = services
        self._held = held
        self._patience = patience
        self._wake = wake
        self._orders: OrderMaker | None = None
        self._in_flight: dict[AttemptId, ClaimedChunk] = {}
        self._lost: dict[int, int] = {}
        self._placing = 0
        self._taking: set[asyncio.Task[None]] = set()

    @property
    def in_flight(self) -> int:
        """Return how many attempts are under way."""
        return len(self._in_flight)

    @property
    def is_quiet(self) -> bool:
        """Tell whether nothing is under way: no attempt, no claim, no end that is being recorded."""
        return not (self._in_flight or self._placing or self._taking)

    def begin(self, orders: OrderMaker) -> None:
        """Let chunks be placed from now on."""
        self._orders = orders
        self._wake()

    def end(self) -> None:
        """Let no further chunk be placed."""
        self._orders = None

    async def place(self, room: int) -> int:
        """Claim up to ``room`` chunks and hand them to the engine; return how many.

        Raises:
            EngineDiedError: the engine takes none any more.
        """
        now_s = asyncio.get_running_loop().time()
        if self._orders is None or self.is_exhausted or room <= 0 or now_s < self._patience.not_before_s:
            return 0
        self._placing += 1
        try:
            return await self._place(room)
        except EngineDiedError:
            raise
        except UnavailableError as error:
            self._meet(error)
        except S3BatchError as error:
            self.failure = self.failure or failure_of(error)
        except Exception as error:
            self._services.log.exception("placing a chunk met a bug", extra={"job": self._held.id})
            self.failure = self.failure or bug_failure(error)
        finally:
            self._placing -= 1
            self.changed.set()
        return 0

    def take(self, event: Ended | Lost) -> None:
        """Take the end of an attempt. What is stale is dropped by the ledger."""
        task = asyncio.get_running_loop().create_task(self._take(event))
        self._taking.add(task)
        task.add_done_callback(self._taking.discard)

    async def drain(self) -> None:
        """Let the attempts end early and take what they recorded; end those that do not answer by force.

        No worker is at the job's chunks any more afterwards: one that still were would hold up whoever resumes it.
        """
        self.end()
        self._services.engine.stop(self._held.id)
        await self._wait_until_quiet(self._services.times.drain_s)
        for attempt in tuple(self._in_flight):
            self._services.log.warning(
                "an attempt did not end when asked to", extra={"job": self._held.id, "chunk": attempt.chunk_no}
            )
            self._services.engine.abandon(attempt)
        await self._wait_until_quiet(_ABANDON_S)
        for chunk in tuple(self._in_flight.values()):
            await self._held.lose_chunk(chunk)
        self._in_flight.clear()

    def let_go(self) -> None:
        """Forget whatever is under way: the job is not ours any more, or is given back."""
        self.end()
        for attempt in self._in_flight:
            self._services.engine.abandon(attempt)
        for task in self._taking:
            task.cancel()

    async def _wait_until_quiet(self, at_most_s: float) -> None:
        deadline_s = asyncio.get_running_loop().time() + at_most_s
        while not self.is_quiet and asyncio.get_running_loop().time() < deadline_s:
            with suppress(TimeoutError):
                await asyncio.wait_for(self.changed.wait(), _WATCH_INTERVAL_S)
            self.changed.clear()

    async def _place(self, room: int) -> int:
        claimed = await self._held.claim_chunks(room)
        self.is_exhausted = not claimed
        placed = 0
        try:
            for chunk in claimed:
                if self._orders is None:  # the job is coming to rest meanwhile
                    break
                attempt = AttemptId(job_id=self._held.id, chunk_no=chunk.chunk_no, epoch=chunk.epoch)
                self._services.engine.submit(attempt, self._orders.order(chunk).to_payload())
                self._in_flight[attempt] = chunk
                placed += 1
        finally:
            for chunk in claimed[placed:]:
                await self._held.lose_chunk(chunk)
        return placed

    async def _take(self, event: Ended | Lost) -> None:
        chunk = self._in_flight.get(event.attempt)
        try:
            if chunk is None:
                return
            if isinstance(event, Lost):
                await self._lose(chunk, event.reason)
            else:
                await self._accept(chunk, AttemptResult.from_payload(event.result))
        except S3BatchError as error:
            self.failure = self.failure or failure_of(error)
        except Exception as error:
            self._services.log.exception("an attempt's end met a bug", extra={"job": self._held.id})
            self.failure = self.failure or bug_failure(error)
        finally:
            self._in_flight.pop(event.attempt, None)
            self.changed.set()
            self._wake()

    async def _accept(self, chunk: ClaimedChunk, result: AttemptResult) -> None:
        """Record an attempt's segment, durable by now, then look at what ended the attempt."""
        segment = result.segment or _NOTHING
        if not await self._finish(chunk, segment, is_complete=result.is_complete):
            return  # stale: its error is none of this driver's either
        self.is_exhausted = self.is_exhausted and result.is_complete
        if segment.rows or result.is_complete:
            self._patience.succeed()
        if result.error is not None:
            self._take_error(chunk, result.error)
        elif not segment.rows and not result.is_complete and self._orders is not None:
            self._meet(UnavailableError(f"An attempt at chunk {chunk.chunk_no} did nothing.", code="NoProgress"))

    async def _finish(self, chunk: ClaimedChunk, segment: SegmentInfo, *, is_complete: bool) -> bool:
        """Offer the segment to the ledger until it is taken: the work is done and should not be done again."""
        while True:
            try:
                return await self._held.finish_chunk(chunk, segment, is_complete=is_complete)
            except UnavailableError as error:
                if self._meet(error):
                    raise
                await asyncio.sleep(self._patience.not_before_s - asyncio.get_running_loop().time())

    def _take_error(self, chunk: ClaimedChunk, error: AttemptError) -> None:
        self._services.log.warning(
            "an attempt ended early",
            extra={"job": self._held.id, "chunk": chunk.chunk_no, "code": error.code, "reason": error.message},
        )
        if error.family == UnavailableError.family:
            self._meet(UnavailableError(error.message, code=error.code))
        else:
            self.failure = self.failure or Failure(code=error.code, reason=error.message, family=error.family)

    def _meet(self, error: UnavailableError) -> bool:
        """Take note that something is unavailable; tell whether that has lasted too long, which fails the job."""
        now_s = asyncio.get_running_loop().time()
        self._patience.fail(now_s)
        if self._patience.is_over(now_s):
            self.failure = self.failure or failure_of(error)
            return True
        return False

    async def _lose(self, chunk: ClaimedChunk, reason: str) -> None:
        if not await self._held.lose_chunk(chunk):
            return
        self.is_exhausted = False
        losses = self._lost[chunk.chunk_no] = self._lost.get(chunk.chunk_no, 0) + 1
        facts = {"job": self._held.id, "chunk": chunk.chunk_no, "reason": reason}
        self._services.log.warning("an attempt was lost", extra=facts)
        if losses >= MAX_LOSSES:
            text = f"Chunk {chunk.chunk_no} was lost {losses} times; the last time its {reason}."
            self.failure = self.failure or Failure(code="ChunkLost", reason=text, family="unavailable")
