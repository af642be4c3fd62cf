"""Checksums: what two objects' recorded checksums prove, and hashing both sides where they prove nothing.

In go what HEAD tells about source and target, or two streams of bytes. A checksum of the whole object decides both
ways; a COMPOSITE one (a checksum over the parts' checksums) depends on the part boundaries: equal values prove,
different values decide only if the parts were cut alike. Algorithm and type must be the same on both sides to be
compared at all.

Facts: s3-behaviour notes in docs/safety.md rule 11; "Checking object integrity", Amazon S3 User Guide, read 2026-11.
No request is made here: streams are handed in.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping, Sequence
from enum import StrEnum
from typing import NamedTuple

from s3batch.s3.answers import ObjectHead

COMPOSITE = "COMPOSITE"
FULL_OBJECT = "FULL_OBJECT"


class Verdict(StrEnum):
    """What a comparison says."""

    PROVEN = "proven"
    DIFFERENT = "different"
    UNDECIDED = "undecided"


class Digest(NamedTuple):
    """The SHA-256 of a stream and how long it was."""

    sha256: str
    size: int


def compare_checksums(source: ObjectHead, target: ObjectHead, *, is_same_layout: bool = False) -> Verdict:
    """Return what the checksums that both objects carry say about their bytes.

    ``is_same_layout`` tells that both were uploaded in parts of the same sizes. One difference that decides outweighs
    any number of equal values.
    """
    kind = _kind(source)
    if kind != _kind(target):
        return Verdict.UNDECIDED
    # an empty header is no checksum: two of them would prove any two objects
    common = {name for name, value in source.checksums.items() if value and target.checksums.get(name)}
    equal = {name for name in common if source.checksums[name] == target.checksums[name]}
    if equal != common and (kind == FULL_OBJECT or is_same_layout):
        return Verdict.DIFFERENT
    return Verdict.PROVEN if equal else Verdict.UNDECIDED


def is_layout_in_question(source: ObjectHead, target: ObjectHead) -> bool:
    """Tell whether knowing the part sizes of both could decide what :func:`compare_checksums` left undecided."""
    return _kind(source) == _kind(target) == COMPOSITE and bool(source.checksums.keys() & target.checksums.keys())


def is_same_layout(source_parts: Sequence[int], target_parts: Sequence[int]) -> bool:
    """Tell whether two objects were cut alike; objects whose part sizes are not known were not."""
    return bool(source_parts) and list(source_parts) == list(target_parts)


async def hash_stream(stream: AsyncIterator[bytes]) -> Digest:
    """Return the SHA-256 and length of a stream; one piece of it is held at a time."""
    digest = hashlib.sha256()
    size = 0
    async for piece in stream:
        digest.update(piece)
        size += len(piece)
    return Digest(digest.hexdigest(), size)


async def compare_bytes(source: AsyncIterator[bytes], target: AsyncIterator[bytes], *, pinned_size: int) -> Verdict:
    """Read both streams at the same time and return whether they are the same ``pinned_size`` bytes.

    A source stream of another length was cut short: that decides nothing. Both streams are read to their end or, when
    one fails, its error is raised after the other was told to stop.
    """
    both = [asyncio.ensure_future(hash_stream(stream)) for stream in (source, target)]
    try:
        source_digest, target_digest = await asyncio.gather(*both)
    finally:
        for each in both:
            each.cancel()
        await asyncio.gather(*both, return_exceptions=True)
    if source_digest.size != pinned_size:
        return Verdict.UNDECIDED
    return Verdict.PROVEN if source_digest == target_digest else Verdict.DIFFERENT


def _kind(head: ObjectHead) -> str:
    """Return the type of an object's checksums; where the store does not say, a value with ``-N`` is composite."""
    if head.checksum_type is not None:
        return head.checksum_type
    return COMPOSITE if _has_part_count(head.checksums) else FULL_OBJECT


def _has_part_count(checksums: Mapping[str, str]) -> bool:
    return any("-" in value for value in checksums.values())
