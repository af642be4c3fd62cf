"""Decisions of a runner about one job, as pure functions of counts and results."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from s3batch.ledger.records import ClaimMode as Mode
from s3batch.ledger.records import KeyClaim
from s3batch.model.errors import S3BatchError
from s3batch.model.job import JobSpec, Operation
from s3batch.model.outcome import Counts
from s3batch.model.status import TRANSITIONS, JobStatus
from s3batch.plan.collisions import KeySpan

GIVE_UP_S = 600.0
"""How long a job goes on although everything it needs is unavailable: outages of stores end within minutes."""

MAX_LOSSES = 5
"""Attempts at one chunk that a runner loses before it takes the chunk for poison."""

_FIRST_PAUSE_S = 1.0
_LONGEST_PAUSE_S = 30.0

_TOWARDS_FAILED = (JobStatus.FAILED, JobStatus.FAILING, JobStatus.CANCELLING)
"""What may lie between a status and Failed: nothing in which a chunk could run or be taken for done."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """Why a job cannot go on. ``family`` is that of the error (see ``model.errors``)."""

    code: str
    reason: str
    family: str


class Patience:
    """How long a job has met nothing but unavailable stores, ledgers or disks, and when it shall try again.

    Counted are rounds and time, not attempts: what fails together, because it was under way together, is one failure.
    Times are those of a clock that the caller chooses.
    """

    def __init__(self, *, give_up_s: float = GIVE_UP_S) -> None:
        """``give_up_s``: how long nothing may succeed before the job has failed."""
        self.not_before_s = 0.0
        self._give_up_s = give_up_s
        self._since_s: float | None = None
        self._rounds = 0

    def fail(self, now_s: float) -> None:
        """Take a failure: the next try comes later, twice as long as the last time, at most half a minute."""
        if self._since_s is None:
            self._since_s = now_s
        if now_s < self.not_before_s:
            return
        self.not_before_s = now_s + min(_FIRST_PAUSE_S * 2.0**self._rounds, _LONGEST_PAUSE_S)
        self._rounds += 1

    def succeed(self) -> None:
        """Take a success: what failed before it counts no more."""
        self._since_s = None
        self._rounds = 0

    def is_over(self, now_s: float) -> bool:
        """Tell whether nothing has succeeded for too long."""
        return self._since_s is not None and now_s - self._since_s >= self._give_up_s


def failure_of(error: S3BatchError) -> Failure:
    """Return the failure of a job that an error ends."""
    return Failure(code=error.code, reason=str(error), family=error.family)


def bug_failure(error: Exception) -> Failure:
    """Return the failure of a job that met what nobody foresaw."""
    reason = f"{type(error).__name__}: {error}. The runner's log has the details."
    return Failure(code="InternalError", reason=reason, family="inconsistent")


def threshold_failure(spec: JobSpec, counts: Counts) -> Failure | None:
    """Return the failure of a job in which too many tasks failed; what a verify finds is its result, not its failure.

    Kept sources are no failed tasks at all (safety.md rule 26).
    """
    failed = counts.failed - counts.findings if spec.operation is Operation.VERIFY else counts.failed
    if counts.ended < spec.failure_minimum or failed <= spec.failure_fraction * counts.ended:
        return None
    return Failure(
        code="FailureThreshold",
        reason=f"{failed:,} of {counts.ended:,} tasks failed; the job ends above {spec.failure_fraction:.0%}.",
        family="refused" if failed == counts.ended else "failed",
    )


def way_to_failed(status: JobStatus) -> tuple[JobStatus, ...]:
    """Return the shortest way from a status to Failed that the table of transitions has; nothing from an end."""
    ways: deque[tuple[JobStatus, ...]] = deque([()])
    while ways:
        way = ways.popleft()
        here = way[-1] if way else status
        if here is JobStatus.FAILED:
            return way
        ways.extend((*way, after) for after in _TOWARDS_FAILED if after in TRANSITIONS[here] and after not in way)
    return ()


def claims_of(spec: JobSpec, spans: tuple[KeySpan, ...], *, is_move: bool) -> tuple[KeyClaim, ...]:
    """Return the key ranges that a job relies on: shared what it reads, exclusive what it overwrites or deletes.

    A bucket is claimed by its name alone: one store has many addresses (a name, an IP, http, https), and a claim that
    is held against a bucket of the same name elsewhere only makes a job wait.

    A copy that belongs to a move claims its source exclusively from the start: the move is going to delete there, and
    two moves over one prefix that both got as far as their deletes would wait for each other for ever.
    """
    deletes = spec.operation in {Operation.DELETE, Operation.UNDO} or is_move
    sources = [_claim(span, Mode.EXCLUSIVE if deletes else Mode.SHARED) for span in spans]
    mapping = spec.mapping
    if mapping is None:
        return tuple(sources)
    mode = Mode.EXCLUSIVE if spec.operation is Operation.COPY else Mode.SHARED
    targets = [
        _claim(
            KeySpan(
                bucket=mapping.target_bucket,
                first_key=mapping.target_key(span.first_key),
                last_key=mapping.target_key(span.last_key),
            ),
            mode,
        )
        for span in spans
    ]
    return (*sources, *targets)


def _claim(span: KeySpan, mode: Mode) -> KeyClaim:
    return KeyClaim(bucket=span.bucket, first_key=span.first_key, last_key=span.last_key, mode=mode)
