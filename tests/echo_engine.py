"""A local engine whose chunk function does what its payload says; importable, because workers import it by name."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any

from s3batch.engines.local import LocalEngine
from s3batch.engines.port import AttemptId, Ended, Lost, Progress
from s3batch.model.errors import RefusedError
from s3batch.operations.stop import StopSignal

WAIT_S = 30.0


class Echo:
    """A chunk function that does what its payload says."""

    async def run(self, payload: Mapping[str, Any], stop: StopSignal) -> Mapping[str, Any]:
        """Answer, refuse, fail, die, or wait for the stop signal."""
        match payload["do"]:
            case "answer":
                return {"pid": os.getpid(), "may_write": not stop.is_set}
            case "refuse":
                raise RefusedError("no", code="No")
            case "fail":
                raise ZeroDivisionError
            case "die":
                os.kill(os.getpid(), signal.SIGKILL)
            case "ignore":
                await asyncio.sleep(WAIT_S)
            case "block":
                time.sleep(WAIT_S)  # noqa: ASYNC251 - a worker that is not to be reached is the point
        while not stop.is_set:  # noqa: ASYNC110 - the signal is also a deadline, which no event tells
            await asyncio.sleep(0.01)
        return {"stopped": True}

    def figures(self) -> Mapping[str, Mapping[str, float]]:
        """Return figures of a job."""
        return {"job": {"tasks": 1}}

    async def close(self) -> None:
        """Nothing is open."""


async def make_echo() -> Echo:
    """Make the function inside the worker."""
    return Echo()


@asynccontextmanager
async def running(workers: int, *, lease_s: float = 60.0) -> AsyncIterator[LocalEngine]:
    """Give an engine whose workers may write for ``lease_s``."""
    engine = LocalEngine(workers=workers, factory=make_echo)
    engine.extend(lease_s)
    await engine.start()
    try:
        yield engine
    finally:
        await engine.close()


async def ends(engine: LocalEngine, count: int) -> list[Ended | Lost]:
    """Return the next ends of attempts."""
    found: list[Ended | Lost] = []
    async with asyncio.timeout(WAIT_S):
        while len(found) < count:
            event = await engine.next_event()
            if not isinstance(event, Progress):
                found.append(event)
    return found


def attempt(number: int, job_id: str = "job") -> AttemptId:
    """Name an attempt."""
    return AttemptId(job_id=job_id, chunk_no=number, epoch=1)


async def until(is_so: Callable[[], bool]) -> None:
    """Wait until something holds."""
    async with asyncio.timeout(WAIT_S):
        while not is_so():  # noqa: ASYNC110 - what is waited for is told by no event
            await asyncio.sleep(0.01)
