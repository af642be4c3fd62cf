"""Job records in any state, as the ledger gives them."""

from __future__ import annotations

import json
from dataclasses import fields
from typing import Any

from s3batch.ledger.records import Job
from s3batch.model.job import JobSpec, KeyMapping, ManifestSource, Operation, Plan
from s3batch.model.status import JobStatus

JOB_ID = "37b5a6ab-1e0e-4d4f-81d9-3ca6ee88ae1f"


def specification(operation: Operation = Operation.COPY, **members: Any) -> JobSpec:  # noqa: ANN401 - any member
    """Return a specification of cdaweb/ to spdf/."""
    given: dict[str, Any] = {
        "source": ManifestSource(list_bucket="archive", list_prefix="cdaweb/"),
        "mapping": KeyMapping(target_bucket="archive", strip_prefix="cdaweb/", add_prefix="spdf/"),
    }
    return JobSpec(operation=operation, **{**given, **members})


def job(
    status: JobStatus = JobStatus.COMPLETE,
    *,
    operation: Operation = Operation.COPY,
    spec: JobSpec | None = None,
    plan: Plan | None = None,
    by_code: dict[str, int] | None = None,
    progress: dict[str, object] | None = None,
    report: dict[str, object] | None = None,
    **members: object,
) -> Job:
    """Return a job's record; counts and bytes are zero unless given."""
    absent: dict[str, object] = dict.fromkeys(each.name for each in fields(Job))
    numbers = {each.name: 0 for each in fields(Job) if each.type == "int"}
    return Job.from_row(
        {
            **absent,
            **numbers,
            "id": JOB_ID,
            "operation": str(operation),
            "status": str(status),
            "confirmation_required": False,
            "description": "",
            "spec_json": (spec or specification(operation)).to_json(),
            "plan_json": None if plan is None else plan.to_json(),
            "by_code_json": json.dumps(by_code or {}),
            "progress_json": None if progress is None else json.dumps(progress),
            "report_json": None if report is None else json.dumps(report),
            **members,
        }
    )


PLAN = Plan(
    entries=10,
    bytes=2048,
    chunks=1,
    largest_bytes=1024,
    decidable_by_etag=8,
    requests={"CopyObject": 10, "List": 1},
    examples=(("s3://archive/cdaweb/a", "s3://archive/spdf/a"),),
)
