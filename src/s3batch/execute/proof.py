"""The evidence that a delete is built on, looked at in the ledger before its plan is shown and before its first task.

In: a specification and the ledger. Out: what the plan says about the evidence's age, or a refusal (``plan/proof.py``).
"""

from __future__ import annotations

from s3batch.ledger.store import LedgerStore
from s3batch.model.job import JobSpec, Operation
from s3batch.plan.proof import evidence_note, require_current, require_whole


def check_evidence(spec: JobSpec, store: LedgerStore, *, now_ms: int) -> tuple[str, ...]:
    """Return what a delete's plan says of its evidence; nothing for a job that needs none.

    Raises:
        RefusedError: the evidence is from a sample (``SampleDelete``) or too old (``EvidenceTooOld``).
    """
    verify_id = spec.source.evidence_job_id
    if spec.operation is not Operation.DELETE or spec.delete.unverified or verify_id is None:
        return ()
    verify = store.get_job(verify_id)
    require_whole(verify, store.get_job)
    oldest_ms, max_age_s = store.oldest_segment_ms(verify_id), spec.delete.max_evidence_age_s
    if oldest_ms is None:
        return ()
    require_current(verify, oldest_ms=oldest_ms, max_age_s=max_age_s, now_ms=now_ms)
    return (evidence_note(oldest_ms=oldest_ms, max_age_s=max_age_s),)
