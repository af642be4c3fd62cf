"""Part sizes and byte ranges of a multipart copy.

Input: an object's size and what is known of its parts. Output: the byte ranges to copy, in order, one per part.
Pure arithmetic; no request is made here. S3's limits are from "Amazon S3 multipart upload limits", read 2026-11; other
stores may allow less, so they are arguments.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from s3batch.model.errors import RefusedError

MIB = 1024**2

DEFAULT_PART_BYTES = 64 * MIB
"""Wanted where the source's layout is unknown: few requests, and enough parts to be fast in parallel."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What a store takes."""

    smallest_part: int = 5 * MIB
    """Of every part but the last."""
    largest_part: int = 5 * 1024 * MIB
    most_parts: int = 10_000


S3_LIMITS = Limits()


@dataclass(frozen=True, kw_only=True, slots=True)
class ByteRange:
    """Bytes ``first`` to ``last``, both included, as in a ``Range`` header."""

    first: int
    last: int

    def __str__(self) -> str:
        """Return the value of ``x-amz-copy-source-range``."""
        return f"bytes={self.first}-{self.last}"


def part_ranges(object_size: int, *, part_size_wanted: int, limits: Limits = S3_LIMITS) -> tuple[ByteRange, ...]:
    """Return the byte ranges that together are exactly the object, in order.

    The part size is ``part_size_wanted`` unless that would need more parts than the store allows; then it is the
    smallest whole number of MiB that fits. Sizes are in bytes.

    Raises:
        RefusedError: the object does not fit even in the largest parts.
    """
    part_size = max(part_size_wanted, limits.smallest_part)
    if part_size * limits.most_parts < object_size:
        part_size = -(-object_size // limits.most_parts // MIB) * MIB
        while part_size * limits.most_parts < object_size:
            part_size += MIB
    if part_size > limits.largest_part:
        raise RefusedError(
            f"An object of {object_size} bytes needs parts of {part_size} bytes; the store takes"
            f" {limits.most_parts} parts of at most {limits.largest_part} bytes.",
            code="EntityTooLarge",
        )
    return tuple(
        ByteRange(first=first, last=min(first + part_size, object_size) - 1)
        for first in range(0, object_size, part_size)
    )


def part_count(object_size: int, *, part_size_wanted: int, limits: Limits = S3_LIMITS) -> int:
    """Return how many ranges :func:`part_ranges` would give about, for an object that is not too large."""
    return min(-(-object_size // max(part_size_wanted, limits.smallest_part)), limits.most_parts)


def ranges_of_layout(part_sizes: Sequence[int]) -> tuple[ByteRange, ...]:
    """Return the byte ranges of parts of these sizes, so that a copy gets the same ETag as its source."""
    bounds = accumulate(part_sizes, initial=0)
    return tuple(ByteRange(first=first, last=end - 1) for first, end in pairwise(bounds))


def uniform_layout(object_size: int, *, first_part: int, parts: int) -> tuple[int, ...] | None:
    """Return the part sizes if ``parts`` parts like the first one, with a shorter last one, make up the object.

    Every client in use uploads equal parts; an object whose parts differ is seen here because the count does not fit.
    """
    if first_part <= 0 or parts < 1 or not (parts - 1) * first_part < object_size <= parts * first_part:
        return None
    return (*[first_part] * (parts - 1), object_size - (parts - 1) * first_part)


def parts_in_etag(etag: str) -> int:
    """Return the number of parts that an ETag tells of: 0 where it is not of the form ``md5-N``."""
    digest, _, count = etag.rpartition("-")
    return int(count) if digest and count.isascii() and count.isdigit() else 0
