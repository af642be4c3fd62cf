"""What the parts of a runner share: the ledger, its writer, the engine, and how time is told."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from structlog.typing import FilteringBoundLogger

from s3batch.config import Home
from s3batch.engines.port import Engine
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
class RunnerServices:
    """Shared by a runner and the drivers of its jobs."""

    home: Home
    store: LedgerStore
    writer: LedgerWriter
    engine: Engine
    runner_id: str
    host: str
    workers: int
    log: FilteringBoundLogger
    now_ms: Callable[[], int] = field(default=wall_clock_ms)
