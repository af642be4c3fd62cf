"""May what a copy is to keep be read at all? Asked of one object of each source bucket, before the first copy.

In: a reader, a copy's specification, its manifest. Out: nothing, or a refusal. HEAD leaves Object Lock headers out for
whoever may not read them, so that a copy would lose a lock in silence (HeadObject API reference, read 2026-11); grants
and tags would fail object by object. What one object permits another may refuse: those rows fail by themselves.
"""

from __future__ import annotations

from collections.abc import Awaitable, Iterator

from s3batch.manifest.normalised import NormalisedManifest
from s3batch.model.attributes import Keep
from s3batch.model.errors import RefusedError
from s3batch.model.job import JobSpec
from s3batch.model.objects import S3Object
from s3batch.s3.client import S3Reader
from s3batch.s3.errors import S3RefusedError

_ACTIONS = {
    Keep.LOCK: "s3:GetObjectRetention and s3:GetObjectLegalHold",
    Keep.ACL: "s3:GetObjectAcl",
    Keep.TAGS: "s3:GetObjectTagging",
}


async def require_readable(reader: S3Reader, spec: JobSpec, manifest: NormalisedManifest) -> None:
    """Refuse a copy that is told to keep what these credentials may not read.

    Raises:
        RefusedError: ``AttributesNotRead``.
    """
    asked = [each for each in _ACTIONS if each in spec.copy.attributes.keep]
    if not asked:
        return
    for source, version_id in _one_of_each_bucket(manifest):
        for each in asked:
            try:
                await _read(reader, each, source, version_id)
            except S3RefusedError as error:
                if error.code != "AccessDenied":
                    continue  # not there any more, or not known to the store: its row will say so
                raise RefusedError(
                    f"--keep {each} was asked for, and these credentials may not read it of {source}.",
                    code="AttributesNotRead",
                    way_out=f"Allow {_ACTIONS[each]} on the source, or leave --keep {each} out.",
                ) from error


def _read(reader: S3Reader, what: Keep, source: S3Object, version_id: str | None) -> Awaitable[object]:
    match what:
        case Keep.LOCK:
            return reader.require_lock_readable(source.bucket, source.key, version_id=version_id)
        case Keep.ACL:
            return reader.get_object_acl(source.bucket, source.key, version_id=version_id)
        case _:
            return reader.get_object_tagging(source.bucket, source.key, version_id=version_id)


def _one_of_each_bucket(manifest: NormalisedManifest) -> Iterator[tuple[S3Object, str | None]]:
    """Yield the first object of each bucket that the plan found nothing wrong with, of its first chunk."""
    seen: set[str] = set()
    for number, chunk in enumerate(manifest.chunks):
        if chunk.bucket in seen:
            continue
        seen.add(chunk.bucket)
        for row in manifest.read_chunk(number, ("key", "version_id", "problem")).to_pylist():
            if row["problem"] is None:
                yield S3Object(bucket=chunk.bucket, key=str(row["key"])), row["version_id"]
                break
