"""Waiting for the workers of a runner that is gone: each attempt holds a shared lock for as long as it runs.

The lock dies with its process (safety.md rule 22), so a runner that takes a job over goes on at once where all are dead
and waits where one still ends.
"""

from __future__ import annotations

import asyncio
import fcntl
from pathlib import Path

from s3batch.model.errors import UnavailableError

_WATCH_INTERVAL_S = 0.25


class FormerWorkersError(UnavailableError):
    """Workers of a runner that is gone are still alive; the job waits until they are gone too."""

    default_code = "FormerWorkers"


async def wait_for_former_workers(lock: Path, *, at_most_s: float) -> None:
    """Return when nobody holds ``lock``, which is made if need be.

    Raises:
        FormerWorkersError: somebody still does.
        UnavailableError: the job's folder cannot be made.
    """
    deadline_s = asyncio.get_running_loop().time() + at_most_s
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        file = lock.open("a")
    except OSError as error:
        raise UnavailableError(
            f"The job's folder {lock.parent} cannot be written: {error.strerror}.",
            code="JobFolder",
            way_out="Make room or give the permission; the job then goes on.",
        ) from error
    with file:
        while not _is_free(file.fileno()):
            if asyncio.get_running_loop().time() > deadline_s:
                raise FormerWorkersError(
                    f"Workers of a former runner still hold {lock}.", way_out="End the processes that hold the file."
                )
            await asyncio.sleep(_WATCH_INTERVAL_S)


def _is_free(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
