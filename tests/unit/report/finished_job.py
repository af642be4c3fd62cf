"""A job that has ended, made on disk from plain values: its manifest and its accepted segments."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pyarrow as pa

from s3batch.ledger.segments import OutcomeColumns, SegmentInfo, segment_name, write_segment
from s3batch.manifest.entries import ENTRY_SCHEMA
from s3batch.manifest.normalised import NormalisedManifest, NormalisedWriter

BUCKET = "source-bucket"


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """One entry and how its task ended; status None is a task that was never run."""

    key: str
    version_id: str | None = None
    size: int | None = None
    etag: str | None = None
    problem: str | None = None
    status: str | None = "succeeded"
    code: str | None = None
    http_status: int | None = None
    message: str | None = None
    target_etag: str | None = None
    level: str | None = None
    covered: str | None = None
    """Of all proven tasks of a chunk; the first that has one says it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FinishedJob:
    """The files of a job. ``segments`` are by chunk."""

    folder: Path
    manifest: NormalisedManifest
    segments: dict[int, list[SegmentInfo]] = field(default_factory=dict)

    @property
    def segments_of_chunk(self) -> Callable[[int], Sequence[SegmentInfo]]:
        """Return what the ledger would: accepted segments by chunk."""
        return lambda number: self.segments.get(number, [])


def finished_job(
    folder: Path, tasks: Sequence[Task], *, bucket: str = BUCKET, chunk_entries: int = 3, epoch: int = 1
) -> FinishedJob:
    """Write manifest and segments of a job with these tasks; keys are put in order first."""
    ordered = sorted(tasks, key=lambda task: task.key)
    path = folder / "manifest.parquet"
    if not path.exists():
        with NormalisedWriter(path, chunk_entries=chunk_entries) as writer:
            if ordered:
                writer.write(_batch(bucket, ordered))
    manifest = NormalisedManifest.open(path)
    segments = {}
    for number, chunk in enumerate(manifest.chunks):
        columns = _columns(ordered[chunk.first_row : chunk.first_row + chunk.entries])
        if columns.ended:
            segments[number] = [write_segment(folder / segment_name(number, epoch), columns)]
    return FinishedJob(folder=folder, manifest=manifest, segments=segments)


def _batch(bucket: str, tasks: Sequence[Task]) -> pa.RecordBatch:
    word = pa.dictionary(pa.int32(), pa.string())
    columns = [
        pa.array([bucket] * len(tasks)).dictionary_encode(),
        pa.array([task.key for task in tasks], pa.string()),
        pa.array([task.version_id for task in tasks], pa.string()),
        pa.array([task.size for task in tasks], pa.int64()),
        pa.array([task.etag for task in tasks], pa.string()),
        pa.nulls(len(tasks), pa.timestamp("ms", tz="UTC")),
        pa.array([None] * len(tasks), pa.string()).cast(word),
        pa.array([task.problem for task in tasks], pa.string()).cast(word),
    ]
    return pa.RecordBatch.from_arrays(columns, schema=ENTRY_SCHEMA)


def _columns(tasks: Sequence[Task]) -> OutcomeColumns:
    columns = OutcomeColumns(len(tasks))
    columns.covered = next((task.covered for task in tasks if task.covered), None)
    for row, task in enumerate(tasks):
        if task.status == "succeeded":
            columns.succeed(
                row, etag=task.target_etag, size=task.size, code=task.code, message=task.message, level=task.level
            )
        elif task.status == "failed":
            columns.fail(row, task.code or "", task.http_status, task.message, etag=task.target_etag)
        elif task.status == "kept":
            columns.keep(row, task.code or "", task.message, http_status=task.http_status, etag=task.target_etag)
    return columns
