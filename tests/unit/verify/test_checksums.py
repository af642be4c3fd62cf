"""Checksums decide only what they can: the same kind on both sides, composite ones only with the same cut."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from s3batch.s3.answers import ObjectHead
from s3batch.verify.checksums import (
    COMPOSITE,
    FULL_OBJECT,
    Verdict,
    compare_bytes,
    compare_checksums,
    is_layout_in_question,
    is_same_layout,
)


def _head(kind: str | None = FULL_OBJECT, **checksums: str) -> ObjectHead:
    return ObjectHead(size=1, etag="e", last_modified_ms=0, checksums=checksums, checksum_type=kind)


@pytest.mark.parametrize(
    ("source", "target", "verdict"),
    [
        (_head(SHA256="x"), _head(SHA256="x"), Verdict.PROVEN),
        (_head(SHA256="x"), _head(SHA256="y"), Verdict.DIFFERENT),
        (_head(SHA256="x"), _head(CRC32="x"), Verdict.UNDECIDED),
        (_head(), _head(), Verdict.UNDECIDED),
        (_head(SHA256=""), _head(SHA256=""), Verdict.UNDECIDED),
        (_head(SHA256=""), _head(SHA256="x"), Verdict.UNDECIDED),
        (_head(SHA256="x", CRC32="1"), _head(SHA256="x", CRC32="2"), Verdict.DIFFERENT),
        (_head(SHA256="x", CRC32="1"), _head(SHA256="x", SHA1="2"), Verdict.PROVEN),
        (_head(COMPOSITE, SHA256="x-2"), _head(COMPOSITE, SHA256="x-2"), Verdict.PROVEN),
        (_head(COMPOSITE, SHA256="x-2"), _head(COMPOSITE, SHA256="y-3"), Verdict.UNDECIDED),
        (_head(COMPOSITE, SHA256="x-2"), _head(FULL_OBJECT, SHA256="x-2"), Verdict.UNDECIDED),
        (_head(None, SHA256="x-2"), _head(COMPOSITE, SHA256="y-2"), Verdict.UNDECIDED),
        (_head(None, SHA256="x"), _head(FULL_OBJECT, SHA256="y"), Verdict.DIFFERENT),
    ],
)
def test_checksums_are_compared_by_algorithm_and_type(source: ObjectHead, target: ObjectHead, verdict: Verdict) -> None:
    """Each pair gives its verdict, whichever side is the source."""
    assert compare_checksums(source, target) is verdict
    assert compare_checksums(target, source) is verdict


def test_composite_checksums_decide_where_both_were_cut_alike() -> None:
    """With equal part sizes, different values are different bytes."""
    source, target = _head(COMPOSITE, SHA256="x-2"), _head(COMPOSITE, SHA256="y-2")
    assert is_layout_in_question(source, target)
    assert compare_checksums(source, target, is_same_layout=is_same_layout([5, 1], [5, 1])) is Verdict.DIFFERENT
    assert compare_checksums(source, target, is_same_layout=is_same_layout([5, 1], [3, 3])) is Verdict.UNDECIDED


def test_unknown_part_sizes_are_not_alike() -> None:
    """A store that does not tell part sizes decides nothing by it."""
    assert not is_same_layout([], [])
    assert not is_layout_in_question(_head(SHA256="x"), _head(SHA256="y"))


async def _stream(*pieces: bytes) -> AsyncIterator[bytes]:
    for piece in pieces:
        await asyncio.sleep(0)
        yield piece


@pytest.mark.parametrize(
    ("source", "target", "verdict"),
    [
        ((b"ab", b"cd"), (b"abc", b"d"), Verdict.PROVEN),
        ((b"abcd",), (b"abce",), Verdict.DIFFERENT),
        ((b"abcd",), (b"abc",), Verdict.DIFFERENT),
        ((b"abc",), (b"abc",), Verdict.UNDECIDED),
    ],
)
def test_bytes_are_compared_however_they_are_cut(
    source: tuple[bytes, ...], target: tuple[bytes, ...], verdict: Verdict
) -> None:
    """Equal bytes prove; a source that was cut short decides nothing."""
    assert asyncio.run(compare_bytes(_stream(*source), _stream(*target), pinned_size=4)) is verdict


def test_an_error_of_one_side_ends_the_other() -> None:
    """A source that changed on the way is told at once, not after the target's fifty gigabytes."""

    class BrokenError(Exception):
        pass

    async def broken() -> AsyncIterator[bytes]:
        yield b"a"
        raise BrokenError

    async def endless() -> AsyncIterator[bytes]:
        while True:
            await asyncio.sleep(0)
            yield b"a"

    with pytest.raises(BrokenError):
        asyncio.run(compare_bytes(broken(), endless(), pinned_size=4))
