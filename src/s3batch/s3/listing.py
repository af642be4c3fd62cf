"""Listing one prefix: in many lanes, without hints, in key order, complete or not at all.

In: a reader of a store, bucket and prefix. Out: pages of entries in key order (``listed_pages.ListedPage``) and, at the
end, a :class:`Proof` of what was checked. How the key space is cut and why no key can be missing is in
``listing_ranges``; here are the requests, the waiting, and what happens when a store does not list as S3 does:

- it ignores ``start-after`` or lists in another order than bytes: all is listed again in one lane, by the store's own
  tokens, and the proof tells why;
- in one lane the keys do not ascend either: the pages say so (``is_sorted``), and whoever takes them sorts;
- it answers the same page or token again and again: :class:`~s3batch.model.errors.InconsistentError`, never a loop.

A prefix of one page costs one request. Keys that exist from beginning to end are always listed; those that come or go
meanwhile may or may not be, as with any listing.
"""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from s3batch.s3.answers import ListPage
from s3batch.s3.listed_pages import MEMORY_BYTES, SPOOL_BYTES, ListedPage, Spool, page_to_batch
from s3batch.s3.listing_ranges import (
    END,
    FULL_PAGE_KEYS,
    KeyRange,
    OrderError,
    Tiling,
    require_ascending,
    require_prefix,
)
from s3batch.s3.listing_requests import Lister, PageRequests, TokenChain

DEFAULT_LANES = 32
"""LIST requests in flight. One lane gives 3,000 to 12,000 keys a second (0.08 to 0.3 s a page), CPU allows 400,000."""

_SEAM_ATTEMPTS = 4
"""How often both sides of a seam are asked anew before the store's order, and not a busy writer, is held to blame."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Proof:
    """What was done and checked to be sure that a listing is complete."""

    keys: int
    """Entries given out; where ``is_sorted`` is false some may have been given twice."""
    requests: int
    ranges: int
    """Parts of the key space; they tile it, and each seam between two was crossed by the walk of the left one."""
    empty_pages: int
    seams_renewed: int
    """Seams where keys came or went while listing, so that both sides were asked again."""
    single_lane_reason: str | None
    """Why the store had to be listed in one lane; ``None``: it had not."""
    is_sorted: bool


def list_in_order(
    reader: Lister,
    bucket: str,
    prefix: str,
    *,
    lanes: int = DEFAULT_LANES,
    spool_dir: Path | None = None,
) -> PrefixListing:
    """Return the listing of a prefix, to be iterated over once (``async for page in ...``)."""
    return PrefixListing(reader, bucket, prefix, lanes=lanes, spool_dir=spool_dir)


class PrefixListing:
    """One listing of one prefix. Iterate over it once; ``proof`` is there when the iteration has ended.

    Iteration raises the errors of the reader, and ``InconsistentError`` where the store contradicts itself.
    """

    def __init__(
        self,
        reader: Lister,
        bucket: str,
        prefix: str,
        *,
        lanes: int = DEFAULT_LANES,
        spool_dir: Path | None = None,
        memory_bytes: int = MEMORY_BYTES,
        spool_bytes: int = SPOOL_BYTES,
        full_page_keys: int = FULL_PAGE_KEYS,
    ) -> None:
        """``spool_dir`` takes the pages that are ahead of their turn; ``None``: the system's folder for such.

        ``full_page_keys`` is what the reader asks for.
        """
        self.proof: Proof | None = None
        self.keys_listed = 0
        """Keys seen so far in all lanes, for showing progress."""
        self._pages = PageRequests(reader, bucket, prefix)
        self._lanes = max(lanes, 1)
        self._spool = Spool(spool_dir, memory_bytes=memory_bytes, spool_bytes=spool_bytes)
        self._tiling = Tiling(prefix, full_page_keys=full_page_keys)
        self._tasks: set[asyncio.Task[None]] = set()
        self._failure: Exception | None = None
        self._changed = asyncio.Event()
        """Set when there may be something to give out."""
        self._room = asyncio.Event()
        """Set when a lane that waits for room should look again."""
        self._turn: KeyRange = self._tiling.first
        """The range whose pages are being given out."""
        self._given = 0
        self._gap_keys = 0
        self._is_sorted = True
        self._seams_renewed = 0

    def __aiter__(self) -> AsyncIterator[ListedPage]:
        """Iterate over the pages in key order."""
        return self._all_pages()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        """Stop what is under way; needed where the iteration may be left before its end."""
        await self._stop()

    async def _all_pages(self) -> AsyncGenerator[ListedPage]:
        reason: str | None = None
        try:
            try:
                async with aclosing(self._in_lanes()) as pages:
                    async for page in pages:
                        yield page
                self._tiling.require_tiled(self._given - self._gap_keys)
            except OrderError as error:
                reason = str(error)
                await self._stop()
                async with aclosing(self._in_one_lane()) as pages:
                    async for page in pages:
                        yield page
        finally:
            await self._stop()
        self.proof = Proof(
            keys=self._given,
            requests=self._pages.requests,
            ranges=1 if reason else self._tiling.count,
            empty_pages=self._tiling.empty_pages,
            seams_renewed=self._seams_renewed,
            single_lane_reason=reason,
            is_sorted=self._is_sorted,
        )

    async def _stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        self._spool.close()

    # ------------------------------------------------------------------------------------------------------ lanes

    def _start_lane(self, key_range: KeyRange) -> None:
        task = asyncio.create_task(self._walk(key_range))
        self._tasks.add(task)
        task.add_done_callback(self._end_lane)

    def _end_lane(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            error = task.exception()
            if isinstance(error, Exception) and self._failure is None:
                self._failure = error
            if error is None:
                self._use_free_lanes()
        self._changed.set()

    def _use_free_lanes(self) -> None:
        while len(self._tasks) < self._lanes and self._failure is None and not self._spool.is_full:
            key_range = self._tiling.split()
            if key_range is None:
                return
            self._start_lane(key_range)

    async def _walk(self, key_range: KeyRange) -> None:
        start, token, chain = key_range.start, None, TokenChain()
        while not key_range.is_done:
            await self._wait_for_room(key_range)
            page = await self._pages.ask(start_after=start, token=token)
            inside = self._tiling.accept(key_range, page)
            if self._tiling.is_short(page):  # keys may be missing at its end, and its token would pass over them
                start, token = page.keys[-1], None
            else:
                start, token = None, page.next_token
                if not page.keys:
                    chain.add(token)  # keys that ascend are progress enough
            self.keys_listed += inside
            if inside:
                self._spool.put(key_range, page_to_batch(page, inside))
            if key_range is self._turn or key_range.pages == 1:
                self._changed.set()
            self._use_free_lanes()

    async def _wait_for_room(self, key_range: KeyRange) -> None:
        while self._spool.is_full and (key_range is not self._turn or self._spool.has(key_range)):
            self._room.clear()
            await self._room.wait()

    # ----------------------------------------------------------------------------------------------- in key order

    async def _in_lanes(self) -> AsyncGenerator[ListedPage]:
        self._start_lane(self._tiling.first)
        await self._until(self._is_trusted)
        seam = _Seam()
        key_range: KeyRange | None = self._tiling.first
        while key_range is not None:
            self._turn = key_range
            self._room.set()
            await self._until(self._turn_is_told)
            if key_range.first_key is not None and key_range is not self._tiling.first:
                async for page in self._cross(seam, key_range.start, key_range.first_key):
                    yield page
            async for page in self._of_turn():
                yield page
            if key_range.keys or key_range is self._tiling.first:
                last_key = key_range.whole.last if key_range.whole is not None and key_range.keys else None
                seam = _Seam(last_key=last_key, start=key_range.end, seen=key_range.next_key)
            key_range = key_range.following
        if seam.seen is not END:
            async for page in self._cross(seam, END, END):
                yield page

    async def _of_turn(self) -> AsyncGenerator[ListedPage]:
        turn = self._turn
        while True:
            await self._until(lambda: turn.is_done or self._spool.has(turn))
            batch = self._spool.take(turn)
            if batch is None:
                return
            if not self._spool.has(turn):
                self._room.set()
            self._given += batch.num_rows
            yield ListedPage(batch=batch)

    async def _cross(self, seam: _Seam, start: str | None, first_key: str | None) -> AsyncGenerator[ListedPage]:
        """Pass on to the next range that has keys, if its first key is what the walk before it saw.

        If it is not, keys came or went meanwhile, or the store keeps an order of its own: all sides are asked again
        until they agree, also about what follows the keys that turn up in between. Those are given out.

        Raises:
            OrderError: they never agree.
        """
        seen = seam.seen
        if seen == first_key:
            return
        self._seams_renewed += 1
        for _ in range(_SEAM_ATTEMPTS):
            right = await self._pages.behind(seam.start)
            if _first(right) != seen:
                seen = await self._pages.first_key_behind(seam.start, after=seam.last_key)
            if _first(right) == seen and await self._fill_gap(seam, right, start, first_key):
                while (batch := self._spool.take(seam)) is not None:
                    self._given += batch.num_rows
                    self._gap_keys += batch.num_rows
                    yield ListedPage(batch=batch)
                return
        raise OrderError(f"behind {seam.start!r} the store lists {_first(right)!r}, but {seen!r} on the way there")

    async def _fill_gap(self, seam: _Seam, page: ListPage, start: str | None, first_key: str | None) -> bool:
        """Put aside the keys from a seam to the next range's first key; tell whether the walk arrives there.

        If that key is gone by now, the walk from the next range's own start must arrive where this one does.
        """
        while self._spool.take(seam) is not None:
            continue  # from the attempt before
        last_key: str | None = None
        while True:
            rows = len(page.keys) if first_key is None else bisect_left(page.keys, first_key)
            if rows:
                last_key = page.keys[rows - 1]
                self._spool.put(seam, page_to_batch(page, rows))
            if rows < len(page.keys) or not page.is_truncated:
                break
            page = await self._pages.next(page)
        arrived_at = page.keys[rows] if rows < len(page.keys) else END
        if arrived_at == first_key or start is None:
            return arrived_at == first_key
        return arrived_at == _first(await self._pages.behind(start if last_key is None else max(start, last_key)))

    def _is_trusted(self) -> bool:
        """Tell whether the first pages may be given out: if a ``start-after`` was asked, not before its answer.

        So that a store that ignores it is found before anything has to be sorted for that.
        """
        first = self._tiling.first
        if first.following is None:
            return first.pages > 0
        return any(key_range.pages for key_range in self._tiling.ranges() if key_range is not first)

    def _turn_is_told(self) -> bool:
        return self._turn.is_done or self._turn.first_key is not None

    async def _until(self, is_so: Callable[[], bool]) -> None:
        while True:
            if self._failure is not None:
                raise self._failure
            if is_so():
                return
            self._changed.clear()
            await self._changed.wait()

    # ------------------------------------------------------------------------------------------------- in one lane

    async def _in_one_lane(self) -> AsyncGenerator[ListedPage]:
        """List by the store's own tokens alone; what was given out before is given out again, to be sorted together."""
        self._is_sorted = self._given == 0
        self.keys_listed = 0
        position: str | None = None
        chain = TokenChain()
        page = await self._pages.ask()
        while True:
            if page.keys:
                self._judge_order(page.keys, position)
                position = page.keys[-1]
                self.keys_listed += len(page.keys)
                self._given += len(page.keys)
                yield ListedPage(batch=page_to_batch(page), is_sorted=self._is_sorted)
            if not page.is_truncated:
                return
            chain.add(page.next_token)
            page = await self._pages.ask(token=page.next_token)

    def _judge_order(self, keys: list[str], position: str | None) -> None:
        try:
            require_ascending(keys, position)
        except OrderError:
            self._is_sorted = False
        require_prefix(keys if self._is_sorted else sorted(keys), self._tiling.prefix)


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class _Seam:
    """Where a walk ended, and what it saw behind that end."""

    last_key: str | None = None
    """The last key of the walk; ``None``: it had none, and began where the prefix does."""
    start: str | None = None
    seen: str | None = END


def _first(page: ListPage) -> str | None:
    return page.keys[0] if page.keys else None
