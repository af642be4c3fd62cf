"""Exit codes: the first that applies of 5, 4, 3, 1 and 0."""

import json
from dataclasses import replace

import pytest

from s3batch.control.exit_code import exit_code
from s3batch.ledger.records import Job
from s3batch.model.job import Extra, JobSpec, ManifestSource, Operation, VerifyOptions
from s3batch.model.status import JobStatus

_SPEC = JobSpec(operation=Operation.COPY, source=ManifestSource(list_bucket="bkt"))
_JOB = Job(
    id="job", move_id=None, step=0, depends_on=None, operation=Operation.COPY, status=JobStatus.COMPLETE, priority=0,
    description="", created_at_ms=0, updated_at_ms=0, ended_at_ms=0, spec_json=_SPEC.to_json(), plan_json=None,
    confirmation_required=False, confirmed_by=None, confirmed_at_ms=None, wanted=None, status_reason=None,
    failure_code=None, failure_reason=None, manifest_path=None, total=10, succeeded=10, failed=0, kept=0,
    by_code_json="{}", bytes_total=0, bytes_done=0, progress_json=None, active_ms=0, epoch=1, runner_id=None,
    runner_host=None, lease_until_ms=None, client_request_token=None, report_json=None,
    held_until_ms=None,
)  # fmt: skip


def _job(**changes: object) -> Job:
    return replace(_JOB, **changes)  # type: ignore[arg-type]


def _verify(extra: Extra | None, entries: int) -> Job:
    spec = replace(_SPEC, operation=Operation.VERIFY, verify=VerifyOptions(extra=extra))
    report = json.dumps({"extra": {"entries": entries}} if extra else {})
    return _job(operation=Operation.VERIFY, spec_json=spec.to_json(), report_json=report)


@pytest.mark.parametrize(
    ("extra", "entries", "code"), [(None, 0, 0), (Extra.REPORT, 2, 0), (Extra.FAIL, 0, 0), (Extra.FAIL, 2, 3)]
)
def test_what_no_entry_explains_is_a_difference_only_if_asked(extra: Extra | None, entries: int, code: int) -> None:
    """A target may hold other things by right."""
    assert exit_code([_verify(extra, entries)]) == code


@pytest.mark.parametrize(
    ("job", "code"),
    [
        (_job(), 0),
        (_job(succeeded=9, failed=1, by_code_json=json.dumps({"AccessDenied": 1})), 1),
        (_job(succeeded=9, failed=1, by_code_json=json.dumps({"TargetMissing": 1})), 3),
        (_job(succeeded=9, kept=1, by_code_json=json.dumps({"SourceChanged": 1})), 3),
        (_job(status=JobStatus.FAILED, status_reason="refused", succeeded=0), 4),
        (_job(status=JobStatus.FAILED, status_reason="refused", succeeded=5), 1),
        (_job(status=JobStatus.FAILED, status_reason="unavailable"), 5),
        (_job(status=JobStatus.FAILED, status_reason="inconsistent"), 5),
        (_job(status=JobStatus.FAILED, status_reason="failed"), 1),
        (_job(status=JobStatus.CANCELLED), 1),
    ],
)
def test_each_end_has_its_exit_code(job: Job, code: int) -> None:
    """Scripts depend on them."""
    assert exit_code([job]) == code


def test_the_worst_step_of_a_move_decides() -> None:
    """Kept sources of the delete are told although the copy succeeded; an unavailable store comes before both."""
    kept = _job(kept=1, by_code_json=json.dumps({"SourceChanged": 1}))
    assert exit_code([_job(), kept]) == 3
    assert exit_code([_job(), kept, _job(status=JobStatus.FAILED, status_reason="unavailable")]) == 5
