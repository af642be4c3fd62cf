"""Evidence: what the job before found about each row of a chunk, as columns.

In go the outcomes of the copy job (its answers, which verify at level ``response`` compares) or of the verify job
(the proof, which the gate reads), merged over the chunk's accepted segments and checked against the ledger's hashes
by :func:`s3batch.ledger.segments.read_outcomes`. Out comes one value whose columns are aligned with the chunk's rows;
a row without an outcome has ``None`` everywhere. Nothing is decided here beyond which rows count as proven at all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from s3batch.ledger.segments import SCHEMA
from s3batch.model.outcome import Code, TaskStatus

EVIDENCE_COLUMNS = (
    "row",
    "status",
    "code",
    "etag",
    "size",
    "version_id",
    "level",
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

    @property
    def n_rows(self) -> int:
        """Return the number of rows of the chunk."""
        return len(self.proven)


def read_evidence(outcomes: pa.Table, n_rows: int) -> Evidence:
    """Return the evidence in ``outcomes``, a table with :data:`EVIDENCE_COLUMNS`.

    That each row number is there once and below ``n_rows`` was checked when the segments were merged.
    """
    aligned = _aligned(outcomes.select(list(EVIDENCE_COLUMNS)), n_rows)
    statuses, codes = _list(aligned, "status"), _list(aligned, "code")
    etags, sizes, levels = _list(aligned, "etag"), _list(aligned, "size"), _list(aligned, "level")
    answered = [
        status == TaskStatus.SUCCEEDED and code is None and bool(etag)
        for status, code, etag in zip(statuses, codes, etags, strict=True)
    ]
    return Evidence(
        proven=[
            is_plain and level is not None and size is not None
            for is_plain, level, size in zip(answered, levels, sizes, strict=True)
        ],
        target_etags=etags,
        target_sizes=sizes,
        target_version_ids=_list(aligned, "version_id"),
        answered=answered,
        taken=frozenset(row for row, code in enumerate(codes) if code == Code.TARGET_EXISTS),
    )


def _aligned(outcomes: pa.Table, n_rows: int) -> pa.Table:
    """Return ``n_rows`` rows in order; those without an outcome are null."""
    rows = outcomes.column("row").combine_chunks()
    wanted = pa.array(range(n_rows), SCHEMA.field("row").type)
    if rows.equals(wanted):
        return outcomes
    return outcomes.take(pc.index_in(wanted, value_set=rows))


def _list(table: pa.Table, name: str) -> list[Any]:
    """Return a column as a list; one without any value costs next to nothing."""
    values = table.column(name)
    if values.null_count == len(values):
        return [None] * len(values)
    if pa.types.is_dictionary(values.type):
        values = values.cast(pa.string())  # 1.6 us a value as a dictionary, 0.04 us as plain text (pyarrow 26)
    return values.to_pylist()
