"""A move of objects that have more than bytes: what a store loses keeps its source (safety.md rules 8 and 13)."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.contract.test_copy_in_parts import FIRST, LAST, put_in_parts
from tests.safety.bucket import Bucket, counts, numbered
from tests.servers.server import Server

BucketOn = Callable[[Server], Bucket]
COUNT = 12


def test_what_the_store_loses_keeps_its_source(ceph_rgw: Server, bucket_on: BucketOn) -> None:
    """Ceph 16.2 without keys takes a copy that asks for encryption, and does not encrypt it: nothing is deleted."""
    bucket = bucket_on(ceph_rgw)
    keys = numbered("a/", range(COUNT))
    bucket.put(*keys)
    copy, verify, delete = bucket.move("a/", "b/", "--sse", "AES256", "--yes", code=3)
    assert counts(copy) == (COUNT, 0, COUNT, 0)
    assert copy["counts"]["by_code"] == {"AttributesLost": COUNT}
    assert verify["counts"]["by_code"] == {"NotProven": COUNT}
    assert counts(delete) == (COUNT, 0, 0, COUNT)
    assert bucket.keys("a/") == sorted(keys)


def test_a_copy_in_parts_whose_tags_could_not_be_put_keeps_its_source(ministack: Server, bucket_on: BucketOn) -> None:
    """The bytes are there and proven equal; its tags are not, and the store said so."""
    bucket = bucket_on(ministack)
    put_in_parts(ministack, bucket.name, "a/k", [FIRST, LAST])
    tags = {"TagSet": [{"Key": "of", "Value": "a"}]}
    bucket.client.put_object_tagging(Bucket=bucket.name, Key="a/k", Tagging=tags)
    deny = {"Effect": "Deny", "Principal": "*", "Action": "s3:PutObjectTagging"}
    policy = {"Version": "2012-10-17", "Statement": [{**deny, "Resource": f"arn:aws:s3:::{bucket.name}/*"}]}
    bucket.client.put_bucket_policy(Bucket=bucket.name, Policy=json.dumps(policy))
    copy, verify, delete = bucket.move("a/", "b/", "--multipart-threshold", "5MiB", "--yes", code=3)
    assert copy["counts"]["by_code"] == {"AccessDenied": 1}
    assert verify["counts"]["by_code"] == {"NotProven": 1}
    assert counts(delete) == (1, 0, 0, 1)
    bucket.client.delete_bucket_policy(Bucket=bucket.name)
    assert bucket.keys() == ["a/k", "b/k"]


@pytest.mark.parametrize(
    ("kept", "action"),
    [
        ("lock", "s3:GetObjectRetention"),
        ("lock", "s3:GetObjectLegalHold"),
        ("acl", "s3:GetObjectAcl"),
        ("tags", "s3:GetObjectTagging"),
    ],
)
def test_what_may_not_be_read_is_refused_where_it_was_to_be_kept(
    kept: str, action: str, ministack: Server, bucket_on: BucketOn
) -> None:
    """Before the first copy: HEAD leaves locks out for whoever may not read them, so they would be lost in silence."""
    bucket = bucket_on(ministack)
    bucket.put(*numbered("a/", range(COUNT)))
    deny = {"Effect": "Deny", "Principal": "*", "Action": action, "Resource": f"arn:aws:s3:::{bucket.name}/*"}
    policy = {"Version": "2012-10-17", "Statement": [deny]}
    bucket.client.put_bucket_policy(Bucket=bucket.name, Policy=json.dumps(policy))
    words = ("copy", bucket.url("a/"), bucket.url("b/"))
    assert bucket.refused(*words, "--keep", kept) == "AttributesNotRead"
    bucket.client.delete_bucket_policy(Bucket=bucket.name)
    assert counts(bucket.run(*words, "--keep", kept, "--json").document) == (COUNT, COUNT, 0, 0)


def test_a_retry_of_what_was_lost_does_not_call_it_done(ceph_rgw: Server, bucket_on: BucketOn) -> None:
    """The copy is there with equal bytes; a retry skips what is the same, and this is not."""
    bucket = bucket_on(ceph_rgw)
    bucket.put(*numbered("a/", range(3)))
    lost = bucket.run("copy", bucket.url("a/"), bucket.url("b/"), "--sse", "AES256", "--json", code=1).document
    again = bucket.run("jobs", "retry", lost["job_id"], "--json", code=1).document
    assert again["counts"]["by_code"] == {"TargetExists": 3}


def test_tags_that_the_store_forgets_are_kept_by_putting_them(ceph_rgw: Server, bucket_on: BucketOn) -> None:
    """And without --keep tags the plan says that nobody knows."""
    bucket = bucket_on(ceph_rgw)
    keys = numbered("a/", range(COUNT))
    bucket.put(*keys)
    for key in keys:
        tags = {"TagSet": [{"Key": "of", "Value": key}]}
        bucket.client.put_object_tagging(Bucket=bucket.name, Key=key, Tagging=tags)
    planned = bucket.run("copy", bucket.url("a/"), bucket.url("c/"), "--dry-run", "--json").document
    assert any("--keep tags" in warning for warning in planned["plan"]["warnings"])
    bucket.move("a/", "b/", "--keep", "tags", "--yes")
    for key in keys:
        found = bucket.client.get_object_tagging(Bucket=bucket.name, Key="b" + key[1:])["TagSet"]
        assert found == [{"Key": "of", "Value": key}]
    assert bucket.keys("a/") == []


def _put_with_tags(bucket: Bucket, keys: list[str]) -> None:
    for key in keys:
        bucket.client.put_object(Bucket=bucket.name, Key=key, Body=b"x", Tagging="of=a", Metadata={"mission": "soho"})


def test_a_move_that_compares_tags_keeps_what_the_store_forgot(ceph_rgw: Server, bucket_on: BucketOn) -> None:
    """Ceph 16.2 drops the tags of a copy whose metadata is replaced, and says nothing: no source of such goes."""
    bucket = bucket_on(ceph_rgw)
    keys = numbered("a/", range(COUNT))
    _put_with_tags(bucket, keys)
    options = ["--metadata-directive", "merge", "--metadata", "level=2", "--with-metadata", "--with-tags", "--yes"]
    _, verify, delete = bucket.move("a/", "b/", *options, code=3)
    assert verify["counts"]["by_code"] == {"TagsDiffer": COUNT}
    assert delete["counts"]["by_code"] == {"NotProven": COUNT}
    assert bucket.keys("a/") == sorted(keys)
    told = bucket.run("jobs", "report", verify["job_id"], "--failed").out
    assert "'of' (missing)" in told
    bucket.move("a/", "c/", *options, "--keep", "tags")
    assert bucket.keys("a/") == []


def test_a_move_deletes_what_it_compared_in_everything(real_bucket: Bucket) -> None:
    """Small objects with metadata and tags, on each store; the mapping says what the proof covers."""
    keys = numbered("a/", range(COUNT))
    _put_with_tags(real_bucket, keys)
    _, verify, delete = real_bucket.move(
        "a/", "b/", "--keep", "tags", "--with-metadata", "--with-tags", "--with-storage-class", "--yes"
    )
    assert counts(delete) == (COUNT, COUNT, 0, 0)
    assert real_bucket.keys("a/") == []
    with Path(verify["mapping"]["csv"]).open(encoding="utf-8", newline="") as file:
        covered = [row["covered"] for row in csv.DictReader(file)]
    assert covered == ["bytes+metadata+storage-class+tags"] * COUNT


def test_a_delete_requires_what_verify_compared(bucket: Bucket) -> None:
    """A verify job that compared less is refused before anything; one that compared it is taken."""
    keys = numbered("a/", range(3))
    _put_with_tags(bucket, keys)
    copy = bucket.run("copy", bucket.url("a/"), bucket.url("b/"), "--json").document
    verify = bucket.run("verify", "--job", copy["job_id"], "--with-metadata", "--json").document
    words = ["delete", "--job", verify["job_id"], "--require", "metadata", "--require"]
    assert bucket.refused(*words, "tags", "--yes") == "NotCovered"
    unverified = ["delete", "--manifest", "x.csv", "--unverified", "--require", "tags"]
    assert "an unverified delete has none" in bucket.run(*unverified, code=2).err
    assert "storage-class" in bucket.run(*words, "acl", code=2).err
    assert counts(bucket.run(*words, "metadata", "--yes", "--json").document) == (3, 3, 0, 0)
    assert bucket.keys("a/") == []


def test_a_copy_that_was_told_other_attributes_is_compared_with_those(bucket: Bucket) -> None:
    """Verify knows what its copy job set anew; a plain comparison of the prefixes finds it."""
    _put_with_tags(bucket, ["a/k"])
    options = ["--metadata-directive", "merge", "--metadata", "level=2", "--tag", "x=y", "--storage-class"]
    copy = bucket.run("copy", bucket.url("a/"), bucket.url("b/"), *options, "STANDARD_IA", "--json").document
    compared = ["--with-metadata", "--with-tags", "--with-storage-class", "--json"]
    assert counts(bucket.run("verify", "--job", copy["job_id"], *compared).document) == (1, 1, 0, 0)
    found = bucket.run("verify", bucket.url("a/"), bucket.url("b/"), *compared, code=3).document
    assert found["counts"]["by_code"] == {"MetadataDiffers": 1}


def test_every_option_reaches_the_copies(ministack: Server, bucket_on: BucketOn) -> None:
    """From the command line through ledger and worker to the store."""
    bucket = bucket_on(ministack)
    bucket.client.put_object(Bucket=bucket.name, Key="a/k", Body=b"x", Metadata={"mission": "soho"}, CacheControl="no")
    options = ["--keep", "redirect", "--metadata-directive", "merge", "--metadata", "level=2", "--content-type", "a/b"]
    options += ["--tag", "project=x=y", "--storage-class", "STANDARD_IA", "--sse", "AES256"]
    bucket.run("copy", bucket.url("a/"), bucket.url("b/"), *options)
    head = bucket.client.head_object(Bucket=bucket.name, Key="b/k")
    assert head["Metadata"] == {"mission": "soho", "level": "2"}
    assert (head["CacheControl"], head["ContentType"], head["StorageClass"]) == ("no", "a/b", "STANDARD_IA")
    assert head["ServerSideEncryption"] == "AES256"
    tags = bucket.client.get_object_tagging(Bucket=bucket.name, Key="b/k")["TagSet"]
    assert tags == [{"Key": "project", "Value": "x=y"}]


def test_attributes_that_exclude_each_other_are_refused_before_anything(ministack: Server, bucket_on: BucketOn) -> None:
    """With an exit code of usage, and what to write instead."""
    bucket = bucket_on(ministack)
    bucket.put("a/k")
    ended = bucket.run("copy", bucket.url("a/"), bucket.url("b/"), "--metadata", "a=1", "--json", code=2)
    assert ended.document["error"]["code"] == "InvalidAttributes"
    assert "merge" in ended.document["error"]["way_out"]
    assert bucket.keys("b/") == []
