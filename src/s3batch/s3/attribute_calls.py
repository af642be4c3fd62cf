"""Typed calls that change what an object has beside its bytes: tags, grants, retention, legal hold.

In:  decoded keys, tags as pairs, times as S3 writes them. Each call replaces what was there and may be repeated.
"""

from __future__ import annotations

from collections.abc import Sequence

from s3batch.s3.acl import acl_body
from s3batch.s3.answers import ObjectAcl
from s3batch.s3.multipart import MultipartCalls, md5
from s3batch.s3.xml_bodies import legal_hold_body, retention_body, tagging_body


class AttributeCalls(MultipartCalls):
    """Writes of an object's attributes; a version id means that version, else the current one is meant."""

    async def put_object_tagging(
        self, bucket: str, key: str, tags: Sequence[tuple[str, str]], *, version_id: str | None = None
    ) -> None:
        """Replace an object's tags; none takes all away, by a call of its own (moto fails at an empty set)."""
        if tags:
            await self._put("PutObjectTagging", "tagging", bucket, key, tagging_body(tags), version_id)
            return
        call = self._write("DeleteObjectTagging", "DELETE", bucket, key, query=_query("tagging", version_id))
        await self._sender.send(call, lambda _: None)

    async def put_object_acl(self, bucket: str, key: str, acl: ObjectAcl, *, version_id: str | None = None) -> None:
        """Replace an object's grants."""
        await self._put("PutObjectAcl", "acl", bucket, key, acl_body(acl), version_id)

    async def put_object_retention(
        self, bucket: str, key: str, mode: str, retain_until: str, *, version_id: str | None = None
    ) -> None:
        """Set an object's retention; S3 refuses to shorten one."""
        body = retention_body(mode, retain_until)
        await self._put("PutObjectRetention", "retention", bucket, key, body, version_id)

    async def put_object_legal_hold(self, bucket: str, key: str, *, is_on: bool, version_id: str | None = None) -> None:
        """Put or take a legal hold."""
        await self._put("PutObjectLegalHold", "legal-hold", bucket, key, legal_hold_body(is_on=is_on), version_id)

    async def _put(  # noqa: PLR0917 - operation and place, as in the API
        self, operation: str, part: str, bucket: str, key: str, body: bytes, version_id: str | None
    ) -> None:
        headers = {"content-md5": md5(body)}
        call = self._write(operation, "PUT", bucket, key, query=_query(part, version_id), headers=headers, body=body)
        await self._sender.send(call, lambda _: None)


def _query(part: str, version_id: str | None) -> list[tuple[str, str]]:
    return [(part, "")] if version_id is None else [(part, ""), ("versionId", version_id)]
