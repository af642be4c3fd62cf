"""Undo of a delete in a bucket with versioning: exactly this job's markers go, and nothing else (rules 16 and 18)."""

import json
import random
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from s3batch.s3.xml_tree import xml_can_carry
from tests.crash.moving import move_of
from tests.e2e.command import CommandLine
from tests.keys import HOSTILE_KEYS
from tests.safety.bucket import Bucket, counts, jobs_of, numbered
from tests.servers.fault_proxy import run_fault_proxy
from tests.servers.faults import Fault, FaultPlan
from tests.servers.gaps import gap
from tests.servers.server import Server

KEYS = numbered("cdaweb/", range(40))


@pytest.fixture(params=["ministack", "ceph_rgw"])
def versioned(request: pytest.FixtureRequest, bucket_on: Callable[[Server], Bucket]) -> Bucket:
    """A bucket with versioning on each server that lists versions in their order."""
    bucket = bucket_on(request.getfixturevalue(request.param))
    enable(bucket)
    return bucket


def enable(bucket: Bucket) -> None:
    """Turn versioning on."""
    bucket.client.put_bucket_versioning(Bucket=bucket.name, VersioningConfiguration={"Status": "Enabled"})


def versions(bucket: Bucket) -> dict[str, set[str]]:
    """Return the ids of all versions, without markers, by key."""
    found: dict[str, set[str]] = {}
    for page in bucket.client.get_paginator("list_object_versions").paginate(Bucket=bucket.name):
        for each in page.get("Versions", []):
            found.setdefault(each["Key"], set()).add(each["VersionId"])
    return found


def markers(bucket: Bucket) -> dict[str, list[str]]:
    """Return the ids of all delete markers by key."""
    found: dict[str, list[str]] = {}
    for page in bucket.client.get_paginator("list_object_versions").paginate(Bucket=bucket.name):
        for each in page.get("DeleteMarkers", []):
            found.setdefault(each["Key"], []).append(each["VersionId"])
    return found


def moved(bucket: Bucket, *keys: str) -> str:
    """Put objects, move them away and return the move's id."""
    bucket.put(*keys)
    jobs = bucket.move("cdaweb/", "spdf/", "--yes")
    assert counts(jobs[2]) == (len(keys), len(keys), 0, 0)
    return str(jobs[2]["move_id"])


def undo(bucket: Bucket, job_id: str, *options: str, code: int = 0) -> dict[str, Any]:
    """Undo a delete and return the undo job."""
    return jobs_of(bucket.run("jobs", "undo", job_id, "--yes", "--json", *options, code=code))[0]


def test_an_undo_brings_every_object_back_and_touches_no_version(versioned: Bucket) -> None:
    """``s3batch jobs undo MOVE``: all is current again, hostile keys too; a second undo finds nothing to do."""
    names = {key for key in HOSTILE_KEYS if len(key.encode()) < 1000 and xml_can_carry(key)}
    if gap(versioned.server.name, "versions-of-carriage-returns") is not None:
        names = {name for name in names if "\r" not in name}
    keys = [*KEYS, *(f"cdaweb/{name}" for name in sorted(names))]
    move_id = moved(versioned, *keys)
    before = versions(versioned)
    job = undo(versioned, move_id)
    assert counts(job) == (len(keys), len(keys), 0, 0)
    assert job["counts"]["by_code"] == {}
    assert job["operation"] == "undo"
    assert versioned.bodies("cdaweb/") == {key: key.encode() for key in keys}
    assert (versions(versioned), markers(versioned)) == (before, {})
    again = undo(versioned, move_id)
    assert again["counts"]["by_code"] == {"AlreadyUndone": len(keys)}
    assert counts(again) == (len(keys), len(keys), 0, 0)
    assert versions(versioned) == before


def test_what_was_written_or_deleted_since_is_kept_as_it_is(versioned: Bucket) -> None:
    """New object, second marker, lost version, marker removed by hand: each has its code, and nothing of it changes."""
    client = versioned.client
    move_id = moved(versioned, *KEYS)
    written, again, gone, by_hand = KEYS[:4]
    made = markers(versioned)
    versioned.put(written, body=b"written since")
    client.delete_object(Bucket=versioned.name, Key=again)
    for version_id in versions(versioned)[gone]:
        client.delete_object(Bucket=versioned.name, Key=gone, VersionId=version_id)
    client.delete_object(Bucket=versioned.name, Key=by_hand, VersionId=made[by_hand][0])
    is_marked_twice = gap(versioned.server.name, "second-delete-marker") is None
    before, others = versions(versioned), {key: set(ids) for key, ids in markers(versioned).items()}
    job = undo(versioned, move_id, code=3)
    kept = {written: "NotLatest", gone: "NoSuchVersion"} | ({again: "NotLatest"} if is_marked_twice else {})
    assert job["counts"]["by_code"] == {"AlreadyUndone": 1, "NoSuchVersion": 1, "NotLatest": len(kept) - 1}
    assert counts(job) == (len(KEYS), len(KEYS) - len(kept), 0, len(kept))
    assert versioned.failed_rows(job["job_id"]) == kept
    assert versions(versioned) == before
    left = {key: set(ids) for key, ids in markers(versioned).items()}
    assert left == {key: others[key] for key in kept}
    assert set(versioned.keys("cdaweb/")) == {*KEYS} - (kept.keys() - {written})


def test_a_plan_counts_the_markers_and_a_dry_run_removes_none(versioned: Bucket) -> None:
    """``--dry-run`` stops at the plan, in which what cannot be undone is told."""
    move_id = moved(versioned, *KEYS)
    before = markers(versioned)
    job = jobs_of(versioned.run("jobs", "undo", move_id, "--dry-run", "--json"))[0]
    assert (job["status"], job["plan"]["markers"]) == ("Suspended", len(KEYS))
    assert job["plan"]["requests"] == {"ListObjectVersions": len(KEYS), "DeleteObjects": 1}
    assert any(f"{len(KEYS)} delete markers are on record" in warning for warning in job["plan"]["warnings"])
    assert markers(versioned) == before
    versioned.run("jobs", "confirm", job["job_id"])
    assert markers(versioned) == {}


def test_the_number_of_markers_is_typed(bucket: Bucket) -> None:
    """In a terminal another number leaves the job waiting; the right one runs it."""
    enable(bucket)
    move_id = moved(bucket, *KEYS)
    question = "Type the number of markers"
    stopped = bucket.command_line.run_in_terminal("jobs", "undo", move_id, answers={question: "y"})
    assert stopped.code == 0, stopped.err
    assert len(markers(bucket)) == len(KEYS)
    done = bucket.command_line.run_in_terminal("jobs", "undo", move_id, answers={question: str(len(KEYS))})
    assert done.code == 0, done.err
    assert markers(bucket) == {}


def test_without_versioning_the_refusal_says_how_to_copy_back(bucket: Bucket) -> None:
    """Nothing is started; the command that is named brings the objects back."""
    move_id = moved(bucket, *KEYS)
    ended = bucket.run("jobs", "undo", move_id, "--yes", "--json", code=4)
    failure = jobs_of(ended)[0]["failure"]
    assert failure["code"] == "NoMarkers"
    command = f"s3batch copy {bucket.url('spdf/')} {bucket.url('cdaweb/')} --if-target-exists skip-if-same"
    assert f"`{command}`" in failure["reason"]
    bucket.run(*command.split()[1:])
    assert bucket.bodies("cdaweb/") == {key: key.encode() for key in KEYS}


def test_only_a_delete_that_has_ended_is_undone(bucket: Bucket) -> None:
    """A copy is refused; so are a delete that waits, and a retry of an undo."""
    enable(bucket)
    bucket.put(*KEYS)
    jobs = bucket.move("cdaweb/", "spdf/", code=0)
    refused = bucket.run("jobs", "undo", jobs[0]["job_id"], "--yes", "--json", code=4)
    assert refused.document["error"]["code"] == "WrongOperation"
    waiting = bucket.run("jobs", "undo", jobs[2]["job_id"], "--yes", "--json", code=4)
    assert waiting.document["error"]["code"] == "NotEnded"
    bucket.run("jobs", "confirm", str(jobs[2]["move_id"]))
    bucket.put(KEYS[0], body=b"since")
    job = undo(bucket, jobs[2]["job_id"], code=3)
    again = bucket.run("jobs", "retry", job["job_id"], "--json", code=4)
    assert again.document["error"]["code"] == "WrongOperation"


def test_a_delete_that_was_cancelled_can_be_undone(bucket: Bucket) -> None:
    """The undo does not wait for a completion that never comes; before the first marker there is nothing to undo."""
    enable(bucket)
    bucket.put(*KEYS)
    jobs = bucket.move("cdaweb/", "spdf/")
    bucket.run("jobs", "cancel", str(jobs[2]["move_id"]))
    ended = bucket.run("jobs", "undo", jobs[2]["job_id"], "--yes", "--json", code=4)
    document = ended.document
    code = document["error"]["code"] if "error" in document else jobs_of(ended)[0]["failure"]["code"]
    assert code in {"NothingToUndo", "NoManifest"}


def test_a_delete_that_was_kept_in_part_is_undone_in_part(bucket: Bucket) -> None:
    """What the delete kept is nothing to undo, and its object stays."""
    enable(bucket)
    bucket.put(*KEYS)
    jobs = bucket.move("cdaweb/", "spdf/")
    bucket.put(KEYS[0], body=b"changed before the delete")
    bucket.run("jobs", "confirm", str(jobs[2]["move_id"]), code=3)
    job = undo(bucket, jobs[2]["job_id"])
    assert job["counts"]["by_code"] == {"NotDeleted": 1}
    assert bucket.bodies("cdaweb/") == {key: key.encode() for key in KEYS[1:]} | {KEYS[0]: b"changed before the delete"}


def test_two_undos_at_once_end_well(versioned: Bucket) -> None:
    """They claim the same keys, so one waits for the other and finds its work done."""
    move_id = moved(versioned, *KEYS)
    before = versions(versioned)
    both = [versioned.command_line.start("jobs", "undo", move_id, "--yes", "--json") for _ in range(2)]
    ended = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0], ended
    assert versioned.bodies("cdaweb/") == {key: key.encode() for key in KEYS}
    assert (versions(versioned), markers(versioned)) == (before, {})


@pytest.mark.parametrize("fault", [Fault.LOSE_ANSWER, Fault.DELIVER_TWICE, Fault.RESET_BEFORE, Fault.TRUNCATED_BODY])
def test_lost_answers_and_doubled_requests_remove_nothing_else(
    fault: Fault, ministack: Server, bucket_on: Callable[[Server], Bucket], tmp_path: Path
) -> None:
    """The first removals are carried out and their answers lost, or they arrive twice: each object is current once."""
    bucket = bucket_on(ministack)
    enable(bucket)
    with run_fault_proxy(tmp_path, ministack, FaultPlan()) as proxy:
        command_line = CommandLine(home=tmp_path / "home", environment=proxy.server.environment())
        through = replace(bucket, command_line=command_line)
        move_id = moved(through, *KEYS)
        before = versions(bucket)
        proxy.change_plan(FaultPlan(probabilities={fault: 1.0}, matching="[?]delete", maximum=2))
        job = undo(through, move_id)
        assert proxy.counts().injected[str(fault)] >= 1
    assert counts(job) == (len(KEYS), len(KEYS), 0, 0)
    assert bucket.bodies("cdaweb/") == {key: key.encode() for key in KEYS}
    assert (versions(bucket), markers(bucket)) == (before, {})


@pytest.mark.crash
def test_an_undo_that_is_killed_goes_on_and_each_object_is_current(
    ministack: Server, bucket_on: Callable[[Server], Bucket], tmp_path: Path
) -> None:
    """Killed with -9 after the store removed the markers and before it answered: the next attempt finds them gone."""
    bucket = bucket_on(ministack)
    enable(bucket)
    bucket.put(*KEYS)
    with (
        run_fault_proxy(tmp_path, ministack, FaultPlan()) as proxy,
        move_of(tmp_path, proxy.server.environment()) as move,
    ):
        move.start(bucket.url("cdaweb/"), bucket.url("spdf/"))
        assert move.run("jobs", "watch", move.move_id).returncode == 0
        before = versions(bucket)
        proxy.change_plan(FaultPlan(probabilities={Fault.DELAY_ANSWER: 1.0}, delay_s=5.0, matching="[?]delete"))
        started = move.run("jobs", "undo", move.move_id, "--yes", "--detach", "--json")
        job_id = json.loads(started.stdout)["job_id"]
        deadline_s = time.monotonic() + 60
        while markers(bucket):
            assert time.monotonic() < deadline_s, move.log()
            time.sleep(0.05)
        assert move.kill("group", random.Random(1))
        proxy.change_plan(FaultPlan())
        ended = move.run("jobs", "resume", job_id, "--json")
        assert ended.returncode == 0, ended
        (job,) = [json.loads(ended.stdout)]
    assert counts(job) == (len(KEYS), len(KEYS), 0, 0)
    assert job["counts"]["by_code"] == {"AlreadyUndone": len(KEYS)}
    assert bucket.bodies("cdaweb/") == {key: key.encode() for key in KEYS}
    assert (versions(bucket), markers(bucket)) == (before, {})


def test_on_a_store_that_lists_markers_apart_nothing_is_removed(
    moto: Server, bucket_on: Callable[[Server], Bucket]
) -> None:
    """Which version lies below a marker is not told there (moto), so every marker is kept, and said so."""
    bucket = bucket_on(moto)
    enable(bucket)
    move_id = moved(bucket, *KEYS)
    before = markers(bucket)
    assert undo(bucket, move_id, code=3)["counts"]["by_code"] == {"NotLatest": len(KEYS)}
    assert markers(bucket) == before
