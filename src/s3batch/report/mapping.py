"""Old -> new: where each object of a copy went, as a Parquet and a CSV file.

In: the job's manifest, its key mapping, the copy job's segments and, where the copy was verified, the verify job's.
Out: two files of equal content, one row for each ended task of the copy, so that indexes can be switched before
anything is deleted (safety.md rule 25). ``level`` is set if and only if verify proved the copy. Versions that a
delete makes are not known here.

CSV: UTF-8, a header row, text in quotes, keys as they are (not URL-encoded), line ends LF, null as an empty field.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as pa_csv
import pyarrow.parquet as pq

from s3batch.ledger.segments import read_outcomes
from s3batch.manifest.durable_file import replace_durably
from s3batch.manifest.normalised import NormalisedManifest
from s3batch.model.job import KeyMapping
from s3batch.model.outcome import TaskStatus
from s3batch.report.ended import EndedChunk, SegmentsOfChunk, ended_chunks

_FIELDS: list[pa.Field[Any]] = [
    pa.field("source_uri", pa.string(), nullable=False),
    pa.field("target_uri", pa.string(), nullable=False),
    pa.field("size", pa.int64()),
    pa.field("source_etag", pa.string()),
    pa.field("target_etag", pa.string()),
    pa.field("source_version_id", pa.string()),
    pa.field("target_version_id", pa.string()),
    pa.field("level", pa.string()),
    pa.field("outcome", pa.string(), nullable=False),
    pa.field("code", pa.string()),
    pa.field("covered", pa.string()),
]
MAPPING_SCHEMA = pa.schema(_FIELDS)
"""Columns of both files; ``level`` is response, etag, checksum or bytes, ``outcome`` is succeeded, failed or kept,
``covered`` is what the proof compared: bytes, or bytes+metadata+tags and the like."""

_ENTRY_COLUMNS = ("key", "version_id", "size", "etag")
_OUTCOME_COLUMNS = ("row", "status", "code", "etag", "version_id", "source_version_id", "level", "covered")
_FEW_WORDS = ["level", "outcome", "code", "covered"]


@dataclass(frozen=True, kw_only=True, slots=True)
class MappingFiles:
    """The two files, complete, and how many rows each has."""

    parquet: Path
    csv: Path
    rows: int


async def write_mapping(
    base: Path,
    *,
    manifest: NormalisedManifest,
    mapping: KeyMapping,
    copy_segments: SegmentsOfChunk,
    verify_segments: SegmentsOfChunk | None = None,
) -> MappingFiles:
    """Write ``<base>.parquet`` and ``<base>.csv`` and return what was written.

    The verify job must be of the same manifest as the copy. Both files appear whole or not at all; writing them
    again replaces them.

    Raises:
        InconsistentError: a damaged manifest or segment, or an entry with two outcomes.
    """
    files = MappingFiles(parquet=base.with_name(f"{base.name}.parquet"), csv=base.with_name(f"{base.name}.csv"), rows=0)
    rows = 0
    with (
        replace_durably(files.parquet) as parquet_path,
        replace_durably(files.csv) as csv_path,
        pq.ParquetWriter(
            parquet_path,
            MAPPING_SCHEMA,
            compression="zstd",
            use_dictionary=_FEW_WORDS,  # type: ignore[arg-type]  # the stubs know only the boolean form
            column_encoding={"source_uri": "DELTA_BYTE_ARRAY", "target_uri": "DELTA_BYTE_ARRAY"},
            write_statistics=False,  # minima of 1 KiB keys help no reader; a fifth of the file's cost
        ) as parquet,
        pa_csv.CSVWriter(csv_path, MAPPING_SCHEMA) as csv,
    ):
        for table in mapping_tables(manifest, mapping, copy_segments, verify_segments):
            parquet.write_table(table)
            csv.write_table(table)
            rows += table.num_rows
            await asyncio.sleep(0)  # the loop of a runner has leases to renew
    return MappingFiles(parquet=files.parquet, csv=files.csv, rows=rows)


def mapping_tables(
    manifest: NormalisedManifest,
    mapping: KeyMapping,
    copy_segments: SegmentsOfChunk,
    verify_segments: SegmentsOfChunk | None,
) -> Iterator[pa.Table]:
    """Yield the rows of each chunk that has any."""
    for chunk in ended_chunks(manifest, copy_segments, entry_columns=_ENTRY_COLUMNS, outcome_columns=_OUTCOME_COLUMNS):
        verified = None
        if verify_segments is not None:
            verified = _beside(chunk, verify_segments)
        yield _mapping_table(chunk, mapping, verified)


def _beside(chunk: EndedChunk, segments_of_chunk: SegmentsOfChunk) -> pa.Table:
    """Return the verify job's outcomes row for row beside the copy's, null where there is none."""
    found = read_outcomes(segments_of_chunk(chunk.number), chunk.info.entries, columns=_OUTCOME_COLUMNS)
    copied_rows: Any = chunk.outcomes.column("row")
    if found.column("row").equals(copied_rows):
        return found
    return found.take(pc.index_in(copied_rows, value_set=found.column("row").combine_chunks()))


def _mapping_table(chunk: EndedChunk, mapping: KeyMapping, verified: pa.Table | None) -> pa.Table:
    """Return one chunk's rows."""
    entries, copied = chunk.entries, chunk.outcomes
    keys: Any = entries.column("key")
    target_keys = pc.utf8_replace_slice(keys, 0, len(mapping.strip_prefix), mapping.add_prefix)
    etag, version_id = copied.column("etag"), copied.column("version_id")
    level = covered = pa.nulls(len(keys), pa.string())
    outcome, code = _text(copied, "status"), _text(copied, "code")
    if verified is not None:
        etag = pc.coalesce(verified.column("etag"), etag)
        version_id = pc.coalesce(verified.column("version_id"), version_id)
        level, outcome, code = _judged(copied, verified)
        covered = _text(verified, "covered")
    return pa.Table.from_arrays(
        [
            _uris(chunk.info.bucket, keys),
            _uris(mapping.target_bucket, target_keys),
            entries.column("size"),
            entries.column("etag"),
            etag,
            pc.coalesce(entries.column("version_id"), copied.column("source_version_id")),
            version_id,
            level,
            outcome,
            code,
            covered,
        ],
        schema=MAPPING_SCHEMA,
    )


def _judged(copied: pa.Table, verified: pa.Table) -> tuple[Any, Any, Any]:
    """Return level, outcome and code from both jobs.

    What verify proved is proven, even where the copy's own task had failed (TargetExists). Otherwise a failed copy is
    the cause of whatever verify found, so its code is told; and a copy that nobody verified is no more than copied.
    """
    copy_status, verify_status = _text(copied, "status"), _text(verified, "status")
    is_proven = pc.fill_null(pc.equal(verify_status, pa.scalar(str(TaskStatus.SUCCEEDED))), pa.scalar(False))
    is_copied = pc.equal(copy_status, pa.scalar(str(TaskStatus.SUCCEEDED)))
    by_verify = pc.or_(is_proven, pc.and_(is_copied, pc.is_valid(verify_status)))
    return (
        pc.if_else(is_proven, _text(verified, "level"), pa.scalar(None, pa.string())),
        pc.if_else(by_verify, verify_status, copy_status),
        pc.if_else(by_verify, _text(verified, "code"), _text(copied, "code")),
    )


def _uris(bucket: str, keys: Any) -> Any:  # noqa: ANN401 - Arrow's array types are generic over what the stubs cannot tell
    return pc.binary_join_element_wise(pa.scalar(f"s3://{bucket}/"), keys, pa.scalar(""))


def _text(table: pa.Table, name: str) -> Any:  # noqa: ANN401 - as _uris
    """Return a column of words as plain text."""
    return table.column(name).cast(pa.string())
