"""kill -9 at moments that chance would seldom hit: while planning, while reporting, twice, again and again, mid-upload.

The fault proxy makes the moment long; the ledger or the journal tells when it has come.
"""

import json
import os
import random
import signal
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from s3batch.ledger.records import ChunkState
from s3batch.model.status import JobStatus
from tests.archive import PART_BYTES, fill_archive, listed, require_moved
from tests.crash.moving import POLL_S, STAGES, WAIT_S, Move, move_of
from tests.servers.fault_proxy import run_fault_proxy
from tests.servers.faults import Fault, FaultPlan
from tests.servers.server import Server

OBJECTS = 400
CHANCE = random.Random(1)
PARTS = 4

pytestmark = pytest.mark.crash


def slow(matching: str, delay_s: float, probability: float = 1.0) -> FaultPlan:
    """Return a plan that lets the answers to some requests come late."""
    return FaultPlan(probabilities={Fault.DELAY_ANSWER: probability}, delay_s=delay_s, matching=matching)


@pytest.mark.parametrize("kind", ["runner", "group"])
def test_a_move_killed_while_it_is_planned_is_planned_again(
    kind: str, ministack: Server, bucket_name: str, tmp_path: Path
) -> None:
    """Preparing starts from the beginning: nothing had been touched."""
    client = ministack.boto3_client()
    originals = fill_archive(client, bucket_name, "cdaweb/", objects=OBJECTS)
    plan = slow("list-type", 10.0)
    with run_fault_proxy(tmp_path, ministack, plan) as proxy, move_of(tmp_path, proxy.server.environment()) as move:
        move.start(f"s3://{bucket_name}/cdaweb/", f"s3://{bucket_name}/spdf/")
        assert move.wait_until("copy", lambda job: job.status is JobStatus.PREPARING)
        assert move.kill(kind, CHANCE)
        assert move.jobs()[0].status is JobStatus.PREPARING
        assert listed(client, bucket_name, "spdf/") == {}
        proxy.change_plan(FaultPlan())
        move.resume()
    require_moved(client, bucket_name, originals, "cdaweb/", "spdf/")
    move.require_exact_counts(len(originals))


@pytest.mark.parametrize("stage", STAGES)
def test_a_move_killed_while_it_reports_writes_the_whole_report(
    stage: str, ministack: Server, bucket_name: str, tmp_path: Path
) -> None:
    """Completing writes the report again; its rows are those of the segments, and no task runs twice."""
    client = ministack.boto3_client()
    originals = fill_archive(client, bucket_name, "cdaweb/", objects=OBJECTS)
    plan = slow(f"^PUT /{bucket_name}/reports/", 1.0)
    with run_fault_proxy(tmp_path, ministack, plan) as proxy, move_of(tmp_path, proxy.server.environment()) as move:
        place = f"s3://{bucket_name}/reports/"
        move.start(f"s3://{bucket_name}/cdaweb/", f"s3://{bucket_name}/spdf/", "--report", place)
        assert move.wait_until(stage, lambda job: job.status is JobStatus.COMPLETING)
        time.sleep(0.5)
        assert move.kill("group", CHANCE)
        assert move.jobs()[STAGES.index(stage)].status is JobStatus.COMPLETING
        proxy.change_plan(FaultPlan())
        document = move.resume()
        repeated = proxy.counts().repeated_writes
    require_moved(client, bucket_name, originals, "cdaweb/", "spdf/")
    move.require_exact_counts(len(originals))
    for job in document["jobs"]:
        assert _reported_rows(client, job["report"]) == len(originals)
    reports = len(listed(client, bucket_name, "reports/"))
    assert repeated <= reports  # only objects of a report were written twice


def _reported_rows(client: Any, uri: str) -> int:  # noqa: ANN401 (boto3 makes its classes at run time)
    bucket, _, key = uri.removeprefix("s3://").partition("/")
    manifest = json.loads(client.get_object(Bucket=bucket, Key=key)["Body"].read())
    rows = 0
    for result in manifest["Results"]:
        body: bytes = client.get_object(Bucket=result["Bucket"], Key=result["Key"])["Body"].read()
        rows += len(body.splitlines())
    return rows


def test_a_move_killed_twice_in_a_row_goes_on_both_times(ministack: Server, bucket_name: str, tmp_path: Path) -> None:
    """The second runner is killed while it does what the first one left, the third ends it."""
    client = ministack.boto3_client()
    originals = fill_archive(client, bucket_name, "cdaweb/", objects=OBJECTS)
    plan = slow("^PUT ", 0.1)
    with run_fault_proxy(tmp_path, ministack, plan) as proxy, move_of(tmp_path, proxy.server.environment()) as move:
        move.chunk_entries = 50
        move.start(f"s3://{bucket_name}/cdaweb/", f"s3://{bucket_name}/spdf/", "--concurrency", "8")
        for fraction in (0.1, 0.4):
            assert move.wait_for("copy", fraction)
            assert move.kill("group", CHANCE)
            if fraction < 0.4:
                move.resume_detached()
        move.resume()
        repeated = proxy.counts().repeated_writes
    require_moved(client, bucket_name, originals, "cdaweb/", "spdf/")
    move.require_exact_counts(len(originals))
    assert repeated <= 2 * move.workers * move.chunk_entries


def test_a_chunk_that_kills_every_worker_ends_the_move_and_nothing_is_deleted(
    ministack: Server, bucket_name: str, tmp_path: Path
) -> None:
    """Poison has a limit: the job fails and says why, what follows it is cancelled, the source is whole."""
    client = ministack.boto3_client()
    originals = fill_archive(client, bucket_name, "cdaweb/", objects=100, multipart=False)
    before = listed(client, bucket_name, "cdaweb/")
    plan = slow("^PUT ", 30.0)
    with run_fault_proxy(tmp_path, ministack, plan) as proxy, move_of(tmp_path, proxy.server.environment()) as move:
        move.start(f"s3://{bucket_name}/cdaweb/", f"s3://{bucket_name}/spdf/")
        assert move.wait_for("copy", 0)
        _kill_workers_at_work(move)
        assert [job.status for job in move.jobs()] == [JobStatus.FAILED, JobStatus.CANCELLED, JobStatus.CANCELLED]
        assert move.jobs()[0].failure_code == "ChunkLost"
        assert move.run("jobs", "watch", move.move_id).returncode == 5
    assert listed(client, bucket_name, "cdaweb/") == before
    assert len(before) == len(originals)


def _kill_workers_at_work(move: Move) -> None:
    """Kill whichever workers there are, again and again, until the copy ends."""
    deadline_s = time.monotonic() + WAIT_S
    runner_pid = move.runner_pid()
    assert runner_pid is not None
    while time.monotonic() < deadline_s:
        job = move.jobs()[0]
        if job.ended_at_ms is not None:
            return
        with move.store() as store:
            is_at_work = any(chunk.state is ChunkState.RUNNING for chunk in store.chunks(job.id))
        if is_at_work:
            for pid in move.worker_pids(runner_pid):
                _kill(pid)
        time.sleep(0.1)
    raise AssertionError(f"the copy did not end: {move.jobs()[0]} {move.log()}")


def _kill(pid: int) -> None:
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return


@pytest.mark.parametrize("kind", ["runner", "worker", "group"])
def test_an_upload_that_was_open_at_the_kill_is_aborted_by_the_next_attempt(
    kind: str, ministack: Server, bucket_name: str, tmp_path: Path
) -> None:
    """No listing shows unfinished parts, and they are billed; a late completion of the old upload finds none."""
    client = ministack.boto3_client()
    originals = fill_archive(client, bucket_name, "cdaweb/", objects=20, multipart=False)
    client.put_object(Bucket=bucket_name, Key="cdaweb/huge.cdf", Body=b"x" * (PARTS * PART_BYTES), ContentType="a/b")
    plan = slow("^PUT .*partNumber=", 3.0)
    limits = ("--multipart-threshold", str(PART_BYTES), "--part-size", str(PART_BYTES), "--level", "bytes")
    with run_fault_proxy(tmp_path, ministack, plan) as proxy, move_of(tmp_path, proxy.server.environment()) as move:
        move.start(f"s3://{bucket_name}/cdaweb/", f"s3://{bucket_name}/spdf/", *limits)
        _wait_for_open_upload(move, client, bucket_name)
        assert move.kill(kind, CHANCE)
        if kind != "worker":
            assert len(_open_uploads(client, bucket_name)) == 1
        proxy.change_plan(FaultPlan())
        move.resume()
    assert _open_uploads(client, bucket_name) == []
    head = client.head_object(Bucket=bucket_name, Key="spdf/huge.cdf")
    assert (head["ContentLength"], head["ContentType"]) == (PARTS * PART_BYTES, "a/b")
    assert listed(client, bucket_name, "cdaweb/") == {}
    move.require_exact_counts(len(originals) + 1)


def _wait_for_open_upload(move: Move, client: Any, bucket: str) -> None:  # noqa: ANN401 (boto3)
    """Wait until an upload is open in the store and written down in the journal."""
    deadline_s = time.monotonic() + WAIT_S
    while time.monotonic() < deadline_s:
        journals = list(move.home.root.rglob("journal/*"))
        if any("begun" in each.read_text() for each in journals) and _open_uploads(client, bucket):
            return
        time.sleep(POLL_S)
    raise AssertionError(f"no upload was begun: {move.jobs()} {move.log()}")


def _open_uploads(client: Any, bucket: str) -> list[Mapping[str, Any]]:  # noqa: ANN401 (boto3)
    uploads: list[Mapping[str, Any]] = client.list_multipart_uploads(Bucket=bucket).get("Uploads", [])
    return uploads


def test_a_second_runner_on_the_same_ledger_leaves_at_once_and_drives_nothing(
    ministack: Server, bucket_name: str, tmp_path: Path
) -> None:
    """The lock of the first is held for its life; after its kill -9 the next one gets it at once."""
    client = ministack.boto3_client()
    originals = fill_archive(client, bucket_name, "cdaweb/", objects=100)
    plan = slow("^PUT ", 1.0)
    with run_fault_proxy(tmp_path, ministack, plan) as proxy, move_of(tmp_path, proxy.server.environment()) as move:
        move.start(f"s3://{bucket_name}/cdaweb/", f"s3://{bucket_name}/spdf/")
        assert move.wait_for("copy", 0)
        first = move.runner_pid()
        refused = move.run("runner", "--workers", "1", "--idle-exit", "1")
        assert refused.returncode == 5
        assert "Another runner" in refused.stderr
        assert "Traceback" not in refused.stderr
        assert move.runner_pid() == first
        assert {job.epoch for job in move.jobs()[:1]} == {1}
        proxy.change_plan(FaultPlan())
        move.kill("runner", CHANCE)
        move.resume()
    require_moved(client, bucket_name, originals, "cdaweb/", "spdf/")
    move.require_exact_counts(len(originals))
