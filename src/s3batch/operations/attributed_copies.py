"""Copies that shall have more than S3 keeps by itself: reads the sources, and sees to it that nothing of it is lost.

In: a pinned source, a target, and what the job asks of its copies. Out: the headers of the copy; afterwards calls that
put what a header could not carry, and on stores other than AWS, which may ignore headers without a word, what they
ignored, and a look at the target that fails the row where something asked for is still missing (safety.md rule 8).

Order of writes: the copy first, then its attributes. A crash in between leaves a copy without them, so an attempt that
finds a copy of its job's own finishes it again before it counts: each call may be repeated.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from s3batch.model.attributes import AS_SOURCES, CopyAttributes, Keep
from s3batch.model.objects import S3Object
from s3batch.model.outcome import Code
from s3batch.operations.copy_headers import (
    LEGAL_HOLD,
    LOCK_MODE,
    RETAIN_UNTIL,
    SourceAttributes,
    copy_headers,
    fit_header,
    lost_attributes,
)
from s3batch.operations.task import PinnedSource
from s3batch.s3.answers import ObjectAcl
from s3batch.s3.client import S3Client
from s3batch.s3.errors import S3RefusedError


@dataclass(frozen=True, kw_only=True, slots=True)
class AttributedCopies:
    """What the copies of a job need beyond the bytes."""

    attributes: CopyAttributes
    source: S3Client
    target: S3Client

    @property
    def are_plain(self) -> bool:
        """Tell whether one request with headers that are the same for all does it, and nothing has to be looked at."""
        if self.attributes == AS_SOURCES:
            return True
        return self.target.is_aws and not self.attributes.reads_sources and fit_header(self._new_tags or ())

    @property
    def _new_tags(self) -> tuple[tuple[str, str], ...] | None:
        return None if self.attributes.tags is None else tuple(self.attributes.tags.items())

    async def read(self, source: PinnedSource, *, is_in_parts: bool = False) -> SourceAttributes:
        """Read what has to be known of a source; all of it where it is copied in parts, which keep nothing.

        Raises:
            S3Error, TransportError: it is another object by now, or something of it may not be read.
        """
        bucket, key, version_id = source.bucket, source.key, source.version_id
        head = acl = tags = None
        if is_in_parts or self.attributes.reads_sources:
            head = await self.source.head_object(
                bucket, key, version_id=version_id, if_match=source.etag, checksum_mode=True
            )
        if Keep.ACL in self.attributes.keep:
            acl = await self.source.get_object_acl(bucket, key, version_id=version_id)
        if self._new_tags is not None:
            tags = self._new_tags
        elif is_in_parts or Keep.TAGS in self.attributes.keep:
            # not every store counts tags in HEAD, so they are always asked for
            tags = await self.source.get_object_tagging(bucket, key, version_id=version_id)
        return SourceAttributes(head=head, acl=acl, tags=tags, read_at_s=self.source.now_s())

    def headers(self, source: SourceAttributes, *, storage_class: str | None) -> dict[str, str]:
        """Return the headers of a CopyObject that say all that is wanted."""
        return copy_headers(self.attributes, source, storage_class=storage_class)

    def request_headers(self, source: SourceAttributes, *, storage_class: str | None) -> dict[str, str]:
        """Return those that are sent: stores that ignore locks here, or refuse them, get them afterwards."""
        headers = self.headers(source, storage_class=storage_class)
        if self.target.is_aws:
            return headers
        return {name: value for name, value in headers.items() if not name.startswith("x-amz-object-lock-")}

    async def finish(
        self, target: S3Object, source: SourceAttributes, *, storage_class: str | None, version_id: str | None = None
    ) -> None:
        """Put what the copy's headers did not bring, and fail what is lost.

        Raises:
            S3RefusedError: ``AttributesLost``, or what the store says to a call that it does not know.
        """
        if self.are_plain:
            return
        headers = self.headers(source, storage_class=storage_class)
        client, place = self.target, (target.bucket, target.key)
        if source.tags is not None and not (client.is_aws and fit_header(source.tags)):
            await client.put_object_tagging(*place, source.tags, version_id=version_id)
        if client.is_aws:
            return
        if LOCK_MODE in headers:
            await client.put_object_retention(*place, headers[LOCK_MODE], headers[RETAIN_UNTIL], version_id=version_id)
        if headers.get(LEGAL_HOLD) == "ON":
            await client.put_object_legal_hold(*place, is_on=True, version_id=version_id)
        acl = await self._acl_of(target, source, headers, version_id)
        seen = await client.head_object(*place, version_id=version_id)
        lost = lost_attributes(self.attributes, headers, seen, acl)
        if lost:
            raise S3RefusedError(
                f"The store took the copy and lost {', '.join(lost)}.",
                code=Code.ATTRIBUTES_LOST,
                status=200,
                way_out="Leave these attributes out, or copy to a store that keeps them.",
            )

    async def is_kept(self, target: S3Object, source: SourceAttributes, *, storage_class: str | None) -> bool:
        """Tell whether an object that is at the target already has what was read of the source; only reads."""
        headers, place = self.headers(source, storage_class=storage_class), (target.bucket, target.key)
        if source.tags is not None and set(await self.target.get_object_tagging(*place)) != set(source.tags):
            return False
        acl = None if not _has_grants(headers) else await self.target.get_object_acl(*place)
        return not lost_attributes(self.attributes, headers, await self.target.head_object(*place), acl)

    async def _acl_of(
        self, target: S3Object, source: SourceAttributes, headers: Mapping[str, str], version_id: str | None
    ) -> ObjectAcl | None:
        """Return the target's grants where any were asked for, after putting those that the headers did not bring."""
        if not _has_grants(headers):
            return None
        place = (target.bucket, target.key)
        acl = await self.target.get_object_acl(*place, version_id=version_id)
        if source.acl is not None and set(acl.grants) != set(source.acl.grants):
            await self.target.put_object_acl(*place, source.acl, version_id=version_id)
            acl = await self.target.get_object_acl(*place, version_id=version_id)
        return acl


def _has_grants(headers: Mapping[str, str]) -> bool:
    return any(name == "x-amz-acl" or name.startswith("x-amz-grant-") for name in headers)
