"""Canaries do not stay: not after kill -9 of a job's runner, not after Ctrl-C; and no job takes one for an object."""

import random
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from s3batch.model.status import JobStatus
from tests.crash.moving import move_of
from tests.e2e.command import CommandLine
from tests.safety.bucket import numbered
from tests.servers.fault_proxy import FaultProxy, run_fault_proxy
from tests.servers.faults import Fault, FaultPlan
from tests.servers.server import Server

WAIT_S = 60.0
SLOW = FaultPlan(probabilities={Fault.DELAY_ANSWER: 1.0}, delay_s=30.0, matching="PUT .*s3batch-canary-.*-changed")
"""The answer to one of the copies of a canary comes late, when others are there already."""


@pytest.fixture
def slow(ministack: Server, tmp_path: Path) -> Iterator[FaultProxy]:
    """A proxy that holds a probe in its middle."""
    with run_fault_proxy(tmp_path, ministack, SLOW) as proxy:
        yield proxy


@pytest.fixture
def client(ministack: Server, bucket_name: str) -> Any:  # noqa: ANN401 (boto3's)
    """A client; the bucket has versions and a source."""
    client = ministack.boto3_client()
    client.create_bucket(Bucket=bucket_name)
    client.put_bucket_versioning(Bucket=bucket_name, VersioningConfiguration={"Status": "Enabled"})
    for key in numbered("a/", range(20)):
        client.put_object(Bucket=bucket_name, Key=key, Body=key.encode())
    return client


def canaries(client: Any, bucket: str) -> set[str]:  # noqa: ANN401 (boto3's)
    """Return the keys of canaries, hidden and deleted ones too."""
    answer = client.list_object_versions(Bucket=bucket, Prefix="probes/")
    return {each["Key"] for kind in ("Versions", "DeleteMarkers") for each in answer.get(kind, [])}


def wait_for_canary(client: Any, bucket: str, ending: str) -> None:  # noqa: ANN401 (boto3's)
    """Wait until a probe has come to its middle."""
    deadline_s = time.monotonic() + WAIT_S
    while not any(key.endswith(ending) for key in canaries(client, bucket)):
        assert time.monotonic() < deadline_s
        time.sleep(0.05)


def test_the_canaries_of_a_killed_job_are_removed_when_it_goes_on(
    client: Any,  # noqa: ANN401 (boto3's)
    slow: FaultProxy,
    bucket_name: str,
    tmp_path: Path,
) -> None:
    """At once, by the job that wrote them; then it probes anew and moves what it was to move."""
    with move_of(tmp_path, slow.server.environment()) as move:
        places = (f"s3://{bucket_name}/a/", f"s3://{bucket_name}/b/")
        move.start(*places, "--probe-prefix", f"s3://{bucket_name}/probes/")
        wait_for_canary(client, bucket_name, "-changed")
        assert move.jobs()[0].status is JobStatus.PREPARING
        assert move.kill("group", random.Random(1))
        assert len(canaries(client, bucket_name)) > 2  # a kill leaves them; they are found by their names
        slow.change_plan(FaultPlan())
        document = move.resume()
    assert canaries(client, bucket_name) == set()
    assert [job["counts"]["succeeded"] for job in document["jobs"]] == [20, 20, 20]
    listed = client.list_objects_v2(Bucket=bucket_name)["Contents"]
    assert [each["Key"] for each in listed] == sorted(numbered("b/", range(20)))


def test_a_check_that_is_interrupted_removes_its_canaries(
    client: Any,  # noqa: ANN401 (boto3's)
    slow: FaultProxy,
    bucket_name: str,
    tmp_path: Path,
) -> None:
    """Ctrl-C in its middle, while an answer is on its way."""
    commands = CommandLine(home=tmp_path / "home", environment=slow.server.environment())
    places = (f"s3://{bucket_name}/a/", f"s3://{bucket_name}/b/")
    process = commands.start("check", *places, "--probe-prefix", f"s3://{bucket_name}/probes/", "--json")
    wait_for_canary(client, bucket_name, "-changed")
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=WAIT_S)
    assert process.returncode == 130, errors
    assert canaries(client, bucket_name) == set()
