"""How long a job may take: at S3's documented rates, at the user's own bound, and as jobs of this ledger did it. Pure.

In: counted requests, and what finished jobs did. Out: seconds, or ``None`` where there is nothing to tell from. A job
is comparable if it did the same to objects of about the same size at the same store; its machine, its load and its
workers may have been others, so the answer is a range and never one number.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from s3batch.model.job import JobSpec, Level, Operation
from s3batch.plan.figures import KEYS_PER_REQUEST, PlanFigures
from s3batch.plan.requests import Kind, RequestCount

WRITES_PER_S = 3_500
READS_PER_S = 5_500
"""Requests a second for one partition of the keys, at least (S3 User Guide, "Best practices design patterns: optimizing
Amazon S3 performance", read 2026-11). S3 makes more partitions of a prefix within 30 to 60 minutes of load."""

LEAST_TASKS = 1_000
LEAST_ACTIVE_MS = 1_000
"""What a job must have done to be measured by: below these its start outweighs its work."""

SIMILAR_SIZES = 10
"""Objects of at most so many times the mean size, and no fewer than this part of it, count as similar ..."""

SMALL_BYTES = 1024**2
"""... and all below this, whose copies take as long as the request does."""

_READS = frozenset({Kind.LIST, Kind.LIST_VERSIONS, Kind.HEAD, Kind.GET, Kind.GET_TAGGING, Kind.GET_ACL})


@dataclass(frozen=True, kw_only=True, slots=True)
class FinishedJob:
    """What a job of the ledger did."""

    spec: JobSpec
    tasks: int
    bytes: int
    active_ms: int


def seconds_at_s3_rate(counts: Iterable[RequestCount]) -> float:
    """Return how long the requests take if all keys lie in one partition; each deleted key counts as a write."""
    reads = writes = 0
    for each in counts:
        if each.kind in _READS:
            reads += each.count
        else:
            writes += each.count * (KEYS_PER_REQUEST if each.kind is Kind.DELETE else 1)
    return max(writes / WRITES_PER_S, reads / READS_PER_S)


def seconds_at_max_rate(counts: Iterable[RequestCount], max_rate: float | None) -> float | None:
    """Return how long the requests take at so many a second."""
    return None if max_rate is None else sum(each.count for each in counts) / max_rate


def measured_seconds(
    figures: PlanFigures, spec: JobSpec, finished: Sequence[FinishedJob]
) -> tuple[tuple[float, float] | None, int]:
    """Return the shortest and the longest time by comparable finished jobs, and how many of these there are."""
    seconds = [
        figures.objects * each.active_ms / 1000 / each.tasks
        for each in finished
        if _is_comparable(each, spec, objects=figures.objects, total_bytes=figures.bytes)
    ]
    return ((min(seconds), max(seconds)) if seconds else None), len(seconds)


def _is_comparable(job: FinishedJob, spec: JobSpec, *, objects: int, total_bytes: int) -> bool:
    if job.tasks < LEAST_TASKS or job.active_ms < LEAST_ACTIVE_MS or job.spec.operation is not spec.operation:
        return False
    if _kind_of_work(job.spec) != _kind_of_work(spec):
        return False
    return not _moves_bytes(spec) or _are_similar(job.bytes / job.tasks, total_bytes / max(objects, 1))


def _kind_of_work(spec: JobSpec) -> tuple[object, ...]:
    """Return what a job's pace depends on beside the number and size of its objects."""
    connection = spec.connection
    return (
        connection.endpoint_url,
        connection.max_rate,
        spec.copy.attributes if spec.operation is Operation.COPY else None,
        (spec.verify.level, spec.verify.attributes) if spec.operation is Operation.VERIFY else None,
        (spec.delete.unverified, spec.delete.trust_listings) if spec.operation is Operation.DELETE else None,
    )


def _moves_bytes(spec: JobSpec) -> bool:
    return spec.operation is Operation.COPY or (spec.operation is Operation.VERIFY and spec.verify.level is Level.BYTES)


def _are_similar(one_bytes: float, other_bytes: float) -> bool:
    one, other = max(one_bytes, SMALL_BYTES), max(other_bytes, SMALL_BYTES)
    return one <= other * SIMILAR_SIZES and other <= one * SIMILAR_SIZES
