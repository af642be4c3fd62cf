"""The probes of a job, and what they change in its plan; what they find is told, and refused where it must be.

In: a job whose user named prefixes for canaries, its plan, its source buckets. Out: the plan with what was found. A
verify changes nothing in a store and relies on no condition, so nothing is probed for it.
"""

from __future__ import annotations

from dataclasses import replace
from hashlib import sha256

from s3batch.execute.probes import Wanted, probe_store
from s3batch.ledger.records import Job
from s3batch.model.job import JobSpec, Operation, Plan
from s3batch.plan.canaries import probe_place_by_bucket
from s3batch.plan.findings import require_permitted
from s3batch.plan.probes import loss_findings, probe_findings, trust_findings
from s3batch.plan.warnings import with_probed
from s3batch.s3.client import S3Client

_OWNER_DIGITS = 32


async def probe_for_plan(job: Job, plan: Plan, source_buckets: tuple[str, ...]) -> Plan:
    """Return the plan with what canaries found about what this job does.

    Raises:
        RefusedError: ``StoreLosesAttributes``, ``ListingsLate``, ``ProbePrefixElsewhere``, ``CanaryKeyTaken``.
        UnavailableError: the store does not answer.
    """
    spec = job.spec
    wanted = _wanted(spec, source_buckets)
    if wanted is None:
        return plan
    target = () if spec.mapping is None else (spec.mapping.target_bucket,)
    places = probe_place_by_bucket(spec.probe.prefixes, (*source_buckets, *target))
    async with await S3Client.open(spec.connection) as client:
        probed = await probe_store(client, places, wanted, owner=_owner(job.id))
    findings = [
        finding
        for each in probed
        for finding in (
            *probe_findings(each),
            *loss_findings(each, spec.copy.attributes, ignore_losses=spec.probe.ignore_losses),
            *trust_findings(each, trusts_listings=spec.delete.trust_listings),
        )
    ]
    require_permitted(findings)
    return replace(plan, warnings=with_probed(plan.warnings, probed, findings))


def _wanted(spec: JobSpec, source_buckets: tuple[str, ...]) -> Wanted | None:
    if spec.operation is Operation.DELETE:
        return Wanted(deletes_from=source_buckets)
    if spec.operation is Operation.COPY and spec.mapping is not None:
        return Wanted(copies_from=source_buckets, copies_to=spec.mapping.target_bucket)
    return None


def _owner(job_id: str) -> str:
    """Return the digits by which a later attempt of this job knows what an earlier one left behind."""
    return sha256(job_id.encode()).hexdigest()[:_OWNER_DIGITS]
