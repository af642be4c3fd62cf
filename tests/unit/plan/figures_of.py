"""Figures of entries that a test describes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import pyarrow as pa

from s3batch.manifest.columns import TIME, WORD
from s3batch.plan.figures import PlanFigures

NOW_MS = 1_790_000_000_000
DAY_MS = 86_400_000
THRESHOLD = 2**30


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One entry, as far as figures look at it."""

    size: int = 1
    etag: str = "e"
    storage_class: str | None = "STANDARD"
    age_days: float | None = 0.0
    problem: str | None = None


def table_of(entries: Sequence[Entry]) -> pa.Table:
    """Return a chunk's columns, of the types that a manifest has."""
    times = [None if each.age_days is None else NOW_MS - round(each.age_days * DAY_MS) for each in entries]
    return pa.table(
        {
            "key": [f"k{number:06d}" for number in range(len(entries))],
            "size": pa.array([each.size for each in entries], pa.int64()),
            "etag": pa.array([each.etag for each in entries], pa.string()),
            "last_modified": pa.array(times, pa.int64()).cast(TIME),
            "storage_class": pa.array([each.storage_class for each in entries], pa.string()).cast(WORD),
            "problem": pa.array([each.problem for each in entries], pa.string()).cast(WORD),
        }
    )


def figures_of(*chunks: Sequence[Entry], minimum_days: Mapping[str, int] | None = None) -> PlanFigures:
    """Return the figures of some chunks."""
    figures = PlanFigures(multipart_threshold=THRESHOLD, minimum_days=minimum_days or {}, now_ms=NOW_MS)
    for chunk in chunks:
        figures.add(table_of(chunk))
    return figures
