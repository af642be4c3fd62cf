"""The stub answers as S3 does where a measurement relies on it."""

import hashlib
from typing import Any

import pytest
from botocore.exceptions import ClientError
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.keys import HOSTILE_KEYS
from tests.servers.server import Server
from tests.servers.stub.launcher import StubControl


@pytest.fixture
def control(stub: Server) -> StubControl:
    """An empty stub's own calls."""
    control = StubControl(stub)
    control.reset()
    return control


@pytest.fixture
def client(stub: Server, control: StubControl) -> Any:  # noqa: ANN401, ARG001 (boto3's class; emptied first)
    """A boto3 client of an empty stub."""
    return stub.boto3_client()


def all_keys(client: Any, bucket: str, **arguments: Any) -> list[str]:  # noqa: ANN401
    """List to the end by continuation tokens."""
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, **arguments)
    return [found["Key"] for page in pages for found in page.get("Contents", [])]


def test_a_folder_is_filled_and_listed_to_its_end(client: Any, control: StubControl) -> None:  # noqa: ANN401
    """Numbered objects come in order, over pages, each with an ETag of its own."""
    control.fill("b", "sdo/aia/", 2345)
    assert all_keys(client, "b", Prefix="sdo/") == [f"sdo/aia/{number:09d}" for number in range(2345)]
    page = client.list_objects_v2(Bucket="b", Prefix="sdo/")
    assert page["KeyCount"] == 1000
    assert len({found["ETag"] for found in page["Contents"]}) == 1000
    head = client.head_object(Bucket="b", Key="sdo/aia/000000007")
    assert (head["ETag"], head["ContentLength"]) == (page["Contents"][7]["ETag"], 1024)


def test_a_hundred_million_objects_are_listed_at_any_place(client: Any, control: StubControl) -> None:  # noqa: ANN401
    """A folder costs a bit per object, and a listing may start anywhere in it."""
    control.fill("b", "f/", 100_000_000)
    page = client.list_objects_v2(Bucket="b", Prefix="f/", StartAfter="f/099999997", MaxKeys=5)
    assert [found["Key"] for found in page["Contents"]] == ["f/099999998", "f/099999999"]
    assert not page["IsTruncated"]


def test_hostile_keys_are_held_and_listed(client: Any) -> None:  # noqa: ANN401
    """Single objects have any key, and lie between numbered ones in order."""
    for key in HOSTILE_KEYS:
        client.put_object(Bucket="b", Key=key, Body=key.encode())
    assert all_keys(client, "b", MaxKeys=7) == sorted(HOSTILE_KEYS)
    for key in HOSTILE_KEYS:
        assert client.get_object(Bucket="b", Key=key)["Body"].read() == key.encode()
    client.delete_objects(Bucket="b", Delete={"Objects": [{"Key": key} for key in HOSTILE_KEYS if "\x01" not in key]})
    assert all_keys(client, "b") == ["control\x01character"]


@settings(max_examples=60, deadline=None)
@given(
    after=st.text(alphabet="fg/0159 az\x7f", max_size=14),
    prefix=st.sampled_from(["", "f", "f/", "f/0", "f/00000001", "f/000000010", "f/x", "g/", "z"]),
    max_keys=st.integers(1, 20),
)
def test_listings_agree_with_a_sorted_list(stub: Server, after: str, prefix: str, max_keys: int) -> None:
    """Any prefix, start-after and page size give exactly the keys between, once each, in order."""
    control, client = StubControl(stub), stub.boto3_client()
    singles = ["f/000000003x", "f/00000001", "f/1", "a", "g", "g/!", "zz", "f/0000000011"]
    numbered = {"f/": 14, "g/": 3, "f/deeper/": 2}
    keys = sorted([f"{folder}{n:09d}" for folder, count in numbered.items() for n in range(count)] + singles)
    if all_keys(client, "b") != keys:
        control.reset()
        for folder, count in numbered.items():
            control.fill("b", folder, count)
        for key in singles:
            client.put_object(Bucket="b", Key=key, Body=b"")
    arguments = {"StartAfter": after} if after else {}
    wanted = [key for key in keys if key.startswith(prefix) and key > after]
    assert all_keys(client, "b", Prefix=prefix, MaxKeys=max_keys, **arguments) == wanted


def test_delimited_listings_show_folders(client: Any, control: StubControl) -> None:  # noqa: ANN401
    """With a delimiter, folders below the prefix are common prefixes."""
    control.fill("b", "sdo/aia/", 5)
    control.fill("b", "cdaweb/", 5)
    client.put_object(Bucket="b", Key="readme", Body=b"")
    page = client.list_objects_v2(Bucket="b", Delimiter="/")
    assert [found["Prefix"] for found in page["CommonPrefixes"]] == ["cdaweb/", "sdo/"]
    assert [found["Key"] for found in page["Contents"]] == ["readme"]


def test_copies_deletes_and_their_conditions_are_honoured(client: Any, control: StubControl) -> None:  # noqa: ANN401
    """Copies appear, deletes disappear, and a condition that fails changes nothing."""
    control.fill("b", "a/", 10)
    etag = client.head_object(Bucket="b", Key="a/000000004")["ETag"]
    source = {"Bucket": "b", "Key": "a/000000004"}
    with pytest.raises(ClientError, match="PreconditionFailed"):
        client.copy_object(Bucket="b", Key="t/000000004", CopySource=source, CopySourceIfMatch='"other"')
    copied = client.copy_object(Bucket="b", Key="t/000000004", CopySource=source, CopySourceIfMatch=etag)
    assert copied["CopyObjectResult"]["ETag"] == etag
    with pytest.raises(ClientError, match="PreconditionFailed"):
        client.copy_object(Bucket="b", Key="t/000000004", CopySource=source, IfNoneMatch="*")
    with pytest.raises(ClientError, match="NoSuchKey"):
        client.copy_object(Bucket="b", Key="t/x", CopySource={"Bucket": "b", "Key": "a/000000011"})
    with pytest.raises(ClientError, match="PreconditionFailed"):
        client.delete_object(Bucket="b", Key="a/000000004", IfMatch='"other"')
    assert all_keys(client, "b", Prefix="t/") == ["t/000000004"]
    wanted = [{"Key": "a/000000004", "ETag": etag}, {"Key": "a/000000005", "ETag": '"other"'}]
    answer = client.delete_objects(Bucket="b", Delete={"Objects": wanted})
    assert [done["Key"] for done in answer["Deleted"]] == ["a/000000004"]
    assert [(kept["Key"], kept["Code"]) for kept in answer["Errors"]] == [("a/000000005", "PreconditionFailed")]
    assert len(all_keys(client, "b", Prefix="a/")) == 9


def test_a_store_may_ignore_conditions(client: Any, control: StubControl) -> None:  # noqa: ANN401
    """Some stores do as they are told whatever the condition; a bucket can be such a one."""
    control.configure_bucket("b", conditions="ignored")
    control.fill("b", "a/", 2)
    client.copy_object(Bucket="b", Key="t", CopySource={"Bucket": "b", "Key": "a/000000000"}, CopySourceIfMatch='"no"')
    client.delete_object(Bucket="b", Key="a/000000000", IfMatch='"other"')
    client.delete_objects(Bucket="b", Delete={"Objects": [{"Key": "a/000000001", "ETag": '"other"'}]})
    assert all_keys(client, "b") == ["t"]


def test_a_copy_of_a_multipart_object_has_a_single_part_etag(client: Any, control: StubControl) -> None:  # noqa: ANN401
    """AWS's rule, and the switch for stores that keep the ETag; the checksum is the content's either way."""
    control.configure_bucket("source", etags="multipart")
    control.configure_bucket("keeps", etags="multipart")
    control.fill("source", "a/", 1)
    etag = client.head_object(Bucket="source", Key="a/000000000")["ETag"]
    assert etag.endswith('-2"')
    for bucket in ("aws", "keeps"):
        source = {"Bucket": "source", "Key": "a/000000000"}
        copied = client.copy_object(Bucket=bucket, Key="a/000000000", CopySource=source)["CopyObjectResult"]["ETag"]
        assert copied == client.list_objects_v2(Bucket=bucket)["Contents"][0]["ETag"]
        assert (copied == etag, "-" in copied) == (bucket == "keeps", bucket == "keeps")
    sums = [
        client.head_object(Bucket=bucket, Key="a/000000000", ChecksumMode="ENABLED")["ChecksumCRC64NVME"]
        for bucket in ("source", "aws", "keeps")
    ]
    assert len(set(sums)) == 1


def test_multipart_uploads_and_copies_by_parts_work(client: Any) -> None:  # noqa: ANN401
    """A multipart object's ETag is the MD5 of its parts' MD5s and their number, as on AWS."""
    parts = [b"a" * 6_000_000, b"b" * 10]
    client.put_object(Bucket="b", Key="source", Body=b"".join(parts))
    upload = client.create_multipart_upload(Bucket="b", Key="target", Metadata={"colour": "blue"})["UploadId"]
    first = client.upload_part_copy(
        Bucket="b",
        Key="target",
        UploadId=upload,
        PartNumber=1,
        CopySource={"Bucket": "b", "Key": "source"},
        CopySourceRange=f"bytes=0-{len(parts[0]) - 1}",
    )["CopyPartResult"]["ETag"]
    second = client.upload_part(Bucket="b", Key="target", UploadId=upload, PartNumber=2, Body=parts[1])["ETag"]
    assert len(client.list_multipart_uploads(Bucket="b")["Uploads"]) == 1
    wanted = {"Parts": [{"PartNumber": 1, "ETag": first}, {"PartNumber": 2, "ETag": second}]}
    done = client.complete_multipart_upload(Bucket="b", Key="target", UploadId=upload, MultipartUpload=wanted)
    digests = b"".join(hashlib.md5(part, usedforsecurity=False).digest() for part in parts)
    assert done["ETag"] == f'"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-2"'
    got = client.get_object(Bucket="b", Key="target")
    assert got["Body"].read() == b"".join(parts)
    assert got["Metadata"] == {"colour": "blue"}


def test_a_large_object_is_read_by_ranges(client: Any, control: StubControl) -> None:  # noqa: ANN401
    """Sizes above what a request may copy can be had without holding them."""
    control.configure_bucket("big", size_bytes=50_000_000_000)
    control.fill("big", "a/", 1)
    assert client.head_object(Bucket="big", Key="a/000000000")["ContentLength"] == 50_000_000_000
    got = client.get_object(Bucket="big", Key="a/000000000", Range="bytes=49999900000-49999999999")
    assert got["Body"].read() == b"x" * 100_000


def test_requests_are_counted_by_method_and_kind(client: Any, control: StubControl) -> None:  # noqa: ANN401
    """The counts tell how often a write was repeated."""
    control.fill("b", "a/", 3)
    client.copy_object(Bucket="b", Key="t", CopySource={"Bucket": "b", "Key": "a/000000000"})
    client.list_objects_v2(Bucket="b")
    client.delete_objects(Bucket="b", Delete={"Objects": [{"Key": "a/000000000"}, {"Key": "a/000000001"}]})
    counts = control.counts()
    assert counts.methods == {"PUT": 1, "GET": 1, "POST": 1}
    assert counts.kinds == {"CopyObject": 1, "ListObjectsV2": 1, "DeleteObjects": 1}
    assert counts.deleted_keys == 2
