"""A backup before a delete: copied and proven first, and nothing is deleted that is not proven there."""

import json
import time
from pathlib import Path

from s3batch.config import Home
from s3batch.ledger.store import open_ledger
from tests.safety.bucket import Bucket, counts, jobs_of, numbered

STEPS = ["copy", "verify", "copy", "verify", "delete"]


def test_a_move_with_a_backup_deletes_only_what_is_proven_there_too(bucket: Bucket) -> None:
    """What stands in the way of a backup copy keeps its source, although its copy at the target is proven."""
    keys = numbered("sdo/", range(20))
    bucket.put(*keys)
    in_the_way = f"backup/{sorted(keys)[3]}"
    bucket.put(in_the_way, body=b"something else")
    jobs = bucket.move("sdo/", "sdac/", "--backup", bucket.url("backup/"), "--yes", code=3)
    assert [job["operation"] for job in jobs] == STEPS
    assert counts(jobs[1]) == (20, 20, 0, 0)
    assert jobs[2]["counts"]["by_code"] == {"TargetExists": 1}
    assert counts(jobs[4]) == (20, 19, 0, 1)
    assert jobs[4]["counts"]["by_code"] == {"NotBackedUp": 1}
    assert bucket.keys("sdo/") == [sorted(keys)[3]]
    bodies = bucket.bodies("backup/")
    assert {key: body for key, body in bodies.items() if key != in_the_way} == {
        f"backup/{key}": key.encode() for key in keys if f"backup/{key}" != in_the_way
    }
    assert bodies[in_the_way] == b"something else"
    shown = bucket.run("jobs", "show", str(jobs[0]["move_id"])).out
    mapping = next(line for line in shown.splitlines() if "old->new" in line)
    assert str(jobs[1]["job_id"]) in mapping  # where the copies are, not where the backup is
    bucket.remove(in_the_way)
    again = jobs_of(bucket.run("jobs", "retry", str(jobs[0]["move_id"]), "--yes", "--json"))
    assert [(job["operation"], counts(job)) for job in again] == [(step, (1, 1, 0, 0)) for step in STEPS]
    assert bucket.keys("sdo/") == []
    assert len(bucket.keys("backup/")) == 20


def test_a_delete_with_hold_and_backup_renews_its_evidence_then_backs_up(bucket: Bucket) -> None:
    """In this order, so that the backup is as young as it can be; a backup among originals or copies is refused."""
    keys = numbered("sdo/", range(6))
    bucket.put(*keys)
    copy = jobs_of(bucket.run("copy", bucket.url("sdo/"), bucket.url("sdac/"), "--json"))[0]
    verify = jobs_of(bucket.run("verify", "--job", copy["job_id"], "--json"))[0]
    words = ["delete", "--job", verify["job_id"], "--yes", "--json", "--backup"]
    for where in ("sdac/", "sdac/backup/", "sdo/", "sdo/old/", ""):
        assert bucket.refused(*words[:-2], "--backup", bucket.url(where)) == "BackupOverlaps"
    assert bucket.refused(*words[:-2], "--backup", bucket.url("backup")) == "InexactPrefix"
    jobs = jobs_of(bucket.run(*words, bucket.url("backup/"), "--hold", "1s"))
    assert [job["operation"] for job in jobs] == ["verify", "copy", "verify", "delete"]
    assert [counts(job) for job in jobs] == [(6, 6, 0, 0)] * 4
    assert bucket.keys("sdo/") == []
    assert bucket.bodies("backup/") == {f"backup/{key}": key.encode() for key in keys}
    assert (
        "an unverified delete has none"
        in bucket.run("delete", "--manifest", "x.csv", "--unverified", "--backup", bucket.url("backup/"), code=2).err
    )


def test_a_backup_copy_that_is_lost_before_its_verify_keeps_the_source(bucket: Bucket) -> None:
    """What counts is what the backup's verify proved, row by row, not that a copy was made."""
    keys = numbered("sdo/", range(6))
    bucket.put(*keys)
    started = bucket.run(
        "move", bucket.url("sdo/"), bucket.url("sdac/"), "--backup", bucket.url("backup/"), "--json", "--dry-run"
    )
    planned = jobs_of(started)
    store = open_ledger(Home(root=bucket.command_line.home).ledger)
    backup_verify = str(planned[3]["job_id"])
    store.request_pause(backup_verify, actor="test", now_ms=time.time_ns() // 1_000_000)
    bucket.run("jobs", "confirm", str(planned[0]["move_id"]), "--json", code=130)  # paused before the backup's verify
    assert len(bucket.keys("backup/")) == 6
    bucket.remove(f"backup/{min(keys)}")
    bucket.run("jobs", "resume", str(planned[0]["move_id"]), "--json", code=3)
    bucket.run("jobs", "confirm", str(planned[0]["move_id"]), "--json", code=3)
    document = json.loads(bucket.run("jobs", "show", str(planned[4]["job_id"]), "--json").out)
    assert document["counts"]["by_code"] == {"NotBackedUp": 1}
    assert bucket.keys("sdo/") == sorted(keys)[:1]
    lines = Path(document["audit"]).read_text(encoding="ascii").splitlines()
    confirmed = next(json.loads(line) for line in lines if json.loads(line)["kind"] == "confirmed")
    assert confirmed["detail"]["options"]["backup_job_id"] == backup_verify
    store.close()
