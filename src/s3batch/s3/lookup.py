"""What is there now under these exact keys? One listing of their range where they lie close, HEADs where they do not.

In: a reader of a store, a bucket, keys in ascending order. Out: :class:`Observed`, columns of the length of the keys.
A listing may lag behind on stores that are not strongly consistent: what it shows as missing or different is to be
confirmed by :func:`head_all` before anyone acts on it (safety.md rule 12). Nothing is compared or written here.

A store whose listing does not ascend from where it was asked to cannot tell what is absent; HEADs answer then.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from os.path import commonprefix
from typing import Protocol

from s3batch.model.errors import S3BatchError
from s3batch.model.objects import MAX_KEY_BYTES
from s3batch.s3.answers import ListPage, ObjectHead
from s3batch.s3.errors import NO_SUCH_KEY
from s3batch.s3.key_space import is_plain
from s3batch.s3.listing_ranges import OrderError, require_ascending
from s3batch.s3.listing_requests import Lister, PageRequests

ABSENT_SIZE = -1
"""The size of what is not there."""

MIN_RESOLVED = 12
"""A LIST costs as much as 12 HEADs ($0.005 and $0.0004 per 1,000, S3 Standard in us-east-1, read 2026-11), and as long
as one of many in parallel: where a page resolves fewer keys than this, the next ones are asked for by HEAD."""

MAX_HEADS = 768
"""After each page that resolved too few, twice as many keys are asked for by HEAD, up to this many."""

HEADS_AT_ONCE = 256
"""HEADs of one call that wait for a turn of the throttle at the same time."""

_ABSENT = frozenset({NO_SUCH_KEY, "NoSuchVersion"})

_FEW = 8
"""Where fewer than one key of so many on a page is wanted, each is searched for; else the page gets an index."""

_LAST_CHARACTER = "\U0010fffd"
"""What comes after it is no character of XML."""


class Looker(Lister, Protocol):
    """What is needed of a store."""

    async def head_object(self, bucket: str, key: str, *, version_id: str | None = None) -> ObjectHead:
        """Return what HEAD tells, or raise ``NoSuchKey``; ``NoSuchVersion`` may be said of a version."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Observed:
    """What was seen under some keys, in columns of their length."""

    etags: list[str | None]
    """``None``: the key is absent, or ``errors`` has its position and nothing is known about it."""
    sizes: list[int]
    last_modified: list[str]
    """ISO 8601 with a Z; empty for what is absent."""
    storage_classes: list[str | None]
    requests: int
    errors: dict[int, S3BatchError] = field(default_factory=dict)
    """By position: why nothing is known. A key in here is *not* absent."""
    version_ids: dict[int, str] = field(default_factory=dict)
    """By position, where a HEAD told it; listings do not tell version ids."""

    def modified_ms(self, position: int) -> int:
        """Return when the object at ``position`` was written; 0 where the store's text cannot be read."""
        try:
            return round(datetime.fromisoformat(self.last_modified[position]).timestamp() * 1000)
        except ValueError:
            return 0


async def look_up(reader: Looker, bucket: str, keys: Sequence[str], *, after: str | None = None) -> Observed:
    """Return what the store shows under ``keys``, which ascend strictly.

    ``after`` is a key known to lie right before the first one (the previous chunk's last), where the listing begins.
    Without it the listing begins as closely before the first key as can be written.

    Raises:
        S3BatchError: a listing failed. Failures of single HEADs are in ``errors`` instead.
    """
    return await _LookUp(reader, bucket, list(keys)).run(after)


async def head_all(
    reader: Looker, bucket: str, keys: Sequence[str], *, version_ids: Sequence[str] | None = None
) -> Observed:
    """Return what HEAD says under each of ``keys``, in whatever order they are; failures are in ``errors``.

    With ``version_ids`` these versions are asked for and not the current ones.
    """
    look = _LookUp(reader, bucket, list(keys), version_ids)
    await look.head(0, len(keys))
    return look.observed()


class _LookUp:
    """One look at some keys; fills its columns from left to right."""

    def __init__(self, reader: Looker, bucket: str, keys: list[str], version_ids: Sequence[str] | None = None) -> None:
        self._reader = reader
        self._asked_versions = version_ids
        self._bucket = bucket
        self._keys = keys
        self._prefix = _folder_of(keys[0], keys[-1]) if keys else ""
        self._pages = PageRequests(reader, bucket, self._prefix)
        self._heads = 0
        self._etags: list[str | None] = [None] * len(keys)
        self._sizes = [ABSENT_SIZE] * len(keys)
        self._last_modified = [""] * len(keys)
        self._storage_classes: list[str | None] = [None] * len(keys)
        self._errors: dict[int, S3BatchError] = {}
        self._version_ids: dict[int, str] = {}

    def observed(self) -> Observed:
        return Observed(
            etags=self._etags,
            sizes=self._sizes,
            last_modified=self._last_modified,
            storage_classes=self._storage_classes,
            requests=self._pages.requests + self._heads,
            errors=self._errors,
            version_ids=self._version_ids,
        )

    async def run(self, after: str | None) -> Observed:
        total, resolved, heads = len(self._keys), 0, MIN_RESOLVED
        start = self._start(after)
        while resolved < total:
            page = await self._pages.ask(start_after=start)
            try:
                require_ascending(page.keys, start)
            except OrderError:
                await self.head(resolved, total)
                break
            known = self._take(page, resolved)
            if known < total and known - resolved < MIN_RESOLVED:
                known, resolved = min(known + heads, total), known
                await self.head(resolved, known)
                heads = min(heads * 2, MAX_HEADS)
                start = self._keys[known - 1]
            elif known < total:
                heads = MIN_RESOLVED
                is_dense = (known - resolved) * 2 >= len(page.keys)
                start = page.keys[-1] if is_dense else max(page.keys[-1], text_before(self._keys[known]))
            resolved = known
        return self.observed()

    def _start(self, after: str | None) -> str | None:
        if not self._keys:
            return None
        start = after if after is not None and after.startswith(self._prefix) else text_before(self._keys[0])
        return start if start > self._prefix else None

    def _take(self, page: ListPage, begin: int) -> int:
        """Note what a page tells about the keys from ``begin`` on; return the first position it tells nothing about."""
        listed, keys = page.keys, self._keys
        if not page.is_truncated:
            end = len(keys)
        elif not listed:
            return begin
        else:
            end = bisect_right(keys, listed[-1], begin)
        wanted = keys[begin:end]
        if wanted == listed:
            self._etags[begin:end] = page.etags
            self._sizes[begin:end] = page.sizes
            self._last_modified[begin:end] = page.last_modified
            self._storage_classes[begin:end] = page.storage_classes
            return end
        places = _search(wanted, listed) if len(wanted) * _FEW < len(listed) else _merge(wanted, listed)
        for position, place in places:
            row = begin + position
            self._etags[row] = page.etags[place]
            self._sizes[row] = page.sizes[place]
            self._last_modified[row] = page.last_modified[place]
            self._storage_classes[row] = page.storage_classes[place]
        return end

    async def head(self, begin: int, end: int) -> None:
        """Ask for the keys from ``begin`` to before ``end`` by HEAD, many at once; the throttle sets the pace."""
        rows = iter(range(begin, end))
        async with asyncio.TaskGroup() as group:
            for _ in range(min(end - begin, HEADS_AT_ONCE)):
                group.create_task(self._head_rows(rows))

    async def _head_rows(self, rows: Iterator[int]) -> None:
        for row in rows:  # shared by all tasks: each takes the next one
            self._heads += 1
            try:
                version_id = None if self._asked_versions is None else self._asked_versions[row]
                head = await self._reader.head_object(self._bucket, self._keys[row], version_id=version_id)
            except S3BatchError as error:
                if error.code not in _ABSENT:
                    self._errors[row] = error
                continue
            self._etags[row] = head.etag
            self._sizes[row] = head.size
            self._last_modified[row] = _iso_text(head.last_modified_ms)
            self._storage_classes[row] = head.storage_class
            if head.version_id is not None:
                self._version_ids[row] = head.version_id


def _merge(wanted: list[str], listed: list[str]) -> Iterator[tuple[int, int]]:
    """Yield the positions of equal keys in two ascending lists."""
    place, places = 0, len(listed)
    for position, key in enumerate(wanted):
        while place < places and listed[place] < key:
            place += 1
        if place == places:
            return
        if listed[place] == key:
            yield position, place


def _search(wanted: list[str], listed: list[str]) -> Iterator[tuple[int, int]]:
    """Yield the same as ``_merge``, where few keys are wanted."""
    for position, key in enumerate(wanted):
        place = bisect_left(listed, key)
        if place < len(listed) and listed[place] == key:
            yield position, place


def text_before(key: str) -> str:
    """Return a text below ``key`` with as little as possible between them, for an exclusive ``start-after``.

    Without its last character the key is always such a text; closer is the neighbour of that character with the last of
    all behind it, where both can be trusted to reach the store.
    """
    beginning, code_point = key[:-1], ord(key[-1]) - 1
    text = f"{beginning}{chr(code_point)}{_LAST_CHARACTER}" if is_plain(code_point) else beginning
    return text if len(text.encode()) <= MAX_KEY_BYTES else beginning


def _folder_of(first: str, last: str) -> str:
    """Return the folder that all keys between two lie in; policies often allow listing by folder only."""
    common = commonprefix([first, last])  # noqa: RUF071 - keys, not paths; characters are meant
    return common[: common.rfind("/") + 1]


def _iso_text(time_ms: int) -> str:
    moment = datetime.fromtimestamp(time_ms / 1000, UTC)
    return f"{moment:%Y-%m-%dT%H:%M:%S}.{time_ms % 1000:03}Z"
