"""How long a job may take is told from comparable finished jobs, as a range, or not at all."""

from __future__ import annotations

from dataclasses import replace

import pytest

from s3batch.model.attributes import CopyAttributes
from s3batch.model.job import (
    Connection,
    CopyOptions,
    DeleteOptions,
    JobSpec,
    KeyMapping,
    Level,
    ManifestSource,
    Operation,
    VerifyOptions,
)
from s3batch.plan.pace import FinishedJob, measured_seconds, seconds_at_s3_rate
from s3batch.plan.requests import Kind, RequestCount
from tests.unit.plan.figures_of import Entry, figures_of

COPY = JobSpec(
    operation=Operation.COPY,
    source=ManifestSource(list_bucket="s"),
    mapping=KeyMapping(target_bucket="t", strip_prefix="", add_prefix="x/"),
)
VERIFY, DELETE = replace(COPY, operation=Operation.VERIFY), replace(COPY, operation=Operation.DELETE)
MIB = 1024**2
FIGURES = figures_of([Entry(size=MIB)] * 500)


def finished(spec: JobSpec = COPY, *, tasks: int = 10_000, size: int = MIB, active_ms: int = 10_000) -> FinishedJob:
    """Return a job that did 1,000 objects a second, unless told otherwise."""
    return FinishedJob(spec=spec, tasks=tasks, bytes=tasks * size, active_ms=active_ms)


def test_the_fastest_and_the_slowest_comparable_job_make_the_range() -> None:
    """500 objects at 1,000 and at 250 a second."""
    assert measured_seconds(FIGURES, COPY, [finished(), finished(active_ms=40_000)]) == ((0.5, 2.0), 2)


def test_without_a_comparable_job_there_is_no_number() -> None:
    """None is made up."""
    assert measured_seconds(FIGURES, COPY, []) == (None, 0)


@pytest.mark.parametrize(
    ("asked", "other"),
    [
        (COPY, finished(VERIFY)),
        (COPY, finished(tasks=999)),
        (COPY, finished(active_ms=999)),
        (COPY, finished(size=11 * MIB)),
        (COPY, finished(replace(COPY, connection=Connection(endpoint_url="http://other")))),
        (COPY, finished(replace(COPY, connection=Connection(max_rate=5.0)))),
        (COPY, finished(replace(COPY, copy=CopyOptions(attributes=CopyAttributes(tags={}))))),
        (VERIFY, finished(replace(VERIFY, verify=VerifyOptions(level=Level.BYTES)))),
        (DELETE, finished(replace(DELETE, delete=DeleteOptions(trust_listings=True)))),
    ],
    ids=["operation", "too few", "too short", "sizes", "store", "bound", "attributes", "level", "listings"],
)
def test_other_work_is_not_compared(asked: JobSpec, other: FinishedJob) -> None:
    """What decides about the pace must be the same."""
    assert measured_seconds(FIGURES, asked, [other]) == (None, 0)


@pytest.mark.parametrize(
    ("asked", "other"),
    [
        (COPY, finished(size=0)),  # small objects take as long as their requests
        (COPY, finished(size=10 * MIB)),
        (VERIFY, finished(VERIFY, size=1000 * MIB)),  # a listing shows all sizes alike
        (COPY, finished(replace(COPY, source=ManifestSource(list_bucket="another")))),
    ],
    ids=["small", "similar", "no bytes", "other objects"],
)
def test_what_does_not_matter_for_the_pace_may_differ(asked: JobSpec, other: FinishedJob) -> None:
    """Sizes of what is not moved, places, small differences."""
    assert measured_seconds(FIGURES, asked, [other])[1] == 1


def test_documented_rates_count_each_deleted_key_and_let_reads_run_beside_writes() -> None:
    """3,500 writes and 5,500 reads a second for one partition of the keys."""
    deletes = RequestCount(kind=Kind.DELETE, storage_class="STANDARD", count=7)
    lists = RequestCount(kind=Kind.LIST, storage_class="STANDARD", count=14)
    heads = RequestCount(kind=Kind.HEAD, storage_class="STANDARD", count=55_000)
    assert seconds_at_s3_rate([deletes, lists]) == pytest.approx(2.0)
    assert seconds_at_s3_rate([deletes, heads]) == pytest.approx(10.0)
    assert seconds_at_s3_rate([]) == 0
