"""Typed calls that read: what a dry run, a listing and a verify use. There is no call here that writes.

In:  buckets, decoded keys, ETags without quotes. Out: values of ``answers``; errors of ``errors``.
Each call takes a slot of the throttle, is signed, and is tried again by its kind (``sender``); all may be repeated at
any time. Hot paths (copies by the hundred thousand) do not come through here: see ``copy_plan``.
"""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable
from types import TracebackType
from typing import Self, TypeVar

from s3batch.config import Connection
from s3batch.model.errors import RefusedError
from s3batch.s3.acl import parse_acl
from s3batch.s3.answers import (
    ListPage,
    ObjectAcl,
    ObjectAttributes,
    ObjectHead,
    PartsPage,
    UploadsPage,
    VersionsPage,
)
from s3batch.s3.bucket_settings import VERSIONING, Setting
from s3batch.s3.errors import (
    NO_SUCH_KEY,
    NO_SUCH_UPLOAD,
    NOT_IMPLEMENTED,
    S3RefusedError,
    TransportError,
)
from s3batch.s3.object_headers import conditions, object_head
from s3batch.s3.opening import open_sender
from s3batch.s3.retry import ANSWER_TOO_LARGE, MAX_ATTEMPTS, RetryClass, classify_transport
from s3batch.s3.sender import READ_METHODS, Call, Sender
from s3batch.s3.throttle import Throttle
from s3batch.s3.transport import RawResponse, Transport
from s3batch.s3.xml import parse_list_page, parse_versions_page
from s3batch.s3.xml_answers import (
    http_date_ms,
    parse_object_attributes,
    parse_parts_page,
    parse_tagging,
    parse_uploads_page,
)
from s3batch.s3.xml_tree import XmlError, parse_tree

T = TypeVar("T")

MAX_KEYS = 1000
"""Keys on one page at most (ListObjectsV2 API reference, read 2026-11)."""

MAX_OBJECT_BYTES = 64 * 1024 * 1024
"""What ``get_object`` holds in memory unless told otherwise; larger ones are streamed."""

MAX_ATTRIBUTES_BYTES = 1024 * 1024
"""1,000 parts with three checksums each have about 300 KB."""

_ATTRIBUTES = "ETag,Checksum,ObjectParts,StorageClass,ObjectSize"


class S3Reader:
    """One store's reading calls; made by :meth:`open`, ended by :meth:`close`, used from one event loop."""

    _methods: frozenset[str] | None = READ_METHODS

    attributes_supported: bool | None = None
    """Whether the store knows GetObjectAttributes; None as long as it was not asked."""

    def __init__(self, sender: Sender, *, read_timeout_s: float) -> None:
        """Use the sender's parts; they are closed with this client."""
        self._sender = sender
        self._read_timeout_s = read_timeout_s

    @classmethod
    async def open(cls, connection: Connection, *, clock: Callable[[], float] = time.time) -> Self:
        """Return a client for the connection, with credentials read; no request to the store is made yet.

        Raises:
            RefusedError: code ``NoCredentials`` or ``InvalidConfiguration``.
            UsageError: the endpoint, the addressing style or the CA bundle cannot be used.
        """
        sender = await open_sender(connection, clock=clock, methods=cls._methods)
        return cls(sender, read_timeout_s=connection.read_timeout_s)

    async def close(self) -> None:
        """End requests under way and close all connections."""
        await self._sender.credentials.close()
        self._sender.throttle.close()
        await self._sender.transport.close()

    async def __aenter__(self) -> Self:
        """Return the client."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        await self.close()

    @property
    def endpoint(self) -> str:
        """Return the endpoint's address, as people read it."""
        return self._sender.addresses.endpoint

    @property
    def region(self) -> str:
        """Return the configured region."""
        return self._sender.addresses.region

    @property
    def is_aws(self) -> bool:
        """Return whether this is AWS itself, whose consistency and conditions are known."""
        return self._sender.addresses.is_aws

    @property
    def throttle(self) -> Throttle:
        """Return what bounds the requests in flight."""
        return self._sender.throttle

    @property
    def transport(self) -> Transport:
        """Return what sends them."""
        return self._sender.transport

    def now_s(self) -> float:
        """Return the store's time as far as it is known, in seconds since the epoch."""
        return self._sender.now_s()

    async def head_object(
        self,
        bucket: str,
        key: str,
        *,
        version_id: str | None = None,
        checksum_mode: bool = False,
        part_number: int | None = None,
        if_match: str | None = None,
    ) -> ObjectHead:
        """Return what the store tells about one object; with ``part_number`` the size is the part's.

        Raises:
            S3RefusedError: ``NoSuchKey`` (also for a missing bucket: HEAD cannot tell), ``AccessDenied``,
                ``PreconditionFailed``, ``MethodNotAllowed`` for the version id of a delete marker.
        """
        query = _version_query(version_id)
        if part_number is not None:
            query.append(("partNumber", str(part_number)))
        headers = conditions(if_match=if_match)
        if checksum_mode:
            headers["x-amz-checksum-mode"] = "ENABLED"
        call = self._call("HeadObject", "HEAD", bucket, key, query=query, headers=headers)
        return await self._sender.send(call, lambda response: _head(response, part_number))

    async def get_object(
        self,
        bucket: str,
        key: str,
        *,
        version_id: str | None = None,
        if_match: str | None = None,
        byte_range: tuple[int, int] | None = None,
        max_bytes: int = MAX_OBJECT_BYTES,
    ) -> tuple[ObjectHead, bytes]:
        """Return an object, or the bytes ``first`` to ``last`` (inclusive) of it, held in memory.

        Raises:
            RefusedError: code ``ObjectTooLarge``: more than ``max_bytes``; stream it instead.
            S3RefusedError: as the store says.
        """
        headers = conditions(if_match=if_match)
        if byte_range is not None:
            headers["range"] = f"bytes={byte_range[0]}-{byte_range[1]}"
        call = self._call("GetObject", "GET", bucket, key, query=_version_query(version_id), headers=headers)
        call = call.with_limit(max_bytes)
        try:
            return await self._sender.send(call, lambda response: (object_head(response.headers), response.body))
        except TransportError as error:
            if error.curl_code != ANSWER_TOO_LARGE:
                raise
            raise RefusedError(
                f"s3://{bucket}/{key} is larger than {max_bytes} bytes.",
                code="ObjectTooLarge",
                way_out="Choose a smaller object.",
            ) from error

    async def stream_object(
        self, bucket: str, key: str, *, version_id: str | None = None, if_match: str | None = None
    ) -> AsyncIterator[bytes]:
        """Iterate over an object's bytes in bounded memory; a broken transfer goes on where it broke.

        What follows a break is asked for with the first answer's ETag, so bytes of two objects are never mixed.

        Raises:
            S3RefusedError: as the store says; ``PreconditionFailed`` when the object changed on the way.
            TransportError: it broke several times without getting further.
        """
        offset, expected, fruitless = 0, if_match, 0
        while True:
            headers = conditions(if_match=expected)
            if offset:
                headers["range"] = f"bytes={offset}-"
            call = self._call("GetObject", "GET", bucket, key, query=_version_query(version_id), headers=headers)
            before = offset
            try:
                async with self._sender.stream(call) as stream:
                    head = object_head(stream.headers)
                    expected = head.etag
                    async for chunk in stream:
                        offset += len(chunk)
                        yield chunk
                return
            except TransportError as error:
                fruitless = 0 if offset > before else fruitless + 1
                if classify_transport(error) is RetryClass.FINAL or fruitless >= MAX_ATTEMPTS[RetryClass.TRANSPORT]:
                    raise
            if offset and offset >= head.size:
                return
            await self._sender.back_off(fruitless + 1, RetryClass.TRANSPORT)

    async def list_objects(
        self,
        bucket: str,
        prefix: str,
        *,
        start_after: str | None = None,
        continuation_token: str | None = None,
        max_keys: int = MAX_KEYS,
        delimiter: str | None = None,
    ) -> ListPage:
        """Return one page of ListObjectsV2; ``start_after`` is exclusive."""
        query = [("list-type", "2"), ("encoding-type", "url"), ("max-keys", str(max_keys)), ("prefix", prefix)]
        if start_after:
            query.append(("start-after", start_after))
        if continuation_token is not None:
            query.append(("continuation-token", continuation_token))
        if delimiter:
            query.append(("delimiter", delimiter))
        call = self._call("ListObjectsV2", "GET", bucket, query=query)
        return await self._sender.send(call, lambda response: parse_list_page(response.body))

    async def list_object_versions(
        self,
        bucket: str,
        prefix: str,
        *,
        key_marker: str | None = None,
        version_id_marker: str | None = None,
        max_keys: int = MAX_KEYS,
    ) -> VersionsPage:
        """Return one page of ListObjectVersions; both markers are exclusive."""
        query = [("versions", ""), ("encoding-type", "url"), ("max-keys", str(max_keys)), ("prefix", prefix)]
        if key_marker:
            query.append(("key-marker", key_marker))
        if version_id_marker:
            query.append(("version-id-marker", version_id_marker))
        call = self._call("ListObjectVersions", "GET", bucket, query=query)
        return await self._sender.send(call, lambda response: parse_versions_page(response.body))

    async def get_object_tagging(
        self, bucket: str, key: str, *, version_id: str | None = None
    ) -> tuple[tuple[str, str], ...]:
        """Return names and values of an object's tags."""
        query = [("tagging", ""), *_version_query(version_id)]
        call = self._call("GetObjectTagging", "GET", bucket, key, query=query)
        return await self._sender.send(call, lambda response: parse_tagging(response.body))

    async def get_object_acl(self, bucket: str, key: str, *, version_id: str | None = None) -> ObjectAcl:
        """Return the grants of an object."""
        call = self._call("GetObjectAcl", "GET", bucket, key, query=[("acl", ""), *_version_query(version_id)])
        return await self._sender.send(call, lambda response: parse_acl(response.body))

    async def require_lock_readable(self, bucket: str, key: str, *, version_id: str | None = None) -> None:
        """Ask for an object's retention and legal hold, which HEAD leaves out for whoever may not read them.

        Raises:
            S3RefusedError: ``AccessDenied``; that an object or a store has none is no error.
        """
        version = _version_query(version_id)
        for call in (
            self._call("GetObjectRetention", "GET", bucket, key, query=[("retention", ""), *version]),
            self._call("GetObjectLegalHold", "GET", bucket, key, query=[("legal-hold", ""), *version]),
        ):
            try:
                await self._sender.send(call, lambda _: None)
            except S3RefusedError as error:
                if error.code == "AccessDenied":
                    raise

    async def get_object_attributes(
        self,
        bucket: str,
        key: str,
        *,
        version_id: str | None = None,
        max_parts: int = MAX_KEYS,
        part_number_marker: int | None = None,
    ) -> ObjectAttributes:
        """Return checksums and parts of an object.

        Stores that do not know the call answer with the object itself (Ceph RGW 16.2): that is found out at the first
        answer, of which little is read, and remembered.

        Raises:
            S3RefusedError: as the store says; ``NotImplemented`` where it does not know the call.
        """
        if self.attributes_supported is False:
            raise _no_attributes(bucket, key)
        headers = {"x-amz-object-attributes": _ATTRIBUTES, "x-amz-max-parts": str(max_parts)}
        if part_number_marker is not None:
            headers["x-amz-part-number-marker"] = str(part_number_marker)
        query = [("attributes", ""), *_version_query(version_id)]
        call = self._call("GetObjectAttributes", "GET", bucket, key, query=query, headers=headers)
        try:
            answer = await self._sender.send(call.with_limit(MAX_ATTRIBUTES_BYTES), _attributes)
        except TransportError as error:
            if error.curl_code != ANSWER_TOO_LARGE:
                raise
            answer = None
        self.attributes_supported = answer is not None
        if answer is None:
            raise _no_attributes(bucket, key)
        return answer

    async def get_bucket_setting(self, bucket: str, setting: Setting[T]) -> T:
        """Return what a bucket is set to do, as ``bucket_settings`` names it; its ``unset`` where it is not set.

        Raises:
            S3RefusedError: it may not be read, or (``NotImplemented``) the store does not know the call.
        """
        call = self._call(setting.operation, "GET", bucket, query=[(setting.subresource, "")])
        try:
            return await self._sender.send(call, lambda response: _setting(response, bucket, setting))
        except S3RefusedError as error:
            if error.code == setting.unset_code:
                return setting.unset
            raise

    async def get_bucket_versioning(self, bucket: str) -> str:
        """Return ``Enabled``, ``Suspended`` or, for a bucket that never had versions, the empty text."""
        return await self.get_bucket_setting(bucket, VERSIONING)

    async def head_bucket(self, bucket: str) -> str:
        """Return the bucket's region; the configured one where the store does not tell.

        Raises:
            S3RefusedError: ``NoSuchBucket`` or ``AccessDenied``.
        """
        call = self._call("HeadBucket", "HEAD", bucket)
        configured = self.region
        return await self._sender.send(call, lambda response: response.headers.get("x-amz-bucket-region", configured))

    async def store_time_ms(self, bucket: str, prefix: str = "") -> int:
        """Return the time by the store's clock, in whole seconds as the Date header has it.

        Where the store tells none, it is this machine's time with the offset that is known. It is asked for by a
        listing below ``prefix``: who may list that and nothing else is refused HeadBucket (aws-cli#1480).

        Raises:
            S3RefusedError: ``NoSuchBucket`` or ``AccessDenied``.
        """
        query = [("list-type", "2"), ("encoding-type", "url"), ("max-keys", "1"), ("prefix", prefix)]
        call = self._call("ListObjectsV2", "GET", bucket, query=query)
        told = await self._sender.send(call, lambda response: http_date_ms(response.headers.get("date", "")))
        return int(self.now_s() * 1000) if told is None else told

    async def list_multipart_uploads(
        self,
        bucket: str,
        prefix: str,
        *,
        key_marker: str | None = None,
        upload_id_marker: str | None = None,
        max_uploads: int = MAX_KEYS,
    ) -> UploadsPage:
        """Return one page of the uploads under way; asked for without encoding, so odd keys may not come through."""
        query = [("uploads", ""), ("max-uploads", str(max_uploads)), ("prefix", prefix)]
        if key_marker:
            query.append(("key-marker", key_marker))
        if upload_id_marker:
            query.append(("upload-id-marker", upload_id_marker))
        call = self._call("ListMultipartUploads", "GET", bucket, query=query)
        return await self._sender.send(call, lambda response: parse_uploads_page(response.body))

    async def list_parts(
        self, bucket: str, key: str, upload_id: str, *, part_number_marker: int | None = None, max_parts: int = MAX_KEYS
    ) -> PartsPage:
        """Return one page of the parts that an upload has.

        Raises:
            S3RefusedError: ``NoSuchUpload``: completed, aborted, or never begun.
        """
        query = [("uploadId", upload_id), ("max-parts", str(max_parts))]
        if part_number_marker is not None:
            query.append(("part-number-marker", str(part_number_marker)))
        call = self._call("ListParts", "GET", bucket, key, query=query)
        try:
            return await self._sender.send(call, lambda response: parse_parts_page(response.body))
        except S3RefusedError as error:
            if error.code == NO_SUCH_KEY:  # Ceph RGW 16.2's word for it
                error.code = NO_SUCH_UPLOAD
            raise

    def _call(
        self,
        operation: str,
        method: str,
        bucket: str,
        key: str | None = None,
        *,
        query: list[tuple[str, str]] | None = None,
        headers: dict[str, str] | None = None,
    ) -> Call:
        """Return a call that may always be repeated."""
        return Call(
            operation=operation,
            method=method,
            bucket=bucket,
            key=key,
            query=query or (),
            headers=headers or {},
            timeout_s=self._read_timeout_s,
        )


def _setting(response: RawResponse, bucket: str, setting: Setting[T]) -> T:
    """Return the setting; a store that answers with something else does not know the call, whatever its status says."""
    parse_tree(response.body)  # what is no document at all may be one the next time
    try:
        return setting.parse(response.body)
    except XmlError as error:
        raise S3RefusedError(
            f"The store does not know {setting.operation} (asked for s3://{bucket}/): {error}.",
            code=NOT_IMPLEMENTED,
            status=response.status,
        ) from error


def _attributes(response: RawResponse) -> ObjectAttributes | None:
    try:
        return parse_object_attributes(response.body, response.headers)
    except XmlError:
        return None


def _no_attributes(bucket: str, key: str) -> S3RefusedError:
    return S3RefusedError(
        f"The store does not know GetObjectAttributes (asked for s3://{bucket}/{key}).",
        code=NOT_IMPLEMENTED,
        status=501,
    )


def _head(response: RawResponse, part_number: int | None) -> ObjectHead:
    """Return the head; with a part number the size is that of the part, so ``content-range`` is left aside."""
    headers = response.headers
    if part_number is not None:
        headers = {name: value for name, value in headers.items() if name != "content-range"}
    return object_head(headers)


def _version_query(version_id: str | None) -> list[tuple[str, str]]:
    return [] if version_id is None else [("versionId", version_id)]
