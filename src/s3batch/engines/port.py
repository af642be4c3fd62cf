"""What an engine is: it places chunk attempts somewhere and says how they ended. It owns no state.

The ledger is the truth; an engine may lose an attempt, run it twice or late, and nothing is harmed, because each
attempt carries an epoch that the ledger fences by. Payloads and results are JSON values, so that any engine can carry
them.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from s3batch.model.errors import UnavailableError
from s3batch.operations.stop import StopSignal


@dataclass(frozen=True, kw_only=True, slots=True)
class AttemptId:
    """Names one attempt at one chunk; ``epoch`` is its fencing number."""

    job_id: str
    chunk_no: int
    epoch: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """The attempt ended by itself; ``result`` is what the chunk function returned."""

    attempt: AttemptId
    result: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Lost:
    """The attempt's process is gone; what it did is unknown and must be found out by reading."""

    attempt: AttemptId
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """Figures of the attempts that one process is at; they replace that process's former figures."""

    process: int
    figures: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """By job id: ``tasks`` and ``bytes`` done in running attempts, ``throttled`` answers, ``concurrency``."""


Event = Ended | Lost | Progress


class EngineDiedError(UnavailableError):
    """The engine takes no attempt any more; the jobs are as well as they were, and another engine may run them."""

    default_code = "WorkersDied"


class Engine(Protocol):
    """Places attempts. One consumer calls :meth:`next_event`."""

    @property
    def capacity(self) -> int:
        """Return how many attempts may be under way at once."""

    async def start(self) -> None:
        """Make the engine ready to take attempts."""

    def submit(self, attempt: AttemptId, payload: Mapping[str, Any]) -> None:
        """Place one attempt. The caller never has more than ``capacity`` under way.

        Raises:
            EngineDiedError: no attempt can be placed any more.
            UnavailableError: none can be placed now.
        """

    def extend(self, seconds: float) -> None:
        """Permit all attempts to go on for so many seconds from now; without it they end early by themselves."""

    def stop(self, job_id: str) -> None:
        """Ask the attempts of a job to end early and return what they recorded."""

    def abandon(self, attempt: AttemptId) -> None:
        """End an attempt that did not end when asked to, by force if need be; its end is told like any other."""

    async def next_event(self) -> Event:
        """Wait for something to happen and return it."""

    async def close(self) -> None:
        """End all processes; attempts still under way are lost."""


class ChunkFunction(Protocol):
    """What a worker process runs: made once per process, then called for every attempt."""

    async def run(self, payload: Mapping[str, Any], stop: StopSignal) -> Mapping[str, Any]:
        """Run one attempt to its end, or until ``stop`` says so, and return its result."""

    def figures(self) -> Mapping[str, Mapping[str, float]]:
        """Return the live figures for :class:`Progress`."""

    async def close(self) -> None:
        """Release connections."""


ChunkFunctionFactory = Callable[[], Awaitable[ChunkFunction]]
