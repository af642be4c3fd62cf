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
