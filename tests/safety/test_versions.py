"""Buckets with versioning: markers, each once and its id on record; nothing permanent (safety.md rules 16 to 18)."""

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from s3batch.ledger.segments import read_outcomes
from s3batch.model.status import JobStatus
from tests.crash.moving import Move, move_of
from tests.safety.bucket import Bucket, counts, numbered
from tests.servers.fault_proxy import run_fault_proxy
from tests.servers.faults import Fault, FaultPlan
from tests.servers.server import Server

KEYS = numbered("cdaweb/", range(60))


def _enable(bucket: Bucket, status: str = "Enabled") -> None:
    bucket.client.put_bucket_versioning(Bucket=bucket.name, VersioningConfiguration={"Status": status})


def _markers(client: Any, bucket: str) -> dict[str, list[str]]:  # noqa: ANN401 (boto3 makes its classes at run time)
    found: dict[str, list[str]] = {}
    for page in client.get_paginator("list_object_versions").paginate(Bucket=bucket, Prefix="cdaweb/"):
        for each in page.get("DeleteMarkers", []):
            found.setdefault(each["Key"], []).append(each["VersionId"])
    return found


def test_each_source_gets_one_marker_and_removing_it_brings_the_object_back(real_bucket: Bucket) -> None:
    """The undo of a move on a versioned bucket is in its records."""
    bucket = real_bucket
    _enable(bucket)
    bucket.put(*KEYS)
    jobs = bucket.move("cdaweb/", "spdf/", "--yes")
    assert counts(jobs[2]) == (60, 60, 0, 0)
    markers = _markers(bucket.client, bucket.name)
    assert {key: len(ids) for key, ids in markers.items()} == dict.fromkeys(KEYS, 1)
    assert bucket.keys("cdaweb/") == []
    for key, (marker,) in markers.items():
        bucket.client.delete_object(Bucket=bucket.name, Key=key, VersionId=marker)
    assert bucket.bodies("cdaweb/") == {key: key.encode() for key in KEYS}


@pytest.mark.crash
def test_a_delete_whose_answers_died_with_the_runner_makes_no_second_marker(
    ministack: Server, bucket_on: Callable[[Server], Bucket], tmp_path: Path
) -> None:
    """Killed after the store did it and before the answer came: the markers are found, and their ids recorded."""
    bucket = bucket_on(ministack)
    _enable(bucket)
    bucket.put(*KEYS)
    plan = FaultPlan(probabilities={Fault.DELAY_ANSWER: 1.0}, delay_s=5.0, matching="[?]delete")
    with run_fault_proxy(tmp_path, ministack, plan) as proxy, move_of(tmp_path, proxy.server.environment()) as move:
        move.start(bucket.url("cdaweb/"), bucket.url("spdf/"))
        assert move.wait_until("delete", lambda job: job.status is JobStatus.ACTIVE and not bucket.keys("cdaweb/"))
        assert move.kill("group", random.Random(1))
        proxy.change_plan(FaultPlan())
        move.resume()
        markers = _markers(bucket.client, bucket.name)
        assert {key: len(ids) for key, ids in markers.items()} == dict.fromkeys(KEYS, 1)
        move.require_exact_counts(len(KEYS))
        assert _recorded_markers(move) == {marker for ids in markers.values() for marker in ids}
        assert move.jobs()[2].counts.by_code == {"AlreadyGone": len(KEYS)}


def _recorded_markers(move: Move) -> set[str | None]:
    found: set[str | None] = set()
    with move.store() as store:
        job = store.jobs_by_move(move.move_id)[2]
        for chunk in store.chunks(job.id):
            outcomes = read_outcomes(store.segments(job.id, chunk.chunk_no), chunk.entries)
            found |= set(outcomes.column("version_id").to_pylist())
    return found
