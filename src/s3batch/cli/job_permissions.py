"""What a job that is recorded already asks of a policy: the same value that the words of ``iam-policy`` make.

In: the ledger and a job's or a move's id. Out: a :class:`PolicyRequest` and the job's connection. Nothing is asked of a
store: which keys a manifest file names is known once the job is prepared.
"""

from __future__ import annotations

from s3batch.execute.prepare import key_spans
from s3batch.ledger.records import Job
from s3batch.ledger.store import LedgerStore
from s3batch.model.errors import RefusedError
from s3batch.model.job import Connection, IfTargetExists, JobSpec, Operation
from s3batch.model.objects import S3Object, S3Prefix, parse_s3_uri
from s3batch.plan.policy_request import PolicyRequest, Step
from s3batch.s3.addressing import DEFAULT_REGION, AddressBook

_S3 = "s3://"


def request_of_job(ledger: LedgerStore, text: str) -> tuple[PolicyRequest, Connection]:
    """Return what the job, or the move, that ``text`` names needs, and how it reaches its store.

    Raises:
        RefusedError: there is no such job, or the prefix of its objects is not known: ``NotPrepared``,
            ``SeveralBuckets``.
    """
    jobs = ledger.find_jobs(text)
    first, spec = jobs[0], jobs[0].spec
    step = Step.MOVE if len(jobs) > 1 else Step(spec.operation)
    verify = next((job.spec.verify for job in jobs if job.operation is Operation.VERIFY), spec.verify)
    has_target = spec.mapping is not None and step is not Step.UNDO
    request = PolicyRequest(
        step=step,
        source=_source(ledger, first),
        target=_target(spec) if has_target else None,
        manifest=_manifest(spec),
        report=_report(spec),
        attributes=spec.copy.attributes,
        compared=frozenset(verify.attributes),
        level=verify.level,
        skips_same=spec.copy.if_target_exists is IfTargetExists.SKIP_IF_SAME,
        is_permanent=spec.delete.permanent,  # of a move its first job has it, too
        is_aws=is_aws(spec.connection),
    )
    return request, spec.connection


def is_aws(connection: Connection) -> bool:
    """Tell whether a connection is one to AWS itself."""
    region = connection.region or DEFAULT_REGION
    return AddressBook(endpoint_url=connection.endpoint_url or None, region=region).is_aws


def _source(ledger: LedgerStore, job: Job) -> S3Prefix:
    """Return the prefix that was listed, or else the folder of all keys of the manifest."""
    root = job
    while root.spec.source.list_bucket is None and root.spec.source.job_id is not None:
        root = ledger.get_job(root.spec.source.job_id)
    source = root.spec.source
    if source.list_bucket is not None:
        return S3Prefix(bucket=source.list_bucket, prefix=source.list_prefix)
    path = job.manifest_path or root.manifest_path
    if path is None:
        raise RefusedError(
            f"Job {job.id} is not prepared yet: the keys of its manifest are not known.",
            code="NotPrepared",
            way_out=f"Wait until `s3batch jobs show {job.id}` has a plan, or name STEP, SOURCE and TARGET.",
        )
    spans = key_spans(path)
    if len(spans) != 1:
        raise RefusedError(
            f"The manifest of job {job.id} names objects of {len(spans)} buckets; a policy is about one source.",
            code="SeveralBuckets",
            way_out="Name STEP, SOURCE and TARGET, once for each bucket.",
        )
    # a move ends by listing what its mapping strips (``execute/remaining.py``)
    stripped = "" if job.spec.mapping is None else job.spec.mapping.strip_prefix
    return S3Prefix(bucket=spans[0].bucket, prefix=stripped or spans[0].folder)


def _target(spec: JobSpec) -> S3Prefix | None:
    mapping = spec.mapping
    return None if mapping is None else S3Prefix(bucket=mapping.target_bucket, prefix=mapping.add_prefix)


def _manifest(spec: JobSpec) -> S3Object | None:
    url = spec.source.url
    if url is None or not url.startswith(_S3):
        return None
    place = parse_s3_uri(url)
    return S3Object(bucket=place.bucket, key=place.prefix)


def _report(spec: JobSpec) -> S3Prefix | None:
    url = spec.report.url
    return parse_s3_uri(url) if url is not None and url.startswith(_S3) else None
