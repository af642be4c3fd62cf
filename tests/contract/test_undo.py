"""Undo on real servers, below the command line: what is on record decides, and marker ids are found or refused."""

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from s3batch.model.errors import RefusedError
from s3batch.operations.delete import find_marker
from s3batch.operations.undo import UndoOperation
from s3batch.s3.client import S3Client
from s3batch.s3.xml_answers import iso_ms
from tests.contract.chunks import codes, evidence_of, pin, put_all, run
from tests.servers.server import Server

PREFIX = "source/"


def _versioned(server: Server, bucket: str, *names: str) -> Any:  # noqa: ANN401 (boto3's)
    client = server.boto3_client()
    client.create_bucket(Bucket=bucket)
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    put_all(server, bucket, {PREFIX + name: name.encode() for name in names})
    return client


def _delete(client: Any, bucket: str, key: str) -> str:  # noqa: ANN401 (boto3's)
    return str(client.delete_object(Bucket=bucket, Key=key)["VersionId"])


@pytest.mark.parametrize("marker_ids", [["", "m"], ["null", "m"], ["m"], ["m", "m", "m"]])
def test_no_marker_is_removed_without_an_id_of_its_own(
    marker_ids: list[str], ministack: Server, bucket_name: str
) -> None:
    """Where an id is missing nothing is sent: a delete without one would hide an object."""
    _versioned(ministack, bucket_name, "a", "b")

    async def remove() -> None:
        async with await S3Client.open(ministack.connection()) as client:
            with pytest.raises(RefusedError) as refused:
                await client.remove_markers(bucket_name, [PREFIX + "a", PREFIX + "b"], marker_ids)
            assert refused.value.code == "NoMarkerId"
            with pytest.raises(RefusedError):
                await client.remove_marker(bucket_name, PREFIX + "a", "")

    asyncio.run(remove())
    assert len(pin(ministack, bucket_name, PREFIX).keys) == 2


@pytest.mark.parametrize("server_name", ["ministack", "ceph_rgw"])
def test_a_marker_from_before_the_job_is_not_taken_for_its_own(
    server_name: str, bucket_name: str, request: pytest.FixtureRequest
) -> None:
    """What somebody else deleted before is not brought back by the undo of this job."""
    server: Server = request.getfixturevalue(server_name)
    client = _versioned(server, bucket_name, "a")
    marker_id = _delete(client, bucket_name, PREFIX + "a")

    async def found(shift_ms: int) -> str | None:
        async with await S3Client.open(server.connection()) as opened:
            page = await opened.list_object_versions(bucket_name, PREFIX + "a", max_keys=1)
            made_at_ms = iso_ms(page.versions[0].last_modified)
            assert made_at_ms is not None
            return await find_marker(opened, bucket_name, PREFIX + "a", not_before_ms=made_at_ms + shift_ms)

    assert asyncio.run(found(-5_000)) == marker_id
    assert asyncio.run(found(0)) == marker_id
    assert asyncio.run(found(5_000)) is None


@pytest.mark.parametrize("server_name", ["ministack", "ceph_rgw"])
def test_rows_without_a_marker_on_record_are_looked_at_and_left(
    server_name: str, bucket_name: str, request: pytest.FixtureRequest
) -> None:
    """Recorded, failed, unrecorded and current, unrecorded and gone; a longer key beside each is no matter."""
    server: Server = request.getfixturevalue(server_name)
    names = ("a", "ab", "refused", "still-there", "gone")
    client = _versioned(server, bucket_name, *names)
    work = pin(server, bucket_name, PREFIX)
    row_by_name = {key.removeprefix(PREFIX): row for row, key in enumerate(work.keys)}
    marker_id = _delete(client, bucket_name, PREFIX + "a")
    _delete(client, bucket_name, PREFIX + "gone")
    record = [
        {"row": row_by_name["a"], "status": "succeeded", "version_id": marker_id},
        {"row": row_by_name["refused"], "status": "failed", "code": "AccessDenied"},
    ]
    outcomes = run(server, UndoOperation(), replace(work, evidence=evidence_of(record, len(work.keys))))
    assert codes(work, outcomes) == {
        PREFIX + "ab": "NotDeleted",
        PREFIX + "refused": "NotDeleted",
        PREFIX + "still-there": "NotDeleted",
        PREFIX + "gone": "NoMarker",
    }
    assert set(pin(server, bucket_name, PREFIX).keys) == {PREFIX + name for name in names if name != "gone"}
    without_record = run(server, UndoOperation(), work)
    assert {each["code"] for each in without_record} == {"NotDeleted", "NoMarker"}
