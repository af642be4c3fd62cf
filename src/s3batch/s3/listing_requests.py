"""Requests for the pages of one prefix: counted, and refused where the store's answers cannot be followed.

In: a :class:`Lister`, where to begin. Out: pages. Which to ask for, and whether they fit together, is decided elsewhere
(``listing``, ``lookup``). Failed requests are tried again in the reader, not here.
"""

from __future__ import annotations

from typing import Protocol

from s3batch.model.errors import InconsistentError
from s3batch.s3.answers import ListPage
from s3batch.s3.listing_ranges import require_ascending

_SAME_REQUEST_ATTEMPTS = 3
"""How often a page that is truncated but has no token is asked for."""


class Lister(Protocol):
    """What is needed of a store."""

    async def list_objects(
        self,
        bucket: str,
        prefix: str,
        *,
        start_after: str | None = None,
        continuation_token: str | None = None,
    ) -> ListPage:
        """Return one page of ListObjectsV2, keys decoded; ``start_after`` is exclusive."""
        ...


class TokenChain:
    """The tokens of one walk; notices one that comes back.

    By Brent's method: one token is remembered, renewed at each power of two, so a cycle is found within three rounds.
    """

    def __init__(self) -> None:
        self._kept: str | None = None
        self._count = 0

    def add(self, token: str | None) -> None:
        """Take the next token.

        Raises:
            InconsistentError: code ``ListingRepeats``.
        """
        if token is not None and token == self._kept:
            raise InconsistentError(
                "The store answers a listing with the same continuation token again and again.",
                code="ListingRepeats",
                way_out="Its listing cannot be relied on; use a manifest from elsewhere (an inventory).",
            )
        self._count += 1
        if self._count & (self._count - 1) == 0:
            self._kept = token


class PageRequests:
    """Requests for pages of one prefix, counted."""

    def __init__(self, reader: Lister, bucket: str, prefix: str) -> None:
        self.requests = 0
        self._reader = reader
        self._bucket = bucket
        self._prefix = prefix

    async def ask(self, *, start_after: str | None = None, token: str | None = None) -> ListPage:
        """Return one page.

        Raises:
            InconsistentError: code ``ListingWithoutToken``, more is promised and no way to it is told.
        """
        for _ in range(_SAME_REQUEST_ATTEMPTS):
            self.requests += 1
            page = await self._reader.list_objects(
                self._bucket, self._prefix, start_after=start_after, continuation_token=token
            )
            if page.next_token or not page.is_truncated:
                return page
        raise InconsistentError(
            f"The store says that more keys follow under {self._prefix!r}, and gives no continuation token.",
            code="ListingWithoutToken",
            way_out="Its listing cannot be relied on; use a manifest from elsewhere (an inventory).",
        )

    async def next(self, page: ListPage) -> ListPage:
        """Return the page after a truncated one, checked to lie behind it; pages without keys are passed over."""
        position, chain = page.keys[-1] if page.keys else None, TokenChain()
        while True:
            chain.add(page.next_token)
            page = await self.ask(token=page.next_token)
            require_ascending(page.keys, position)
            if page.keys or not page.is_truncated:
                return page

    async def behind(self, start: str | None) -> ListPage:
        """Return the first page behind a text that has keys; one without keys means that there are none."""
        page = await self.ask(start_after=start)
        require_ascending(page.keys, start)
        return page if page.keys or not page.is_truncated else await self.next(page)

    async def first_key_behind(self, start: str | None, *, after: str | None) -> str | None:
        """Return the first key behind ``start`` as a walk from ``after`` meets it."""
        page = await self.behind(after)
        while True:
            key = next((key for key in page.keys if start is None or key > start), None)
            if key is not None or not page.is_truncated:
                return key
            page = await self.next(page)
