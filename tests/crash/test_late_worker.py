"""A worker that was stopped for a while and goes on: it finds its permission gone, whatever lies in its pipe.

Real processes of the local engine, SIGSTOP and SIGCONT; the chunk function of the other engine tests answers whether it
may still write.
"""

import asyncio
import os
import signal

import pytest

from s3batch.engines import local
from s3batch.engines.port import Ended, EngineDiedError, Lost
from s3batch.operations.stop import StopSignal, boot_time_s
from tests.echo_engine import attempt, ends, running

LEASE_S = 0.6
STEP_S = 0.2


def test_a_worker_that_was_stopped_beyond_its_permission_writes_nothing_when_it_goes_on() -> None:
    """Neither the attempt that was under way nor one that waited in the pipe (safety.md rule 21)."""

    async def scenario() -> None:
        async with running(1) as engine:
            engine.submit(attempt(0), {"do": "answer"})
            (first,) = await ends(engine, 1)
            assert isinstance(first, Ended)
            worker = first.result["pid"]
            engine.extend(LEASE_S)
            engine.submit(attempt(1), {"do": "wait"})
            os.kill(worker, signal.SIGSTOP)
            try:
                for _ in range(3):  # a runner that lives a little longer goes on permitting
                    engine.extend(LEASE_S)
                    await asyncio.sleep(STEP_S)
                engine.submit(attempt(2), {"do": "answer"})
                await asyncio.sleep(LEASE_S)
            finally:
                os.kill(worker, signal.SIGCONT)
            under_way, waiting = sorted(await ends(engine, 2), key=lambda each: each.attempt.chunk_no)
            assert isinstance(under_way, Ended)
            assert under_way.result == {"stopped": True}
            assert isinstance(waiting, Ended)
            assert waiting.result["may_write"] is False

    asyncio.run(scenario())


def test_a_permission_that_was_given_before_a_suspension_is_over_after_it() -> None:
    """The deadline is a moment on a clock that all processes share, not a time from when it is read."""
    stop = StopSignal()
    may_write = [not stop.is_set]  # nothing is permitted yet
    for deadline_s in (boot_time_s() + 60, boot_time_s() - 0.001):
        stop.extend_until(deadline_s)
        may_write.append(not stop.is_set)
    assert may_write == [False, True, False]


def test_a_wish_to_stop_outlives_every_permission() -> None:
    """A runner goes on permitting while the attempts that it has stopped come to their end."""
    stop = StopSignal()
    stop.request()
    stop.extend(60)
    assert stop.is_set


def test_an_engine_whose_workers_die_again_and_again_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every attempt is told as lost, and what is placed afterwards is refused, never forgotten."""
    restarts = 3
    monkeypatch.setattr(local, "MAX_RESTARTS", restarts)

    async def scenario() -> None:
        workers = 2
        async with running(workers) as engine:
            for number in range(restarts + workers):
                engine.submit(attempt(number), {"do": "die"})
                (lost,) = await ends(engine, 1)
                assert isinstance(lost, Lost)
            with pytest.raises(EngineDiedError, match="died 3 times"):
                engine.submit(attempt(99), {"do": "answer"})

    asyncio.run(scenario())
