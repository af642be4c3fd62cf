"""A listing is complete, in order, within its bounds of requests and memory, whatever the keys and the store."""

import asyncio
import os
import random
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from s3batch.model.errors import InconsistentError
from s3batch.s3.answers import ListPage
from s3batch.s3.listed_pages import ListedPage
from s3batch.s3.listing import PrefixListing, Proof, list_in_order
from s3batch.s3.listing_requests import Lister
from tests.keys import keys as hostile_keys
from tests.unit.s3.listing_model import ListingModel, page_of


def listed(reader: Lister, prefix: str = "", *, lanes: int = 32) -> tuple[list[str], list[ListedPage], Proof]:
    """List to the end and return keys, pages and proof."""

    async def run() -> tuple[list[str], list[ListedPage], Proof]:
        listing = PrefixListing(
            reader, "bucket", prefix, lanes=lanes, full_page_keys=getattr(reader, "page_keys", 1000)
        )
        pages = [page async for page in listing]
        assert listing.proof is not None
        return [key for page in pages for key in keys_of(page)], pages, listing.proof

    return asyncio.run(run())


def keys_of(page: ListedPage) -> list[str]:
    """Return the keys of a page as Python holds them."""
    return [str(key) for key in page.batch.column("key").to_pylist()]


few_characters = st.text(alphabet="ab/\n é\U0001f680", min_size=1, max_size=6)
digits = st.integers(0, 999_999).map("{:06}".format)
key_sets = st.one_of(
    st.sets(hostile_keys(max_pieces=4), max_size=60),
    st.sets(few_characters, max_size=200),
    st.sets(digits, max_size=300),
    st.integers(0, 400).map(lambda count: {f"{number:09}" for number in range(count)}),
)


@settings(max_examples=150, deadline=None)
@given(keys=key_sets, page_keys=st.integers(1, 20), lanes=st.integers(1, 24), seed=st.integers())
def test_every_key_is_listed_once_and_in_order(keys: set[str], page_keys: int, lanes: int, seed: int) -> None:
    """Any keys, pages, lanes and order of answers: the listing is the sorted set, and it was split without fault."""
    store = ListingModel(keys, page_keys=page_keys, seed=seed)
    found, pages, proof = listed(store, lanes=lanes)
    assert found == sorted(keys)
    assert all(page.is_sorted for page in pages)
    assert (proof.keys, proof.requests, proof.single_lane_reason) == (len(keys), len(store.requests), None)
    assert store.most_in_flight <= lanes


@settings(max_examples=60, deadline=None)
@given(keys=key_sets, prefix=st.sampled_from(["a", "b/", "0", "00", "é", "\n"]), seed=st.integers())
def test_nothing_outside_the_prefix_is_listed(keys: set[str], prefix: str, seed: int) -> None:
    """Keys before and behind the prefix stay out; the key equal to the prefix is an entry."""
    found, _, _ = listed(ListingModel(keys | {prefix}, page_keys=3, seed=seed), prefix, lanes=8)
    assert found == sorted(key for key in keys | {prefix} if key.startswith(prefix))


@settings(max_examples=120, deadline=None)
@given(keys=key_sets, fleeting=key_sets, page_keys=st.integers(1, 12), lanes=st.integers(2, 24), seed=st.integers())
def test_keys_that_stay_are_listed_while_others_come_and_go(
    keys: set[str], fleeting: set[str], page_keys: int, lanes: int, seed: int
) -> None:
    """What exists from beginning to end is listed once and in order, however busy the writers are."""
    draw = random.Random(seed)
    others = sorted(fleeting - keys)

    def write(store: ListingModel) -> None:
        if others:
            store.put(draw.choice(others))
            store.delete(draw.choice(others))

    store = ListingModel(keys | set(others[::2]), page_keys=page_keys, seed=seed, on_request=write)
    found, pages, proof = listed(store, lanes=lanes)
    assert keys <= set(found) <= keys | fleeting
    if all(page.is_sorted for page in pages):
        assert found == sorted(set(found))
    assert proof.is_sorted == all(page.is_sorted for page in pages)


def utf16(key: str) -> bytes:
    """Order keys as Java and JavaScript do."""
    return key.encode("utf-16-be")


def folders_first(key: str) -> tuple[str, ...]:
    """Order keys as a walk over a file system does."""
    return tuple(key.split("/"))


@settings(max_examples=150, deadline=None)
@given(
    keys=st.one_of(key_sets, st.sets(st.text(alphabet="a!-/0", min_size=1, max_size=5), max_size=150)),
    order=st.sampled_from([utf16, folders_first, str.casefold, lambda key: key[::-1], lambda key: (len(key), key)]),
    page_keys=st.integers(1, 12),
    lanes=st.integers(1, 24),
    seed=st.integers(),
)
def test_no_key_is_lost_when_a_store_lists_in_another_order(
    keys: set[str], order: object, page_keys: int, lanes: int, seed: int
) -> None:
    """Out of byte order: all is listed, and pages say that they are unsorted unless they are sorted after all."""
    assert callable(order)
    store = ListingModel({order(key): key for key in keys}.values(), page_keys=page_keys, seed=seed, sort_key=order)
    found, pages, proof = listed(store, lanes=lanes)
    assert set(found) == set(store.keys)
    if proof.is_sorted:
        assert found == sorted(store.keys)
    else:
        assert proof.single_lane_reason is not None
        assert not pages[-1].is_sorted


@settings(max_examples=200, deadline=None)
@example(blocks=[0, 1, 3, 5, 4, 2], page_keys=5, lanes=2, seed=2)  # an empty range between two that disagree
@given(
    blocks=st.permutations(range(6)),
    page_keys=st.integers(3, 30),
    lanes=st.integers(2, 6),
    seed=st.integers(),
)
def test_blocks_out_of_order_are_noticed_at_the_seams(blocks: list[int], page_keys: int, lanes: int, seed: int) -> None:
    """Each range by itself may ascend although whole blocks of keys are elsewhere: only the walk over its end tells."""

    def order(key: str) -> tuple[int, str]:
        return blocks[min(int(key[:1]), 5) if key[:1].isdigit() else 5], key

    store = ListingModel([f"{number:03}" for number in range(600)], page_keys=page_keys, seed=seed, sort_key=order)
    found, _, proof = listed(store, lanes=lanes)
    assert set(found) == set(store.keys)
    assert (proof.single_lane_reason is None) == (list(blocks) == sorted(blocks))


@settings(max_examples=60, deadline=None)
@given(keys=key_sets, page_keys=st.integers(1, 12), lanes=st.integers(2, 24), seed=st.integers())
def test_a_store_that_ignores_start_after_is_listed_in_one_lane(
    keys: set[str], page_keys: int, lanes: int, seed: int
) -> None:
    """All is listed; what was given out before that was noticed comes again, and says so."""
    store = ListingModel(keys, page_keys=page_keys, seed=seed, ignores_start_after=True)
    found, pages, proof = listed(store, lanes=lanes)
    assert sorted(set(found)) == sorted(keys)
    if all(page.is_sorted for page in pages):
        assert found == sorted(keys)
    else:
        assert proof.single_lane_reason is not None


def test_ignored_start_after_is_noticed_before_anything_is_given_out() -> None:
    """A prefix of many pages: nothing comes twice, nothing needs sorting, and the reason is told."""
    keys = [f"{number:06}" for number in range(3000)]
    found, pages, proof = listed(ListingModel(keys, ignores_start_after=True), lanes=16)
    assert found == keys
    assert all(page.is_sorted for page in pages)
    assert proof.single_lane_reason is not None
    assert proof.single_lane_reason.startswith("asked for keys behind")


@settings(max_examples=50, deadline=None)
@given(count=st.integers(0, 3000), lanes=st.integers(1, 24), share=st.floats(0, 0.5), seed=st.integers())
def test_pages_that_lack_their_last_keys_lose_none(count: int, lanes: int, share: float, seed: int) -> None:
    """A truncated page is cut short and its token goes on behind what was cut: the walk goes on behind what it saw."""

    class Cutting(ListingModel):
        def page(self, prefix: str, start_after: str | None, token: str | None) -> ListPage:
            page = super().page(prefix, start_after, token)
            if not page.is_truncated or self.random.random() >= share:
                return page
            return page_of(page.keys[: len(page.keys) // 2], is_truncated=True, next_token=page.next_token)

    keys = [f"{number:06}" for number in range(count)]
    found, _, _ = listed(Cutting(keys, page_keys=20, seed=seed), lanes=lanes)
    assert found == keys


@pytest.mark.parametrize("count", [0, 1, 10])
def test_a_prefix_of_one_page_costs_one_request(count: int) -> None:
    """The usual small prefix is not paid for twice."""
    store = ListingModel([f"k{number}" for number in range(count)], page_keys=10)
    found, _, proof = listed(store, lanes=32)
    assert len(found) == count
    assert store.requests == [None]
    assert (proof.requests, proof.ranges) == (1, 1)


def many_uuids() -> list[str]:
    """Return random hexadecimal keys with fixed dashes and a version digit."""
    draw = random.Random(7)
    texts = [f"{draw.getrandbits(128):032x}" for _ in range(30_000)]
    return [f"{t[:8]}-{t[8:12]}-4{t[13:16]}-{t[16:20]}-{t[20:]}" for t in texts]


SHAPES = {
    "counter": [f"obj/{number:09}" for number in range(30_000)],
    "uuids": many_uuids(),
    "dates": [
        f"{year}/{month:02}/{day:02}/aia-{number:06}.fits"
        for year in range(2018, 2024)
        for month in range(1, 13)
        for day in range(1, 29)
        for number in range(15)
    ],
    "long common beginning": [f"{'x' * 500}/{number:09}{'y' * 200}" for number in range(20_000)],
    "ideographs": [chr(0x4E00 + number // 16) + chr(0x4E00 + number % 16 * 999) for number in range(20_000)],
    "small folders before one of many": [
        *(f"{folder}/{number}" for folder in "!bcXY" for number in range(90)),
        *(f"obj/{number:09}" for number in range(20_000)),
    ],
    "beyond what was seen": [*(f"a{n:05}" for n in range(15_000)), *(f"\U0001f680{n:05}" for n in range(15_000))],
}


@pytest.mark.parametrize("shape", SHAPES)
def test_lanes_are_kept_busy_without_hints(shape: str) -> None:
    """Sixteen lanes need less than a quarter of the rounds of one, and few requests more."""
    keys = sorted(SHAPES[shape])
    rounds = 0

    class Rounds(ListingModel):
        """Answers all requests of a round at once."""

        async def list_objects(
            self,
            bucket: str,
            prefix: str,
            *,
            start_after: str | None = None,
            continuation_token: str | None = None,
        ) -> ListPage:
            del bucket
            self.requests.append(start_after)
            await barrier.wait()
            return self.fast_page(prefix, continuation_token or start_after)

        def fast_page(self, prefix: str, after: str | None) -> ListPage:
            assert after is None or after.encode()
            page = self.page_keys
            place = 0 if after is None else next_place(self.keys, after)
            assert not prefix
            return page_of(self.keys[place : place + page], is_truncated=place + page < len(self.keys))

    class Barrier:
        """Lets everybody who came in one turn of the loop through at the same time."""

        def __init__(self) -> None:
            self.event: asyncio.Event | None = None

        async def wait(self) -> None:
            if self.event is None:
                self.event = asyncio.Event()
                asyncio.get_running_loop().create_task(self.open_later())
            await self.event.wait()

        async def open_later(self) -> None:
            nonlocal rounds
            for _ in range(8):
                await asyncio.sleep(0)
            event, self.event = self.event, None
            rounds += 1
            assert event is not None
            event.set()

    barrier = Barrier()
    store = Rounds(keys, page_keys=100)
    found, _, proof = listed(store, lanes=16)
    pages = -(-len(keys) // 100)
    assert found == keys
    assert rounds <= pages / 4, (rounds, pages, proof)
    assert proof.requests <= pages * 1.4 + 30, (pages, proof)


def next_place(keys: list[str], after: str) -> int:
    """Return where the keys behind ``after`` begin."""
    low, high = 0, len(keys)
    while low < high:
        middle = (low + high) // 2
        if keys[middle] <= after:
            low = middle + 1
        else:
            high = middle
    return low


class Scripted:
    """Answers by a function of start-after and token."""

    def __init__(self, *pages: ListPage) -> None:
        self.pages = pages
        self.requests = 0

    async def list_objects(
        self, bucket: str, prefix: str, *, start_after: str | None = None, continuation_token: str | None = None
    ) -> ListPage:
        """Give the next page; the last one again and again."""
        del bucket, prefix, start_after, continuation_token
        self.requests += 1
        return self.pages[min(self.requests, len(self.pages)) - 1]


@pytest.mark.parametrize("lanes", [1, 8])
def test_a_page_that_comes_again_and_again_is_an_error_not_a_loop(lanes: int) -> None:
    """A store whose tokens lead nowhere is refused."""
    with pytest.raises(InconsistentError, match="same continuation token") as caught:
        listed(Scripted(page_of(["a", "b"], is_truncated=True)), lanes=lanes)
    assert caught.value.code == "ListingRepeats"


def test_empty_pages_with_one_token_are_an_error_not_a_loop() -> None:
    """Truncated pages without keys are legal, but only if the tokens go on."""
    with pytest.raises(InconsistentError, match="same continuation token"):
        listed(Scripted(page_of([], is_truncated=True, next_token="t")))


def test_a_truncated_page_without_token_is_asked_for_again_and_then_an_error() -> None:
    """More is promised and cannot be had: never taken for the end."""
    broken = page_of([], is_truncated=True)
    whole = Scripted(broken, page_of(["a"]))
    assert listed(whole)[0] == ["a"]
    store = Scripted(broken)
    with pytest.raises(InconsistentError, match="no continuation token") as caught:
        listed(store)
    assert (caught.value.code, store.requests) == ("ListingWithoutToken", 3)


def test_keys_outside_the_prefix_are_an_error() -> None:
    """A store that ignores the prefix must not be worked on."""
    with pytest.raises(InconsistentError, match=r"Asked for keys under 'p/', the store listed 'q'\.") as caught:
        listed(Scripted(page_of(["p/a", "q"])), "p/")
    assert caught.value.code == "ListingOutsidePrefix"


def test_an_error_of_the_reader_ends_the_listing() -> None:
    """A lane that fails is not forgotten, and the others are stopped."""

    class Failing(ListingModel):
        async def list_objects(
            self,
            bucket: str,
            prefix: str,
            *,
            start_after: str | None = None,
            continuation_token: str | None = None,
        ) -> ListPage:
            if len(self.requests) == 20:
                raise InconsistentError("the wire is cut", code="Cut")
            return await super().list_objects(
                bucket, prefix, start_after=start_after, continuation_token=continuation_token
            )

    with pytest.raises(InconsistentError, match="the wire is cut"):
        listed(Failing([f"{number:05}" for number in range(1000)]), lanes=8)


def test_leaving_early_stops_the_lanes() -> None:
    """Whoever needs only the first keys leaves no request behind."""

    async def run() -> tuple[int, int]:
        store = ListingModel([f"{number:05}" for number in range(5000)])
        listing = list_in_order(store, "bucket", "", lanes=8)
        async with listing:
            async for _ in listing:
                break
        return len(asyncio.all_tasks()), store.in_flight

    tasks, _ = asyncio.run(run())
    assert tasks == 1


@pytest.mark.parametrize("memory_bytes", [0, 2000])
def test_pages_ahead_of_their_turn_are_kept_in_a_file_that_vanishes(tmp_path: Path, memory_bytes: int) -> None:
    """The order is kept with no memory for it, and nothing is left in the folder, not even meanwhile."""
    keys = [f"{number:06}é\n" for number in range(5000)]

    async def run() -> tuple[list[str], list[int]]:
        listing = PrefixListing(
            ListingModel(keys), "bucket", "", lanes=16, spool_dir=tmp_path, memory_bytes=memory_bytes
        )
        found: list[str] = []
        files: list[int] = []
        async for page in listing:
            found += keys_of(page)
            files.append(len(os.listdir(tmp_path)))  # noqa: PTH208 - quick, as nothing may be there
        return found, files

    found, files = asyncio.run(run())
    assert found == keys
    assert set(files) == {0}


def test_a_full_file_holds_up_the_lanes_ahead_but_not_the_listing(tmp_path: Path) -> None:
    """With no room at all the listing goes on, range by range."""
    keys = [f"{number:06}" for number in range(3000)]

    async def run() -> list[str]:
        listing = PrefixListing(
            ListingModel(keys), "bucket", "", lanes=8, spool_dir=tmp_path, memory_bytes=0, spool_bytes=20_000
        )
        return [key async for page in listing for key in keys_of(page)]

    assert asyncio.run(run()) == keys


def test_columns_hold_what_the_store_said() -> None:
    """Sizes, ETags and times travel with the keys."""
    _, pages, _ = listed(ListingModel(["a", "bc"]))
    assert pages[0].batch.to_pylist() == [
        {
            "key": key,
            "size": len(key),
            "etag": f"e{key}",
            "last_modified": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
            "storage_class": "STANDARD",
        }
        for key in ("a", "bc")
    ]
