"""A look at exact keys is right for any keys, and costs about one request for a thousand that lie close."""

import asyncio
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s3batch.model.objects import MAX_KEY_BYTES
from s3batch.s3.answers import ListPage, ObjectHead
from s3batch.s3.errors import S3RefusedError
from s3batch.s3.lookup import ABSENT_SIZE, Observed, head_all, look_up, text_before
from tests.keys import HOSTILE_KEYS
from tests.keys import keys as hostile_keys
from tests.unit.s3.listing_model import ListingModel, page_of


class Store(ListingModel):
    """The model of a listing, with HEAD."""

    heads: list[str]
    forbidden: frozenset[str] = frozenset()

    async def head_object(self, bucket: str, key: str, *, version_id: str | None = None) -> ObjectHead:
        """Answer as HEAD does; columns as ``page_of`` makes them."""
        del bucket, version_id
        self.heads = [*getattr(self, "heads", []), key]
        await asyncio.sleep(0)
        if key in self.forbidden:
            raise S3RefusedError("no", code="AccessDenied", status=403)
        if key not in self.known:
            raise S3RefusedError("not there", code="NoSuchKey", status=404)
        return ObjectHead(size=len(key), etag=f"e{key}", last_modified_ms=1_767_323_045_000)

    @property
    def known(self) -> set[str]:
        """Return the keys as a set, made once."""
        if not hasattr(self, "_known"):
            self._known = set(self.keys)
        return self._known

    def page(self, prefix: str, start_after: str | None, token: str | None) -> ListPage:
        """As the model, quick for a million keys."""
        assert token is None
        low, high = 0, len(self.keys)
        after = prefix if start_after is None or self.ignores_start_after else start_after
        while low < high:
            middle = (low + high) // 2
            low, high = (middle + 1, high) if self.keys[middle] <= after else (low, middle)
        if (start_after is None or self.ignores_start_after) and prefix in self.known:
            low -= 1
        found = [key for key in self.keys[low : low + self.page_keys + 1] if key.startswith(prefix)]
        return page_of(found[: self.page_keys], is_truncated=len(found) > self.page_keys)


def look(store: Store, keys: Sequence[str], after: str | None = None) -> Observed:
    """Look up to the end."""
    return asyncio.run(look_up(store, "bucket", keys, after=after))


def expected(store: Store, keys: Sequence[str]) -> list[str | None]:
    """Return the ETags that are right."""
    return [f"e{key}" if key in store.known else None for key in keys]


pool = st.one_of(
    st.sets(hostile_keys(max_pieces=3), max_size=40),
    st.sets(st.text(alphabet="ab/\n é\U0001f680\ue000", min_size=1, max_size=5), max_size=150),
    st.sets(st.integers(0, 500).map("k/{:04}".format), max_size=300),
)


@settings(max_examples=150, deadline=None)
@given(there=pool, wanted=pool, page_keys=st.integers(1, 40), seed=st.integers(), ignores=st.booleans())
def test_every_key_is_seen_as_it_is(
    there: set[str], wanted: set[str], page_keys: int, seed: int, *, ignores: bool
) -> None:
    """Dense or sparse, present or absent, and on a store that ignores start-after: what is there is seen."""
    store = Store(there, page_keys=page_keys, seed=seed, ignores_start_after=ignores)
    keys = sorted(wanted | set(sorted(there)[::2]))
    observed = look(store, keys)
    assert observed.etags == expected(store, keys)
    assert observed.sizes == [len(key) if key in store.known else ABSENT_SIZE for key in keys]
    assert [bool(text) for text in observed.last_modified] == [etag is not None for etag in observed.etags]
    assert observed.requests == len(store.requests) + len(getattr(store, "heads", []))
    assert not observed.errors


@settings(max_examples=60, deadline=None)
@given(there=pool, page_keys=st.integers(1, 40), cut=st.integers(1, 200))
def test_a_chunk_may_begin_where_the_one_before_ended(there: set[str], page_keys: int, cut: int) -> None:
    """``after`` is exclusive and changes nothing but the place where the listing begins."""
    store = Store(there, page_keys=page_keys)
    keys = store.keys[cut:]
    if keys:
        assert look(store, keys, after=store.keys[cut - 1]).etags == expected(store, keys)


def test_dense_keys_cost_a_request_for_each_page() -> None:
    """Ten thousand keys: ten or eleven LISTs, no HEAD."""
    store = Store([f"obj/{number:09}" for number in range(50_000)], page_keys=1000)
    chunk = store.keys[20_000:30_000]
    for after in (store.keys[19_999], None):
        store.requests.clear()
        observed = look(store, chunk, after=after)
        assert observed.etags == expected(store, chunk)
        assert observed.requests == len(store.requests)
        assert observed.requests in {10, 11}


def test_sparse_keys_cost_about_a_request_each() -> None:
    """Five keys among a million others are not listed for."""
    store = Store([f"obj/{number:09}" for number in range(1_000_000)], page_keys=1000)
    keys = store.keys[100_000::200_000]
    assert look(store, keys).requests == 5
    assert look(store, keys, after=store.keys[0]).requests <= 6


def test_many_sparse_keys_are_not_listed_for_again_and_again() -> None:
    """A manifest of each five-hundredth key: the tries to list become rare."""
    store = Store([f"obj/{number:09}" for number in range(1_000_000)], page_keys=1000)
    keys = store.keys[::500]
    observed = look(store, keys)
    assert observed.etags == expected(store, keys)
    assert len(store.requests) <= 10
    assert observed.requests <= len(keys) + 10


def test_an_empty_range_costs_one_request() -> None:
    """The usual target of a copy: nothing there, or only keys behind it."""
    keys = [f"new/{number:09}" for number in range(10_000)]
    assert look(Store([]), keys).requests == 1
    store = Store([f"zzz/{number}" for number in range(5000)] + [f"aaa/{number}" for number in range(5000)])
    observed = look(store, keys)
    assert (observed.requests, set(observed.etags)) == (1, {None})


def test_no_keys_cost_nothing() -> None:
    """And make no fault."""
    assert look(Store(["a"]), []).requests == 0


def test_heads_that_fail_are_told_apart_from_absent_keys() -> None:
    """A refusal of one key neither hides the others nor counts as absence."""
    store = Store(["a", "b", "d"])
    store.forbidden = frozenset({"b"})
    observed = asyncio.run(head_all(store, "bucket", ["d", "c", "b", "a"]))
    assert observed.etags == ["ed", None, None, "ea"]
    assert {row: error.code for row, error in observed.errors.items()} == {2: "AccessDenied"}
    assert observed.last_modified[0] == "2026-01-02T03:04:05.000Z"
    assert observed.requests == 4


@given(key=st.one_of(hostile_keys(), st.text(st.characters(codec="utf-8"), min_size=1, max_size=4)))
def test_the_text_before_a_key_is_below_it_and_can_be_sent(key: str) -> None:
    """Never above, never the key, always UTF-8 within S3's limit."""
    text = text_before(key)
    assert text < key
    assert len(text.encode()) <= max(MAX_KEY_BYTES, len(key.encode()))


@pytest.mark.parametrize("key", ["dir5", "x/9", "b", "ä", "\U0001f680"])
def test_almost_nothing_lies_between_the_text_before_and_the_key(key: str) -> None:
    """Not even the whole folder of a lower neighbour."""
    neighbour = key[:-1] + chr(ord(key[-1]) - 1)
    assert neighbour + "/and/what/is/in/it" < text_before(key) < key


def test_hostile_keys_side_by_side_are_told_apart() -> None:
    """Every other one of the hostile keys is there."""
    store = Store(HOSTILE_KEYS[::2], page_keys=7)
    keys = sorted(HOSTILE_KEYS)
    assert look(store, keys).etags == expected(store, keys)


def test_a_page_out_of_order_is_not_believed() -> None:
    """What it seems to leave out is asked for by HEAD, key by key."""

    class Shuffled(Store):
        def page(self, prefix: str, start_after: str | None, token: str | None) -> ListPage:
            page = super().page(prefix, start_after, token)
            return page_of(page.keys[::-1], is_truncated=page.is_truncated)

    store = Shuffled([f"k{number:02}" for number in range(50)], page_keys=100)
    keys = [f"k{number:02}" for number in range(0, 60, 2)]
    observed = look(store, keys)
    assert observed.etags == expected(store, keys)
    assert store.heads == keys
