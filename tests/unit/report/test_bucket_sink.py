"""Reports in a bucket, on real servers: whole objects, in parts when large, nothing left of what failed."""

import asyncio
import hashlib
import json
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from s3batch.report import bucket_sink
from s3batch.report.bucket_sink import BucketSink, send_file
from s3batch.report.completion import write_report
from s3batch.s3.client import S3Client
from tests.servers.server import Server
from tests.unit.report.finished_job import Task, finished_job

MIB = 1024**2


def with_sink(server: Server, bucket: str, action: Callable[[BucketSink], Coroutine[Any, Any, None]]) -> None:
    """Run something with a sink for a bucket that is there."""

    async def run() -> None:
        async with await S3Client.open(server.connection()) as client:
            await action(BucketSink(client, bucket))

    server.boto3_client().create_bucket(Bucket=bucket)
    asyncio.run(run())


def content_of(server: Server, bucket: str, key: str) -> bytes:
    """Return an object's bytes as another client reads them."""
    body: bytes = server.boto3_client().get_object(Bucket=bucket, Key=key)["Body"].read()
    return body


def test_a_report_lies_in_the_bucket_as_its_manifest_says(s3_server: Server, bucket_name: str, tmp_path: Path) -> None:
    """Every file has the key and the MD5 that manifest.json gives it, also below a prefix that ends in a slash."""
    job = finished_job(tmp_path, [Task(key="a b"), Task(key="c", status="failed", code="NoSuchKey")])

    async def write(sink: BucketSink) -> None:
        await write_report(
            job_id="1",
            manifest=job.manifest,
            segments_of_chunk=job.segments_of_chunk,
            sink=sink,
            prefix="reports/",
            created_at_ms=0,
        )

    with_sink(s3_server, bucket_name, write)
    content = content_of(s3_server, bucket_name, "reports//job-1/manifest.json")
    md5 = content_of(s3_server, bucket_name, "reports//job-1/manifest.json.md5").decode()
    assert hashlib.md5(content, usedforsecurity=False).hexdigest() == md5
    results = json.loads(content)["Results"]
    assert [each["Bucket"] for each in results] == [bucket_name] * 2
    for each in results:
        rows = content_of(s3_server, bucket_name, each["Key"])
        assert hashlib.md5(rows, usedforsecurity=False).hexdigest() == each["MD5Checksum"]


@pytest.mark.parametrize("size", [0, 1, 5 * MIB, 5 * MIB + 1, 12 * MIB])
def test_objects_of_any_size_arrive_whole(
    ministack: Server, bucket_name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    """One PUT up to the size of a part, a multipart upload above, the bytes equal; no upload is left open."""
    monkeypatch.setattr(bucket_sink, "PART_BYTES", 5 * MIB)
    path = tmp_path / "mapping.csv"
    content = bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    path.write_bytes(content)
    with_sink(ministack, bucket_name, lambda sink: send_file(sink, "mapping.csv", path))
    client = ministack.boto3_client()
    head = client.head_object(Bucket=bucket_name, Key="mapping.csv")
    assert content_of(ministack, bucket_name, "mapping.csv") == content
    assert head["ContentType"] == "text/csv"
    assert ("-" in head["ETag"]) == (size > 5 * MIB)
    assert not client.list_multipart_uploads(Bucket=bucket_name).get("Uploads")


def test_an_aborted_object_leaves_neither_object_nor_upload(
    ministack: Server, bucket_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parts of an upload that nobody completes would be paid for until somebody finds them."""
    monkeypatch.setattr(bucket_sink, "PART_BYTES", 5 * MIB)

    async def begin_and_abort(sink: BucketSink) -> None:
        writer = await sink.open("x.csv")
        await writer.write(b"x" * (6 * MIB))
        await writer.abort()

    with_sink(ministack, bucket_name, begin_and_abort)
    client = ministack.boto3_client()
    assert client.list_objects_v2(Bucket=bucket_name)["KeyCount"] == 0
    assert not client.list_multipart_uploads(Bucket=bucket_name).get("Uploads")
