"""The end of a job: its completion report, the old -> new mapping, samples of failures, and what was listed at last.

What was listed is what remains at a move's source, or what a verify found at the target beside its copies.

Input: a job whose chunks are at rest. Output: files below the job's folder, the completion report in a bucket or folder
of the user's where one was named, and a JSON value for the ledger that says where they are. All of it is durable before
the job's last status is written; a crash in between has it written again in place of the first.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

from s3batch.execute.extra import list_extra
from s3batch.execute.remaining import list_remaining
from s3batch.execute.services import RunnerServices
from s3batch.ledger.records import Job, Segment
from s3batch.manifest.normalised import NormalisedManifest
from s3batch.model.job import Operation
from s3batch.model.objects import parse_s3_uri
from s3batch.report.bucket_sink import BucketSink
from s3batch.report.completion import write_report as write_completion_report
from s3batch.report.mapping import write_mapping
from s3batch.report.sink import FolderSink
from s3batch.report.summary import find_samples
from s3batch.s3.client import S3Client


class SegmentsByChunk:
    """The accepted segments of a job, by chunk number."""

    def __init__(self, segments: list[Segment]) -> None:
        """Group them; they come in the order of acceptance."""
        self.by_chunk: defaultdict[int, list[Segment]] = defaultdict(list)
        for segment in segments:
            self.by_chunk[segment.chunk_no].append(segment)

    def __call__(self, chunk_no: int) -> list[Segment]:
        """Return the segments of one chunk; none where it was not run."""
        return self.by_chunk.get(chunk_no, [])


async def write_report(job: Job, services: RunnerServices) -> dict[str, object]:
    """Write everything that tells what happened in a job and return where it is."""
    if job.manifest_path is None:
        return {}
    spec, folder = job.spec, services.home.job(job.id)
    segments = SegmentsByChunk(services.store.segments(job.id))
    report: dict[str, object] = {}
    with NormalisedManifest.open(Path(job.manifest_path)) as manifest:
        prefix, client = "", None
        sink: FolderSink | BucketSink = FolderSink(folder.report)
        if spec.report.url is not None and spec.report.url.startswith("s3://"):
            place = parse_s3_uri(spec.report.url)
            client = await S3Client.open(spec.connection)
            sink, prefix = BucketSink(client, place.bucket), place.prefix
        elif spec.report.url is not None:
            sink = FolderSink(Path(spec.report.url))
        try:
            completion = await write_completion_report(
                job_id=job.id,
                manifest=manifest,
                segments_of_chunk=segments,
                sink=sink,
                prefix=prefix,
                scope=spec.report.scope,
                created_at_ms=services.now_ms(),
                expected=job.counts,
            )
        finally:
            if client is not None:
                await client.close()
        report["uri"] = completion.uri
        report["samples"] = {
            code: [{"uri": each.uri, "version_id": each.version_id, "message": each.message} for each in samples]
            for code, samples in find_samples(manifest, segments, list(job.counts.by_code)).items()
        }
        if spec.mapping is not None and spec.operation is not Operation.DELETE:
            report["mapping"] = await _write_mapping(job, services, manifest, segments)
    if spec.operation is Operation.VERIFY and spec.verify.extra is not None:
        report["extra"] = await list_extra(job, services)
    if spec.list_source_at_end:
        report["remaining"] = await list_remaining(job, services, segments.by_chunk)
    return report


async def _write_mapping(
    job: Job, services: RunnerServices, manifest: NormalisedManifest, segments: SegmentsByChunk
) -> dict[str, object]:
    """Write old -> new for a copy, or for a verify with what it found (safety.md rule 25)."""
    mapping = job.spec.mapping
    if mapping is None:
        return {}
    copied, verified = segments, None
    copy_id = job.spec.source.evidence_job_id
    if job.spec.operation is Operation.VERIFY and copy_id is not None:
        copied, verified = SegmentsByChunk(services.store.segments(copy_id)), segments
    files = await write_mapping(
        services.home.job(job.id).report / "mapping",
        manifest=manifest,
        mapping=mapping,
        copy_segments=copied,
        verify_segments=verified,
    )
    return {"csv": str(files.csv), "parquet": str(files.parquet), "rows": files.rows}
