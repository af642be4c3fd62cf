"""What people read about an estimate: every figure with its basis, and nothing where nothing is known."""

from __future__ import annotations

from dataclasses import replace

from s3batch.cli.render import plan_lines, summary_lines
from s3batch.control.views import job_document
from s3batch.model.estimate import Charge, Estimate
from s3batch.model.job import Operation
from s3batch.model.status import JobStatus
from tests.unit.cli.records import PLAN, job

PRICED = Estimate(
    bytes_added=2048,
    charges=(
        Charge(kind="requests", what="List", quantity=1_000, unit="requests", usd=0.005),
        Charge(kind="requests", what="CopyObject into STANDARD", quantity=10**6, unit="requests", usd=5.0),
        Charge(kind="transfer", what="us-east-1 to us-west-2", quantity=10.0, unit="GB", usd=0.2),
    ),
    usd=5.205,
    usd_a_month=23.0,
    price_region="us-east-1",
    price_date="2026-10-03",
    seconds_at_s3_rate=286.0,
    seconds_at_max_rate=1_000.0,
    seconds_measured=(300.0, 1_200.0),
    jobs_measured=3,
    notes=("Prices of us-east-1 are shown; those of eu-west-1 differ.",),
)
UNPRICED = Estimate(bytes_added=2048)


def test_the_plan_on_aws_tells_storage_time_and_cost_with_what_they_rest_on() -> None:
    """A range, the day of the prices, and the parts of the sum."""
    lines = plan_lines(job(JobStatus.SUSPENDED, plan=replace(PLAN, estimate=PRICED)))
    first = lines.index("  requests  about 11: CopyObject 10, List 1")
    storage, time, cost = lines[first + 1 : first + 4]
    assert storage == (
        "  storage   2.0 KiB more for as long as originals and copies are both there;"
        " the copies cost about $23.00 a month"
    )
    assert time == (
        "  time      about 5 min 0 s to 20 min 0 s, by 3 copy jobs here;"
        " 4 min 46 s at S3's documented rates for one prefix partition; at least 16 min 40 s at --max-rate"
    )
    assert cost == ("  cost      about $5.21: requests $5.00, transfer $0.20 (at list prices of us-east-1, 2026-10-03)")
    assert lines[-1] == "  note      Prices of us-east-1 are shown; those of eu-west-1 differ."


def test_the_plan_on_another_store_tells_no_money() -> None:
    """And says that there is nothing yet to tell a time from."""
    lines = plan_lines(job(JobStatus.SUSPENDED, plan=replace(PLAN, estimate=UNPRICED)))
    assert "  storage   2.0 KiB more for as long as originals and copies are both there" in lines
    assert "  time      no comparable copy job has ended here yet to measure by" in lines
    assert not any("cost" in line or "$" in line for line in lines)


def test_the_plan_of_a_delete_says_what_it_does_not_free() -> None:
    """In a bucket with versioning: nothing."""
    kept = Estimate(bytes_not_freed=2048, seconds_measured=(3.0, 3.0), jobs_measured=1)
    lines = plan_lines(job(JobStatus.SUSPENDED, operation=Operation.DELETE, plan=replace(PLAN, estimate=kept)))
    assert "  storage   frees nothing: 2.0 KiB stay as old versions" in lines
    assert "  time      about 3.0 s, by 1 delete job here" in lines


def test_the_summary_repeats_what_the_plans_expected_to_be_charged() -> None:
    """Of all steps of a move together; not of a job that has done nothing, and not where no prices apply."""
    plan = replace(PLAN, estimate=PRICED)
    steps = [job(plan=plan, total=10, succeeded=10), job(operation=Operation.VERIFY, plan=plan, total=10, succeeded=10)]
    expected = (
        "  cost      about $10.41 as planned, at list prices of us-east-1, 2026-10-03; what was repeated comes on top"
    )
    assert expected in summary_lines(steps)
    assert not any("cost" in line for line in summary_lines([job(JobStatus.CANCELLED, plan=plan, total=10)]))
    unpriced = job(plan=replace(PLAN, estimate=UNPRICED), total=10, succeeded=10)
    assert not any("cost" in line for line in summary_lines([unpriced]))


def test_the_json_of_a_job_has_the_whole_estimate() -> None:
    """Every charge by itself, and what is not known as null."""
    found = job_document(job(plan=replace(PLAN, estimate=PRICED)))["plan"]["estimate"]
    assert found == {
        "bytes_added": 2048,
        "bytes_read": 0,
        "bytes_not_freed": 0,
        "charges": [
            {"kind": "requests", "what": "List", "quantity": 1_000, "unit": "requests", "usd": 0.005},
            {"kind": "requests", "what": "CopyObject into STANDARD", "quantity": 10**6, "unit": "requests", "usd": 5.0},
            {"kind": "transfer", "what": "us-east-1 to us-west-2", "quantity": 10.0, "unit": "GB", "usd": 0.2},
        ],
        "usd": 5.205,
        "usd_a_month": 23.0,
        "price_region": "us-east-1",
        "price_date": "2026-10-03",
        "seconds_at_s3_rate": 286.0,
        "seconds_at_max_rate": 1_000.0,
        "seconds_measured": [300.0, 1_200.0],
        "jobs_measured": 3,
        "notes": ["Prices of us-east-1 are shown; those of eu-west-1 differ."],
    }
    assert job_document(job(plan=replace(PLAN, estimate=UNPRICED)))["plan"]["estimate"]["usd"] is None
