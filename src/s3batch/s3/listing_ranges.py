"""How the key space under a prefix is cut into ranges while it is listed, and what proves that none of it is lost.

In: the pages that the store answered, one after another, each for one range. Out: which range to ask next and from
where, what of a page belongs to its range, and, when all are done, that the ranges tile the space. Pure: no request.

A range is ``(start, end]``; the ranges form a list in key order in which each begins where the one before it ends. A
range is split at a text of our own between what it has listed and its end: the right half's first page is the probe,
and an empty answer proves the half empty. ``end`` only ever shrinks, and only for a range that is not done.

The proof does not rest on the store's idea of ``start-after``. A range walks on until it has *seen* a key behind its
end (or the end of the listing); that key must be the first key of the next range that has any. So the ranges form one
unbroken chain of the store's own order, as one lane would have walked it. (juicefs#7489 tells of a store that lists in
another order than bytes, and of prefixes lost by that in silence.) This takes for granted that a store lists from the
place that ``start-after`` has in its own order, or leaves out what is not above it and lists the rest in byte order.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice, pairwise
from operator import lt
from typing import Final

from s3batch.model.errors import InconsistentError
from s3batch.s3.answers import ListPage
from s3batch.s3.key_space import WHOLE, KeySpace

TRUSTED_PAGES = 64
"""Up to so many times the extent seen, a range's density is believed; beyond that, each doubling of the distance is
taken to hold as many keys as the one before. Found by trying: dense counters want more, skewed trees less."""

PROBES_PER_PAGE = 8
"""Probes allowed for each page that had keys: a prefix of two pages shall not cost thirty requests."""

_SAMPLE = 8
"""Keys of a page whose characters are learned."""

_DEEP = 24
"""If all keys of a range so far share so many characters more than the range does, the place behind them is probed
first: a search by halves would need a probe for every few characters."""

_RENEW_PAGES = 4
"""An estimate is corrected by subtraction for so many pages before it is worked out again."""

FULL_PAGE_KEYS = 1000
"""Keys on a page, unless a store gives fewer (ListObjectsV2 API reference, read 2026-11)."""

END: Final = None
"""As a range's ``end``: the end of the prefix. As its ``next_key``: nothing is listed behind it."""


class OrderError(Exception):
    """The store does not list ascending keys from where it was asked to; the message tells how that showed."""


@dataclass(slots=True, eq=False)
class KeyRange:
    """A part of the key space, ``start`` exclusive and ``end`` inclusive, and how far it is listed."""

    start: str | None
    end: str | None
    following: KeyRange | None = None
    position: str | None = None
    """The last key seen, the start before that."""
    first_key: str | None = None
    keys: int = 0
    pages: int = 0
    is_done: bool = False
    next_key: str | None = END
    """When done: the first key behind ``end`` as this range's own walk saw it."""
    whole: Density | None = None
    """Of all that was listed of the range; of the range that it was cut from, before the first page."""
    recent: Density | None = None
    """Of the last page."""
    estimate: float = 0.0
    """Keys thought to remain."""
    estimated_at_page: int = -_RENEW_PAGES
    cut_at_page: int = 0
    """How many pages of the whole listing were known when it was cut off."""
    is_unsplittable: bool = False

    def covers(self, key: str) -> bool:
        """Tell whether a key lies in the range."""
        return (self.start is None or key > self.start) and (self.end is None or key <= self.end)


@dataclass(frozen=True, slots=True)
class Density:
    """``keys`` keys were listed from ``first`` to ``last``; what lies behind ``last`` is guessed from that."""

    first: str
    last: str
    keys: int


class Tiling:
    """The ranges of one prefix, in key order."""

    def __init__(self, prefix: str, *, full_page_keys: int = FULL_PAGE_KEYS) -> None:
        self.prefix = prefix
        self.first = KeyRange(start=None, end=END)
        self.live: list[KeyRange] = [self.first]
        self.count = 1
        self.pages = 0
        self.empty_pages = 0
        self.probes = 0
        self._space = KeySpace(prefix)
        self._nothing_behind: str | None = END
        self.page_keys = self._full_page_keys = full_page_keys

    # ------------------------------------------------------------------------------------------------ taking a page

    def accept(self, key_range: KeyRange, page: ListPage) -> int:
        """Take the next page of a range; return how many of its keys, counted from the first, belong to the range.

        Raises:
            OrderError: the keys do not ascend, or not from where the range stood.
            InconsistentError: code ``ListingOutsidePrefix``.
        """
        keys = page.keys
        self.pages += 1
        key_range.pages += 1
        if not keys:
            self.empty_pages += 1
            if not page.is_truncated:
                self._finish(key_range, END)
            return 0
        require_ascending(keys, key_range.position)
        require_prefix(keys, self.prefix)
        self._space.learn(keys[:: max(len(keys) // _SAMPLE, 1)])
        self._space.learn(keys[-1:])
        if page.is_truncated:
            self.page_keys = len(keys) if self.pages == 1 else max(self.page_keys, len(keys))
        inside = len(keys) if key_range.end is None else bisect_right(keys, key_range.end)
        key_range.position = keys[-1]
        if inside:
            self._advance(key_range, keys, inside)
        if inside < len(keys):
            self._finish(key_range, keys[inside])
        elif not page.is_truncated:
            self._finish(key_range, END)
        return inside

    def is_short(self, page: ListPage) -> bool:
        """Tell whether a page has fewer keys than it should have, since more follow."""
        return page.is_truncated and 0 < len(page.keys) < self._full_page_keys

    def _advance(self, key_range: KeyRange, keys: list[str], inside: int) -> None:
        key_range.keys += inside
        if key_range.first_key is None:
            key_range.first_key = keys[0]
        key_range.whole = Density(key_range.first_key, keys[inside - 1], key_range.keys)
        key_range.recent = Density(keys[0], keys[inside - 1], inside)
        key_range.estimate = max(key_range.estimate - inside, 0.0)
        key_range.is_unsplittable = False
        if key_range.pages == 1:
            key_range.estimated_at_page = -_RENEW_PAGES  # its own density is known now

    def _finish(self, key_range: KeyRange, next_key: str | None) -> None:
        key_range.is_done = True
        key_range.next_key = next_key
        key_range.estimate = 0.0
        self.live.remove(key_range)
        position = key_range.position
        if (
            next_key is END
            and position is not None
            and (self._nothing_behind is None or position < self._nothing_behind)
        ):
            self._nothing_behind = position

    # ----------------------------------------------------------------------------------------------------- splitting

    def split(self) -> KeyRange | None:
        """Cut the range that has most left; return its right half, to be probed, or ``None``: not worth it."""
        if self.probes >= PROBES_PER_PAGE * (self.pages - self.empty_pages):
            return None
        for _ in range(3):  # a range that cannot be split leaves the choice to the next
            widest = self._widest()
            if widest is None or widest.estimate < 2 * self.page_keys:
                return None
            middle = self._middle(widest)
            if middle is not None:
                return self._cut(widest, middle)
            widest.is_unsplittable = True
            widest.estimate = 0.0
        return None

    def _widest(self) -> KeyRange | None:
        for key_range in self.live:
            if key_range.pages - key_range.estimated_at_page >= _RENEW_PAGES:
                self._renew(key_range)
        while True:
            widest = max(self.live, key=lambda candidate: candidate.estimate, default=None)
            if widest is None or widest.estimated_at_page == widest.pages:
                return widest
            self._renew(widest)

    def _renew(self, key_range: KeyRange) -> None:
        key_range.estimated_at_page = key_range.pages
        outlook = None if key_range.is_unsplittable else self._outlook(key_range)
        key_range.estimate = 0.0 if outlook is None else outlook.remaining

    def _outlook(self, key_range: KeyRange) -> _Outlook | None:
        """Return what is promised between a range's position and its end; ``None``: nothing, or nothing is known.

        The last page may promise more than the average: keys can begin to be dense anywhere (a folder of millions
        behind small ones). A half whose probe is under way may be cut again only in the same breath; then its answer
        is waited for.
        """
        whole, recent, here, end = key_range.whole, key_range.recent, key_range.position, self._reachable_end(key_range)
        if whole is None or recent is None or here is None or (end is not None and here >= end):
            return None
        if not key_range.pages and key_range.cut_at_page != self.pages:
            return None
        by_average = self._outlook_by(whole, here, end)
        if recent == whole:
            return by_average
        return max(by_average, self._outlook_by(recent, here, end), key=lambda outlook: outlook.remaining)

    def _outlook_by(self, density: Density, here: str, end: str | None) -> _Outlook:
        space = self._space
        depth = space.common_depth(density.first, end)
        last = space.place(density.last, depth)
        return _Outlook(
            first=density.first,
            keys=density.keys,
            extent=max(last - space.place(density.first, depth), 1),
            origin=last,
            here=max(space.place(here, depth), last),
            end=WHOLE if end is None else space.place(end, depth),
            depth=depth,
        )

    def _reachable_end(self, key_range: KeyRange) -> str | None:
        """Return the range's end, or the text behind which some answer has shown that nothing is, if that is less."""
        end, nothing_behind = key_range.end, self._nothing_behind
        if end is None or (nothing_behind is not None and nothing_behind < end):
            return nothing_behind
        return end

    def _middle(self, key_range: KeyRange) -> str | None:
        """Return a text at which to cut: half of what remains is on either side, if the promise holds."""
        outlook, here = self._outlook(key_range), key_range.position
        if outlook is None or here is None:
            return None
        middle: str | None = None
        depth = self._space.common_depth(outlook.first, here)
        if depth - outlook.depth > _DEEP:
            middle = self._space.text_behind(here, depth)
        if middle is None or not self._is_inside(middle, key_range):
            place = outlook.place_behind(self._keys_left_of_middle(outlook))
            tolerance = min(outlook.extent * 8 // outlook.keys, (outlook.end - outlook.here) >> 6) + 1
            middle = self._space.text_at(place, here, outlook.depth, tolerance)
        return middle if self._is_inside(middle, key_range) else None

    def _keys_left_of_middle(self, outlook: _Outlook) -> float:
        """Return how many keys the left half shall have: where that can be told, just under a whole number of pages.

        A page is under way, and is on the left in any case.
        """
        left = (outlook.remaining + self.page_keys) / 2
        slack = 16 + left / math.sqrt(outlook.keys)
        if slack < self.page_keys / 2:
            return max(round(left / self.page_keys), 1) * self.page_keys - slack
        return left

    def _is_inside(self, text: str | None, key_range: KeyRange) -> bool:
        if text is None or key_range.position is None or text <= key_range.position:
            return False
        end = self._reachable_end(key_range)
        return end is None or text < end

    def _cut(self, key_range: KeyRange, middle: str) -> KeyRange:
        right = KeyRange(
            start=middle,
            end=key_range.end,
            following=key_range.following,
            position=middle,
            whole=key_range.whole,
            recent=key_range.recent,
            cut_at_page=self.pages,
        )
        key_range.end = middle
        key_range.following = right
        self._renew(key_range)
        self._renew(right)
        self.live.append(right)
        self.count += 1
        self.probes += 1
        return right

    # --------------------------------------------------------------------------------------------------------- proof

    def ranges(self) -> Iterator[KeyRange]:
        """Iterate over all ranges in key order."""
        key_range: KeyRange | None = self.first
        while key_range is not None:
            yield key_range
            key_range = key_range.following

    def require_tiled(self, keys: int) -> None:
        """Check at the end that all ranges are done, tile the space, and hold ``keys`` keys together.

        Raises:
            InconsistentError: code ``ListingNotTiled``; a bug.
        """
        expected_start: str | None = None
        counted = total = 0
        for key_range in self.ranges():
            if not key_range.is_done or key_range.start != expected_start or (counted and expected_start is None):
                raise _not_tiled(f"the range after {expected_start!r} is missing or unfinished")
            expected_start = key_range.end
            counted += 1
            total += key_range.keys
        if expected_start is not END or counted != self.count or total != keys:
            raise _not_tiled(f"{counted} of {self.count} ranges with {total} of {keys} keys, up to {expected_start!r}")


@dataclass(frozen=True, kw_only=True, slots=True)
class _Outlook:
    """How many keys a density promises from ``origin`` up to a place, and the reverse.

    Linear up to ``TRUSTED_PAGES`` times the extent seen, logarithmic behind it.
    """

    first: str
    keys: int
    extent: int
    origin: int
    here: int
    end: int
    depth: int

    @property
    def remaining(self) -> float:
        return self._promised(self.end) - self._promised(self.here)

    def _promised(self, place: int) -> float:
        ratio = max(place - self.origin, 0) / self.extent
        if ratio <= TRUSTED_PAGES:
            return self.keys * ratio
        return self.keys * TRUSTED_PAGES * (1 + math.log(ratio / TRUSTED_PAGES))

    def place_behind(self, keys: float) -> int:
        """Return the place up to which so many keys are promised from here on."""
        ratio = (self._promised(self.here) + keys) / self.keys
        if ratio > TRUSTED_PAGES:
            ratio = TRUSTED_PAGES * math.exp(ratio / TRUSTED_PAGES - 1)
        return self.origin + (self.extent * int(ratio * 2**40) >> 40)


def require_ascending(keys: list[str], position: str | None) -> None:
    """Check that keys ascend strictly, and begin behind ``position``.

    Raises:
        OrderError: they do not.
    """
    if position is not None and keys and keys[0] <= position:
        raise OrderError(f"asked for keys behind {position!r}, the store listed {keys[0]!r}")
    if not all(map(lt, keys, islice(keys, 1, None))):
        before, after = next((a, b) for a, b in pairwise(keys) if a >= b)
        raise OrderError(f"the store listed {after!r} behind {before!r}")


def require_prefix(keys: list[str], prefix: str) -> None:
    """Check that ascending keys lie under the prefix.

    Raises:
        InconsistentError: code ``ListingOutsidePrefix``. Such a store must not be worked on at all.
    """
    if not (keys[0].startswith(prefix) and keys[-1].startswith(prefix)):
        foreign = keys[-1] if keys[0].startswith(prefix) else keys[0]
        raise InconsistentError(
            f"Asked for keys under {prefix!r}, the store listed {foreign!r}.",
            code="ListingOutsidePrefix",
            way_out="Do not run a bulk operation on this store before its listing is repaired.",
        )


def _not_tiled(what: str) -> InconsistentError:
    return InconsistentError(
        f"The ranges of the listing do not tile the prefix: {what}.",
        code="ListingNotTiled",
        way_out="This is a fault in s3batch; list in one lane and report it.",
    )
