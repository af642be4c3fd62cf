"""What the evidence of a delete must be as a whole, before any row is looked at: of everything, and not too old.

In: where the entries of the verify job came from, when its oldest evidence was recorded, and the time. Out: a refusal
with its way out, or a sentence for the plan. Whether one row is proven, and is still as it was proven, is the gate's
business (``verify/gate.py``); it judges the age of each chunk's evidence again, as time passes while a delete runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from s3batch.ledger.records import Job
from s3batch.model.errors import RefusedError
from s3batch.model.job import ManifestSource


def sources_of(job: Job, get_job: Callable[[str], Job]) -> Iterator[ManifestSource]:
    """Yield where the entries of a job came from: its own source, that of the job that it took them from, and so on."""
    while True:
        source = job.spec.source
        yield source
        if source.job_id is None:
            return
        job = get_job(source.job_id)


def require_whole(verify: Job, get_job: Callable[[str], Job]) -> None:
    """Refuse to delete part of a prefix because a sample of it was tried.

    Raises:
        RefusedError: code ``SampleDelete``.
    """
    if any("sample" in source.filter for source in sources_of(verify, get_job)):
        raise RefusedError(
            f"Job {verify.id} worked on a sample: deleting it would leave the other objects behind.",
            code="SampleDelete",
            way_out="Copy and verify everything first; copies that are there stay with"
            " --if-target-exists skip-if-same.",
        )


def require_current(verify: Job, *, oldest_ms: int, max_age_s: int, now_ms: int) -> None:
    """Refuse a delete part of whose evidence is too old.

    Raises:
        RefusedError: code ``EvidenceTooOld``.
    """
    if now_ms - oldest_ms <= max_age_s * 1000:
        return
    copy_id = verify.spec.source.evidence_job_id
    again = "run its verify again" if copy_id is None else f"`s3batch verify --job {copy_id}`"
    raise RefusedError(
        f"The evidence of job {verify.id} is from {_moment(oldest_ms)} on; this delete takes none that is older than"
        f" {_span(max_age_s)}.",
        code="EvidenceTooOld",
        way_out=f"Verify again ({again}), then delete by that job; or say --max-evidence-age.",
    )


def evidence_note(*, oldest_ms: int, max_age_s: int) -> str:
    """Return what a plan says about the age of its evidence."""
    return (
        f"The evidence is from {_moment(oldest_ms)} on and permits deletes until"
        f" {_moment(oldest_ms + max_age_s * 1000)} (--max-evidence-age {_span(max_age_s)})."
    )


def _moment(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms // 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def _span(seconds: int) -> str:
    """Return a span as it may be typed: in the largest unit that says it exactly."""
    for unit, length in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds % length == 0:
            return f"{seconds // length}{unit}"
    return f"{seconds}s"
