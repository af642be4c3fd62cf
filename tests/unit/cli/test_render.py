"""What people read about jobs: complete, in plain words, and safe for a terminal."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3batch.cli.render import event_lines, list_lines, next_steps, plan_lines, report_lines, share_text, summary_lines
from s3batch.ledger.records import Event
from s3batch.model.job import DeleteOptions, KeyMapping, ManifestSource, Operation
from s3batch.model.status import JobStatus
from tests.keys import keys
from tests.unit.cli.records import JOB_ID, PLAN, job, specification

MOVE = "81c2ab00-0000-4000-8000-000000000000"


def test_a_summary_answers_what_was_asked_what_happened_and_what_comes_next() -> None:
    """The whole screen of a copy of which one object failed."""
    ended = job(
        plan=PLAN,
        total=10,
        succeeded=9,
        failed=1,
        bytes_total=2048,
        bytes_done=1024,
        active_ms=2000,
        by_code={"AccessDenied": 1},
        report={
            "uri": "/home/reports/manifest.json",
            "mapping": {"csv": "/home/mapping.csv"},
            "samples": {"AccessDenied": [{"uri": "s3://archive/cdaweb/x", "message": "Forbidden"}]},
        },
    )
    assert summary_lines([ended]) == [
        f"Copy {JOB_ID}: Complete",
        "  from      s3://archive/cdaweb/",
        "  to        s3://archive/spdf/",
        "  Complete: 9 copied, 1 failed of 10 objects, 1.0 KiB, in 2.0 s (5 objects/s, 512 B/s)",
        "  1 x       AccessDenied (copy): A permission is missing on the source or the target; grant it, then retry.",
        "              s3://archive/cdaweb/x  (Forbidden)",
        "  report    /home/reports/manifest.json  (copy)",
        "  old->new  /home/mapping.csv",
        f"  next      s3batch jobs report {JOB_ID} --failed",
        f"  next      s3batch jobs retry {JOB_ID}",
    ]


def test_a_plan_says_what_will_be_done() -> None:
    """Objects, bytes, examples, requests, and how many can be proven by their ETag."""
    planned = job(JobStatus.SUSPENDED, plan=replace(PLAN, warnings=("2 objects are archived.",)))
    assert plan_lines(planned) == [
        f"Plan of the copy job {JOB_ID}",
        "  from      s3://archive/cdaweb/",
        "  to        s3://archive/spdf/",
        "  objects   10 objects, 2.0 KiB, in 1 chunk; the largest has 1.0 KiB",
        "  example   s3://archive/cdaweb/a  ->  s3://archive/spdf/a",
        "  requests  about 11: CopyObject 10, List 1",
        "  proof     equal ETags can be expected for 8 of 10; 2 objects may need --level checksum or bytes",
        "  note      2 objects are archived.",
    ]


def test_a_move_tells_of_all_its_steps_and_what_remains() -> None:
    """Kept sources are told once, by the delete; the source is said to be empty only if it was listed so."""
    steps = [
        job(id="copy-1", move_id=MOVE, plan=PLAN, total=10, succeeded=10),
        job(
            id="verify-1",
            move_id=MOVE,
            operation=Operation.VERIFY,
            plan=PLAN,
            total=10,
            succeeded=9,
            failed=1,
            by_code={"TargetMissing": 1},
        ),
        job(
            id="delete-1",
            move_id=MOVE,
            operation=Operation.DELETE,
            plan=PLAN,
            total=10,
            succeeded=9,
            kept=1,
            by_code={"TargetMissing": 1},
            report={
                "remaining": {
                    "entries": 3,
                    "not_in_manifest": 2,
                    "manifest": "/home/remaining.parquet",
                    "not_in_manifest_examples": ["s3://archive/cdaweb/new"],
                }
            },
        ),
    ]
    lines = summary_lines(steps)
    assert lines[0] == f"Move {MOVE}: delete is Complete"
    assert "  verify    Complete: 9 proven, 1 not proven of 10 objects, 0 B" in lines
    assert "  delete    Complete: 9 deleted, 1 kept of 10 objects, 0 B" in lines
    assert sum("TargetMissing" in line for line in lines) == 1
    assert any("still has 3 objects: 1 of this move" in line and "2 that it never named" in line for line in lines)
    assert lines[-1] == f"  next      s3batch jobs retry {MOVE}"
    empty = replace(steps[2], report_json='{"remaining": {"entries": 0}}')
    assert "  source    is empty: it was listed after the deletes" in summary_lines([*steps[:2], empty])


@pytest.mark.parametrize(
    ("status", "members", "expected"),
    [
        (JobStatus.ACTIVE, {}, [f"s3batch jobs watch {JOB_ID}"]),
        (JobStatus.PAUSED, {}, [f"s3batch jobs resume {JOB_ID}"]),
        (JobStatus.SUSPENDED, {}, [f"s3batch jobs confirm {JOB_ID}    (or: s3batch jobs cancel {JOB_ID})"]),
        (JobStatus.COMPLETE, {}, [f"s3batch verify --job {JOB_ID}"]),
        (
            JobStatus.COMPLETE,
            {"operation": Operation.VERIFY},
            [f"s3batch delete --job {JOB_ID}    (deletes the proven originals)"],
        ),
        (JobStatus.COMPLETE, {"operation": Operation.DELETE}, []),
        (JobStatus.FAILED, {}, [f"s3batch jobs show {JOB_ID}"]),
        (JobStatus.CANCELLED, {}, [f"s3batch jobs show {JOB_ID}"]),
    ],
)
def test_what_to_type_next_fits_where_the_job_stands(
    status: JobStatus, members: dict[str, object], expected: list[str]
) -> None:
    """A new user can go on without reading the manual."""
    assert next_steps([job(status, **members)]) == expected  # type: ignore[arg-type]


def test_an_unverified_delete_is_never_offered_with_its_number() -> None:
    """Whoever confirms it must have looked at the plan."""
    spec = specification(Operation.DELETE, mapping=None, delete=DeleteOptions(unverified=True))
    waiting = job(JobStatus.SUSPENDED, operation=Operation.DELETE, spec=spec, plan=PLAN, total=10)
    assert next_steps([waiting])[0].startswith(f"s3batch jobs confirm {JOB_ID} --objects N ")


def test_a_job_that_failed_says_why() -> None:
    """The reason stands below the result."""
    failed = job(JobStatus.FAILED, failure_code="NoSuchBucket", failure_reason="The bucket archive is not there.")
    assert "  reason    The bucket archive is not there." in summary_lines([failed])


def test_a_delete_says_whose_evidence_it_follows() -> None:
    """Not "from" and "to": nothing goes to the copies."""
    spec = specification(Operation.DELETE, source=ManifestSource(job_id="verify-1"))
    lines = plan_lines(job(JobStatus.SUSPENDED, operation=Operation.DELETE, spec=spec, plan=PLAN))
    assert lines[1:3] == [
        "  deletes   the objects proven by job verify-1",
        "  copies    stay below s3://archive/spdf/",
    ]


def test_the_list_has_one_line_for_each_job_under_its_heads() -> None:
    """Columns line up; ids are short enough to read and long enough to use."""
    jobs = [job(total=10, succeeded=9, failed=1, bytes_total=2048), job(JobStatus.NEW, move_id=MOVE)]
    heads, *lines = list_lines(jobs)
    columns = ("JOB", "MOVE", "OPERATION", "STATUS", "DONE", "OBJECTS", "FAILED", "KEPT", "BYTES", "CREATED", "WHAT")
    assert tuple(heads.split()) == columns
    assert lines[0].split()[:8] == ["37b5a6ab", "copy", "Complete", "100%", "10", "1", "0", "2.0"]
    assert lines[1].startswith("37b5a6ab  81c2ab00  copy       New")


@given(done=st.integers(0, 10**9), total=st.integers(1, 10**9))
def test_a_hundred_per_cent_means_all(done: int, total: int) -> None:
    """Rounding never says that a job is at its end."""
    assert (share_text(min(done, total), total) == "100%") == (done >= total)


@given(key=keys())
def test_a_hostile_key_cannot_steer_the_terminal(key: str) -> None:
    """Control characters in samples, examples and reasons are shown as escapes."""
    uri = f"s3://archive/{key}"
    plan = replace(PLAN, examples=((uri, uri),), missing_examples=(key,), warnings=(key,))
    ended = job(
        JobStatus.FAILED,
        plan=plan,
        total=1,
        failed=1,
        by_code={"Odd": 1},
        failure_reason=key,
        report={"uri": uri, "samples": {"Odd": [{"uri": uri, "message": key}]}},
    )
    event = Event(id=1, job_id="job", at_ms=0, kind="odd", actor="somebody", detail={"key": key})
    lines = [*plan_lines(ended), *summary_lines([ended]), *report_lines([ended]), *event_lines([event])]
    assert all(line.isprintable() for line in lines)


def test_a_hold_is_told_in_summary_list_and_plan() -> None:
    """Whoever looks sees until when nothing will be deleted."""
    spec = specification(Operation.VERIFY, hold_s=86_400)
    held = job(
        JobStatus.READY, operation=Operation.VERIFY, spec=spec, plan=PLAN, total=10, held_until_ms=1_764_000_000_000
    )
    assert "  hold      waits 1 d 0 h before it begins" in plan_lines(held)
    assert "  Ready: 10 objects, 0 B; on hold until 2025-11-24 16:00:00Z, then all is verified again" in summary_lines(
        [held]
    )
    assert "on hold until 2025-11-24 16:00:00Z: s3://archive/cdaweb/" in list_lines([held])[1]


def test_a_proven_delete_is_offered_bound_to_its_plan() -> None:
    """What is typed confirms this plan and no other; the plan shows the same digits."""
    plan = replace(PLAN, manifest_sha256="0123456789abcdef" * 4)
    waiting = job(JobStatus.SUSPENDED, operation=Operation.DELETE, plan=plan, total=10)
    assert next_steps([waiting])[0].startswith(
        f"s3batch jobs confirm {JOB_ID} --objects 10 --manifest-sha256 0123456789abcdef "
    )
    assert "  manifest  SHA-256 0123456789abcdef..." in plan_lines(waiting)


def test_confirmations_are_told_with_who_and_what() -> None:
    """One that came with the request knew no plan yet."""
    facts = {"how": "typed", "objects": 1_234, "manifest_sha256": "0123456789abcdef" * 4}
    events = [
        Event(id=1, job_id="job", at_ms=0, kind="confirmed", actor="a@b", detail={"how": "with the request"}),
        Event(id=2, job_id="job", at_ms=0, kind="confirmed", actor="a@b", detail=facts),
        Event(id=3, job_id="job", at_ms=0, kind="held", actor="r", detail={"until_ms": 1_764_000_000_000}),
    ]
    assert [line.partition("Z  ")[2] for line in event_lines(events)] == [
        "confirmed by a@b, with the request",
        "confirmed by a@b, typed: 1,234 objects, manifest 0123456789abcdef",
        "on hold until 2025-11-24 16:00:00Z",
    ]


def test_the_steps_of_a_backup_are_told_apart_and_their_mapping_is_not_the_new_address() -> None:
    """Old -> new is where the copies are, for whoever switches an index."""
    elsewhere = KeyMapping(target_bucket="other", add_prefix="b/")
    places = (
        (Operation.COPY, None),
        (Operation.COPY, elsewhere),
        (Operation.VERIFY, elsewhere),
        (Operation.DELETE, None),
    )
    steps = [
        job(
            operation=operation,
            spec=specification(operation, **({} if mapping is None else {"mapping": mapping})),
            plan=PLAN,
            report={"mapping": {"csv": "/backup.csv" if mapping else "/new.csv"}},
        )
        for operation, mapping in places
    ]
    lines = summary_lines(steps)
    assert [line.split()[0] for line in lines if "Complete: " in line][-4:] == ["copy", "backup", "backup", "delete"]
    assert "  old->new  /new.csv" in lines


def test_events_are_told_in_words() -> None:
    """With the time of each."""
    events = [
        Event(id=1, job_id="job", at_ms=0, kind="status", actor="r", detail={"from": "New", "to": "Preparing"}),
        Event(id=2, job_id="job", at_ms=1000, kind="acquired", actor="r", detail={"host": "here"}),
    ]
    assert event_lines(events) == [
        "  1970-01-01 00:00:00Z  New -> Preparing",
        "  1970-01-01 00:00:01Z  taken by a runner on here",
    ]
