"""The summary of a job: counts, bytes, rates, failures by code with samples, where the report lies.

In: what the ledger counted, and for samples the manifest and segments. Out: a value and its JSON form, which scripts
depend on (design, "Command line"): ``job_id``, ``operation``, ``status``, ``counts``, ``bytes``, ``report`` and
``move_id``, and members of our own behind them. How it looks in a terminal is the command line's business.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from s3batch.manifest.normalised import NormalisedManifest
from s3batch.model.job import Operation
from s3batch.model.outcome import Counts
from s3batch.model.status import JobStatus
from s3batch.report.advice import advice
from s3batch.report.ended import EndedChunk, SegmentsOfChunk, ended_chunks

DEFAULT_SAMPLES_PER_CODE = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """One task that ended with a code."""

    uri: str
    """The entry as ``s3://bucket/key``, not encoded."""
    version_id: str | None
    message: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """What happened in one job."""

    job_id: str
    operation: Operation
    status: JobStatus
    counts: Counts
    bytes_done: int
    """Bytes of the objects whose tasks succeeded."""
    elapsed_s: float
    report_uri: str | None = None
    move_id: str | None = None
    samples_by_code: dict[str, tuple[Sample, ...]] = field(default_factory=dict)

    @property
    def objects_per_s(self) -> float:
        """Return ended tasks a second over the whole job."""
        return self.counts.ended / self.elapsed_s if self.elapsed_s > 0 else 0.0

    @property
    def bytes_per_s(self) -> float:
        """Return bytes a second over the whole job."""
        return self.bytes_done / self.elapsed_s if self.elapsed_s > 0 else 0.0

    def to_document(self) -> dict[str, Any]:
        """Return the JSON form."""
        return {
            "job_id": self.job_id,
            "operation": str(self.operation),
            "status": str(self.status),
            "counts": {
                "total": self.counts.total,
                "succeeded": self.counts.succeeded,
                "failed": self.counts.failed,
                "kept": self.counts.kept,
                "by_code": dict(self.counts.by_code),
            },
            "bytes": self.bytes_done,
            "report": self.report_uri,
            **({} if self.move_id is None else {"move_id": self.move_id}),
            "elapsed_s": round(self.elapsed_s, 3),
            "objects_per_s": round(self.objects_per_s, 1),
            "bytes_per_s": round(self.bytes_per_s, 1),
            "codes": [self._code_document(code, count) for code, count in self.counts.by_code.items()],
        }

    def _code_document(self, code: str, count: int) -> dict[str, Any]:
        """Return what is known about one code."""
        samples = self.samples_by_code.get(code, ())
        return {
            "code": code,
            "count": count,
            "advice": advice(code),
            "samples": [
                {"uri": sample.uri, "version_id": sample.version_id, "message": sample.message} for sample in samples
            ],
        }


def find_samples(
    manifest: NormalisedManifest,
    segments_of_chunk: SegmentsOfChunk,
    codes: Collection[str],
    *,
    per_code: int = DEFAULT_SAMPLES_PER_CODE,
) -> dict[str, tuple[Sample, ...]]:
    """Return the first ``per_code`` tasks that ended with each of ``codes``; reads no further than it must.

    Without codes nothing is read at all.

    Raises:
        InconsistentError: a damaged manifest or segment, or an entry with two outcomes.
    """
    found: dict[str, list[Sample]] = {code: [] for code in codes}
    wanting = set(codes)
    if not wanting or per_code < 1:
        return {}
    for chunk in ended_chunks(
        manifest, segments_of_chunk, entry_columns=("key", "version_id"), outcome_columns=("code", "message")
    ):
        for code, sample in _samples_of_chunk(chunk, wanting, per_code):
            if len(found[code]) < per_code:
                found[code].append(sample)
        wanting = {code for code in wanting if len(found[code]) < per_code}
        if not wanting:
            break
    return {code: tuple(samples) for code, samples in found.items()}


def _samples_of_chunk(chunk: EndedChunk, codes: set[str], per_code: int) -> list[tuple[str, Sample]]:
    """Return at most ``per_code`` tasks for each code."""
    column: Any = chunk.outcomes.column("code").cast(pa.string())
    samples = []
    for code in sorted(codes):
        has_code = pc.fill_null(pc.equal(column, pa.scalar(code)), pa.scalar(False))
        rows = pc.indices_nonzero(has_code)[:per_code]
        entries, messages = chunk.entries.take(rows).to_pylist(), chunk.outcomes.column("message").take(rows)
        samples += [
            (
                code,
                Sample(uri=f"s3://{chunk.info.bucket}/{entry['key']}", version_id=entry["version_id"], message=message),
            )
            for entry, message in zip(entries, messages.to_pylist(), strict=True)
        ]
    return samples
