"""Jobs as surfaces show them: the JSON form that scripts depend on (docs/design.md, "Command line")."""

from __future__ import annotations

import json
from typing import Any

from s3batch.ledger.records import Job
from s3batch.model.job import JobSpec
from s3batch.model.objects import S3Prefix
from s3batch.report.advice import advice


def job_document(job: Job) -> dict[str, Any]:
    """Return a job as a JSON object; members may be added, never renamed or removed."""
    counts, report = job.counts, job.report or {}
    spec = job.spec
    document: dict[str, Any] = {
        "job_id": job.id,
        "operation": str(job.operation),
        "status": str(job.status),
        "counts": {
            "total": counts.total,
            "succeeded": counts.succeeded,
            "failed": counts.failed,
            "kept": counts.kept,
            "by_code": dict(counts.by_code),
        },
        "bytes": job.bytes_done,
        "bytes_total": job.bytes_total,
        "report": report.get("uri"),
    }
    if job.move_id is not None:
        document |= {"move_id": job.move_id, "step": job.step}
    document |= {
        "source": source_of(spec),
        "target": target_of(spec),
        "priority": job.priority,
        "description": job.description,
        "created_at_ms": job.created_at_ms,
        "ended_at_ms": job.ended_at_ms,
        "active_s": round(job.active_ms / 1000, 3),
        "confirmation_required": job.confirmation_required,
        "confirmed_by": job.confirmed_by,
        "confirmed_at_ms": job.confirmed_at_ms,
        "held_until_ms": job.held_until_ms,
        "failure": None if job.failure_code is None else {"code": job.failure_code, "reason": job.failure_reason},
        "plan": None if job.plan_json is None else json.loads(job.plan_json),
        "progress": job.progress,
        "mapping": report.get("mapping"),
        "audit": report.get("audit"),
        "remaining": report.get("remaining"),
        "extra": report.get("extra"),
        "codes": [
            {"code": code, "count": count, "advice": advice(code), "samples": _samples(report, code)}
            for code, count in counts.by_code.items()
        ],
    }
    return document


def source_of(spec: JobSpec) -> str:
    """Return where a job's entries come from, for people."""
    source = spec.source
    if source.list_bucket is not None:
        return str(S3Prefix(bucket=source.list_bucket, prefix=source.list_prefix))
    if source.url is not None:
        return source.url
    return f"job {source.job_id}"


def target_of(spec: JobSpec) -> str | None:
    """Return where a job's entries go, for people."""
    mapping = spec.mapping
    return None if mapping is None else str(S3Prefix(bucket=mapping.target_bucket, prefix=mapping.add_prefix))


def _samples(report: dict[str, Any], code: str) -> list[dict[str, Any]]:
    samples = report.get("samples")
    return list(samples.get(code, [])) if isinstance(samples, dict) else []
