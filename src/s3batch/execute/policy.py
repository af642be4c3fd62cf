"""Decisions of a runner about one job, as pure functions of counts and results."""

from __future__ import annotations

from dataclasses import dataclass

from s3batch.execute.attempt import AttemptError
from s3batch.ledger.records import ClaimMode as Mode
from s3batch.ledger.records import KeyClaim
from s3batch.model.job import JobSpec, Operation
from s3batch.model.outcome import Counts
from s3batch.plan.collisions import KeySpan

MAX_UNAVAILABLE = 8
"""Attempts in a row that ended because the store or the disk was unavailable, before the job fails."""

MAX_LOSSES = 5
"""Attempts at one chunk that a runner loses before it takes the chunk for poison."""

MAX_IDLE_ATTEMPTS = 20
"""Attempts at one chunk that end without recording anything, before the job fails."""

_LONGEST_PAUSE_S = 30.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """Why a job cannot go on. ``family`` is that of the error (see ``model.errors``)."""

    code: str
    reason: str
    family: str


def threshold_failure(spec: JobSpec, counts: Counts) -> Failure | None:
    """Return the failure of a job in which too many tasks failed; findings of verify and kept sources do not count."""
    failed = counts.failed - counts.findings
    if counts.ended < spec.failure_minimum or failed <= spec.failure_fraction * counts.ended:
        return None
    return Failure(
        code="FailureThreshold",
        reason=f"{failed:,} of {counts.ended:,} tasks failed; the job ends above {spec.failure_fraction:.0%}.",
        family="refused" if failed == counts.ended else "failed",
    )


def attempt_failure(error: AttemptError, *, unavailable_in_a_row: int) -> Failure | None:
    """Return the failure that an attempt's error means for its job; ``None`` where another attempt may help."""
    if error.family == "unavailable" and unavailable_in_a_row < MAX_UNAVAILABLE:
        return None
    return Failure(code=error.code, reason=error.message, family=error.family)


def pause_s(unavailable_in_a_row: int) -> float:
    """Return how long to wait before the next attempt, in seconds."""
    return min(0.5 * 2.0**unavailable_in_a_row, _LONGEST_PAUSE_S) if unavailable_in_a_row else 0.0


def claims_of(spec: JobSpec, spans: tuple[KeySpan, ...], *, is_move: bool) -> tuple[KeyClaim, ...]:
    """Return the key ranges that a job relies on: shared what it reads, exclusive what it overwrites or deletes.

    A bucket is claimed by its name alone: one store has many addresses (a name, an IP, http, https), and a claim that
    is held against a bucket of the same name elsewhere only makes a job wait.

    A copy that belongs to a move claims its source exclusively from the start: the move is going to delete there, and
    two moves over one prefix that both got as far as their deletes would wait for each other for ever.
    """
    deletes = spec.operation is Operation.DELETE or is_move
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
