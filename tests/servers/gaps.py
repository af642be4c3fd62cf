"""Where each test server differs from AWS: one table, used for expected failures with their reasons.

An entry here is a fault of the server, seen with boto3 against the version named; it never excuses s3batch. Expected
failures are strict: a server that learns a behaviour makes its entry fail, and the entry goes.
"""

from collections.abc import Mapping

import pytest

GAPS: Mapping[tuple[str, str], str] = {
    # MiniStack 1.5.33
    ("ministack", "copy-if-none-match"): "MiniStack's CopyObject ignores If-None-Match",
    ("ministack", "copy-multipart-etag"): "MiniStack's copy of a multipart object keeps its ETag",
    ("ministack", "copy-onto-itself-refused"): "MiniStack accepts a copy onto itself that changes nothing",
    ("ministack", "key-too-long-refused"): "MiniStack accepts keys of 1,025 bytes",
    ("ministack", "delete-limit-refused"): "MiniStack accepts more than 1,000 keys in a DeleteObjects",
    ("ministack", "small-part-refused"): "MiniStack accepts a part of under 5 MiB that is not the last",
    ("ministack", "lock-headers-on-copy"): "MiniStack ignores Object Lock headers on a copy",
    ("ministack", "checksum-algorithm-on-copy"): "MiniStack ignores x-amz-checksum-algorithm on a copy",
    ("ministack", "multipart-full-object-crc64nvme"): "MiniStack keeps no full-object CRC64NVME of a multipart object",
    ("ministack", "head-part-number"): "MiniStack's HEAD ignores partNumber",
    ("ministack", "versions-of-control-keys"): "MiniStack cannot list versions of keys that XML cannot carry (500)",
    ("ministack", "versions-of-carriage-returns"): "MiniStack lists versions of keys unencoded, so XML changes them",
    # moto 5.2.5
    ("moto", "versions-of-control-keys"): "moto cannot list versions of keys that XML cannot carry (500)",
    ("moto", "versions-of-carriage-returns"): "moto lists versions of keys unencoded, so XML changes them",
    ("moto", "versions-newest-first"): "moto lists all versions of a page before its delete markers",
    ("moto", "versions-after-a-key"): "moto skips the newest version after a key-marker under which nothing is",
    ("moto", "newline-in-key"): "moto's routes do not match a key with a newline",
    ("moto", "copy-source-if-match"): "moto ignores x-amz-copy-source-if-match",
    ("moto", "delete-objects-etag"): "moto's DeleteObjects ignores the ETag of a key and deletes",
    ("moto", "crc64nvme"): "moto neither keeps nor checks CRC64NVME",
    ("moto", "multipart-full-object-crc64nvme"): "moto keeps no CRC64NVME",
    ("moto", "copy-if-none-match"): "moto's CopyObject ignores If-None-Match",
    ("moto", "lock-headers-on-copy"): "moto wants a checksum of the body for a copy with Object Lock headers",
    ("moto", "delete-limit-refused"): "moto accepts more than 1,000 keys in a DeleteObjects",
    ("moto", "key-too-long-refused"): "moto accepts keys of 1,025 bytes",
    # Ceph RGW 16.2
    ("ceph_rgw", "second-delete-marker"): "Ceph 16.2 makes no second delete marker over the first",
    ("ceph_rgw", "versions-of-control-keys"): "Ceph 16.2 lists versions of keys that XML cannot carry as broken XML",
    ("ceph_rgw", "copy-source-if-match"): "Ceph 16.2 copies although x-amz-copy-source-if-match does not match",
    ("ceph_rgw", "copy-if-none-match"): "Ceph 16.2's CopyObject ignores If-None-Match",
    ("ceph_rgw", "copy-multipart-etag"): "Ceph 16.2's copy of a multipart object keeps its ETag",
    ("ceph_rgw", "lock-headers-on-copy"): "Ceph 16.2 ignores Object Lock headers on a copy",
    ("ceph_rgw", "checksum-algorithm-on-copy"): "Ceph 16.2 has no additional checksums",
    ("ceph_rgw", "multipart-full-object-crc64nvme"): "Ceph 16.2 has no additional checksums",
    ("ceph_rgw", "tagging-directive"): "Ceph 16.2 ignores x-amz-tagging-directive",
    ("ceph_rgw", "tags-of-changed-metadata"): "Ceph 16.2 drops the tags of a copy whose metadata is replaced",
    ("ceph_rgw", "delete-if-match"): "Ceph 16.2 ignores If-Match on DELETE and deletes",
    ("ceph_rgw", "delete-objects-etag"): "Ceph 16.2's DeleteObjects ignores the ETag of a key and deletes",
    ("ceph_rgw", "copy-source-version-header"): "Ceph 16.2 does not tell x-amz-copy-source-version-id",
    ("ceph_rgw", "crc64nvme"): "Ceph 16.2 has no additional checksums",
    ("ceph_rgw", "object-attributes"): "Ceph 16.2 has no GetObjectAttributes",
    ("ceph_rgw", "restore"): "Ceph 16.2 has no RestoreObject",
    ("ceph_rgw", "head-part-number"): "Ceph 16.2's HEAD ignores partNumber",
}


def gap(server_name: str, behaviour: str) -> str | None:
    """Return why the server does not show a behaviour, or None where it does."""
    return GAPS.get((server_name, behaviour))


def key_gap(server_name: str, key: str) -> str | None:
    """Return why the server cannot hold a key, or None where it can."""
    return gap(server_name, "newline-in-key") if "\n" in key else None


def expect_gap(request: pytest.FixtureRequest, server_name: str, behaviour: str) -> None:
    """Mark the running test as an expected failure if the server has this gap."""
    _expect(request, gap(server_name, behaviour))


def expect_key_gap(request: pytest.FixtureRequest, server_name: str, key: str) -> None:
    """Mark the running test as an expected failure if the server cannot hold the key."""
    _expect(request, key_gap(server_name, key))


def _expect(request: pytest.FixtureRequest, reason: str | None) -> None:
    if reason is not None:
        request.applymarker(pytest.mark.xfail(reason=reason, strict=True))
