"""Listing and looking up on real servers: hostile keys, split ranges, requests counted, and listings that fail."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, TypeVar

import pytest

from s3batch.s3.answers import ListPage, ObjectHead
from s3batch.s3.client import S3Client, S3Reader
from s3batch.s3.listing import PrefixListing, Proof
from s3batch.s3.lookup import head_all, look_up
from tests.keys import HOSTILE_KEYS, SIDE_BY_SIDE, can_be_in_xml
from tests.servers.fault_proxy import FaultProxy
from tests.servers.faults import Fault, FaultPlan
from tests.servers.gaps import gap, key_gap
from tests.servers.server import Server
from tests.servers.stub.launcher import StubControl

StartProxy = Callable[[Server, FaultPlan], FaultProxy]
PAGE_KEYS = 10
T = TypeVar("T")


class SmallPages:
    """A reader that asks for small pages, so that few objects make many."""

    def __init__(self, reader: S3Reader) -> None:
        self.reader = reader

    async def list_objects(
        self, bucket: str, prefix: str, *, start_after: str | None = None, continuation_token: str | None = None
    ) -> ListPage:
        """Ask for a page of at most ``PAGE_KEYS``."""
        return await self.reader.list_objects(
            bucket, prefix, start_after=start_after, continuation_token=continuation_token, max_keys=PAGE_KEYS
        )

    async def head_object(self, bucket: str, key: str, *, version_id: str | None = None) -> ObjectHead:
        """Ask as the reader does."""
        return await self.reader.head_object(bucket, key, version_id=version_id)


def with_reader(server: Server, use: Callable[[S3Reader], Coroutine[Any, Any, T]]) -> T:
    """Open a reader, use it, close it."""

    async def run() -> T:
        async with await S3Reader.open(server.connection()) as reader:
            return await use(reader)

    return asyncio.run(run())


async def list_keys(
    reader: S3Reader, bucket: str, prefix: str = "", *, small_pages: bool = True
) -> tuple[list[str], Proof]:
    """List to the end; sorted pages only."""
    keys: list[str] = []
    listing = (
        PrefixListing(SmallPages(reader), bucket, prefix, lanes=8, full_page_keys=PAGE_KEYS)
        if small_pages
        else PrefixListing(reader, bucket, prefix)
    )
    async for page in listing:
        assert page.is_sorted
        keys += [str(key) for key in page.batch.column("key").to_pylist()]
    assert listing.proof is not None
    return keys, listing.proof


def fill(server: Server, bucket: str, keys: Sequence[str]) -> None:
    """Make a bucket with an object under each key, whose body is the key."""

    async def put() -> None:
        async with await S3Client.open(server.connection()) as client, asyncio.TaskGroup() as group:
            for key in keys:
                group.create_task(client.put_object(bucket, key, key.encode()))

    server.boto3_client().create_bucket(Bucket=bucket)
    asyncio.run(put())


def listable_keys(server: Server) -> list[str]:
    """Return the hostile keys that the server can hold and list."""
    keys = [key for key in HOSTILE_KEYS if key_gap(server.name, key) is None]
    if gap(server.name, "listing-url-encoding") is not None:  # then the page is plain XML
        keys = [key for key in keys if can_be_in_xml(key) and "\r" not in key]
    return keys


def test_hostile_keys_are_listed_as_they_are(s3_server: Server, bucket_name: str) -> None:
    """Decoded exactly once, in byte order, by split ranges as by one page."""
    keys = sorted({*listable_keys(s3_server), *(f"n/{number:04}" for number in range(100))})
    fill(s3_server, bucket_name, keys)
    found, proof = with_reader(s3_server, lambda reader: list_keys(reader, bucket_name))
    assert found == keys
    assert proof.single_lane_reason is None
    assert proof.ranges > 1
    whole, proof = with_reader(s3_server, lambda reader: list_keys(reader, bucket_name, small_pages=False))
    assert whole == keys
    assert proof.requests == 1


def test_blank_plus_and_percent_stay_apart(s3_server: Server, bucket_name: str) -> None:
    """``a b``, ``a+b`` and ``a%20b`` are three objects, in a listing, in a look, and by HEAD (safety.md rule 12)."""
    present = SIDE_BY_SIDE[::2]
    fill(s3_server, bucket_name, present)
    keys = sorted(SIDE_BY_SIDE)

    async def use(reader: S3Reader) -> None:
        assert (await list_keys(reader, bucket_name))[0] == sorted(present)
        for observed in (await look_up(reader, bucket_name, keys), await head_all(reader, bucket_name, keys)):
            assert [key for key, etag in zip(keys, observed.etags, strict=True) if etag] == sorted(present)
            assert not observed.errors

    with_reader(s3_server, use)


def test_looking_up_tells_what_is_there_and_what_is_not(s3_server: Server, bucket_name: str) -> None:
    """ETag, size and time as HEAD has them; hostile neighbours of what is there are absent."""
    keys = sorted(listable_keys(s3_server))
    present = keys[::2]
    fill(s3_server, bucket_name, present)

    async def use(reader: S3Reader) -> None:
        listed = await look_up(reader, bucket_name, keys)
        in_small_pages = await look_up(SmallPages(reader), bucket_name, keys)
        asked = await head_all(reader, bucket_name, keys)
        assert listed.etags == in_small_pages.etags == asked.etags
        assert listed.sizes == in_small_pages.sizes == asked.sizes
        assert [text[:19] for text in listed.last_modified] == [text[:19] for text in asked.last_modified]
        assert [key for key, etag in zip(keys, listed.etags, strict=True) if etag is not None] == present
        assert [size for size in listed.sizes if size >= 0] == [len(key.encode()) for key in present]

    with_reader(s3_server, use)


def test_the_key_equal_to_the_prefix_is_an_entry(s3_server: Server, bucket_name: str) -> None:
    """A directory marker is an object, and neighbours of the prefix are not under it (safety.md rule 2)."""
    fill(s3_server, bucket_name, ["sdo", "sdo.txt", "sdo/", "sdo/a", "sdo/b/", "sdo2/x"])
    found, _ = with_reader(s3_server, lambda reader: list_keys(reader, bucket_name, "sdo/"))
    assert found == ["sdo/", "sdo/a", "sdo/b/"]


@pytest.mark.parametrize("fault", [Fault.TRUNCATED_BODY, Fault.TORN_LISTING, Fault.RESET_BEFORE, Fault.LOSE_ANSWER])
def test_answers_that_are_cut_lose_no_key(
    ministack: Server, bucket_name: str, fault_proxy: StartProxy, fault: Fault
) -> None:
    """A fifth of the pages comes damaged; the listing is whole."""
    keys = [f"n/{number:04}" for number in range(300)]
    fill(ministack, bucket_name, keys)
    plan = FaultPlan(probabilities={fault: 0.2}, matching="list-type=2")
    proxy = fault_proxy(ministack, plan)
    found, _ = with_reader(proxy.server, lambda reader: list_keys(reader, bucket_name))
    assert found == keys


def test_a_million_keys_are_listed_with_few_more_requests_than_pages(stub: Server, bucket_name: str) -> None:
    """One flat prefix, no hints: 1,000 pages, at most a tenth more requests, and every key in order."""
    control = StubControl(stub)
    control.fill(bucket_name, "obj/", 1_000_000)

    async def use(reader: S3Reader) -> None:
        listing, keys, last = PrefixListing(reader, bucket_name, "obj/"), 0, ""
        async for page in listing:
            column = page.batch.column("key")
            assert last < str(column[0]) == f"obj/{keys:09}"
            keys += len(column)
            last = str(column[-1])
            assert last == f"obj/{keys - 1:09}"
        assert listing.proof is not None
        assert (keys, listing.proof.single_lane_reason) == (1_000_000, None)
        assert listing.proof.requests <= 1_100

    with_reader(stub, use)


def test_looking_costs_a_request_for_a_page_or_for_a_lonely_key(stub: Server, bucket_name: str) -> None:
    """Ten thousand dense keys: ten or eleven. Five among 200,000: five. An empty range: one."""
    StubControl(stub).fill(bucket_name, "obj/", 200_000)
    dense = [f"obj/{number:09}" for number in range(50_000, 60_000)]

    async def use(reader: S3Reader) -> list[int]:
        looks = [
            await look_up(reader, bucket_name, dense, after="obj/000049999"),
            await look_up(reader, bucket_name, dense),
            await look_up(reader, bucket_name, [f"obj/{number:09}" for number in range(7, 200_000, 40_000)]),
            await look_up(reader, bucket_name, [f"new/{number:09}" for number in range(10_000)]),
        ]
        assert None not in looks[0].etags + looks[1].etags + looks[2].etags
        assert set(looks[3].etags) == {None}
        return [look.requests for look in looks]

    requests = with_reader(stub, use)
    assert requests[0] in {10, 11}
    assert requests[1] in {10, 11}
    assert requests[2:] == [5, 1]
