"""The evidence of a delete as a whole: of everything, and not too old."""

from dataclasses import replace

import pytest

from s3batch.ledger.records import Job
from s3batch.model.errors import RefusedError
from s3batch.model.job import ManifestSource, Operation
from s3batch.plan.proof import evidence_note, require_current, require_whole
from tests.unit.cli.records import job, specification

MOMENT_MS = 1_764_000_000_000


def _job(job_id: str, source: ManifestSource) -> Job:
    return replace(job(spec=replace(specification(Operation.VERIFY), source=source)), id=job_id)


def test_a_sample_is_found_however_far_away_it_is() -> None:
    """Through copies, retries and renewals alike."""
    jobs = {
        "copy": _job("copy", ManifestSource(list_bucket="b", filter={"sample": 5, "seed": 1})),
        "retry": _job("retry", ManifestSource(job_id="copy", is_retry=True)),
        "verify": _job("verify", ManifestSource(job_id="retry")),
        "renewal": _job("renewal", ManifestSource(job_id="verify", is_entries_only=True)),
    }
    for name, each in jobs.items():
        with pytest.raises(RefusedError, match=f"Job {name} worked on a sample.*skip-if-same") as caught:
            require_whole(each, jobs.__getitem__)
        assert caught.value.code == "SampleDelete"
    jobs["copy"] = _job("copy", ManifestSource(list_bucket="b", filter={"include": ("*.fits",)}))
    require_whole(jobs["renewal"], jobs.__getitem__)


def test_evidence_is_refused_from_the_first_moment_on_that_it_is_too_old() -> None:
    """The refusal says from when it is, what is allowed, and how to get newer evidence."""
    verify = _job("verify", ManifestSource(job_id="copy"))
    require_current(verify, oldest_ms=MOMENT_MS, max_age_s=7_200, now_ms=MOMENT_MS + 7_200_000)
    with pytest.raises(RefusedError) as caught:
        require_current(verify, oldest_ms=MOMENT_MS, max_age_s=7_200, now_ms=MOMENT_MS + 7_200_001)
    assert caught.value.code == "EvidenceTooOld"
    assert "from 2025-11-24 16:00:00Z on; this delete takes none that is older than 2h." in caught.value.message
    assert "`s3batch verify --job copy`" in caught.value.way_out


def test_the_plan_says_until_when_its_evidence_permits_deletes() -> None:
    """As moments, so that nobody has to count."""
    assert evidence_note(oldest_ms=MOMENT_MS, max_age_s=86_400) == (
        "The evidence is from 2025-11-24 16:00:00Z on and permits deletes until 2025-11-25 16:00:00Z"
        " (--max-evidence-age 1d)."
    )
