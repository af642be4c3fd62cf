"""A listing as S3 defines it, over a sorted list in memory, with the faults that real stores show.

It stands for what the algorithm assumes of a store, not for a store: that is what tests/contract is for.
"""

import asyncio
import random
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable
from typing import Any

from s3batch.s3.answers import ListPage


class ListingModel:
    """Keys in an order, listed page by page; the order of answers to concurrent requests is drawn."""

    def __init__(
        self,
        keys: Iterable[str],
        *,
        page_keys: int = 10,
        seed: int = 0,
        sort_key: Callable[[str], Any] | None = None,
        ignores_start_after: bool = False,
        on_request: Callable[["ListingModel"], None] = lambda _: None,
    ) -> None:
        self.sort_key: Callable[[str], Any] = sort_key or str
        self.keys = sorted(set(keys), key=self.sort_key)
        self.page_keys = page_keys
        self.random = random.Random(seed)
        self.ignores_start_after = ignores_start_after
        self.on_request = on_request
        self.requests: list[str | None] = []
        self.in_flight = self.most_in_flight = 0

    def put(self, key: str) -> None:
        """Add a key, as a writer would while the listing runs."""
        place = bisect_left(self.keys, self.sort_key(key), key=self.sort_key)
        if self.keys[place : place + 1] != [key]:
            self.keys.insert(place, key)

    def delete(self, key: str) -> None:
        """Remove a key."""
        if key in self.keys:
            self.keys.remove(key)

    async def list_objects(
        self,
        bucket: str,
        prefix: str,
        *,
        start_after: str | None = None,
        continuation_token: str | None = None,
    ) -> ListPage:
        """Answer as ListObjectsV2 does; a token is the last key of the page that gave it."""
        del bucket
        self.requests.append(start_after)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        for _ in range(self.random.randrange(4)):
            await asyncio.sleep(0)
        page = self.page(prefix, start_after, continuation_token)
        self.on_request(self)
        for _ in range(self.random.randrange(4)):
            await asyncio.sleep(0)
        self.in_flight -= 1
        return page

    def page(self, prefix: str, start_after: str | None, token: str | None) -> ListPage:
        """Return the page that a request sees at this moment."""
        after = token if token is not None else None if self.ignores_start_after else start_after
        place = 0 if after is None else bisect_right(self.keys, self.sort_key(after), key=self.sort_key)
        found: list[str] = []
        for key in self.keys[place:]:
            if key.startswith(prefix):
                found.append(key)
                if len(found) > self.page_keys:
                    break
        return page_of(found[: self.page_keys], is_truncated=len(found) > self.page_keys)


def page_of(keys: list[str], *, is_truncated: bool = False, next_token: str | None = None) -> ListPage:
    """Return a page of these keys; the token of a truncated one is its last key."""
    rows = len(keys)
    return ListPage(
        keys=list(keys),
        sizes=[len(key) for key in keys],
        etags=[f"e{key}" for key in keys],
        last_modified=["2026-01-02T03:04:05.000Z"] * rows,
        storage_classes=["STANDARD"] * rows,
        is_truncated=is_truncated,
        next_token=next_token or (keys[-1] if is_truncated and keys else None),
    )
