"""What an estimate asks of buckets: little, by reading only, and what may not be asked is not known."""

import asyncio
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest

from s3batch.execute.estimating import read_facts
from s3batch.model.job import CopyOptions, JobSpec, KeyMapping, ManifestSource, Operation
from s3batch.operations.copy import CopyOperation
from s3batch.operations.delete import DeleteOperation
from s3batch.operations.task import ChunkOperation, ChunkWork, TaskContext
from s3batch.operations.verify import VerifyOperation
from s3batch.plan.estimate import BucketFacts
from s3batch.plan.figures import PlanFigures
from s3batch.plan.requests import count_by_kind, count_requests
from s3batch.s3.client import S3Reader
from tests.contract.chunks import copied, evidence_of, pin, run, statuses
from tests.servers.server import Server
from tests.servers.stub.launcher import StubControl


def steps_of(target: str) -> tuple[JobSpec, JobSpec]:
    """Return the copy and the delete of a move into a bucket."""
    mapping = KeyMapping(target_bucket=target, strip_prefix="", add_prefix="x/")
    copy = JobSpec(operation=Operation.COPY, source=ManifestSource(list_bucket="s"), mapping=mapping)
    return copy, replace(copy, operation=Operation.DELETE)


def facts_of(server: Server, steps: tuple[JobSpec, ...], source: str, *, as_aws: bool) -> BucketFacts:
    """Return what is read of the buckets; ``as_aws``: as of a store whose prices are known, which none of ours is."""

    async def read() -> BucketFacts:
        async with await S3Reader.open(server.connection()) as reader:
            reader._sender.addresses.is_aws = as_aws
            return await read_facts(reader, steps, [source])

    return asyncio.run(read())


@pytest.mark.parametrize("server_name", ["ministack", "moto"])
def test_regions_versioning_and_encryption_decide_about_an_estimate(
    request: pytest.FixtureRequest, server_name: str, bucket_name: str
) -> None:
    """Each is read of a real bucket, where it matters for the steps at hand."""
    server: Server = request.getfixturevalue(server_name)
    client, target = server.boto3_client(), f"{bucket_name}-t"
    for name in (bucket_name, target):
        client.create_bucket(Bucket=name)
    copy, delete = steps_of(target)
    plain = facts_of(server, (copy, delete), bucket_name, as_aws=True)
    assert plain == BucketFacts(is_aws=True, source_region=server.region, target_region=server.region)
    client.put_bucket_versioning(Bucket=bucket_name, VersioningConfiguration={"Status": "Enabled"})
    default = {"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}}
    client.put_bucket_encryption(Bucket=target, ServerSideEncryptionConfiguration={"Rules": [default]})
    assert facts_of(server, (copy, delete), bucket_name, as_aws=True) == replace(
        plain, keeps_versions=True, encrypts_by_kms=True
    )
    assert facts_of(server, (copy,), bucket_name, as_aws=True) == replace(plain, encrypts_by_kms=True)
    assert facts_of(server, (delete,), bucket_name, as_aws=True) == replace(
        plain, keeps_versions=True, target_region=""
    )
    assert facts_of(server, (copy,), bucket_name, as_aws=False) == BucketFacts(is_aws=False)
    assert facts_of(server, (delete,), bucket_name, as_aws=False) == BucketFacts(is_aws=False, keeps_versions=True)


def test_what_may_not_be_asked_is_not_known(ministack: Server, bucket_name: str) -> None:
    """A plan is not refused for its estimate."""
    copy, delete = steps_of(f"{bucket_name}-not-there")
    found = facts_of(ministack, (copy, delete), f"{bucket_name}-neither", as_aws=True)
    assert found == BucketFacts(is_aws=True)


SOURCE, OBJECTS = "source/", 2_500
CALL_BY_KIND = {
    "List": "ListObjectsV2",
    "Head": "HeadObject",
    "CopyObject": "CopyObject",
    "DeleteObjects": "DeleteObjects",
}


def test_a_chunk_takes_the_requests_that_its_plan_expects_of_aws(stub: Server, bucket_name: str) -> None:
    """The way of a store whose conditions and listings are relied on, before a server that counts."""
    control = StubControl(stub)
    control.fill(bucket_name, SOURCE, OBJECTS)
    work = pin(stub, bucket_name, SOURCE)
    mapping = copied("target/", bucket_name)
    figures = PlanFigures(multipart_threshold=2**30)
    figures.add(
        pa.table(
            {
                "key": work.keys,
                "size": work.sizes,
                "etag": work.etags,
                "storage_class": work.storage_classes,
                "problem": pa.nulls(OBJECTS, pa.string()),
            }
        )
    )

    async def take_for_aws(context: TaskContext) -> None:
        for client in (context.source, context.target):
            client._sender.addresses.is_aws = True

    def compare(kind: Operation, operation: ChunkOperation, chunk: ChunkWork) -> list[dict[str, Any]]:
        spec = JobSpec(operation=kind, source=ManifestSource(list_bucket=bucket_name), mapping=mapping)
        expected = count_by_kind(count_requests(figures, spec, is_aws=True))
        before = dict(control.counts().kinds)
        outcomes = run(stub, operation, chunk, prepare=take_for_aws)
        after = control.counts().kinds
        sent = {name: after.get(call, 0) - before.get(call, 0) for name, call in CALL_BY_KIND.items()}
        assert {name: count for name, count in sent.items() if count} == expected
        assert set(statuses(outcomes)) == {"succeeded"}
        return outcomes

    compare(Operation.COPY, CopyOperation(mapping=mapping, options=CopyOptions()), work)
    proven = compare(Operation.VERIFY, VerifyOperation(mapping=mapping), work)
    chunk = replace(work, evidence=evidence_of(proven, OBJECTS))
    compare(Operation.DELETE, DeleteOperation(mapping=mapping), chunk)
