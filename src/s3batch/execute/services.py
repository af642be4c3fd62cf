"""What the parts of a runner share: the ledger, its writer, the engine, how time is told and how long is waited."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from s3batch.config import Home
from s3batch.engines.port import Engine
from s3batch.execute.policy import GIVE_UP_S
from s3batch.ledger.store import LedgerStore
from s3batch.ledger.writer import LedgerWriter

LEASE_MS = 30_000
"""How long a job stays a runner's without a renewal; renewed every few seconds."""

WORKER_PERMISSION_S = 20.0
"""How long workers may write after the last renewal. Shorter than the lease, so that they stop before another runner
may begin (safety.md rule 22); a request under way ends within its own time-out."""


def wall_clock_ms() -> int:
    """Return the time as the ledger records it."""
    return time.time_ns() // 1_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Times:
    """How long a runner waits for what may never come, in seconds."""

    drain_s: float = 90.0
    """For attempts to end early before they are ended by force: longer than most requests take."""
    take_over_s: float = 60.0
    """For the workers of a dead runner to be gone before the job is put off."""
    give_up_s: float = GIVE_UP_S
    """For what is unavailable to come back before the job fails."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RunnerServices:
    """Shared by a runner and the drivers of its jobs."""

    home: Home
    store: LedgerStore
    writer: LedgerWriter
    engine: Engine
    runner_id: str
    host: str
    workers: int
    log: logging.Logger
    times: Times = Times()
    now_ms: Callable[[], int] = field(default=wall_clock_ms)
