"""What is there now: the columns of a chunk's rows, their mapped keys, and how both are read from a store.

In go a chunk and some of its rows, out come columns of the length of those rows: ETags (``None`` for what is absent)
and sizes. A listing of the range is the cheap way; what it shows as missing or different is confirmed by HEAD before
anyone acts on it (safety.md rule 12). Nothing is decided and nothing is written here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeVar

from s3batch.model.errors import S3BatchError, UnavailableError
from s3batch.model.job import KeyMapping
from s3batch.operations.outage import may_be_the_object, may_pass
from s3batch.operations.task import ChunkWork
from s3batch.s3.errors import NO_SUCH_BUCKET, S3RefusedError
from s3batch.s3.lookup import Observed, head_all, look_up
from s3batch.s3.reader import S3Reader

T = TypeVar("T")


_ABOUT_ALL_KEYS = frozenset(
    {NO_SUCH_BUCKET, "AccountProblem", "AllAccessDisabled", "InvalidAccessKeyId", "SignatureDoesNotMatch"}
)
"""Refusals of a listing that a HEAD would get too, but could not name: its answer has no body."""


_NO_BODY_400 = "BadRequest"


class Seen(NamedTuple):
    """What was seen under some keys, as columns; changed in place where a HEAD knows better than a listing."""

    etags: list[str | None]
    sizes: list[int]
    errors: dict[int, S3BatchError]
    """By position: why nothing is known there. Such a key has the ETag ``None`` too, and is *not* absent."""
    version_ids: dict[int, str]
    """By position, where a HEAD told it; a listing tells none."""


def pick(column: Sequence[T], rows: Sequence[int]) -> list[T]:
    """Return the values of ascending ``rows``; a run without gaps, the usual case, is one slice."""
    if not rows:
        return []
    first, last = rows[0], rows[-1]
    if last - first + 1 == len(rows):
        return list(column[first : last + 1])
    return [column[row] for row in rows]


def target_keys_of(mapping: KeyMapping, keys: Sequence[str]) -> list[str]:
    """Return the mapped keys; taking one prefix off all keys and putting another there keeps their order."""
    stripped, added = len(mapping.strip_prefix), mapping.add_prefix
    return [added + key[stripped:] for key in keys]


def key_before(work: ChunkWork, rows: Sequence[int]) -> str | None:
    """Return the manifest's key right below the first of ``rows``: their range begins after it."""
    first = rows[0]
    return work.keys[first - 1] if first else work.after


async def look(reader: S3Reader, bucket: str, keys: list[str], *, after: str | None) -> Seen:
    """Return what a listing shows under ``keys``, which ascend; a plan names each key once.

    Where listing is refused, by a policy say, HEADs answer: that says nothing about any of the keys.

    Raises:
        S3BatchError: the listing failed for a reason that holds for every request.
    """
    try:
        return _seen(await look_up(reader, bucket, keys, after=after))
    except S3RefusedError as error:
        if error.code in _ABOUT_ALL_KEYS:
            raise
        return await look_closely(reader, bucket, keys)


async def look_closely(
    reader: S3Reader, bucket: str, keys: list[str], *, version_ids: Sequence[str] | None = None
) -> Seen:
    """Return what HEAD says under each of ``keys``, or of these versions of them."""
    return _seen(await head_all(reader, bucket, keys, version_ids=version_ids))


async def confirm(
    reader: S3Reader,
    bucket: str,
    keys: list[str],
    seen: Seen,
    positions: Sequence[int],
    *,
    version_ids: Sequence[str] | None = None,
) -> None:
    """Replace what ``seen`` holds at ``positions`` by what HEAD says now."""
    if not positions:
        return
    versions = None if version_ids is None else [version_ids[position] for position in positions]
    closely = await look_closely(reader, bucket, [keys[position] for position in positions], version_ids=versions)
    for place, position in enumerate(positions):
        seen.etags[position] = closely.etags[place]
        seen.sizes[position] = closely.sizes[place]
        seen.errors.pop(position, None)
        seen.version_ids.pop(position, None)
        if place in closely.version_ids:
            seen.version_ids[position] = closely.version_ids[place]
        if place in closely.errors:
            seen.errors[position] = closely.errors[place]


async def is_about_object(
    error: S3BatchError, sides: Iterable[tuple[S3Reader, str]], *, is_first_attempt: bool
) -> bool:
    """Tell whether a failed reading of one object is to be recorded as the row's own failure.

    What may pass is left for later. But a store may fail at one object for ever: where an earlier attempt ran already
    and the store answers other questions about the same buckets, it is the object. The 400 of a HEAD, which has no
    body, may be about ended credentials; a listing names them.
    """
    if may_pass(error):
        if is_first_attempt or not may_be_the_object(error):
            return False
    elif error.code != _NO_BODY_400:
        return True
    try:
        for reader, bucket in sides:
            await reader.list_objects(bucket, "", max_keys=1)
    except UnavailableError:
        return False
    except S3RefusedError:
        return True  # an answer too
    return True


def _seen(observed: Observed) -> Seen:
    return Seen(observed.etags, observed.sizes, observed.errors, observed.version_ids)
