"""A runner's decisions as pure functions: how long it waits, when a job has failed, and how it gets there."""

import pytest

from s3batch.execute.policy import GIVE_UP_S, Patience, threshold_failure, way_to_failed
from s3batch.model.job import Operation
from s3batch.model.outcome import Code, Counts
from s3batch.model.status import TERMINAL, JobStatus, may_follow
from tests.unit.ledger.ledgers import specification


def test_failures_of_one_moment_are_one_round() -> None:
    """Twenty attempts that an outage ends together cost one pause, not twenty."""
    patience = Patience()
    for _ in range(20):
        patience.fail(100.0)
    assert patience.not_before_s == 101.0


def test_each_round_waits_longer_up_to_half_a_minute_until_something_succeeds() -> None:
    """Then it begins anew."""
    patience, now_s, pauses = Patience(), 0.0, []
    for _ in range(7):
        patience.fail(now_s)
        pauses.append(patience.not_before_s - now_s)
        now_s = patience.not_before_s
    assert pauses == [1, 2, 4, 8, 16, 30, 30]
    patience.succeed()
    patience.fail(now_s)
    assert patience.not_before_s - now_s == 1


def test_patience_ends_by_time_without_success_and_not_by_counting() -> None:
    """A thousand failures in a minute are no reason; ten minutes are."""
    patience = Patience()
    for tick in range(1_000):
        patience.fail(tick * 0.06)
    assert not patience.is_over(60.0)
    assert patience.is_over(GIVE_UP_S)
    patience.succeed()
    assert not patience.is_over(GIVE_UP_S)


@pytest.mark.parametrize("status", sorted(set(JobStatus) - TERMINAL))
def test_every_status_has_a_legal_way_to_failed(status: JobStatus) -> None:
    """And none of its steps lets a chunk run or calls the job complete."""
    here = status
    for after in way_to_failed(status):
        assert may_follow(here, after)
        assert after in {JobStatus.FAILING, JobStatus.CANCELLING, JobStatus.FAILED}
        here = after
    assert here is JobStatus.FAILED


def test_what_a_verify_finds_does_not_count_as_failing() -> None:
    """It is the job's result."""
    counts = Counts(total=1_000, failed=1_000, by_code={Code.TARGET_MISSING: 1_000})
    assert threshold_failure(specification(Operation.VERIFY), counts) is None


def test_kept_sources_do_not_hide_failures_of_a_delete() -> None:
    """TargetMissing is the code of a kept source there; it must not be taken off the failed ones."""
    counts = Counts(total=3_000, succeeded=0, failed=1_500, kept=1_400, by_code={Code.TARGET_MISSING: 1_400})
    found = threshold_failure(specification(Operation.DELETE), counts)
    assert found is not None
    assert found.code == "FailureThreshold"
