"""What a chunk attempt is told and what it answers, as JSON values that any engine can carry.

The specification travels whole; files are named by path. Secrets never travel: the worker asks the credential chain.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from s3batch.ledger.segments import SegmentInfo
from s3batch.model.job import JobSpec


@dataclass(frozen=True, kw_only=True, slots=True)
class SegmentRef:
    """An accepted segment: where it is and the digest that the ledger holds."""

    path: str
    sha256: str


@dataclass(frozen=True, kw_only=True, slots=True)
class AttemptOrder:
    """What one attempt at one chunk is to do."""

    job_id: str
    spec: JobSpec
    chunk_no: int
    epoch: int
    is_first: bool
    """False where an earlier attempt may have done part of the work without recording it."""
    manifest: str
    manifest_sha256: str = ""
    """The content that the plan was made of; another manifest under this name is refused. Empty: not known."""
    segment: str
    """The file to write the outcomes to."""
    journal: str
    """The folder of the upload journals."""
    lock: str
    """The file to hold a shared lock on for as long as the attempt runs."""
    job_started_at_ms: int
    versioning: str = ""
    """Of the bucket that is written: ``Enabled`` or empty; what a delete leaves behind depends on it."""
    recorded: Sequence[SegmentRef] = ()
    """This chunk's accepted segments: their rows are done."""
    evidence: Sequence[SegmentRef] = ()
    """The same chunk's segments of the job that this one builds on."""
    backup: Sequence[SegmentRef] = ()
    """The same chunk's segments of the backup's verify job."""
    evidence_at_ms: int | None = None
    """When the oldest of these was recorded."""

    def to_payload(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "job_id": self.job_id,
            "spec": self.spec.to_json(),
            "chunk_no": self.chunk_no,
            "epoch": self.epoch,
            "is_first": self.is_first,
            "manifest": self.manifest,
            "manifest_sha256": self.manifest_sha256,
            "segment": self.segment,
            "journal": self.journal,
            "lock": self.lock,
            "job_started_at_ms": self.job_started_at_ms,
            "versioning": self.versioning,
            "recorded": [[each.path, each.sha256] for each in self.recorded],
            "evidence": [[each.path, each.sha256] for each in self.evidence],
            "evidence_at_ms": self.evidence_at_ms,
            "backup": [[each.path, each.sha256] for each in self.backup],
        }

    @classmethod
    def from_payload(cls, payload: Mapping[str, Any]) -> Self:
        """Return the order that :meth:`to_payload` wrote."""
        members = dict(payload)
        members["spec"] = JobSpec.from_json(members["spec"])
        for name in ("recorded", "evidence", "backup"):
            members[name] = tuple(SegmentRef(path=path, sha256=sha256) for path, sha256 in members[name])
        return cls(**members)


@dataclass(frozen=True, kw_only=True, slots=True)
class AttemptError:
    """Why an attempt could not go on; what it had recorded by then counts."""

    family: str
    code: str
    message: str


@dataclass(frozen=True, kw_only=True, slots=True)
class AttemptResult:
    """What an attempt did."""

    segment: SegmentInfo | None = None
    """``None`` where not one row got an outcome."""
    is_complete: bool = False
    """Every row of the chunk has an outcome now."""
    error: AttemptError | None = None

    def to_payload(self) -> dict[str, Any]:
        """Return the JSON form."""
        segment = self.segment
        return {
            "segment": None
            if segment is None
            else {
                "path": str(segment.path),
                "sha256": segment.sha256,
                "rows": segment.rows,
                "succeeded": segment.succeeded,
                "failed": segment.failed,
                "kept": segment.kept,
                "bytes_done": segment.bytes_done,
                "by_code": segment.by_code,
            },
            "is_complete": self.is_complete,
            "error": None
            if self.error is None
            else {"family": self.error.family, "code": self.error.code, "message": self.error.message},
        }

    @classmethod
    def from_payload(cls, payload: Mapping[str, Any]) -> Self:
        """Return the result that :meth:`to_payload` wrote, or the error that a worker caught in its place."""
        segment = payload.get("segment")
        error = payload.get("error")
        return cls(
            segment=None if segment is None else SegmentInfo(**{**segment, "path": Path(segment["path"])}),
            is_complete=payload.get("is_complete", False),
            error=None if error is None else AttemptError(**error),
        )
