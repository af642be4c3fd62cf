"""What a plan counts over the entries, chunk by chunk. Pure; what follows from it is other modules' business."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, cast

import pyarrow as pa
import pyarrow.compute as pc

from s3batch.model.objects import ARCHIVED_CLASSES
from s3batch.plan.class_figures import ClassFigures, Cut
from s3batch.plan.parts import DEFAULT_PART_BYTES
from s3batch.plan.prices import STANDARD

KEYS_PER_REQUEST = 1_000
"""Keys of a LIST page and of a DeleteObjects request at most (API reference, read 2026-11)."""

MAX_CLASSES = 32
"""Storage classes that are counted one by one: more than S3 has, and a bound on what a manifest may claim."""

OTHER_CLASSES = "OTHER"
"""Under which the others are counted together."""

_FIRST_HEADED_ROWS = 64
"""As ``operations/delete.py`` begins where each object is read by HEAD; twice as many each time after that."""

_EXAMPLES = 3
_FALSE = pa.scalar(False)


@dataclass(kw_only=True, slots=True)
class PlanFigures:
    """Sums over the entries that were added."""

    multipart_threshold: int
    part_size: int | None = None
    """Bytes of a part where the source's own layout is not known; ``None`` is the default."""
    minimum_days: Mapping[str, int] = field(default_factory=dict)
    """By storage class with a minimum duration, where ages are to be counted."""
    now_ms: int = 0
    entries: int = 0
    chunks: int = 0
    pages: int = 0
    """Of 1,000 keys, each of one chunk."""
    headed_batches: int = 0
    """Batches of a delete that begins with few keys."""
    missing: int = 0
    missing_examples: list[str] = field(default_factory=list)
    archived: int = 0
    single_part_etags: int = 0
    largest: int = 0
    by_class: defaultdict[str, ClassFigures] = field(default_factory=lambda: defaultdict(ClassFigures))
    """By storage class; without those that are missing."""

    @property
    def multipart(self) -> int:
        """Return how many objects are copied in parts."""
        return sum(each.in_parts for each in self.by_class.values())

    @property
    def objects(self) -> int:
        """Return how many entries have an object."""
        return sum(each.objects for each in self.by_class.values())

    @property
    def bytes(self) -> int:
        """Return the bytes of these objects."""
        return sum(each.bytes for each in self.by_class.values())

    def add(self, table: pa.Table) -> None:
        """Add one chunk's columns ``key``, ``size``, ``etag``, ``storage_class`` and ``problem``.

        Where ages are counted, also ``last_modified``.
        """
        self.entries += table.num_rows
        self.chunks += 1
        table = self._without_missing(table)
        self.pages += -(-table.num_rows // KEYS_PER_REQUEST)
        self.headed_batches += _headed_batches(table.num_rows)
        etags: Any = table.column("etag")
        with_parts = _count(pc.match_substring(etags, "-"))
        self.single_part_etags += table.num_rows - with_parts - etags.null_count
        largest = pc.max(table.column("size")).as_py() or 0
        self.largest = max(self.largest, largest)
        self._add_classes(table, may_go_in_parts=bool(with_parts) or largest >= self.multipart_threshold)

    def _add_classes(self, table: pa.Table, *, may_go_in_parts: bool) -> None:
        cut = Cut(threshold=self.multipart_threshold, part_bytes=self.part_size or DEFAULT_PART_BYTES)
        for name, rows in _rows_by_class(table):
            has_room = name in self.by_class or len(self.by_class) < MAX_CLASSES
            figures = self.by_class[name if has_room else OTHER_CLASSES]
            figures.add(rows)
            if may_go_in_parts:
                figures.add_parts(rows, cut)
            self.archived += rows.num_rows if name in ARCHIVED_CLASSES else 0
            if name in self.minimum_days:
                figures.add_ages(rows, minimum_days=self.minimum_days[name], now_ms=self.now_ms)

    def _without_missing(self, table: pa.Table) -> pa.Table:
        """Count the entries without an object and return the others."""
        problems = table.column("problem")
        if problems.null_count == table.num_rows:
            return table
        bad = table.filter(pc.is_valid(problems))
        self.missing += bad.num_rows
        room = _EXAMPLES - len(self.missing_examples)
        keys = cast("list[str]", bad.column("key").to_pylist())
        self.missing_examples += keys[: max(room, 0)]
        return table.filter(pc.is_null(problems))


def _rows_by_class(table: pa.Table) -> Iterator[tuple[str, pa.Table]]:
    """Yield each storage class with its rows; one class, the usual case, takes no filter."""
    classes: Any = table.column("storage_class")
    names: list[str | None] = pc.unique(classes).to_pylist()
    if len(names) == 1:
        yield names[0] or STANDARD, table
        return
    texts = classes.cast(pa.string())
    for name in names:
        mask: Any = pc.is_null(texts) if name is None else pc.fill_null(pc.equal(texts, pa.scalar(name)), _FALSE)
        yield name or STANDARD, table.filter(mask)


def _headed_batches(rows: int) -> int:
    """Return in how many batches a chunk's rows are deleted where batches begin small and a fast store doubles them."""
    batches, size = 0, _FIRST_HEADED_ROWS
    while rows > 0:
        rows -= size
        size = min(size * 2, KEYS_PER_REQUEST)
        batches += 1
    return batches


def _count(mask: Any) -> int:  # noqa: ANN401 - Arrow's array types are generic over what the stubs cannot tell
    return pc.sum(mask).as_py() or 0
