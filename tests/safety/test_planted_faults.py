"""Faults of ten kinds among many objects: each is named by its code, and exactly their sources stay.

S3BATCH_PLANTED_OBJECTS says among how many (2,000 unless told otherwise); one in a hundred gets a fault.
"""

import json
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import pytest

from tests.safety.bucket import Bucket, counts
from tests.servers.server import Server

OBJECTS = int(os.environ.get("S3BATCH_PLANTED_OBJECTS", "2000"))
SHARE = 100
THREADS = 8
BucketOn = Callable[[Server], Bucket]
Plant = Callable[[Any, str, str], None]


def overwrite(place: str) -> Plant:
    """Return what writes other bytes there."""
    return lambda client, bucket, name: client.put_object(Bucket=bucket, Key=place + name, Body=b"other bytes")


def remove(place: str) -> Plant:
    """Return what deletes there."""
    return lambda client, bucket, name: client.delete_object(Bucket=bucket, Key=place + name)


def same_at_target(client: Any, bucket: str, name: str) -> None:  # noqa: ANN401 - boto3 is untyped
    """Put equal bytes at the target."""
    client.put_object(Bucket=bucket, Key="b/" + name, Body=name.encode())


def deny(client: Any, bucket: str, name: str) -> None:  # noqa: ANN401
    """Forbid to read a source, beside what is forbidden already."""
    try:
        statements = json.loads(client.get_bucket_policy(Bucket=bucket)["Policy"])["Statement"]
    except client.exceptions.ClientError:
        statements = []
    rule = {"Effect": "Deny", "Principal": "*", "Action": "s3:GetObject"}
    statements.append({**rule, "Resource": f"arn:aws:s3:::{bucket}/a/{name}"})
    policy = {"Version": "2012-10-17", "Statement": statements}
    client.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A kind of fault: before which job it is planted, how, and how the jobs call it."""

    before: str
    plant: Plant
    codes: tuple[str | None, str | None, str]
    """Of copy, verify and delete; None where the job succeeds with the object."""
    is_source_gone: bool = False


KINDS = (
    Kind(before="copy", plant=overwrite("a/"), codes=("SourceChanged", "TargetMissing", "NotProven")),
    Kind(before="copy", plant=remove("a/"), codes=("NoSuchKey", "TargetMissing", "NotProven"), is_source_gone=True),
    Kind(before="copy", plant=overwrite("b/"), codes=("TargetExists", "TargetExists", "NotProven")),
    Kind(before="copy", plant=same_at_target, codes=("TargetExists", "TargetExists", "NotProven")),
    Kind(before="copy", plant=deny, codes=("AccessDenied", "TargetMissing", "NotProven")),
    Kind(before="verify", plant=remove("b/"), codes=(None, "TargetMissing", "NotProven")),
    Kind(before="verify", plant=overwrite("b/"), codes=(None, "TargetDifferent", "NotProven")),
    Kind(before="delete", plant=overwrite("a/"), codes=(None, None, "SourceChanged")),
    Kind(before="delete", plant=overwrite("b/"), codes=(None, None, "TargetChanged")),
    Kind(before="delete", plant=remove("b/"), codes=(None, None, "TargetMissing")),
)


@pytest.mark.timeout(3600)
def test_each_planted_fault_is_named_and_exactly_their_sources_stay(ministack: Server, bucket_on: BucketOn) -> None:
    """``copy``, ``verify`` and ``delete`` of what was planned before anything happened to it."""
    bucket = bucket_on(ministack)
    names = [f"{number % 7}/{number:07d}.cdf" for number in range(OBJECTS)]
    client = ministack.boto3_client(max_pool_connections=THREADS)
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(lambda name: client.put_object(Bucket=bucket.name, Key="a/" + name, Body=name.encode()), names))
    kind_by_name = {name: KINDS[number % len(KINDS)] for number, name in enumerate(names[::SHARE])}

    def plant(before: str) -> None:
        for name, kind in kind_by_name.items():
            if kind.before == before:
                kind.plant(client, bucket.name, name)

    planned = bucket.run("copy", bucket.url("a/"), bucket.url("b/"), "--dry-run", "--json").document
    plant("copy")
    copy = bucket.run("jobs", "confirm", planned["job_id"], "--json", code=1).document
    plant("verify")
    verify = bucket.run("verify", "--job", copy["job_id"], "--json", code=3).document
    plant("delete")
    delete = bucket.run("delete", "--job", verify["job_id"], "--yes", "--json", code=3).document

    for step, job in enumerate((copy, verify, delete)):
        expected = {f"a/{name}": kind.codes[step] for name, kind in kind_by_name.items() if kind.codes[step]}
        assert bucket.failed_rows(job["job_id"]) == expected
    assert counts(delete) == (OBJECTS, OBJECTS - len(kind_by_name), 0, len(kind_by_name))
    assert bucket.keys("a/") == sorted(f"a/{name}" for name, kind in kind_by_name.items() if not kind.is_source_gone)
    arrived = {key.removeprefix("b/") for key in bucket.keys("b/")}
    assert set(names) - set(kind_by_name) <= arrived
