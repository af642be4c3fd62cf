"""The throttle: how its limit moves, who may start, and that no place is ever lost."""

from __future__ import annotations

import asyncio
import heapq
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s3batch.s3.throttle import HALVE_PAUSE_S, INITIAL_LIMIT, LATENCY_BOUNDS_S, LOOK_EVERY, Throttle


class Clock:
    """A clock that a test moves, and the part of an event loop that waits on it."""

    def __init__(self) -> None:
        self.now_s = 1000.0
        self._timers: list[tuple[float, int, Callable[[], None]]] = []

    def __call__(self) -> float:
        """Return the time."""
        return self.now_s

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> asyncio.TimerHandle:
        """Keep a callback for its time."""
        heapq.heappush(self._timers, (self.now_s + delay_s, len(self._timers), callback))
        return cast("asyncio.TimerHandle", callback)

    def advance(self, seconds: float) -> None:
        """Let time pass and call what was to be called meanwhile."""
        end_s = self.now_s + seconds
        while self._timers and self._timers[0][0] <= end_s:
            self.now_s, _, callback = heapq.heappop(self._timers)
            self.now_s += 1e-9
            callback()
        self.now_s = end_s


class Work:
    """A source with a number of requests to start."""

    def __init__(self, name: str, left: int, log: list[str]) -> None:
        self.name = name
        self.left = left
        self.log = log

    def start_next(self) -> bool:
        """Start one if there is one."""
        if not self.left:
            return False
        self.left -= 1
        self.log.append(self.name)
        return True


def throttle(clock: Clock, **settings_: Any) -> Throttle:  # noqa: ANN401 - the throttle's own
    """Return a throttle on a clock of the test."""
    return Throttle(cast("asyncio.AbstractEventLoop", clock), clock=clock, **({"maximum": 256} | settings_))


def run(test: Callable[[], Awaitable[None]]) -> None:
    """Run a test that needs a real loop."""

    async def main() -> None:
        await test()

    asyncio.run(main())


def test_it_starts_slowly_and_reaches_the_maximum_within_a_few_round_trips() -> None:
    """Each success lets one more start, so the limit doubles with each round trip."""
    clock = Clock()
    tested = throttle(clock)
    log: list[str] = []
    tested.add(Work("a", 10_000, log))
    assert tested.in_flight == INITIAL_LIMIT
    for _ in range(4):
        clock.advance(0.03)
        for _ in range(tested.in_flight):
            tested.done(latency_s=0.03, throttled=False)
    assert tested.limit == tested.in_flight == 256


def test_many_slow_downs_of_one_overload_halve_the_limit_once() -> None:
    """256 requests were in flight when the store had enough; their 256 answers tell one thing."""
    clock = Clock()
    tested = throttle(clock, initial=256.0)
    tested.add(Work("a", 10_000, []))
    for _ in range(256):
        tested.done(latency_s=0.03, throttled=True)
    assert tested.limit == 128
    assert tested.throttled_total == 256
    assert tested.in_flight == 128
    clock.advance(HALVE_PAUSE_S)
    tested.done(latency_s=0.03, throttled=True)
    assert tested.limit == 64


def test_slow_answers_make_the_pause_between_halvings_longer() -> None:
    """With a round trip of 8 s, answers to requests from before the halving still come after a second."""
    clock = Clock()
    tested = throttle(clock, initial=64.0)
    tested.add(Work("a", 100_000, []))
    for _ in range(500):
        tested.done(latency_s=8.0, throttled=False)
    before = tested.limit
    for _ in range(3):
        tested.done(latency_s=8.0, throttled=True)
        clock.advance(2.0)
    assert tested.limit == before / 2
    clock.advance(8.0)
    tested.done(latency_s=8.0, throttled=True)
    assert tested.limit == before / 4


def test_after_a_slow_down_it_grows_by_one_a_round_trip() -> None:
    """Additive increase: the store has just said where its limit is."""
    clock = Clock()
    tested = throttle(clock, initial=64.0)
    tested.add(Work("a", 100_000, []))
    tested.done(latency_s=0.03, throttled=True)
    assert tested.limit == 32
    for _ in range(10):
        before = tested.limit
        for _ in range(int(before)):
            clock.advance(0.03 / before)
            tested.done(latency_s=0.03, throttled=False)
        assert before + 0.9 <= tested.limit <= before + 1.0


def test_the_limit_never_falls_below_one_request() -> None:
    """However long the storm, one request tries."""
    clock = Clock()
    tested = throttle(clock)
    log: list[str] = []
    tested.add(Work("a", 10_000, log))
    for _ in range(100):
        while tested.in_flight:
            before = len(log)
            tested.done(latency_s=0.01, throttled=True)
            if len(log) > before:
                break
        clock.advance(1.1)
    assert tested.limit == 1.0
    assert tested.in_flight == 1


def test_an_unused_limit_does_not_grow() -> None:
    """Two requests at a time say nothing about what the store can take."""
    clock = Clock()
    tested = throttle(clock)
    work = Work("a", 2, [])
    tested.add(work)
    for _ in range(1000):
        tested.done(latency_s=0.01, throttled=False)
        work.left += 1
        tested.wake(work)
    assert tested.limit == INITIAL_LIMIT


def _drive(tested: Throttle, clock: Clock, *, capacity_per_s: float, requests: int) -> None:
    """Answer as a store does that serves so many a second and lets the rest queue."""
    for _ in range(requests):
        clock.advance(1 / capacity_per_s)
        tested.done(latency_s=tested.in_flight / capacity_per_s, throttled=False)


def test_growth_that_only_makes_requests_queue_stops() -> None:
    """A store that serves 1,000 a second is not served better by 1,000 in flight, only slower."""
    clock = Clock()
    tested = throttle(clock, maximum=1000)
    tested.add(Work("a", 1_000_000, []))
    _drive(tested, clock, capacity_per_s=1000, requests=1500)
    assert tested.limit < 500


def test_growth_that_brings_more_goes_on() -> None:
    """Where latency stays, a larger limit is a higher rate."""
    clock = Clock()
    tested = throttle(clock, maximum=1000)
    tested.add(Work("a", 1_000_000, []))
    for _ in range(8):
        in_flight = tested.in_flight
        for _ in range(in_flight):
            clock.advance(0.03 / in_flight)
            tested.done(latency_s=0.03, throttled=False)
    assert tested.limit == 1000


def test_a_limit_that_was_held_may_grow_later() -> None:
    """The kind of work changes; what did not help with small objects may help with large ones."""
    clock = Clock()
    tested = throttle(clock, maximum=1000)
    tested.add(Work("a", 1_000_000, []))
    _drive(tested, clock, capacity_per_s=1000, requests=1500)
    held = tested.limit
    clock.advance(10.0)
    _drive(tested, clock, capacity_per_s=1000, requests=2 * LOOK_EVERY)
    assert tested.limit > held


def test_sources_start_by_turns() -> None:
    """A chunk with a million requests does not shut out one with ten."""
    tested = throttle(Clock(), maximum=8, initial=8.0)
    log: list[str] = []
    small = Work("small", 10, log)
    tested.add(Work("large", 1_000_000, log))
    tested.add(small)
    for _ in range(20):
        tested.done(latency_s=0.01, throttled=False)
    assert small.left == 0
    assert Counter(log[8:28]) == {"large": 10, "small": 10}


def test_a_parked_source_starts_again_when_woken() -> None:
    """Nothing to start is not the end: retries come due later."""
    tested = throttle(Clock())
    log: list[str] = []
    work = Work("a", 0, log)
    tested.add(work)
    work.left = 3
    assert log == []
    tested.wake(work)
    assert log == ["a"] * 3
    tested.remove(work)
    work.left = 3
    tested.wake(work)
    assert log == ["a"] * 3
    assert tested.in_flight == 3


def test_a_source_that_removes_itself_or_fails_leaves_no_place_taken() -> None:
    """What a source does inside ``start_next`` is its business; the count stays right."""
    tested = throttle(Clock())

    class Leaves:
        def start_next(self) -> bool:
            tested.remove(self)
            return False

    class Fails:
        def start_next(self) -> bool:
            raise ValueError("a caller's bug")

    tested.add(Leaves())
    with pytest.raises(ValueError, match="bug"):
        tested.add(Fails())
    log: list[str] = []
    tested.add(Work("a", 2, log))
    assert log == ["a", "a"]
    assert tested.in_flight == 2


def test_the_rate_is_kept_and_used() -> None:
    """100 a second: over a minute 6,000 start, give or take the burst of a tenth of a second."""
    clock = Clock()
    tested = throttle(clock, maximum=1000, max_rate_per_s=100.0, initial=1000.0)
    log: list[str] = []
    tested.add(Work("a", 1_000_000, log))
    for _ in range(600):
        clock.advance(0.1)
        while tested.in_flight:
            tested.done(latency_s=0.01, throttled=False)
    assert 5_900 <= len(log) <= 6_020


def test_a_rate_below_one_a_second_is_kept_too() -> None:
    """One request every four seconds is odd but may be asked for."""
    clock = Clock()
    tested = throttle(clock, max_rate_per_s=0.25)
    log: list[str] = []
    tested.add(Work("a", 100, log))
    for _ in range(400):
        clock.advance(0.1)
        while tested.in_flight:
            tested.done(latency_s=0.01, throttled=False)
    assert 10 <= len(log) <= 12


def test_latencies_are_counted_in_buckets() -> None:
    """Each request once; bounds belong to the bucket below, what is above the last bound has its own."""
    tested = throttle(Clock())
    tested.add(Work("a", 100, []))
    for latency_s in (0.0005, 0.001, 0.0011, 60.0, 61.0):
        tested.done(latency_s=latency_s, throttled=False)
    assert tested.latency_counts[:2] == [2, 1]
    assert tested.latency_counts[-2:] == [1, 1]
    assert len(tested.latency_counts) == len(LATENCY_BOUNDS_S) + 1
    assert sum(tested.latency_counts) == tested.ended_total == 5
    assert tested.latency_sum_s == pytest.approx(121.0026)


def test_coroutines_wait_for_their_slot_and_give_it_back() -> None:
    """Never more at once than the limit, whatever the blocks do."""

    async def check() -> None:
        tested = Throttle(asyncio.get_running_loop(), maximum=3)
        most = 0

        async def rare(number: int) -> None:
            nonlocal most
            async with tested.slot():
                most = max(most, tested.in_flight)
                await asyncio.sleep(0)
                if number % 3 == 0:
                    raise ValueError("inside")

        results = await asyncio.gather(*(rare(number) for number in range(30)), return_exceptions=True)
        assert sum(isinstance(result, ValueError) for result in results) == 10
        assert most == 3
        assert tested.in_flight == 0
        assert tested.ended_total == 30

    run(check)


def test_a_slot_that_was_throttled_slows_all_down() -> None:
    """Rare requests hear SlowDown too."""

    async def check() -> None:
        tested = Throttle(asyncio.get_running_loop(), maximum=8)
        async with tested.slot() as slot:
            slot.throttled = True
        assert tested.limit == 4
        assert tested.throttled_total == 1

    run(check)


def test_coroutines_and_sources_share_by_turns() -> None:
    """A listing goes on while a chunk copies, and the other way round."""

    async def check() -> None:
        tested = Throttle(asyncio.get_running_loop(), maximum=1)
        log: list[str] = []

        class Copies:
            left = 10

            def start_next(self) -> bool:
                if not self.left:
                    return False
                self.left -= 1
                log.append("copy")
                asyncio.get_running_loop().call_soon(lambda: tested.done(latency_s=0.01, throttled=False))
                return True

        async def rare() -> None:
            async with tested.slot():
                log.append("list")

        tested.add(Copies())
        await asyncio.gather(*(rare() for _ in range(5)))
        assert log.count("list") == 5
        assert log[2:11] == ["list", "copy"] * 4 + ["list"]

    run(check)


@settings(max_examples=50, deadline=None)
@given(
    steps=st.lists(st.tuples(st.integers(0, 9), st.booleans(), st.integers(0, 3)), max_size=60),
    maximum=st.integers(1, 4),
)
def test_no_place_is_lost_whatever_is_cancelled_when(steps: list[tuple[int, bool, int]], maximum: int) -> None:
    """Waiters cancelled before, at and after their admission give back exactly what they had."""

    async def check() -> None:
        tested = Throttle(asyncio.get_running_loop(), maximum=maximum)

        async def rare(turns: int) -> None:
            async with tested.slot():
                assert tested.in_flight <= maximum
                for _ in range(turns):
                    await asyncio.sleep(0)

        tasks: list[asyncio.Task[None]] = []
        for which, is_cancelled, turns in steps:
            tasks.append(asyncio.ensure_future(rare(turns)))
            if is_cancelled:
                tasks[which % len(tasks)].cancel()
            if turns == 1:
                await asyncio.sleep(0)
        await asyncio.gather(*tasks, return_exceptions=True)
        assert tested.in_flight == 0
        async with tested.slot():
            assert tested.in_flight == 1

    run(check)
