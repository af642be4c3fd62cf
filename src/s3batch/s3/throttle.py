"""How many requests are in flight to one store: adaptive, fair between sources, optionally limited in rate.

In: ends of requests, with their latency and whether the store asked to slow down. Out: calls of ``start_next`` on
sources and slots for coroutines, when a request may start. Nothing is sent or retried here; the clock is an argument.

The limit grows as TCP's window does: by one for each success until the first SlowDown (slow start), then by one for
each round trip; a SlowDown halves it, at most once in the longer of a second and a round trip, because one overload is
told by many answers. Where a larger limit brought no more answers a second, only latency grew: the requests queue, and
the limit stays for a while (it is never lowered for latency: large copies are slow by nature).
Sources: Jacobson, "Congestion avoidance and control", 1988; "Best practices design patterns: optimizing Amazon S3
performance", S3 User Guide, read 2026-11.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Protocol

INITIAL_LIMIT = 16.0
"""What a new throttle allows; ten round trips of slow start reach any maximum that a process can use."""

MINIMUM_LIMIT = 1.0
HALVE_PAUSE_S = 1.0
SMOOTHING = 1 / 32
"""Weight of one request in the smoothed latency: about one round trip's worth at usual limits."""

LOOK_EVERY = 128
"""Requests between two looks at whether a larger limit helped."""

WORTH_LOOKING = 1.5
"""A limit is compared with the one before when it has grown by so much ..."""

WORTH_GROWING = 1.1
"""... and should then bring at least so many times the answers per second."""

HOLD_S = 5.0
"""How long a limit that did not help is kept before it may grow again; the kind of work may have changed."""

BURST_S = 0.1
"""How much of the allowed rate may be made up for at once after a pause of the loop."""

SHORTEST_DELAY_S = 0.001
"""The loop is not woken more often than this for the rate; ``BURST_S`` makes up for it."""

LATENCY_BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)
"""Upper bounds of the histogram's buckets; one more counts what is above the last."""


class Source(Protocol):
    """Something with requests to start, for example a chunk."""

    def start_next(self) -> bool:
        """Start one request now, or return False: nothing to start until ``Throttle.wake`` is called."""


@dataclass(kw_only=True, slots=True)
class Slot:
    """One rare request's place; set ``throttled`` when the store asked to slow down."""

    throttled: bool = False


class Throttle:
    """Admits requests to one endpoint and its buckets; all calls belong to the loop's thread."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        maximum: int,
        max_rate_per_s: float | None = None,
        clock: Callable[[], float] | None = None,
        initial: float = INITIAL_LIMIT,
    ) -> None:
        """Start slowly; ``clock`` is monotonic, in seconds (default: the loop's)."""
        self.limit = min(float(maximum), initial)
        self.in_flight = 0
        self.throttled_total = 0
        self.ended_total = 0
        self.latency_sum_s = 0.0
        self.latency_counts = [0] * (len(LATENCY_BOUNDS_S) + 1)
        self._loop = loop
        self._clock = clock or loop.time
        self._maximum = float(maximum)
        self._rate_per_s = max_rate_per_s
        self._tokens = 1.0
        self._tokens_at_s = self._clock()
        self._rate_timer: asyncio.TimerHandle | None = None
        self._ready: deque[Source] = deque()
        self._parked: set[Source] = set()
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._is_pumping = False
        self._is_waiters_turn = True
        self._is_slow_start = True
        self._halved_at_s = float("-inf")
        self._latency_s = 0.0
        self._until_look = LOOK_EVERY
        self._looked_at_s = self._clock()
        self._compared_limit = self.limit
        self._compared_rate_per_s = 0.0
        self._held_until_s = float("-inf")
        self._is_held = False

    def add(self, source: Source) -> None:
        """Take a source into the round and start what may start."""
        if source not in self._parked and source not in self._ready:
            self._ready.append(source)
        self.pump()

    def remove(self, source: Source) -> None:
        """Forget a source; its requests in flight still end by ``done``."""
        self._parked.discard(source)
        if source in self._ready:
            self._ready.remove(source)

    def wake(self, source: Source) -> None:
        """Ask a source again that had nothing to start."""
        if source in self._parked:
            self._parked.remove(source)
            self._ready.append(source)
        self.pump()

    def done(self, *, latency_s: float, throttled: bool) -> None:
        """Take the end of a request, and start what may start now."""
        self.in_flight -= 1
        self.ended_total += 1
        self.latency_sum_s += latency_s
        self.latency_counts[bisect_left(LATENCY_BOUNDS_S, latency_s)] += 1
        if throttled:
            self._slow_down()
        else:
            self._latency_s += (latency_s - self._latency_s) * SMOOTHING
            self._until_look -= 1
            if not self._until_look:
                self._look()
            # A limit that is not used says nothing about what the store can take.
            if self.limit < self._maximum and not self._is_held and self.in_flight >= self.limit / 2:
                self.limit = min(self._maximum, self.limit + (1.0 if self._is_slow_start else 1.0 / self.limit))
        self.pump()

    @asynccontextmanager
    async def slot(self) -> AsyncIterator[Slot]:
        """Wait until one request may start; its latency is counted until the block ends."""
        await self._admit()
        slot = Slot()
        started_s = self._clock()
        try:
            yield slot
        finally:
            self.done(latency_s=self._clock() - started_s, throttled=slot.throttled)

    def pump(self) -> None:
        """Start requests while there is room: waiting coroutines and sources by turns, sources in a round."""
        if self._is_pumping:
            return
        self._is_pumping = True
        try:
            while self.in_flight < self.limit and (self._ready or self._waiters):
                if self._rate_per_s is not None and not self._has_token():
                    break
                if self._waiters and (self._is_waiters_turn or not self._ready):
                    self._start_waiter()
                else:
                    self._start_from_source()
        finally:
            self._is_pumping = False

    def close(self) -> None:
        """Stop the timer of the rate limit."""
        if self._rate_timer is not None:
            self._rate_timer.cancel()
            self._rate_timer = None

    def _start_from_source(self) -> None:
        source = self._ready[0]
        self._is_waiters_turn = True
        self.in_flight += 1
        is_started = False
        try:
            is_started = source.start_next()
        finally:
            if not is_started:
                self.in_flight -= 1
                if self._ready and self._ready[0] is source:
                    self._ready.popleft()
                    self._parked.add(source)
        if is_started:
            self._tokens -= 1.0
            if len(self._ready) > 1 and self._ready[0] is source:
                self._ready.rotate(-1)

    def _start_waiter(self) -> None:
        waiter = self._waiters.popleft()
        self._is_waiters_turn = False
        if not waiter.done():
            self.in_flight += 1
            self._tokens -= 1.0
            waiter.set_result(None)

    async def _admit(self) -> None:
        waiter: asyncio.Future[None] = self._loop.create_future()
        self._waiters.append(waiter)
        self.pump()
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():  # admitted and cancelled in the same turn of the loop
                self.in_flight -= 1
                self.pump()
            raise

    def _slow_down(self) -> None:
        self.throttled_total += 1
        now_s = self._clock()
        if now_s - self._halved_at_s >= max(HALVE_PAUSE_S, self._latency_s):
            self._halved_at_s = now_s
            self._is_slow_start = False
            self.limit = max(MINIMUM_LIMIT, self.limit / 2)

    def _look(self) -> None:
        """Decide whether the limit's growth since the last comparison was worth it."""
        now_s = self._clock()
        rate_per_s = LOOK_EVERY / max(now_s - self._looked_at_s, 1e-6)
        self._until_look = LOOK_EVERY
        self._looked_at_s = now_s
        if self._is_held:
            self._is_held = now_s < self._held_until_s
        elif self.limit >= WORTH_LOOKING * self._compared_limit:
            if rate_per_s < WORTH_GROWING * self._compared_rate_per_s:
                self._is_held = True
                self._held_until_s = now_s + HOLD_S
        elif self._compared_rate_per_s and self.limit >= self._compared_limit:
            return
        self._compared_limit = self.limit
        self._compared_rate_per_s = rate_per_s

    def _has_token(self) -> bool:
        """Return whether the rate allows a request now; if not, the loop will pump when it does."""
        rate = self._rate_per_s or 1.0
        now_s = self._clock()
        self._tokens = min(max(1.0, rate * BURST_S), self._tokens + (now_s - self._tokens_at_s) * rate)
        self._tokens_at_s = now_s
        if self._tokens >= 1.0:
            return True
        if self._rate_timer is None:
            delay_s = max(SHORTEST_DELAY_S, (1.0 - self._tokens) / rate)
            self._rate_timer = self._loop.call_later(delay_s, self._on_rate_timer)
        return False

    def _on_rate_timer(self) -> None:
        self._rate_timer = None
        self.pump()
