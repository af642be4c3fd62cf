"""A small archive in a bucket, and the question whether a move of it went right.

Used by the tests that kill processes and by those that inject faults: both end with the same promise, that every object
is at the target, equal, and that nothing else happened.
"""

import hashlib
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from tests.keys import HOSTILE_KEYS, can_be_in_xml

PUT_THREADS = 8
PART_BYTES = 5 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Original:
    """What an object was before the move."""

    etag: str
    size: int
    metadata: Mapping[str, str]


def fill_archive(client: Any, bucket: str, prefix: str, *, objects: int, multipart: bool = True) -> dict[str, Original]:  # noqa: ANN401 (boto3 makes its classes at run time)
    """Put ``objects`` objects of varied size, hostile keys among them, below ``prefix`` and return them by key.

    With ``multipart`` one of them was uploaded in two parts, with metadata and tags.
    """
    client.create_bucket(Bucket=bucket)
    hostile = [prefix + key for key in HOSTILE_KEYS if len((prefix + key).encode()) <= 1024 and can_be_in_xml(key)]
    keys = hostile + [f"{prefix}{number % 9}/file-{number:06d}.cdf" for number in range(max(objects - len(hostile), 0))]

    def put(key: str) -> tuple[str, Original]:
        body = hashlib.sha256(key.encode()).digest() * (len(key) % 5)
        metadata = {"mission": "cdaweb"}
        answer = client.put_object(Bucket=bucket, Key=key, Body=body, Metadata=metadata)
        return key, Original(etag=answer["ETag"].strip('"'), size=len(body), metadata=metadata)

    with ThreadPoolExecutor(PUT_THREADS) as threads:
        originals = dict(threads.map(put, keys))
    if multipart:
        key = f"{prefix}large.cdf"
        originals[key] = _put_in_parts(client, bucket, key)
    return originals


def _put_in_parts(client: Any, bucket: str, key: str) -> Original:  # noqa: ANN401
    bodies = (b"a" * PART_BYTES, b"b" * 1000)
    upload_id = client.create_multipart_upload(
        Bucket=bucket, Key=key, Metadata={"mission": "large"}, ContentType="application/cdf", Tagging="team=spdf"
    )["UploadId"]
    upload = {"Bucket": bucket, "Key": key, "UploadId": upload_id}
    parts = [
        {
            "PartNumber": number,
            "ETag": client.upload_part(Bucket=bucket, Key=key, UploadId=upload_id, PartNumber=number, Body=body)[
                "ETag"
            ],
        }
        for number, body in enumerate(bodies, start=1)
    ]
    client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    head = client.head_object(Bucket=bucket, Key=key)
    return Original(etag=head["ETag"].strip('"'), size=head["ContentLength"], metadata=head["Metadata"])


def listed(client: Any, bucket: str, prefix: str) -> dict[str, tuple[str, int]]:  # noqa: ANN401
    """Return ETag and size by key, as a listing of its own shows them."""
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    return {each["Key"]: (each["ETag"].strip('"'), each["Size"]) for page in pages for each in page.get("Contents", [])}


def require_moved(client: Any, bucket: str, originals: Mapping[str, Original], source: str, target: str) -> None:  # noqa: ANN401
    """Assert that the target holds every original, equal, and nothing else, and that the source is empty."""
    expected = {target + key[len(source) :]: (each.etag, each.size) for key, each in originals.items()}
    assert listed(client, bucket, target) == expected
    assert listed(client, bucket, source) == {}
