"""What is still at a move's source when the move has ended, and why (safety.md rule 23).

Input: an ended job with its manifest and accepted segments. Output: the manifest of what is there now, and how many of
its objects failed, were kept, were never run, came after their delete, or were never named, as a JSON value. The source
is listed; nothing is believed of a listing from before.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path

import duckdb

from s3batch.execute.prepare import key_spans, scratch_folder
from s3batch.execute.services import RunnerServices
from s3batch.ledger.records import Job, Segment
from s3batch.ledger.segments import read_outcomes
from s3batch.manifest.filters import Filter
from s3batch.manifest.generator import generate_entries
from s3batch.manifest.normalise import Normaliser
from s3batch.manifest.normalised import NormalisedManifest
from s3batch.model.outcome import TaskStatus
from s3batch.s3.client import S3Reader

NOT_RUN = "NotRun"
"""The reason of an entry whose task has no outcome."""

WRITTEN_AGAIN = "WrittenAgain"
"""The reason of an entry whose task succeeded: what is there now is another object under its key."""

_EXAMPLES = 5
_ROWS_AT_ONCE = 10_000


async def list_remaining(
    job: Job, services: RunnerServices, segments: Mapping[int, Sequence[Segment]]
) -> dict[str, object]:
    """List the source of a move and say what is still there; ``segments`` are the accepted ones by chunk."""
    mapping, folder = job.spec.mapping, services.home.job(job.id)
    if mapping is None or job.manifest_path is None:
        return {}
    path = folder.report / "remaining.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = scratch_folder(folder)
    async with await S3Reader.open(job.spec.connection) as reader:
        with Normaliser(path, scratch=scratch) as normaliser:
            for span in key_spans(job.manifest_path):
                prefix = mapping.strip_prefix or span.folder
                async for batch in generate_entries(reader, span.bucket, prefix, Filter(), spool_dir=scratch):
                    normaliser.write(batch)
            entries = (await asyncio.to_thread(normaliser.finish)).entries
    found = await asyncio.to_thread(explain, path, Path(job.manifest_path), segments, scratch)
    return {"entries": entries, "manifest": str(path), **found}


def explain(
    remaining: Path, manifest: Path, segments: Mapping[int, Sequence[Segment]], scratch: Path
) -> Mapping[str, object]:
    """Tell how many remaining objects the manifest never named, with examples, and why the others are still there."""
    with _joined(remaining, manifest, scratch) as connection:
        count = connection.execute("SELECT count(*) FROM others").fetchall()[0][0]
        examples = connection.execute("SELECT bucket, key FROM others ORDER BY bucket, key LIMIT $n", {"n": _EXAMPLES})
        return {
            "not_in_manifest": count,
            "not_in_manifest_examples": [f"s3://{bucket}/{key}" for bucket, key in examples.fetchall()],
            "reasons": dict(sorted(_reasons(connection, manifest, segments).items())),
        }


@contextmanager
def _joined(remaining: Path, manifest: Path, scratch: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Give views of what remains: ``others`` that the manifest does not name, ``ordinals`` of those that it does."""
    config: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": "200MB",
        "threads": 1,
        "temp_directory": str(scratch),
    }
    with duckdb.connect(config=config) as connection:
        connection.execute("SET enable_progress_bar = false")  # it would be drawn on standard output
        there = f"read_parquet({_quoted(remaining)})"
        named = f"read_parquet({_quoted(manifest)}, file_row_number = true)"
        match = "r.bucket = m.bucket AND r.key = m.key"
        connection.execute(
            f"CREATE TEMP VIEW others AS SELECT r.bucket, r.key FROM {there} AS r ANTI JOIN {named} AS m ON {match}"  # noqa: S608 - paths of ours, quoted
        )
        connection.execute(
            f"CREATE TEMP VIEW ordinals AS SELECT m.file_row_number AS ordinal"  # noqa: S608 - paths of ours, quoted
            f" FROM {named} AS m SEMI JOIN {there} AS r ON {match}"
        )
        yield connection


def _reasons(
    connection: duckdb.DuckDBPyConnection, manifest: Path, segments: Mapping[int, Sequence[Segment]]
) -> Counter[str]:
    reasons: Counter[str] = Counter()
    with NormalisedManifest.open(manifest) as opened:
        first_rows = [chunk.first_row for chunk in opened.chunks]
        for number, ordinals in groupby(_ordinals(connection), lambda ordinal: bisect_right(first_rows, ordinal) - 1):
            reasons_by_row = _reasons_of(segments.get(number, ()), opened.chunks[number].entries)
            reasons.update(reasons_by_row.get(each - first_rows[number], NOT_RUN) for each in ordinals)
    return reasons


def _ordinals(connection: duckdb.DuckDBPyConnection) -> Iterator[int]:
    found = connection.execute("SELECT ordinal FROM ordinals ORDER BY ordinal")
    while rows := found.fetchmany(_ROWS_AT_ONCE):
        for (ordinal,) in rows:
            yield ordinal


def _reasons_of(segments: Sequence[Segment], n_rows: int) -> dict[int, str]:
    """Return why each row of a chunk that has an outcome may still be there."""
    outcomes = read_outcomes(segments, n_rows, columns=["row", "status", "code"])
    columns = (outcomes.column(name).to_pylist() for name in ("row", "status", "code"))
    return {
        row: WRITTEN_AGAIN if status == TaskStatus.SUCCEEDED else code or status
        for row, status, code in zip(*columns, strict=True)
    }


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"
