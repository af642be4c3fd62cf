"""What a plan counts over the entries of one storage class: what requests and money follow from. Pure.

In: columns of one chunk's entries that have no problem. Out: sums. One pass in bulk; only entries that are copied in
parts are looked at one by one, and each of them takes a handful of requests.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from s3batch.plan.parts import part_count, parts_in_etag

SMALLEST_BILLED_BYTES = 128 * 1024
"""What a smaller object is billed as in STANDARD_IA, ONEZONE_IA and GLACIER_IR (S3 User Guide, "Storage classes", read
2026-11). That these have the rule is in the price table."""

_DAY_MS = 86_400_000
_FALSE = pa.scalar(False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Cut:
    """How objects are cut into parts, where they are."""

    threshold: int
    """Objects of this size and above go in parts."""
    part_bytes: int
    """Bytes of a part where the source's own layout is not known."""


@dataclass(kw_only=True, slots=True)
class ClassFigures:
    """Sums over the entries of one class that were added."""

    objects: int = 0
    bytes: int = 0
    shortfall_bytes: int = 0
    """What smaller objects lack to :data:`SMALLEST_BILLED_BYTES`, together."""
    in_parts: int = 0
    """Objects that are copied in parts."""
    parts: int = 0
    layouts: int = 0
    """Of these: objects of several parts, whose layout the store is asked for."""
    resplit: int = 0
    """Of these: objects of one part, whose copies cannot have an equal ETag."""
    young: int = 0
    """Objects younger than the class's minimum."""
    young_byte_days: float = 0.0
    """Bytes, each times the days that it lacks to the minimum."""
    young_object_days: float = 0.0
    young_shortfall_days: float = 0.0
    undated: int = 0
    """Objects of a class with a minimum whose age is not known."""

    def add(self, table: pa.Table) -> None:
        """Add entries by their column ``size``."""
        sizes: Any = table.column("size")
        self.objects += table.num_rows
        self.bytes += pc.sum(sizes).as_py() or 0
        self.shortfall_bytes += pc.sum(_shortfalls(sizes)).as_py() or 0

    def add_parts(self, table: pa.Table, cut: Cut) -> None:
        """Add what those of the entries take that go in parts, by their columns ``size`` and ``etag``."""
        sizes: Any = table.column("size")
        etags: Any = table.column("etag")
        has_parts: Any = pc.fill_null(pc.match_substring(etags, "-"), _FALSE)
        is_large: Any = pc.fill_null(pc.greater_equal(sizes, pa.scalar(cut.threshold)), _FALSE)
        in_parts: Any = pc.or_(has_parts, is_large)
        for size, etag in zip(sizes.filter(in_parts).to_pylist(), etags.filter(in_parts).to_pylist(), strict=True):
            self._add_object(size or 0, parts_in_etag(etag or ""), cut)

    def add_ages(self, table: pa.Table, *, minimum_days: int, now_ms: int) -> None:
        """Add what entries lack to the class's minimum by their columns ``size`` and ``last_modified``."""
        times: Any = table.column("last_modified").cast(pa.int64())
        self.undated += times.null_count
        # as floats: milliseconds times bytes do not fit into 64 bits
        days: Any = pc.divide(pc.subtract(pa.scalar(float(now_ms)), times.cast(pa.float64())), pa.scalar(_DAY_MS))
        lacking: Any = pc.subtract(pa.scalar(float(minimum_days)), days)
        is_young: Any = pc.fill_null(pc.greater(lacking, pa.scalar(0.0)), _FALSE)
        # an object from the future, by a clock that differs, lacks no more than all of it
        lacking = pc.min_element_wise(lacking.filter(is_young), pa.scalar(float(minimum_days)))
        sizes: Any = table.column("size").filter(is_young)
        self.young += len(sizes)
        self.young_object_days += pc.sum(lacking).as_py() or 0.0
        self.young_byte_days += pc.sum(pc.multiply(lacking, sizes.cast(pa.float64()))).as_py() or 0.0
        shortfalls: Any = _shortfalls(sizes).cast(pa.float64())
        self.young_shortfall_days += pc.sum(pc.multiply(lacking, shortfalls)).as_py() or 0.0

    def _add_object(self, size: int, parts: int, cut: Cut) -> None:
        """Add an object that may go in parts; an ETag with a hyphen and without a count says nothing about them."""
        if not parts and size < cut.threshold:
            return
        self.in_parts += 1
        self.layouts += parts > 1
        self.resplit += not parts
        self.parts += parts or part_count(size, part_size_wanted=cut.part_bytes)


def _shortfalls(sizes: Any) -> Any:  # noqa: ANN401 - see _count in figures
    """Return for each size what it lacks to the smallest billed one."""
    return pc.subtract(pa.scalar(SMALLEST_BILLED_BYTES), pc.min_element_wise(sizes, pa.scalar(SMALLEST_BILLED_BYTES)))
