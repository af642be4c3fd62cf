"""What an estimate asks of buckets: little, by reading only, and what may not be asked is not known."""

import asyncio
from dataclasses import replace

import pytest

from s3batch.execute.estimating import read_facts
from s3batch.model.job import JobSpec, KeyMapping, ManifestSource, Operation
from s3batch.plan.estimate import BucketFacts
from s3batch.s3.client import S3Reader
from tests.servers.server import Server


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
