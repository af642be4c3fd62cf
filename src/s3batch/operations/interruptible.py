"""Waiting that ends when a chunk is told to stop, and the rare rows that need requests of their own.

In go coroutines and the chunk's stop signal. Reads may be broken off at any moment, because nothing depends on them.
Whoever writes checks the signal right before each request (safety.md rule 21) and gives its answer a little grace.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from typing import Any, TypeVar

from s3batch.operations.stop import StopSignal

T = TypeVar("T")

POLL_S = 0.25
"""How often the signal is looked at while a read is waited for: a pause is felt at once, and it costs nothing."""


class StoppedError(Exception):
    """The chunk was told to stop; what has no outcome yet stays without one."""


async def until_stopped(stop: StopSignal, requesting: Coroutine[Any, Any, T], *, grace_s: float = 0.0) -> T:
    """Return what ``requesting`` returns, or break it off when the chunk is told to stop.

    ``grace_s`` is how long the answer of a write that is on its way is still waited for: it saves the next attempt from
    finding out what became of it.

    Raises:
        StoppedError: the chunk was told to stop and the answer did not come.
    """
    task = asyncio.ensure_future(requesting)
    try:
        while not task.done():
            if stop.is_set:
                await asyncio.wait({task}, timeout=grace_s)
                if not task.done():
                    raise StoppedError
                break
            await asyncio.wait({task}, timeout=POLL_S)
        return task.result()
    finally:
        if not task.done():
            task.cancel()
            await asyncio.wait({task})


async def for_each(
    items: Iterable[T],
    act: Callable[[T], Awaitable[None]],
    *,
    limit: int,
    stop: StopSignal,
    is_pointless: Callable[[], bool] = lambda: False,
) -> None:
    """Run ``act`` on each item, at most ``limit`` at a time.

    None is begun once the chunk was told to stop, ``is_pointless`` says so, or an item failed. What was begun by then
    is finished and recorded first: a write that is on its way is not forgotten because another one failed.

    Raises:
        Exception: what the first item that failed raised, as it is.
    """
    remaining = iter(items)
    failures: list[Exception] = []

    async def work() -> None:
        for item in remaining:
            if stop.is_set or failures or is_pointless():
                return
            try:
                await act(item)
            except Exception as error:  # noqa: BLE001 - raised below, when the others are done
                failures.append(error)

    async with asyncio.TaskGroup() as group:
        for _ in range(limit):
            group.create_task(work())
    if failures:
        raise failures[0]
