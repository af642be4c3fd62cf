"""A target that deletes what is copied to it (safety.md rule 24)."""

import json
from collections.abc import Callable

import pytest

from tests.safety.bucket import Bucket, numbered
from tests.servers.server import Server

BucketOn = Callable[[Server], Bucket]


@pytest.fixture
def bucket(s3_server: Server, bucket_on: BucketOn) -> Bucket:
    """A bucket on each server, with objects, whose rule deletes what is below ``tmp/``."""
    bucket = bucket_on(s3_server)
    bucket.put(*numbered("a/", range(3)))
    rule = {"ID": "clean", "Status": "Enabled", "Filter": {"Prefix": "tmp/"}, "Expiration": {"Days": 30}}
    bucket.client.put_bucket_lifecycle_configuration(Bucket=bucket.name, LifecycleConfiguration={"Rules": [rule]})
    return bucket


@pytest.mark.parametrize("verb", ["copy", "move"])
def test_a_target_whose_rule_deletes_copies_is_refused_before_the_first(verb: str, bucket: Bucket) -> None:
    """And copied to if that is meant; below another prefix nothing is in the way."""
    assert bucket.refused(verb, bucket.url("a/"), bucket.url("tmp/x/"), "--yes") == "TargetExpires"
    ended = bucket.run(verb, bucket.url("a/"), bucket.url("b/"), "--dry-run", "--json")
    assert "lifecycle" not in ended.out
    bucket.run("copy", bucket.url("a/"), bucket.url("tmp/x/"), "--ignore-lifecycle")
    assert len(bucket.keys("tmp/x/")) == 3


def test_rules_that_may_not_be_read_are_told_of(ministack: Server, bucket_on: BucketOn) -> None:
    """They are not known to be harmless; the copy is the user's decision."""
    bucket = bucket_on(ministack)
    bucket.put("a/k")
    deny = {"Effect": "Deny", "Principal": "*", "Action": "s3:GetLifecycleConfiguration"}
    policy = {"Version": "2012-10-17", "Statement": [{**deny, "Resource": f"arn:aws:s3:::{bucket.name}"}]}
    bucket.client.put_bucket_policy(Bucket=bucket.name, Policy=json.dumps(policy))
    plan = bucket.run("copy", bucket.url("a/"), bucket.url("b/"), "--dry-run", "--json").document["plan"]
    assert any("could not be read (AccessDenied)" in each for each in plan["warnings"])
