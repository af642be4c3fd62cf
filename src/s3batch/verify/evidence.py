"""Evidence: what the job before found about each row of a chunk, as columns.

In go the outcomes of the copy job (its answers, which verify at level ``response`` compares) or of the verify job
(the proof, which the gate reads), merged over the chunk's accepted segments and checked against the ledger's hashes
by :func:`s3batch.ledger.segments.read_outcomes`. Out comes one value whose columns are aligned with the chunk's rows;
a row without an outcome has ``None`` everywhere. Nothing is decided here beyond which rows count as proven at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from s3batch.ledger.segments import SCHEMA
from s3batch.model.outcome import Code, TaskStatus

AnyArray: TypeAlias = Any
"""Arrow's arrays are generic over what the stubs cannot tell."""

EVIDENCE_COLUMNS = (
    "row",
    "status",
    "code",
    "etag",
    "size",
    "version_id",
    "level",
    "covered",
)
"""The columns of a segment that evidence is made of; reading only these saves the rest."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """Columns of equal length, by row of the chunk."""

    proven: list[bool]
    """The row succeeded without any special code, and level, ETag and size of its target are on record.

    A copy that skipped a row (``AlreadySame``, ``Skipped``) succeeded with a code, so it is no proof."""
    target_etags: list[str | None]
    target_sizes: list[int | None]
    target_version_ids: list[str | None]
    answered: list[bool]
    """The row succeeded without any special code and recorded the target's ETag: a copy's own answer."""
    taken: frozenset[int] = frozenset()
    """Rows whose copy failed because something was at the target: what is there is not the copy, even if it is equal.
    """
    covered: list[str | None] | None = None
    """What verify compared of each proven row, as it recorded it; ``None``: no row has any such word."""
    failed: frozenset[int] = frozenset()
    """Rows that failed. A copy may have failed after its bytes were there, at its tags or grants: equal bytes at the
    target do not say that the rest is."""
    recorded_at_ms: int | None = None
    """When the oldest of it was recorded, by the ledger's clock."""
    kept: frozenset[int] = frozenset()
    """Rows whose source the gate kept: a delete did not touch them."""

    @property
    def n_rows(self) -> int:
        """Return the number of rows of the chunk."""
        return len(self.proven)


def read_evidence(outcomes: pa.Table, n_rows: int, *, recorded_at_ms: int | None = None) -> Evidence:
    """Return the evidence in ``outcomes``, a table with :data:`EVIDENCE_COLUMNS`.

    ``recorded_at_ms``: when the oldest of them was.

    That each row number is there once and below ``n_rows`` was checked when the segments were merged.
    """
    aligned = _aligned(outcomes.select(list(EVIDENCE_COLUMNS)), n_rows)
    status, code, etag = (_plain(aligned, name) for name in ("status", "code", "etag"))
    is_plain = pc.and_(pc.equal(status, pa.scalar(str(TaskStatus.SUCCEEDED))), pc.is_null(code))
    answered = pc.and_(is_plain, pc.greater(pc.binary_length(etag), pa.scalar(0, pa.int32())))
    is_complete = pc.and_(pc.is_valid(_plain(aligned, "level")), pc.is_valid(aligned.column("size")))
    taken = pc.equal(code, pa.scalar(str(Code.TARGET_EXISTS)))
    failed = pc.equal(status, pa.scalar(str(TaskStatus.FAILED)))
    return Evidence(
        proven=_flags(pc.and_(answered, is_complete)),
        target_etags=_list(aligned, "etag"),
        target_sizes=_list(aligned, "size"),
        target_version_ids=_list(aligned, "version_id"),
        answered=_flags(answered),
        covered=_words(aligned, "covered"),
        taken=_rows(taken),
        failed=_rows(failed),
        recorded_at_ms=recorded_at_ms,
        kept=_rows(pc.equal(status, pa.scalar(str(TaskStatus.KEPT)))),
    )


def _aligned(outcomes: pa.Table, n_rows: int) -> pa.Table:
    """Return ``n_rows`` rows in order; those without an outcome are null."""
    rows = outcomes.column("row").combine_chunks()
    wanted = _row_numbers(n_rows)
    if rows.equals(wanted):
        return outcomes
    return outcomes.take(pc.index_in(wanted, value_set=rows))


@lru_cache(maxsize=4)
def _row_numbers(n_rows: int) -> AnyArray:
    """Return the rows of a chunk; nearly all chunks have the same number of them."""
    return pa.array(range(n_rows), SCHEMA.field("row").type)


def _plain(table: pa.Table, name: str) -> AnyArray:
    """Return a column of text without its dictionary."""
    return table.column(name).cast(pa.string())


def _any(flags: AnyArray) -> bool:
    return bool(pc.any(flags).as_py())


def _rows(flags: AnyArray) -> frozenset[int]:
    """Return where flags are set; mostly nowhere."""
    return frozenset(row for row, flag in enumerate(_flags(flags)) if flag) if _any(flags) else frozenset()


def _flags(flags: AnyArray) -> list[bool]:
    """Return flags as a list, null as False; that of a chunk where all are equal costs next to nothing."""
    if not _any(flags):
        return [False] * len(flags)
    if flags.null_count == 0 and pc.all(flags).as_py():
        return [True] * len(flags)
    values: list[bool] = pc.fill_null(flags, pa.scalar(value=False)).to_pylist()
    return values


def _words(table: pa.Table, name: str) -> list[str | None] | None:
    """Return a column of words; one that is the same for all rows costs next to nothing."""
    values = table.column(name)
    if values.null_count == len(values):
        return None
    words: list[str | None] = values.unique().to_pylist()
    return words * len(values) if len(words) == 1 else values.cast(pa.string()).to_pylist()


def _list(table: pa.Table, name: str) -> list[Any]:
    """Return a column as a list; one without any value costs next to nothing."""
    values = table.column(name)
    if values.null_count == len(values):
        return [None] * len(values)
    if pa.types.is_dictionary(values.type):
        values = values.cast(pa.string())  # 1.6 us a value as a dictionary, 0.04 us as plain text (pyarrow 26)
    return values.to_pylist()
