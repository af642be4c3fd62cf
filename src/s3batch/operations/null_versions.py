"""The ``null`` version of a key: what a write or delete destroys for ever while versioning is suspended.

In go a bucket and some of its keys, out comes which of them have a ``null`` version that holds an object (safety.md
rule 17). It may lie below versions and delete markers of the time when versioning was enabled, where neither HEAD nor a
listing of objects shows it; only ListObjectVersions does, one request a key. Nothing is decided and nothing written.

Facts: S3 User Guide, "Adding objects to versioning-suspended buckets", "Deleting objects from versioning-suspended
buckets" (read 2026-11).
"""

from __future__ import annotations

from collections.abc import Sequence

from s3batch.model.errors import S3BatchError
from s3batch.operations.interruptible import for_each
from s3batch.operations.stop import StopSignal
from s3batch.s3.answers import ObjectVersion
from s3batch.s3.reader import S3Reader

SUSPENDED = "Suspended"
"""What GetBucketVersioning says of such a bucket."""

NULL = "null"
"""The version id of what was written without versioning."""

KEYS_AT_ONCE = 32
"""Keys whose versions are listed at the same time; the throttle bounds the requests of all chunks."""


async def null_versions(
    reader: S3Reader, bucket: str, keys: Sequence[str], *, stop: StopSignal
) -> tuple[dict[int, ObjectVersion], dict[int, S3BatchError]]:
    """Return by position the ``null`` versions of ``keys`` that hold an object, and why others could not be told.

    A stop leaves positions out: the caller looks at the signal before it acts.
    """
    found: dict[int, ObjectVersion] = {}
    unread: dict[int, S3BatchError] = {}

    async def read(position: int) -> None:
        try:
            version = await _null_version(reader, bucket, keys[position])
        except S3BatchError as error:
            unread[position] = error
        else:
            if version is not None:
                found[position] = version

    await for_each(range(len(keys)), read, limit=min(KEYS_AT_ONCE, len(keys)), stop=stop)
    return found, unread


async def _null_version(reader: S3Reader, bucket: str, key: str) -> ObjectVersion | None:
    """Look for it through all versions of the key, however many there are; a delete marker destroys nothing."""
    key_marker = version_id_marker = None
    while True:
        page = await reader.list_object_versions(
            bucket, key, key_marker=key_marker, version_id_marker=version_id_marker
        )
        for version in page.versions:
            if version.key == key and version.version_id == NULL and not version.is_delete_marker:
                return version
        is_past = bool(page.versions) and page.versions[-1].key != key
        if is_past or not page.is_truncated:
            return None
        key_marker, version_id_marker = page.next_key_marker, page.next_version_id_marker
