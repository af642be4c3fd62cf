"""Every call of the client against real servers; what a server is known to get wrong is in tests/servers/gaps.py."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import TypeVar

import pytest

from s3batch.config import Connection
from s3batch.model.errors import RefusedError
from s3batch.s3.client import (
    DeletedKey,
    DeleteError,
    DeleteKey,
    S3Client,
    S3Reader,
    parse_copy_answer,
    xml_can_carry,
)
from s3batch.s3.errors import S3RefusedError
from tests.keys import HOSTILE_KEYS, SIDE_BY_SIDE
from tests.servers import gaps
from tests.servers.server import Server

T = TypeVar("T")
MIB = 1024 * 1024
KEYS = ("plain/key.txt", "a b+c&d%20<é>?#.txt", "a/../b//c/")
"""For calls whose business is not the key: enough to see a wrong encoding."""


def ask(server: Server, work: Callable[[S3Client], Awaitable[T]], *, connection: Connection | None = None) -> T:
    """Return what the work gives on a client of this server."""

    async def run() -> T:
        async with await S3Client.open(connection or server.connection()) as client:
            return await work(client)

    return asyncio.run(run())


def refusal(server: Server, work: Callable[[S3Client], Awaitable[object]]) -> S3RefusedError:
    """Return the refusal that a call ends with."""
    with pytest.raises(S3RefusedError) as caught:
        ask(server, work)
    return caught.value


@pytest.fixture
def bucket(s3_server: Server, bucket_name: str) -> str:
    """A bucket without versions."""
    s3_server.boto3_client().create_bucket(Bucket=bucket_name)
    return bucket_name


@pytest.fixture
def versioned(s3_server: Server, bucket: str) -> str:
    """A bucket that keeps versions."""
    s3_server.boto3_client().put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    return bucket


def holdable(server: Server) -> list[str]:
    """Return the hostile keys that this server can hold; the others are tested for being refused there."""
    return [key for key in HOSTILE_KEYS if gaps.key_gap(server.name, key) is None]


def test_hostile_keys_come_through_every_call_as_they_are(s3_server: Server, bucket: str) -> None:
    """Put, head, get, list, copy, stream, tag, delete: each key is exactly one object, and boto3 sees the same."""
    names = holdable(s3_server)

    async def work(client: S3Client) -> None:
        etags = {}
        for key in names:
            etags[key] = (await client.put_object(bucket, key, key.encode())).etag
        assert (await client.list_objects(bucket, "")).keys == sorted(names)
        for key in names:
            head = await client.head_object(bucket, key)
            assert (head.size, head.etag) == (len(key.encode()), etags[key])
            assert (await client.get_object(bucket, key))[1] == key.encode()
            assert b"".join([chunk async for chunk in client.stream_object(bucket, key)]) == key.encode()
            copied = await client.copy_object(bucket, key, bucket, "copy of it", source_if_match=etags[key])
            assert copied.etag == etags[key]
            assert (await client.get_object(bucket, "copy of it"))[1] == key.encode()
            await client.copy_object(bucket, "copy of it", bucket, key)
            await client.put_object_tagging(bucket, key, [("tag", "a b")])
            assert await client.get_object_tagging(bucket, key) == (("tag", "a b"),)
        assert (await client.list_objects(bucket, "")).keys == sorted([*names, "copy of it"])
        for key in names:
            await client.delete_object(bucket, key)
        assert (await client.list_objects(bucket, "")).keys == ["copy of it"]

    ask(s3_server, work)


def test_hostile_keys_are_deleted_many_at_once(s3_server: Server, bucket: str) -> None:
    """All that XML can carry, by one request; those with control characters by requests of their own."""
    names = holdable(s3_server)
    carried = [key for key in names if xml_can_carry(key)]
    others = [key for key in names if not xml_can_carry(key)]

    async def work(client: S3Client) -> None:
        for key in names:
            await client.put_object(bucket, key, b"x")
        outcomes = await client.delete_objects(bucket, [DeleteKey(key=key) for key in carried])
        assert [(type(outcome), outcome.key) for outcome in outcomes] == [(DeletedKey, key) for key in carried]
        assert (await client.list_objects(bucket, "")).keys == sorted(others)
        for key in others:
            with pytest.raises(RefusedError) as caught:
                await client.delete_objects(bucket, [DeleteKey(key=key)])
            assert caught.value.code == "KeyNotInXml"
            await client.delete_object(bucket, key)
        assert (await client.list_objects(bucket, "")).keys == []

    ask(s3_server, work)


@pytest.mark.parametrize("asks_encoding", [True, False])
def test_keys_side_by_side_are_told_apart_in_both_encodings(
    s3_server: Server, bucket: str, *, asks_encoding: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`a b`, `a+b` and `a%20b` are three objects, whether the store encodes the listing or not (safety.md rule 12)."""
    if not asks_encoding:
        original = S3Reader._call

        def without_encoding(client: S3Reader, *arguments: str, **options: object) -> object:
            call = original(client, *arguments, **options)  # type: ignore[arg-type]
            return replace(call, query=[pair for pair in call.query if pair[0] != "encoding-type"])

        monkeypatch.setattr(S3Reader, "_call", without_encoding)

    async def work(client: S3Client) -> None:
        for key in SIDE_BY_SIDE:
            await client.put_object(bucket, key, b"x")
        assert (await client.list_objects(bucket, "")).keys == sorted(SIDE_BY_SIDE)
        for key in SIDE_BY_SIDE:
            assert key in (await client.list_objects(bucket, key)).keys

    ask(s3_server, work)


def test_listing_goes_page_by_page_and_from_any_key(s3_server: Server, bucket: str) -> None:
    """Continuation tokens, start-after (exclusive), prefixes, delimiters."""
    names = [f"p/{n:02d} +%&" for n in range(12)]

    async def work(client: S3Client) -> None:
        for key in names:
            await client.put_object(bucket, key, b"12345")
        page = await client.list_objects(bucket, "p/", max_keys=5)
        assert (page.keys, page.is_truncated, page.sizes) == (names[:5], True, [5] * 5)
        seen = list(page.keys)
        while page.is_truncated:
            page = await client.list_objects(bucket, "p/", max_keys=5, continuation_token=page.next_token)
            seen += page.keys
        assert seen == names
        assert (await client.list_objects(bucket, "p/", start_after=names[8])).keys == names[9:]
        assert (await client.list_objects(bucket, "q/")).keys == []
        folded = await client.list_objects(bucket, "", delimiter="/")
        assert (folded.keys, folded.common_prefixes) == ([], ["p/"])

    ask(s3_server, work)


def test_head_tells_metadata_headers_class_and_time(s3_server: Server, bucket: str) -> None:
    """What was put is what is told, under the same names."""
    headers = {"x-amz-meta-origin": "sdo aia", "content-type": "image/fits", "cache-control": "max-age=1"}

    async def work(client: S3Client) -> None:
        for key in KEYS:
            put = await client.put_object(bucket, key, b"123", headers=headers)
            head = await client.head_object(bucket, key, checksum_mode=True, if_match=put.etag)
            assert (head.size, head.etag, head.storage_class) == (3, put.etag, "STANDARD")
            assert dict(head.metadata) == {"origin": "sdo aia"}
            assert head.headers["content-type"] == "image/fits"
            assert head.headers["cache-control"] == "max-age=1"
            assert abs(head.last_modified_ms / 1000 - client.now_s()) < 600
            _, part = await client.get_object(bucket, key, byte_range=(1, 2))
            assert part == b"23"

    ask(s3_server, work)


def test_what_is_not_there_is_refused_by_name(s3_server: Server, bucket: str) -> None:
    """Missing keys and buckets, with the codes that S3 has for them."""
    calls: dict[str, list[Callable[[S3Client], Awaitable[object]]]] = {
        "NoSuchKey": [
            lambda client: client.head_object(bucket, "missing"),
            lambda client: client.get_object(bucket, "missing"),
            lambda client: client.copy_object(bucket, "missing", bucket, "t"),
        ],
        "NoSuchBucket": [
            lambda client: client.head_bucket(f"{bucket}-not"),
            lambda client: client.list_objects(f"{bucket}-not", ""),
            lambda client: client.put_object(f"{bucket}-not", "k", b""),
        ],
    }
    for code, works in calls.items():
        for work in works:
            error = refusal(s3_server, work)
            assert (error.code, error.status) == (code, 404)


def test_a_wrong_secret_is_refused_without_further_attempts(s3_server: Server, bucket: str) -> None:
    """With the way out; HEAD, which has no body, says AccessDenied."""
    wrong = replace(s3_server, secret_key="wrong" + s3_server.secret_key[5:])

    async def run() -> tuple[str, str, str]:
        async with await S3Client.open(s3_server.connection()) as client:
            source = client._sender.credentials
            source.current = type(source.current)(access_key=wrong.access_key, secret_key=wrong.secret_key)
            with pytest.raises(S3RefusedError) as listing:
                await client.list_objects(bucket, "")
            with pytest.raises(S3RefusedError) as head:
                await client.head_object(bucket, "k")
            return listing.value.code, listing.value.way_out, head.value.code

    assert asyncio.run(run()) == ("SignatureDoesNotMatch", "Check the secret access key.", "AccessDenied")


def test_a_put_with_a_condition_never_overwrites(s3_server: Server, bucket: str) -> None:
    """If-None-Match and If-Match on PUT."""

    async def work(client: S3Client) -> None:
        for key in KEYS:
            first = await client.put_object(bucket, key, b"1", if_none_match=True)
            with pytest.raises(S3RefusedError) as caught:
                await client.put_object(bucket, key, b"2", if_none_match=True)
            assert (caught.value.code, caught.value.is_ambiguous) == ("PreconditionFailed", False)
            assert (await client.head_object(bucket, key)).etag == first.etag

    ask(s3_server, work)


@pytest.mark.needs("copy-if-none-match")
def test_a_copy_with_a_condition_on_the_target_never_overwrites(s3_server: Server, bucket: str) -> None:
    """Whether the store knows the condition, or answers 501 and the target is read."""

    async def work(client: S3Client) -> None:
        await client.put_object(bucket, "k", b"1")
        await client.copy_object(bucket, "k", bucket, "t", if_none_match=True)
        with pytest.raises(S3RefusedError) as caught:
            await client.copy_object(bucket, "k", bucket, "t", if_none_match=True)
        assert caught.value.code == "PreconditionFailed"

    ask(s3_server, work)


@pytest.mark.needs("copy-source-if-match")
def test_a_source_that_changed_is_not_copied(s3_server: Server, bucket: str) -> None:
    """x-amz-copy-source-if-match, by the typed call and by the plan."""

    async def work(client: S3Client) -> None:
        await client.put_object(bucket, "k", b"1")
        with pytest.raises(S3RefusedError) as caught:
            await client.copy_object(bucket, "k", bucket, "t", source_if_match="0" * 32)
        assert caught.value.code == "PreconditionFailed"
        done: asyncio.Future[tuple[int, bytes]] = asyncio.get_running_loop().create_future()
        plan = client.copy_plan(bucket, bucket)
        plan.start("k", "t", "0" * 32, lambda _, status, body, *__: done.set_result((status, body)), None)
        answer = parse_copy_answer(*(await done))
        assert isinstance(answer, S3RefusedError)
        assert answer.code == "PreconditionFailed"
        with pytest.raises(S3RefusedError):
            await client.head_object(bucket, "t")

    ask(s3_server, work)


def test_a_plan_copies_hostile_keys(s3_server: Server, bucket: str) -> None:
    """The hot path encodes and signs as the typed calls do."""
    names = [key for key in holdable(s3_server) if len(key.encode()) < 1000]

    async def work(client: S3Client) -> None:
        plan = client.copy_plan(bucket, bucket, headers={"x-amz-storage-class": "STANDARD"})
        loop = asyncio.get_running_loop()
        for key in names:
            etag = (await client.put_object(bucket, key, key.encode())).etag
            done: asyncio.Future[tuple[int, bytes]] = loop.create_future()
            plan.start(key, f"to/{key}", etag, lambda to, status, body, *_: to.set_result((status, body)), done)
            assert parse_copy_answer(*(await done)) == etag
        assert (await client.list_objects(bucket, "to/")).keys == sorted(f"to/{key}" for key in names)

    ask(s3_server, work)


@pytest.mark.needs("delete-if-match")
def test_a_delete_with_a_wrong_etag_keeps_the_object(s3_server: Server, bucket: str) -> None:
    """If-Match on DELETE."""

    async def work(client: S3Client) -> None:
        etag = (await client.put_object(bucket, "k", b"1")).etag
        with pytest.raises(S3RefusedError) as caught:
            await client.delete_object(bucket, "k", if_match="0" * 32)
        assert caught.value.code == "PreconditionFailed"
        assert (await client.head_object(bucket, "k")).etag == etag
        await client.delete_object(bucket, "k", if_match=etag)

    ask(s3_server, work)


@pytest.mark.needs("delete-objects-etag")
def test_a_delete_of_many_with_wrong_etags_keeps_exactly_those(s3_server: Server, bucket: str) -> None:
    """An ETag per key in DeleteObjects; outcomes in the order of the request."""
    names = [f"{n:03d} &<é>" for n in range(40)]

    async def work(client: S3Client) -> None:
        asked = []
        for n, key in enumerate(names):
            etag = (await client.put_object(bucket, key, b"1")).etag
            asked.append(DeleteKey(key=key, etag="0" * 32 if n % 3 == 0 else etag))
        outcomes = await client.delete_objects(bucket, asked)
        assert [type(outcome) for outcome in outcomes] == [
            DeleteError if n % 3 == 0 else DeletedKey for n in range(len(names))
        ]
        assert {outcome.code for outcome in outcomes if isinstance(outcome, DeleteError)} == {"PreconditionFailed"}
        assert (await client.list_objects(bucket, "")).keys == names[::3]

    ask(s3_server, work)


def test_a_thousand_keys_are_deleted_by_one_request(s3_server: Server, bucket: str) -> None:
    """Each is accounted for; a second time they are gone, which the answer does not tell apart."""
    names = [f"many/{n:04d}" for n in range(1000)]

    async def work(client: S3Client) -> None:
        await asyncio.gather(*(client.put_object(bucket, key, b"") for key in names))
        for _ in range(2):
            batch = await client.delete_batch(bucket, names)
            assert (dict(batch.errors), batch.unknown) == ({}, frozenset())
            assert batch.marker_ids == [None] * 1000
        assert (await client.list_objects(bucket, "many/")).keys == []

    ask(s3_server, work)


def test_versions_are_told_copied_and_deleted_one_by_one(s3_server: Server, versioned: str) -> None:
    """Version ids of puts, copies and markers; a delete by version id is for good."""
    key = KEYS[1]

    async def work(client: S3Client) -> None:
        assert await client.get_bucket_versioning(versioned) == "Enabled"
        first = await client.put_object(versioned, key, b"1")
        second = await client.put_object(versioned, key, b"22")
        assert first.version_id
        assert first.version_id != second.version_id
        assert (await client.head_object(versioned, key, version_id=first.version_id)).size == 1
        await client.copy_object(versioned, key, versioned, "t", source_version_id=first.version_id)
        assert (await client.head_object(versioned, "t")).size == 1
        marker = await client.delete_object(versioned, key)
        assert marker.delete_marker
        page = await client.list_object_versions(versioned, key)
        # moto lists delete markers behind all versions, so only the versions' own order is compared
        listed = sorted(page.versions, key=lambda version: not version.is_delete_marker)
        assert [(v.version_id, v.is_latest, v.is_delete_marker, v.key) for v in listed] == [
            (marker.version_id, True, True, key),
            (second.version_id, False, False, key),
            (first.version_id, False, False, key),
        ]
        assert [v.size for v in listed] == [0, 2, 1]
        outcomes = await client.delete_objects(
            versioned, [DeleteKey(key="t"), DeleteKey(key=key, version_id=first.version_id)]
        )
        assert all(isinstance(outcome, DeletedKey) for outcome in outcomes)
        assert isinstance(outcomes[0], DeletedKey)
        assert outcomes[0].delete_marker
        assert outcomes[0].delete_marker_version_id
        await client.delete_object(versioned, key, version_id=marker.version_id)
        assert (await client.head_object(versioned, key)).version_id == second.version_id

    ask(s3_server, work)


def test_versions_come_page_by_page(s3_server: Server, versioned: str) -> None:
    """Both markers together name where to go on."""

    async def work(client: S3Client) -> None:
        put = [(await client.put_object(versioned, key, b"1")).version_id for key in "aab" for _ in "12"]
        seen = []
        page = await client.list_object_versions(versioned, "", max_keys=2)
        while True:
            seen += [version.version_id for version in page.versions]
            if not page.is_truncated:
                break
            page = await client.list_object_versions(
                versioned,
                "",
                max_keys=2,
                key_marker=page.next_key_marker,
                version_id_marker=page.next_version_id_marker,
            )
        assert sorted(seen) == sorted(version_id or "" for version_id in put)

    ask(s3_server, work)


def test_an_object_is_copied_in_parts_and_keeps_what_was_said_at_the_start(s3_server: Server, bucket: str) -> None:
    """Create, copy a part, upload a part, list both, complete; the ETag is known at the end, told or read."""
    body = bytes(range(256)) * (6 * MIB // 256)

    async def work(client: S3Client) -> None:
        key = KEYS[1]
        etag = (await client.put_object(bucket, "big", body)).etag
        upload_id = await client.create_multipart_upload(bucket, key, headers={"x-amz-meta-origin": "sdo"})
        assert [each.upload_id for each in (await client.list_multipart_uploads(bucket, "")).uploads] == [upload_id]
        parts = [
            await client.upload_part_copy(
                bucket, "big", bucket, key, upload_id, 1, byte_range=(0, 5 * MIB - 1), source_if_match=etag
            ),
            await client.upload_part(bucket, key, upload_id, 2, body[5 * MIB :]),
        ]
        listed = await client.list_parts(bucket, key, upload_id)
        assert [(part.part_number, part.size, part.etag) for part in listed.parts] == [
            (1, 5 * MIB, parts[0].etag),
            (2, MIB, parts[1].etag),
        ]
        result = await client.complete_multipart_upload(bucket, key, upload_id, parts)
        head = await client.head_object(bucket, key)
        assert (head.etag, head.size, dict(head.metadata)) == (result.etag, 6 * MIB, {"origin": "sdo"})
        assert result.etag.endswith("-2")
        assert b"".join([chunk async for chunk in client.stream_object(bucket, key, if_match=result.etag)]) == body

    ask(s3_server, work)


def test_an_upload_that_is_aborted_leaves_nothing(s3_server: Server, bucket: str) -> None:
    """And may be aborted again; its parts cannot be listed."""

    async def work(client: S3Client) -> None:
        upload_id = await client.create_multipart_upload(bucket, "k")
        await client.upload_part(bucket, "k", upload_id, 1, b"x")
        for _ in range(2):
            await client.abort_multipart_upload(bucket, "k", upload_id)
        assert (await client.list_multipart_uploads(bucket, "")).uploads == []
        with pytest.raises(S3RefusedError) as caught:
            await client.list_parts(bucket, "k", upload_id)
        assert caught.value.code == "NoSuchUpload"

    ask(s3_server, work)


@pytest.mark.needs("object-attributes")
def test_attributes_tell_size_etag_and_parts(s3_server: Server, bucket: str) -> None:
    """GetObjectAttributes of a plain object."""

    async def work(client: S3Client) -> None:
        put = await client.put_object(bucket, KEYS[1], b"12345")
        attributes = await client.get_object_attributes(bucket, KEYS[1])
        assert (attributes.etag, attributes.size, attributes.storage_class) == (put.etag, 5, "STANDARD")
        assert client.attributes_supported

    ask(s3_server, work)


@pytest.mark.needs("crc64nvme")
def test_checksums_are_told_when_they_are_asked_for(s3_server: Server, bucket: str) -> None:
    """As on AWS: base64 by algorithm, with the type."""

    async def work(client: S3Client) -> None:
        # CRC64NVME of "123456789" is its catalogued check value AE8B14860A799888
        headers = {"x-amz-checksum-crc64nvme": "rosUhgp5mIg="}
        await client.put_object(bucket, "k", b"123456789", headers=headers)
        head = await client.head_object(bucket, "k", checksum_mode=True)
        assert dict(head.checksums) == {"CRC64NVME": "rosUhgp5mIg="}
        assert head.checksum_type == "FULL_OBJECT"

    ask(s3_server, work)


def test_requests_start_no_faster_than_the_rate_allows(s3_server: Server, bucket: str) -> None:
    """--max-rate counts every request of the client."""

    async def work(client: S3Client) -> int:
        async with asyncio.timeout(20):
            await asyncio.gather(*(client.list_objects(bucket, "") for _ in range(12)))
        return client.throttle.ended_total

    limited = replace(s3_server.connection(), max_rate=40.0)
    assert ask(s3_server, work, connection=limited) == 12


def test_many_requests_at_once_stay_within_the_concurrency(s3_server: Server, bucket: str) -> None:
    """More calls than slots: they wait, none is lost."""

    async def work(client: S3Client) -> set[str]:
        answers = await asyncio.gather(
            *(client.put_object(bucket, f"k{n}", b"same") for n in range(60)), return_exceptions=False
        )
        assert client.transport.in_flight == 0
        return {answer.etag for answer in answers}

    few = replace(s3_server.connection(), concurrency=4)
    assert len(ask(s3_server, work, connection=few)) == 1
