"""How far jobs are, in words and figures."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3batch.cli.progress import Pace, Rates, doing_text, figures_text, line_text, store_text, tasks_done, trouble_text
from s3batch.model.job import Operation
from s3batch.model.status import JobStatus
from tests.unit.cli.records import job


@pytest.mark.parametrize(
    ("status", "progress", "text"),
    [
        (JobStatus.NEW, None, "starting a runner"),
        (JobStatus.PREPARING, None, "preparing"),
        (JobStatus.PREPARING, {"listed": 45_000}, "preparing, 45,000 objects found"),
        (JobStatus.READY, None, "ready"),
        (
            JobStatus.READY,
            {"waits_for": "0123456789", "waits_for_keys": "a\n"},
            "waiting for job 01234567, which works on keys from 'a\\\\n' on",
        ),
        (JobStatus.ACTIVE, None, "running"),
        (JobStatus.PAUSING, None, "pausing"),
    ],
)
def test_a_status_is_told_in_a_few_words(status: JobStatus, progress: dict[str, object] | None, text: str) -> None:
    """Also why a job waits."""
    assert doing_text(job(status, progress=progress)) == text


def test_a_hold_and_a_predecessor_are_told() -> None:
    """Until when, in UTC; a claim of another job in the way is what it really waits for."""
    held = {"operation": Operation.VERIFY, "held_until_ms": 1_764_000_000_000}
    assert doing_text(job(JobStatus.READY, **held)) == "on hold until 2025-11-24 16:00:00Z, then verified again"  # type: ignore[arg-type]
    in_the_way = {"waits_for": "0123456789", "waits_for_keys": "a"}
    assert doing_text(job(JobStatus.READY, progress=in_the_way, **held)).startswith("waiting for job 01234567")  # type: ignore[arg-type]
    assert doing_text(job(JobStatus.READY, active_ms=5, **held)) == "ready"  # type: ignore[arg-type]
    assert doing_text(job(JobStatus.NEW, depends_on="0123456789")) == "waiting for job 01234567"


def test_figures_have_share_objects_bytes_rates_and_time_left() -> None:
    """Everything that somebody who waits wants to know."""
    running = job(JobStatus.ACTIVE, total=1000, succeeded=400, bytes_total=2048, bytes_done=1024)
    assert (
        figures_text(running, Rates(tasks_per_s=20.0, bytes_per_s=100.0))
        == "40%, 400 of 1,000 objects, 1.0 KiB of 2.0 KiB, 20 objects/s, 100 B/s, 30 s left"
    )
    assert figures_text(job(JobStatus.PREPARING), None) == ""


def test_what_failed_so_far_is_told_by_code() -> None:
    """The most frequent first; special successes are no trouble."""
    troubled = job(failed=7, kept=1, by_code={"SlowDown": 2, "AccessDenied": 5, "SourceChanged": 1, "AlreadySame": 9})
    assert trouble_text(troubled) == "7 failed, 1 kept: AccessDenied 5, SlowDown 2, SourceChanged 1"
    assert trouble_text(job(by_code={"AlreadySame": 9})) == ""


def test_the_store_s_limit_is_told_while_a_job_runs() -> None:
    """A slow job explains itself."""
    running = job(JobStatus.ACTIVE, progress={"concurrency": 32.0, "throttled": 3})
    assert store_text(running) == "up to 32 requests at once, slowed down by the store 3 times"
    assert store_text(job(JobStatus.COMPLETE, progress={"concurrency": 32.0})) == ""


@given(ended=st.integers(0, 100), under_way=st.integers(0, 200))
def test_never_more_is_done_than_there_is(ended: int, under_way: int) -> None:
    """A chunk's figures may be counted twice for a moment, when its segment has just been recorded."""
    running = job(JobStatus.ACTIVE, total=100, succeeded=ended, progress={"tasks": under_way})
    assert tasks_done(running) == min(100, ended + under_way)


def test_a_rate_is_that_of_the_last_seconds() -> None:
    """A pause an hour ago does not count, and another job begins anew."""
    pace = Pace()
    for second in range(100):
        pace.see(
            job(JobStatus.ACTIVE, total=10**6, succeeded=1000 + second * (1 if second < 50 else 10)), float(second)
        )
    rates = pace.rates()
    assert rates is not None
    assert rates.tasks_per_s == pytest.approx(10.0)
    pace.see(job(JobStatus.ACTIVE, id="other", total=10, succeeded=1), 100.0)
    assert pace.rates() is None


def test_one_line_has_it_all() -> None:
    """For logs, where nothing can be drawn over."""
    steps = [
        job(JobStatus.COMPLETE, id="copy-1", move_id="move-123456"),
        job(
            JobStatus.ACTIVE,
            id="verify-1",
            move_id="move-123456",
            operation=Operation.VERIFY,
            total=10,
            succeeded=4,
            failed=1,
            by_code={"TargetMissing": 1},
        ),
    ]
    assert (
        line_text(steps, None)
        == "move move-123, step 2 of 2: verify: running; 50%, 5 of 10 objects; 1 failed: TargetMissing 1"
    )
