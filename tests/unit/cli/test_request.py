"""From what was typed to what is asked."""

from dataclasses import replace

import pytest

from s3batch.cli.request import step_of
from s3batch.model.errors import RefusedError
from s3batch.model.job import ManifestSource, Operation
from tests.unit.cli.records import job, specification


def test_of_a_move_the_verify_is_taken_that_its_delete_is_built_on() -> None:
    """A hold renewed the evidence, and a backup has a verify of its own; neither of the others is meant."""
    operations = (Operation.COPY, Operation.VERIFY, Operation.VERIFY, Operation.COPY, Operation.VERIFY)
    jobs = [replace(job(operation=operation), id=f"step-{step}") for step, operation in enumerate(operations, 1)]
    built_on = specification(Operation.DELETE, source=ManifestSource(job_id="step-3"))
    jobs.append(job(operation=Operation.DELETE, spec=built_on))
    assert step_of(jobs, Operation.VERIFY, "move").id == "step-3"
    assert step_of(jobs, Operation.COPY, "move").id == "step-1"
    with pytest.raises(RefusedError, match="is a copy job; a verify job is needed"):
        step_of(jobs[:1], Operation.VERIFY, "step-1")
