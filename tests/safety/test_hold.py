"""The gate's time: holds between proof and delete, evidence renewed after them, evidence that is too old, samples."""

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from s3batch.config import Home
from s3batch.control.jobs import create_job
from s3batch.ledger.records import Job
from s3batch.ledger.store import open_ledger
from s3batch.model.job import JobSpec, ManifestSource, Operation
from tests.e2e.command import WAIT_S
from tests.safety.bucket import Bucket, counts, jobs_of, numbered

HOLD_S = 4
STEPS = ["copy", "verify", "verify", "delete"]


def _events(job: dict[str, Any], kind: str) -> list[dict[str, Any]]:
    return [event for event in job["events"] if event["kind"] == kind]


def _became(job: dict[str, Any], status: str) -> str:
    """Return when the job first had a status; moments of one form are in the order of their texts."""
    return str(next(event["at"] for event in _events(job, "status") if event["detail"]["to"] == status))


def _shown(bucket: Bucket, name: str) -> list[dict[str, Any]]:
    return jobs_of(bucket.run("jobs", "show", name, "--json"))


def _ledger_job(bucket: Bucket, name: str, is_so: Callable[[Job], bool]) -> Job:
    """Wait until one of the jobs of a move is as asked."""
    store = open_ledger(Home(root=bucket.command_line.home).ledger)
    deadline_s = time.monotonic() + WAIT_S
    try:
        while time.monotonic() < deadline_s:
            for job in store.find_jobs(name):
                if is_so(job):
                    return job
            time.sleep(0.05)
    finally:
        store.close()
    raise AssertionError(f"no job of {name} got there")


def _start_held_move(bucket: Bucket, hold: str, *options: str) -> tuple[str, Job]:
    """Start a move with a hold and return its id once the hold has begun."""
    started = bucket.run(
        "move", bucket.url("sdo/"), bucket.url("sdac/"), "--yes", "--hold", hold, "--detach", "--json", *options
    )
    move_id = str(started.document["move_id"])
    return move_id, _ledger_job(bucket, move_id, lambda job: job.is_on_hold)


def test_a_hold_passes_before_the_first_delete_and_the_evidence_is_renewed_after_it(bucket: Bucket) -> None:
    """What happened to a copy during the hold is found by the second verify, and its source stays (rule 14)."""
    keys = numbered("sdo/", range(20))
    bucket.put(*keys)
    move_id, held = _start_held_move(bucket, f"{HOLD_S}s")
    assert held.operation is Operation.VERIFY
    assert "on hold until " in bucket.run("jobs", "list").out
    assert "on hold until " in bucket.run("jobs", "show", move_id).out
    told = {job["job_id"]: job for job in bucket.run("jobs", "list", "--json").document}
    assert told[held.id]["held_until_ms"] == held.held_until_ms
    assert bucket.keys("sdo/") == sorted(keys)
    lost, changed = (key.replace("sdo/", "sdac/") for key in sorted(keys)[:2])
    bucket.remove(lost)
    bucket.put(changed, body=b"a colleague was here")
    bucket.run("jobs", "watch", move_id, "--json", code=3)
    jobs = _shown(bucket, move_id)
    assert [job["operation"] for job in jobs] == STEPS
    assert counts(jobs[1]) == (20, 20, 0, 0)
    assert jobs[2]["counts"]["by_code"] == {"TargetDifferent": 1, "TargetMissing": 1}
    assert counts(jobs[3]) == (20, 18, 0, 2)
    assert bucket.keys("sdo/") == sorted(keys)[:2]
    (hold,) = _events(jobs[2], "held")
    assert hold["detail"]["hold_s"] == HOLD_S
    assert hold["at"] > _became(jobs[1], "Completing")
    assert _became(jobs[2], "Active") > _became(jobs[1], "Complete")
    waited_ms = next(event["detail"]["store_time_ms"] for event in _events(jobs[2], "started"))
    assert waited_ms >= hold["detail"]["until_store_ms"]
    assert _became(jobs[3], "Active") > _became(jobs[2], "Complete")


def test_a_hold_outlives_its_runner_and_is_not_begun_anew(bucket: Bucket) -> None:
    """The runner dies by kill -9 in the middle: the hold's end stays, nothing is deleted before, all is moved after."""
    keys = numbered("sdo/", range(20))
    bucket.put(*keys)
    move_id, held = _start_held_move(bucket, "8s")
    store = open_ledger(Home(root=bucket.command_line.home).ledger)
    runners = store.live_runners(now_ms=time.time_ns() // 1_000_000, within_ms=60_000)
    store.close()
    for runner in runners:
        os.killpg(runner.pid, signal.SIGKILL)
    shown = {job["job_id"]: job for job in _shown(bucket, move_id)}
    assert (shown[held.id]["status"], shown[held.id]["held_until_ms"]) == ("Ready", held.held_until_ms)
    bucket.run("jobs", "watch", move_id, "--json")
    assert time.time_ns() // 1_000_000 >= (held.held_until_ms or 0)
    jobs = _shown(bucket, move_id)
    assert len(_events(jobs[2], "held")) == 1
    assert jobs[2]["held_until_ms"] == held.held_until_ms
    assert [counts(job) for job in jobs] == [(20, 20, 0, 0)] * 4
    assert bucket.keys("sdo/") == []


def test_a_move_on_hold_can_be_paused_and_cancelled(bucket: Bucket) -> None:
    """The hold is the time for a change of mind: nothing has been deleted, and nothing will be."""
    keys = numbered("sdo/", range(5))
    bucket.put(*keys)
    move_id, held = _start_held_move(bucket, "1h")
    bucket.run("jobs", "pause", move_id, "--json")
    assert _ledger_job(bucket, held.id, lambda job: job.status == "Paused").is_on_hold
    bucket.run("jobs", "resume", move_id, "--detach")
    assert _ledger_job(bucket, held.id, lambda job: job.status == "Ready").held_until_ms == held.held_until_ms
    bucket.run("jobs", "cancel", move_id, "--json")
    assert [job["status"] for job in _shown(bucket, move_id)] == ["Complete", "Complete", "Cancelled", "Cancelled"]
    assert bucket.keys("sdo/") == sorted(keys)


def test_a_delete_after_a_hold_takes_the_same_entries_and_new_evidence(bucket: Bucket) -> None:
    """Of a verify without a copy job, too: its pinned manifest, not what a new listing would find."""
    keys = numbered("sdo/", range(8))
    bucket.put(*keys)
    bucket.run("copy", bucket.url("sdo/"), bucket.url("sdac/"), "--json")
    verify = jobs_of(bucket.run("verify", bucket.url("sdo/"), bucket.url("sdac/"), "--json"))[0]
    bucket.put("sdo/new.fits")
    ended = bucket.run("delete", "--job", verify["job_id"], "--hold", "1s", "--yes", "--json")
    again, delete = jobs_of(ended)
    assert counts(again) == counts(delete) == (8, 8, 0, 0)
    assert (again["operation"], again["plan"]["manifest_sha256"]) == ("verify", verify["plan"]["manifest_sha256"])
    assert bucket.keys("sdo/") == ["sdo/new.fits"]
    assert (
        "unverified delete has none"
        in bucket.run("delete", "--manifest", "x.csv", "--unverified", "--hold", "1h", code=2).err
    )
    assert "is not a span of time" in bucket.run("delete", "--job", "x", "--hold", "24", code=2).err


def test_evidence_that_is_too_old_permits_no_delete(bucket: Bucket) -> None:
    """Before the plan, and again when a plan that waited long is confirmed; the way out is to verify again."""
    keys = numbered("sdo/", range(8))
    bucket.put(*keys)
    copy = jobs_of(bucket.run("copy", bucket.url("sdo/"), bucket.url("sdac/"), "--json"))[0]
    verify = jobs_of(bucket.run("verify", "--job", copy["job_id"], "--json"))[0]
    time.sleep(1.1)
    words = ["delete", "--job", verify["job_id"], "--max-evidence-age"]
    assert bucket.refused(*words, "1s", "--yes") == "EvidenceTooOld"
    refused = bucket.run(*words, "1s", "--yes", code=4)
    assert f"`s3batch verify --job {copy['job_id']}`" in refused.out
    waiting = jobs_of(bucket.run(*words, "20s", "--json"))[0]
    assert any("--max-evidence-age 20s" in note for note in waiting["plan"]["warnings"])
    time.sleep(20)
    assert bucket.refused("jobs", "confirm", waiting["job_id"]) == "EvidenceTooOld"
    assert bucket.keys("sdo/") == sorted(keys)
    fresh = jobs_of(bucket.run("verify", "--job", copy["job_id"], "--json"))[0]
    bucket.run("delete", "--job", fresh["job_id"], "--yes", "--json")
    assert bucket.keys("sdo/") == []


def test_a_delete_on_the_evidence_of_a_sample_is_refused_by_the_runner_too(bucket: Bucket) -> None:
    """Whoever writes the job into the ledger: the runner looks where the entries of the evidence came from."""
    bucket.put(*numbered("sdo/", range(20)))
    copy = jobs_of(bucket.run("copy", bucket.url("sdo/"), bucket.url("sdac/"), "--sample", "5", "--json"))[0]
    verify = jobs_of(bucket.run("verify", "--job", copy["job_id"], "--json"))[0]
    assert bucket.refused("delete", "--job", verify["job_id"], "--yes") == "SampleDelete"
    store = open_ledger(Home(root=bucket.command_line.home).ledger)
    spec: JobSpec = store.get_job(verify["job_id"]).spec
    source = ManifestSource(job_id=verify["job_id"])
    delete = JobSpec(operation=Operation.DELETE, source=source, mapping=spec.mapping, connection=spec.connection)
    job = create_job(store, delete, now_ms=time.time_ns() // 1_000_000)
    store.close()
    assert bucket.refused("jobs", "watch", job.id) == "SampleDelete"
    assert len(bucket.keys("sdo/")) == 20


def test_a_confirmation_is_bound_to_the_plan_that_was_shown_and_recorded(bucket: Bucket) -> None:
    """Another number or manifest is refused; who confirmed what and how is in the ledger and beside the report."""
    bucket.put(*numbered("sdo/", range(6)))
    jobs = bucket.move("sdo/", "sdac/")
    delete_id, sha256 = jobs[2]["job_id"], str(jobs[2]["plan"]["manifest_sha256"])
    other = ("0" if sha256[0] != "0" else "1") + sha256[1:8]
    for wrong in (["--objects", "7"], ["--objects", "6", "--manifest-sha256", other]):
        assert bucket.refused("jobs", "confirm", delete_id, *wrong) == "PlanChanged"
    bucket.run("jobs", "confirm", delete_id, "--manifest-sha256", "12", code=2)
    bucket.run("jobs", "confirm", delete_id, "--objects", "6", "--manifest-sha256", sha256[:12].upper(), "--json")
    assert bucket.keys("sdo/") == []
    (delete,) = _shown(bucket, delete_id)
    (confirmed,) = _events(delete, "confirmed")
    detail = confirmed["detail"]
    assert (detail["objects"], detail["manifest_sha256"], detail["how"]) == (6, sha256, "by options")
    assert confirmed["actor"] == delete["confirmed_by"] == f"{detail['user']}@{detail['host']}"
    assert detail["options"]["max_evidence_age_s"] == 7 * 86_400
    lines = [json.loads(line) for line in Path(delete["audit"]).read_text(encoding="ascii").splitlines()]
    assert lines == delete["events"][: len(lines)]
    kinds = [line["kind"] for line in lines]
    assert kinds.index("created") < kinds.index("planned") < kinds.index("confirmed") < kinds.index("started")
    assert lines[-1]["detail"].get("to") == "Complete"


def test_a_confirmation_in_advance_is_recorded_with_the_request(bucket: Bucket) -> None:
    """``--yes``: who said it is known before there is a plan; the plan's counts follow."""
    bucket.put(*numbered("sdo/", range(3)))
    jobs = bucket.move("sdo/", "sdac/", "--yes")
    (delete,) = _shown(bucket, jobs[2]["job_id"])
    (confirmed,), (planned,) = _events(delete, "confirmed"), _events(delete, "planned")
    assert (confirmed["detail"]["in_advance"], confirmed["detail"]["how"]) == (True, "with the request")
    assert (
        confirmed["actor"]
        == _events(delete, "created")[0]["actor"]
        == f"{confirmed['detail']['user']}@" + str(confirmed["detail"]["host"])
    )
    assert (planned["detail"]["entries"], planned["detail"]["manifest_sha256"]) == (
        3,
        delete["plan"]["manifest_sha256"],
    )
    assert not _events(_shown(bucket, jobs[1]["job_id"])[0], "confirmed")
