"""Whether a target would be written twice, or a source be overwritten (safety.md rule 4).

Input: the normalised manifest's file and the mapping. Output: nothing, or a refusal with examples. A quick look at the
key ranges settles the usual case; otherwise DuckDB joins the manifest with itself, in bounded memory, spilling to disk.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from os.path import commonprefix
from pathlib import Path

import duckdb

from s3batch.model.errors import RefusedError
from s3batch.model.job import KeyMapping

_EXAMPLES = 3
_MEMORY_LIMIT = "200MB"


@dataclass(frozen=True, kw_only=True, slots=True)
class KeySpan:
    """First and last key of the manifest's entries in one bucket."""

    bucket: str
    first_key: str
    last_key: str

    @property
    def folder(self) -> str:
        """Return the longest prefix up to a slash that all keys share; keys between two share what both do."""
        shared = commonprefix([self.first_key, self.last_key])  # noqa: RUF071 - keys are text, no paths
        return shared[: shared.rfind("/") + 1]


def check_collisions(manifest: Path, spans: Sequence[KeySpan], mapping: KeyMapping, *, scratch: Path) -> None:
    """Refuse a plan in which two entries share a target, or a target is a source of the same manifest.

    ``scratch`` is a folder for what does not fit in memory. Keys were checked by :func:`check_mapping` before.

    Raises:
        RefusedError: codes ``SourceIsTarget``, ``TargetIsSource``, ``TwoSourcesOneTarget``.
    """
    same_bucket = [span for span in spans if span.bucket == mapping.target_bucket]
    if same_bucket and mapping.strip_prefix == mapping.add_prefix:
        raise RefusedError(
            f"Source and target are the same: {same_bucket[0].bucket}/{same_bucket[0].first_key} would be copied"
            " onto itself.",
            code="SourceIsTarget",
            way_out="Give another target bucket or prefix.",
        )
    if len(spans) > 1:
        _refuse_shared_targets(manifest, scratch)
    mapped_first = min(mapping.target_key(span.first_key) for span in spans) if spans else ""
    mapped_last = max(mapping.target_key(span.last_key) for span in spans) if spans else ""
    if any(span.first_key <= mapped_last and mapped_first <= span.last_key for span in same_bucket):
        _refuse_overwritten_sources(manifest, mapping, scratch)


def _refuse_shared_targets(manifest: Path, scratch: Path) -> None:
    rows = _query(
        "SELECT key, min(bucket), max(bucket) FROM read_parquet($manifest) GROUP BY key"
        " HAVING min(bucket) <> max(bucket) ORDER BY key LIMIT $examples",
        {"manifest": str(manifest), "examples": _EXAMPLES},
        scratch,
    )
    if rows:
        examples = ", ".join(f"{one}/{key} and {other}/{key}" for key, one, other in rows)
        raise RefusedError(
            f"Two sources would be copied to one target, e.g. {examples}.",
            code="TwoSourcesOneTarget",
            way_out="Split the manifest by bucket and give each its own target prefix.",
        )


def _refuse_overwritten_sources(manifest: Path, mapping: KeyMapping, scratch: Path) -> None:
    rows = _query(
        "SELECT source.key, target.key FROM read_parquet($manifest) AS source"
        " JOIN read_parquet($manifest) AS target"
        " ON target.bucket = $bucket AND target.key = $add || substr(source.key, $skip)"
        " ORDER BY source.key LIMIT $examples",
        {
            "examples": _EXAMPLES,
            "manifest": str(manifest),
            "bucket": mapping.target_bucket,
            "add": mapping.add_prefix,
            "skip": len(mapping.strip_prefix) + 1,
        },
        scratch,
    )
    if rows:
        examples = ", ".join(f"{source} onto {target}" for source, target in rows)
        raise RefusedError(
            f"Copies would overwrite objects that are sources themselves, e.g. {examples}.",
            code="TargetIsSource",
            way_out="Copy to a prefix outside the source, or move in two steps by way of a third prefix.",
        )


def _query(sql: str, parameters: dict[str, object], scratch: Path) -> list[tuple[str, ...]]:
    config: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": _MEMORY_LIMIT,
        "threads": 1,
        "temp_directory": str(scratch),
        "preserve_insertion_order": False,
    }
    with duckdb.connect(config=config) as connection:
        connection.execute("SET enable_progress_bar = false")  # it would be drawn on standard output
        return connection.execute(sql, parameters).fetchall()
