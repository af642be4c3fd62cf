"""From what was typed to what is asked."""

from dataclasses import replace

import pytest

from s3batch.cli.request import step_of
from s3batch.model.errors import RefusedError
from s3batch.model.job import Operation
from tests.unit.cli.records import job


def test_of_a_move_with_a_hold_the_renewed_evidence_is_taken() -> None:
    """A delete by the move's id is built on the verify that came after the hold, not on the one before."""
    operations = (Operation.COPY, Operation.VERIFY, Operation.VERIFY, Operation.DELETE)
    jobs = [replace(job(operation=operation), id=f"step-{step}") for step, operation in enumerate(operations, 1)]
    assert step_of(jobs, Operation.VERIFY, "move").id == "step-3"
    assert step_of(jobs, Operation.COPY, "move").id == "step-1"
    with pytest.raises(RefusedError, match="is a copy job; a verify job is needed"):
        step_of(jobs[:1], Operation.VERIFY, "step-1")
