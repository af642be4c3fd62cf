"""Where jobs stand as a whole: the first step that has not ended decides."""

from __future__ import annotations

import pytest

from s3batch.control.standing import Standing, due_job, standing_of
from s3batch.model.status import TERMINAL, JobStatus
from tests.unit.ledger.ledgers import job_in


@pytest.mark.parametrize("status", list(JobStatus))
def test_every_status_has_a_standing(status: JobStatus) -> None:
    """Whoever follows a job knows whether to wait."""
    expected = {
        JobStatus.SUSPENDED: Standing.WAITS_FOR_CONFIRMATION,
        JobStatus.PAUSED: Standing.PAUSED,
        **dict.fromkeys(TERMINAL, Standing.ENDED),
    }
    assert standing_of([job_in(status)]) is expected.get(status, Standing.UNDER_WAY)


def test_a_move_stands_where_its_first_unended_step_stands() -> None:
    """Verify is due once copy has ended, whatever the delete waits for."""
    steps = [job_in(JobStatus.COMPLETE), job_in(JobStatus.PAUSED), job_in(JobStatus.NEW)]
    assert due_job(steps) is steps[1]
    assert standing_of(steps) is Standing.PAUSED


def test_a_move_has_ended_when_all_its_steps_have() -> None:
    """Its last step then speaks for it."""
    steps = [job_in(JobStatus.COMPLETE), job_in(JobStatus.FAILED), job_in(JobStatus.CANCELLED)]
    assert due_job(steps) is steps[2]
    assert standing_of(steps) is Standing.ENDED
