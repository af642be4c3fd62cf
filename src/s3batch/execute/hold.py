"""A hold: the time that a job waits, once it is planned, before its first task; and how its end is told.

In: the job that this runner holds. Out: whether it still waits. The end is recorded by two clocks, this machine's and
the store's, when the hold begins; it is over when both say so. So neither a clock that is set (back or forward) nor a
runner that is killed and started again shortens it, and nothing but the ledger remembers it.

The store is asked for its time at the beginning, and at the end until its clock agrees; no other request is made.
"""

from __future__ import annotations

import asyncio

from s3batch.execute.held_job import HeldJob, HoldEnd
from s3batch.execute.prepare import key_spans, store_time_ms
from s3batch.execute.services import RunnerServices
from s3batch.ledger.records import Job

LOOK_AGAIN_S = 1.0
"""How often a job on hold looks for wishes, and at this machine's clock."""

_ASK_STORE_S = 15.0
"""How often the store is asked for its time where its clock is behind this machine's."""

_STORE_STEP_MS = 1_000
"""A store tells its time in whole seconds, rounded down (RFC 9110, section 5.6.7, read 2026-11)."""


class Hold:
    """The hold of one job in the hands of this runner."""

    def __init__(self, services: RunnerServices, held: HeldJob) -> None:
        """Nothing is read yet."""
        self._services = services
        self._held = held
        self._end: HoldEnd | None = None
        self._is_over = False
        self._ask_store_at_s = 0.0

    async def is_on(self, job: Job, hold_s: int) -> bool:
        """Tell whether ``job``, which is Ready, still has to wait; its hold begins when this is asked first.

        Order of writes: the end is durable before anybody waits for it.

        Raises:
            UnavailableError: the store does not tell its time.
            FencedError: the job is not ours any more.
        """
        if self._is_over:
            return False
        if self._end is None:
            if self._held.first_start_ms() is not None:
                return False
            self._end = self._held.hold_end() or await self._begin(job, hold_s)
        self._is_over = await self._has_passed(job, self._end)
        return not self._is_over

    async def _begin(self, job: Job, hold_s: int) -> HoldEnd:
        store_now_ms = await _store_now_ms(job)
        end = HoldEnd(
            until_ms=self._services.now_ms() + hold_s * 1000,
            until_store_ms=store_now_ms + _STORE_STEP_MS + hold_s * 1000,
        )
        await self._held.begin_hold(end, hold_s=hold_s)
        return end

    async def _has_passed(self, job: Job, end: HoldEnd) -> bool:
        now_s = asyncio.get_running_loop().time()
        if self._services.now_ms() < end.until_ms or now_s < self._ask_store_at_s:
            return False
        store_now_ms = await _store_now_ms(job)
        missing_s = (end.until_store_ms - store_now_ms) / 1000
        self._ask_store_at_s = now_s + min(missing_s, _ASK_STORE_S)
        return missing_s <= 0


async def _store_now_ms(job: Job) -> int:
    return await store_time_ms(job.spec.connection, key_spans(str(job.manifest_path))[0])
