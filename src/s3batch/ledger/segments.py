"""Segments: the Parquet files that hold the outcomes of one chunk attempt.

In go the outcomes of one attempt (:class:`OutcomeColumns`, filled while the chunk runs), out comes one durable file
and the value (:class:`SegmentInfo`) that the ledger records about it. Only rows with an outcome are written: an attempt
that was paused leaves a partial segment, and the next attempt writes the rest.

Order of writes: file under a temporary name, fsync, rename, fsync of the folder; only then may the fenced ledger row
name it. A crash in between leaves an orphan that nobody reads, because segments are found through the ledger, never by
looking into a folder. A file is never replaced: its name holds chunk and epoch, and an epoch is given once.

Nothing here decides which segments were accepted, and nothing here looks at S3.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from s3batch.ledger.outcome_columns import (
    FAILED,
    FORMAT_VERSION_NAME,
    KEPT,
    NO_OUTCOME,
    READABLE_VERSIONS,
    SCHEMA,
    SUCCEEDED,
    WORD_COLUMNS,
    OutcomeColumns,
    outcome_table,
    status_array,
)
from s3batch.model.errors import InconsistentError, UnavailableError

__all__ = [
    "FAILED",
    "KEPT",
    "NO_OUTCOME",
    "SCHEMA",
    "SUCCEEDED",
    "AcceptedSegment",
    "OutcomeColumns",
    "SegmentInfo",
    "read_outcomes",
    "read_segment",
    "segment_name",
    "write_segment",
]


class AcceptedSegment(Protocol):
    """What readers need to know of a segment that the ledger accepted."""

    @property
    def path(self) -> Path | str:
        """Where the file is."""

    @property
    def sha256(self) -> str:
        """The hexadecimal SHA-256 of its bytes when it was written."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SegmentInfo:
    """A segment that is durable on disk; what the ledger records about it.

    ``bytes_done`` sums the sizes of succeeded rows. ``by_code`` counts every row with a code: the failed, the kept and
    the specially succeeded ones.
    """

    path: Path
    sha256: str
    rows: int
    succeeded: int
    failed: int
    kept: int
    bytes_done: int
    by_code: dict[str, int] = field(default_factory=dict)


def segment_name(chunk: int, epoch: int, sequence: int = 0) -> str:
    """Return the file name of an attempt's segment; ``sequence`` tells several of one attempt apart."""
    further = f"-{sequence:04d}" if sequence else ""
    return f"chunk-{chunk:07d}-epoch-{epoch:04d}{further}.parquet"


def write_segment(path: Path, columns: OutcomeColumns) -> SegmentInfo:
    """Write the rows that have an outcome, durably, and return what the ledger records about the file.

    The bytes are hashed before they are written, so damage on the way to the disk is found by the first reader.
    A crash leaves at most ``<name>.partial`` or a complete file that no ledger row names; both are harmless.

    Raises:
        InconsistentError: the file exists (an epoch was given twice), or a column is not of the chunk's length.
        UnavailableError: the disk did not take it.
    """
    table = outcome_table(columns)
    sink = io.BytesIO()
    # Dictionaries only for the columns of words: ETags are all different. zstd halves the file for 0.08 us a row;
    # row numbers as differences are the difference between 40 and 20 kB (tests/bench/report_cost.py).
    pq.write_table(
        table,
        sink,
        compression="zstd",
        use_dictionary=WORD_COLUMNS,  # type: ignore[arg-type]  # the stubs know only the boolean form
        column_encoding={"row": "DELTA_BINARY_PACKED"},
        write_statistics=False,
    )
    content = sink.getbuffer()
    _write_once(path, content)
    return _describe(path, content, columns)


def read_segment(path: Path, *, sha256: str | None = None, columns: Sequence[str] | None = None) -> pa.Table:
    """Return the outcomes of one segment, checked against ``sha256`` when that is given.

    What a segment of an earlier version has no column for is null.

    Raises:
        InconsistentError: missing, damaged, or not a segment of a version that can be read.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise _damaged(path, f"cannot be read: {error.strerror}") from error
    if sha256 is not None and hashlib.sha256(content).hexdigest() != sha256:
        raise _damaged(path, "does not have the SHA-256 that the ledger recorded")
    try:
        # A ParquetFile of its own: pq.read_table goes through a data set, which costs 0.05 us a row more for one chunk.
        with pq.ParquetFile(pa.BufferReader(content)) as file:
            table = file.read(columns=None if columns is None else list(columns), use_threads=False)
    except (pa.ArrowException, OSError) as error:
        raise _damaged(path, f"is not a Parquet file: {error}") from error
    if (table.schema.metadata or {}).get(FORMAT_VERSION_NAME) not in READABLE_VERSIONS:
        raise _damaged(path, "was not written by this version as a segment")
    return _completed(table, SCHEMA.names if columns is None else columns)


def _completed(table: pa.Table, names: Sequence[str]) -> pa.Table:
    """Return the table with all these columns, as this version writes them."""
    if table.column_names == list(names):
        return table
    for name in names:
        if name not in table.column_names:
            field: Any = SCHEMA.field(name)
            table = table.append_column(field, pa.nulls(table.num_rows, field.type))
    return table.select(list(names)).replace_schema_metadata(SCHEMA.metadata)


def read_outcomes(
    segments: Sequence[AcceptedSegment], n_rows: int, *, columns: Sequence[str] | None = None
) -> pa.Table:
    """Return the outcomes of one chunk over all its accepted segments, in order of row.

    Rows without an outcome are absent; ``row`` is always among the columns.

    Raises:
        InconsistentError: a damaged segment, a row outside the chunk, or two outcomes for one row (safety.md rule 19).
    """
    wanted = SCHEMA.names if columns is None else ["row", *(name for name in columns if name != "row")]
    tables = [read_segment(Path(segment.path), sha256=segment.sha256, columns=wanted) for segment in segments]
    if not tables:
        return SCHEMA.empty_table().select(wanted)
    merged = tables[0] if len(tables) == 1 else pa.concat_tables(tables).unify_dictionaries().sort_by("row")
    _check_rows(merged, n_rows, segments)
    return merged.combine_chunks()


def _write_once(path: Path, content: memoryview) -> None:
    """Write, fsync, rename, fsync the folder; never over an existing file."""
    if path.exists():
        raise InconsistentError(
            f"The segment {path.name} exists already: an epoch was given twice.",
            code="SegmentExists",
            way_out="Two runners may be at work on copies of one ledger; stop one of them.",
        )
    partial = path.with_name(path.name + ".partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.rename(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise UnavailableError(
            f"The outcomes of a chunk could not be written to {path}: {error.strerror}.",
            code="SegmentNotWritten",
            way_out="Make room or mend the permissions, then resume the job.",
        ) from error


def _describe(path: Path, content: memoryview, columns: OutcomeColumns) -> SegmentInfo:
    """Return what the ledger records about the file."""
    status = columns.status
    by_code = Counter(
        remark.code for row, remark in columns.remark_by_row.items() if remark.code is not None and status[row]
    )
    return SegmentInfo(
        path=path,
        sha256=hashlib.sha256(content).hexdigest(),
        rows=columns.ended,
        succeeded=status.count(SUCCEEDED),
        failed=status.count(FAILED),
        kept=status.count(KEPT),
        bytes_done=_bytes_done(columns),
        by_code=dict(sorted(by_code.items())),
    )


def _bytes_done(columns: OutcomeColumns) -> int:
    """Return the sum of the sizes of succeeded rows, as far as they are known."""
    sizes = columns.sizes
    if isinstance(sizes, list):
        if sizes.count(None) == len(sizes):
            return 0
        sizes = pa.array(sizes, pa.int64())
    if columns.status.count(SUCCEEDED) < columns.n_rows:
        sizes = sizes.filter(pc.equal(status_array(columns), pa.scalar(SUCCEEDED, pa.uint8())))
    return pc.sum(sizes, min_count=0).as_py() or 0


def _check_rows(outcomes: pa.Table, n_rows: int, segments: Sequence[AcceptedSegment]) -> None:
    """Refuse rows outside the chunk and rows with two outcomes."""
    if outcomes.num_rows == 0:
        return
    names = ", ".join(Path(segment.path).name for segment in segments)
    rows: Any = outcomes.column("row")
    bounds: Any = pc.min_max(rows).as_py()
    if bounds["min"] < 0 or bounds["max"] >= n_rows:
        raise InconsistentError(
            f"{names} has outcomes for rows {bounds['min']} to {bounds['max']} of a chunk of {n_rows} entries.",
            code="RowOutsideChunk",
            way_out="The manifest and the segments do not belong together; stop and look.",
        )
    repeated = len(rows) - pc.count_distinct(rows).as_py()
    if repeated:
        raise InconsistentError(
            f"{repeated} entries of a chunk have two outcomes in its segments ({names}).",
            code="TwoOutcomes",
            way_out="Nothing may act on this job any more; keep its folder and report it.",
        )


def _damaged(path: Path, what: str) -> InconsistentError:
    return InconsistentError(
        f"The segment {path} {what}.",
        code="SegmentDamaged",
        way_out="Restore it from a backup of the ledger's folder; without it the chunk's outcomes are unknown.",
    )
