"""Which finished jobs of the ledger an estimate is measured by."""

from s3batch.execute.estimating import finished_of
from s3batch.plan.pace import FinishedJob
from tests.unit.cli.records import job, specification


def test_a_job_is_measured_by_all_of_its_tasks() -> None:
    """A few failures more or less do not change its pace."""
    ended = job(total=2_000, succeeded=1_900, failed=60, kept=40, bytes_total=4_000, active_ms=5_000)
    assert finished_of([ended]) == [FinishedJob(spec=specification(), tasks=2_000, bytes=4_000, active_ms=5_000)]


def test_a_job_whose_tasks_were_refused_is_no_measure() -> None:
    """What is refused is refused quickly; the next estimate would promise a tenth of the time."""
    assert finished_of([job(total=2_000, succeeded=1_799, failed=201, active_ms=5_000)]) == []
    assert len(finished_of([job(total=2_000, succeeded=1_800, failed=200, active_ms=5_000)])) == 1


def test_a_job_of_a_later_version_is_passed_over() -> None:
    """A plan is not refused for the past of its ledger."""
    assert finished_of([job(spec_json='{"operation": "teleport"}', total=1, succeeded=1)]) == []
