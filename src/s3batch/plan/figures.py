"""What a plan counts over the entries, chunk by chunk, and the requests that follow from it. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, cast

import pyarrow as pa
import pyarrow.compute as pc

from s3batch.model.attributes import AS_SOURCES, Attribute, CopyAttributes, Keep
from s3batch.model.job import JobSpec, Level, Operation, VerifyOptions
from s3batch.model.objects import ARCHIVED_CLASSES
from s3batch.plan.parts import DEFAULT_PART_BYTES

KEYS_PER_REQUEST = 1_000
"""Keys of a LIST page and of a DeleteObjects request at most (API reference, read 2026-11)."""

_EXAMPLES = 3
_FALSE = pa.scalar(False)
_REQUESTS_AROUND_PARTS = 5
"""Of a copy in parts beside the parts: HEAD, HEAD of part 1, GetObjectTagging, Create, Complete."""


@dataclass(kw_only=True, slots=True)
class PlanFigures:
    """Sums over the entries that were added."""

    multipart_threshold: int
    entries: int = 0
    missing: int = 0
    missing_examples: list[str] = field(default_factory=list)
    archived: int = 0
    multipart: int = 0
    multipart_bytes: int = 0
    single_part_etags: int = 0
    largest: int = 0

    def add(self, table: pa.Table) -> None:
        """Add one chunk's columns ``key``, ``size``, ``etag``, ``storage_class`` and ``problem``."""
        self.entries += table.num_rows
        self._add_missing(table)
        sizes: Any = table.column("size")
        etags: Any = table.column("etag")
        classes = table.column("storage_class").cast(pa.string())
        self.archived += _count(pc.is_in(classes, value_set=pa.array(sorted(ARCHIVED_CLASSES))))
        has_parts: Any = pc.fill_null(pc.match_substring(etags, "-"), _FALSE)
        is_large: Any = pc.fill_null(pc.greater_equal(sizes, pa.scalar(self.multipart_threshold)), _FALSE)
        in_parts: Any = pc.or_(has_parts, is_large)
        count = _count(in_parts)
        self.multipart += count
        if count:
            self.multipart_bytes += pc.sum(sizes.filter(in_parts)).as_py() or 0
        self.single_part_etags += table.num_rows - _count(has_parts) - etags.null_count
        self.largest = max(self.largest, pc.max(sizes).as_py() or 0)

    def requests(self, spec: JobSpec, *, is_aws: bool) -> dict[str, int]:
        """Return the requests that the job will make about, by kind; retries and confirmations come on top."""
        pages = -(-self.entries // KEYS_PER_REQUEST)
        parts = self.multipart_bytes // (spec.copy.part_size or DEFAULT_PART_BYTES) + self.multipart
        match spec.operation:
            case Operation.COPY:
                found = {
                    "CopyObject": self.entries - self.multipart - self.missing,
                    "UploadPartCopy": parts if self.multipart else 0,
                    "Head, Create, Complete, GetTagging": self.multipart * _REQUESTS_AROUND_PARTS,
                    "List": pages,
                    "Head, Get, Put of attributes": self.entries
                    * _requests_of_attributes(spec.copy.attributes, is_aws=is_aws),
                }
            case Operation.VERIFY:
                gets = 2 * self.entries if spec.verify.level is Level.BYTES else 0
                tags = 2 * self.entries if Attribute.TAGS in spec.verify.attributes else 0
                heads = self.entries * _heads_of_verify(spec.verify)
                found = {"List": pages, "Head": heads, "Get": gets, "GetTagging": tags}
            case Operation.DELETE:
                sides = 1 if spec.delete.unverified else 2
                lists = is_aws or spec.delete.trust_listings
                found = {
                    "DeleteObjects": pages,
                    "List" if lists else "Head": sides * (pages if lists else self.entries),
                }
            case Operation.UNDO:
                found = {}  # by what the delete job recorded: plan/undo.py
        return {kind: count for kind, count in found.items() if count}

    def _add_missing(self, table: pa.Table) -> None:
        problems = table.column("problem")
        if problems.null_count == table.num_rows:
            return
        bad = table.filter(pc.is_valid(problems))
        self.missing += bad.num_rows
        room = _EXAMPLES - len(self.missing_examples)
        keys = cast("list[str]", bad.column("key").to_pylist())
        self.missing_examples += keys[: max(room, 0)]


def _heads_of_verify(options: VerifyOptions) -> int:
    """Return how many HEADs an object takes: its target's, its source's, and again where what came between counts."""
    by_content = options.level in {Level.CHECKSUM, Level.BYTES}
    if not options.attributes:
        return 2 if by_content else 0
    return 2 + by_content + (Attribute.TAGS in options.attributes)


def _requests_of_attributes(attributes: CopyAttributes, *, is_aws: bool) -> int:
    """Return about how many requests a copy takes beside itself for its attributes: reads, puts, and a look."""
    if attributes == AS_SOURCES:
        return 0
    reads = attributes.reads_sources + (Keep.ACL in attributes.keep) + (Keep.TAGS in attributes.keep)
    has_tags = Keep.TAGS in attributes.keep or attributes.tags is not None
    return reads if is_aws else reads + has_tags + 1


def _count(mask: Any) -> int:  # noqa: ANN401 - Arrow's array types are generic over what the stubs cannot tell
    return pc.sum(mask).as_py() or 0
