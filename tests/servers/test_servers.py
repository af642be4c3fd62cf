"""The servers themselves: they check signatures, hold hostile keys, and differ from AWS where gaps.py says so."""

from dataclasses import replace

import pytest
from botocore.exceptions import ClientError

from tests.keys import HOSTILE_KEYS
from tests.servers.gaps import key_gap
from tests.servers.server import Server


def test_a_wrong_secret_is_refused(s3_server: Server, bucket_name: str) -> None:
    """Each real server checks signatures, so a fault in our signing shows."""
    s3_server.boto3_client().create_bucket(Bucket=bucket_name)
    impostor = replace(s3_server, secret_key="x" * 40).boto3_client()
    with pytest.raises(ClientError, match="SignatureDoesNotMatch"):
        impostor.list_objects_v2(Bucket=bucket_name)


def test_the_other_user_may_do_nothing(s3_server: Server, bucket_name: str) -> None:
    """Missing permissions can be tested on each real server."""
    s3_server.boto3_client().create_bucket(Bucket=bucket_name)
    with pytest.raises(ClientError, match="AccessDenied"):
        s3_server.boto3_client(as_other_user=True).list_objects_v2(Bucket=bucket_name)


def test_hostile_keys_are_held_and_listed(s3_server: Server, bucket_name: str) -> None:
    """Each key that the server's gaps do not name comes back from a listing, and names its own object."""
    client = s3_server.boto3_client()
    client.create_bucket(Bucket=bucket_name)
    keys = [key for key in HOSTILE_KEYS if key_gap(s3_server.name, key) is None]
    for key in keys:
        client.put_object(Bucket=bucket_name, Key=key, Body=key.encode())
    assert [found["Key"] for found in client.list_objects_v2(Bucket=bucket_name)["Contents"]] == sorted(keys)
    for key in keys:
        assert client.get_object(Bucket=bucket_name, Key=key)["Body"].read() == key.encode()


@pytest.mark.parametrize("key", ["line\nfeed", "ends with line feed\n"], ids=ascii)
def test_moto_still_cannot_hold_line_feeds(moto: Server, bucket_name: str, key: str) -> None:
    """When this fails, moto has learned it, and its entry in gaps.py goes."""
    client = moto.boto3_client()
    client.create_bucket(Bucket=bucket_name)
    with pytest.raises(ClientError, match="404"):
        client.put_object(Bucket=bucket_name, Key=key, Body=b"")


@pytest.mark.needs("copy-source-if-match")
def test_a_copy_of_a_changed_source_is_refused(s3_server: Server, bucket_name: str) -> None:
    """The condition that keeps a changed source from being copied works, but for listed gaps."""
    client = s3_server.boto3_client()
    client.create_bucket(Bucket=bucket_name)
    client.put_object(Bucket=bucket_name, Key="source", Body=b"changed")
    source = {"Bucket": bucket_name, "Key": "source"}
    with pytest.raises(ClientError, match="PreconditionFailed"):
        client.copy_object(Bucket=bucket_name, Key="target", CopySource=source, CopySourceIfMatch='"other"')


@pytest.mark.needs("delete-if-match")
def test_a_delete_of_a_changed_object_is_refused(s3_server: Server, bucket_name: str) -> None:
    """The condition that keeps a changed object from being deleted works, but for listed gaps."""
    client = s3_server.boto3_client()
    client.create_bucket(Bucket=bucket_name)
    client.put_object(Bucket=bucket_name, Key="key", Body=b"changed")
    with pytest.raises(ClientError, match="PreconditionFailed"):
        client.delete_object(Bucket=bucket_name, Key="key", IfMatch='"other"')
    client.head_object(Bucket=bucket_name, Key="key")


@pytest.mark.needs("delete-objects-etag")
def test_a_bulk_delete_of_a_changed_object_is_refused(s3_server: Server, bucket_name: str) -> None:
    """The same condition, one per key of a DeleteObjects."""
    client = s3_server.boto3_client()
    client.create_bucket(Bucket=bucket_name)
    client.put_object(Bucket=bucket_name, Key="key", Body=b"changed")
    wanted = {"Objects": [{"Key": "key", "ETag": '"other"'}]}
    answer = client.delete_objects(Bucket=bucket_name, Delete=wanted)
    assert [error["Code"] for error in answer.get("Errors", [])] == ["PreconditionFailed"]
    client.head_object(Bucket=bucket_name, Key="key")
