"""Multipart uploads and part copies, and what all writing calls are made of.

Nothing is kept of a source by itself: what the object shall have goes on CreateMultipartUpload. Which calls are
repeated when their outcome is unknown is told in ``writer``. Limits of parts are the plan's business.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import replace

from s3batch.s3.answers import CopyResult, PartResult, PutResult
from s3batch.s3.copy_plan import copy_source
from s3batch.s3.errors import EMPTY_ANSWER, NO_SUCH_KEY, NO_SUCH_UPLOAD, S3RefusedError
from s3batch.s3.object_headers import conditions
from s3batch.s3.reader import S3Reader
from s3batch.s3.sender import Call, Repeat, require_key
from s3batch.s3.transport import RawResponse
from s3batch.s3.xml_answers import checksums_in_headers, http_date_ms, parse_result, parse_upload_id
from s3batch.s3.xml_bodies import complete_body
from s3batch.s3.xml_tree import XmlError, unquote_etag

COPY_TIMEOUT_S = 900.0
"""S3 answers a copy when it is done, which for 5 GiB may take minutes; until then it sends blanks, or nothing."""

_CLOCK_SLACK_MS = 2_000
"""HTTP dates have whole seconds, and so has Last-Modified."""

SLOWEST_BODY_BYTES_PER_S = 128 * 1024
"""A body that is sent more slowly than this counts as stuck."""


class MultipartCalls(S3Reader):
    """The calls of a multipart upload; part of ``S3Client``."""

    _methods = None

    async def create_multipart_upload(self, bucket: str, key: str, *, headers: Mapping[str, str] | None = None) -> str:
        """Begin an upload and return its id; ``headers`` hold all that the object shall have (nothing is kept)."""
        call = self._write("CreateMultipartUpload", "POST", bucket, key, query=[("uploads", "")], headers=headers)
        return await self._sender.send(call, lambda response: parse_upload_id(response.body))

    async def upload_part(
        self,
        bucket: str,
        key: str,
        upload_id: str,
        part_number: int,
        body: bytes,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> PartResult:
        """Send one part from memory."""
        call = self._write(
            "UploadPart",
            "PUT",
            bucket,
            key,
            query=_part_query(upload_id, part_number),
            headers={**(headers or {}), "content-md5": md5(body)},
            body=body,
        )
        return await self._sender.send(call, lambda response: _uploaded_part(response, part_number))

    async def upload_part_copy(  # noqa: PLR0917 - source, target and place in it, as in the API
        self,
        source_bucket: str,
        source_key: str,
        bucket: str,
        key: str,
        upload_id: str,
        part_number: int,
        *,
        byte_range: tuple[int, int] | None = None,
        source_version_id: str | None = None,
        source_if_match: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> PartResult:
        """Copy the bytes ``first`` to ``last`` (inclusive) of an object into one part; ``None`` copies all of it.

        Give ``source_if_match`` (or a version id) on every part, or a source that changes half-way gives a torn copy.
        """
        require_key(source_key)
        all_headers = {
            **(headers or {}),
            **conditions(source_if_match=source_if_match),
            "x-amz-copy-source": copy_source(source_bucket, source_key, source_version_id),
        }
        if byte_range is not None:
            all_headers["x-amz-copy-source-range"] = f"bytes={byte_range[0]}-{byte_range[1]}"
        query = _part_query(upload_id, part_number)
        call = self._write("UploadPartCopy", "PUT", bucket, key, query=query, headers=all_headers, late=True)

        def read(response: RawResponse) -> PartResult:
            answer = parse_result(response.body, "CopyPartResult")
            if not answer.etag:
                raise XmlError("<CopyPartResult> has no ETag")
            return PartResult(part_number=part_number, etag=answer.etag, checksums=answer.checksums)

        return await self._sender.send(call, read)

    async def complete_multipart_upload(
        self,
        bucket: str,
        key: str,
        upload_id: str,
        parts: Sequence[PartResult],
        *,
        if_none_match: bool = False,
        if_match: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> CopyResult:
        """Make the object out of its parts; ``headers`` may hold ``x-amz-mp-object-size`` or a checksum to assert.

        Raises:
            S3RefusedError: ``PreconditionFailed``, ``InvalidPart``, ``NoSuchUpload`` (perhaps completed before).
            S3UnavailableError: ``ConditionalRequestConflict``: the whole upload must be made again.
            TransportError, S3UnavailableError: with ``is_ambiguous``, the object may be there: read it.
        """
        call = self._write(
            "CompleteMultipartUpload",
            "POST",
            bucket,
            key,
            query=[("uploadId", upload_id)],
            headers={**(headers or {}), **conditions(if_match=if_match, if_none_match=if_none_match)},
            body=complete_body(parts),
            fresh=True,
            late=True,
            repeat=Repeat.UNLESS_AMBIGUOUS,
        )
        return await self._result_of(call, "CompleteMultipartUploadResult")

    async def abort_multipart_upload(self, bucket: str, key: str, upload_id: str) -> bool:
        """Drop an upload and its parts; return False where it is not there (any more), which is no error."""
        # Never too late: an upload's id is its attempt's own, and what is left open is billed.
        call = replace(
            self._write("AbortMultipartUpload", "DELETE", bucket, key, query=[("uploadId", upload_id)]),
            needs_permission=False,
        )
        try:
            await self._sender.send(call, lambda _: None)
        except S3RefusedError as error:
            if error.code not in {NO_SUCH_UPLOAD, NO_SUCH_KEY}:
                raise
            return False
        return True

    async def _result_of(self, call: Call, tag: str) -> CopyResult:
        """Return what a copy or a completion made; where the answer does not say, the target's own head does.

        Some stores answer a copy with an empty 200 (s3cmd#499), and Ceph RGW 16.2 a completion with an empty ETag.
        What the target's head shows counts only if it was written since the call began, by the store's own clock.
        """
        started_s = self.now_s()
        response = await self._sender.send(call, lambda response: _require_result(response, tag))
        result = _copy_result(response, tag)
        if result.etag:
            return result
        took_ms = (self.now_s() - started_s) * 1000
        answered_ms = http_date_ms(response.headers.get("date", "")) or self.now_s() * 1000
        head = await self.head_object(call.bucket, call.key or "")
        if head.last_modified_ms < answered_ms - took_ms - _CLOCK_SLACK_MS:
            raise S3RefusedError(
                f"{call}: 200 without a result, and the target is older than the call.",
                code=EMPTY_ANSWER,
                status=response.status,
                is_ambiguous=True,
            )
        return replace(
            result,
            etag=head.etag,
            version_id=result.version_id or head.version_id,
            last_modified_ms=head.last_modified_ms,
        )

    def _write(
        self,
        operation: str,
        method: str,
        bucket: str,
        key: str | None = None,
        *,
        query: list[tuple[str, str]] | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes | None = None,
        fresh: bool = False,
        late: bool = False,
        repeat: Repeat = Repeat.ALWAYS,
        patience: float = 1.0,
    ) -> Call:
        size = 0 if body is None else len(body)
        return Call(
            operation=operation,
            method=method,
            bucket=bucket,
            key=key,
            query=query or (),
            headers=headers or {},
            body=body,
            # what answers late is what works long: copies and completions
            timeout_s=(COPY_TIMEOUT_S if late else self._read_timeout_s * patience) + size / SLOWEST_BODY_BYTES_PER_S,
            repeat=repeat,
            fresh=fresh,
            may_fail_late=late,
            needs_permission=True,
        )


def put_result(response: RawResponse) -> PutResult:
    """Return what a PUT of a body answered; everything is in the headers."""
    etag = unquote_etag(response.headers.get("etag", ""))
    if not etag:
        raise XmlError("no ETag header")
    return PutResult(etag=etag, version_id=response.headers.get("x-amz-version-id"))


def _uploaded_part(response: RawResponse, part_number: int) -> PartResult:
    return PartResult(
        part_number=part_number, etag=put_result(response).etag, checksums=checksums_in_headers(response.headers)
    )


def _require_result(response: RawResponse, tag: str) -> RawResponse:
    if response.body.strip():
        parse_result(response.body, tag)
    return response


def _copy_result(response: RawResponse, tag: str) -> CopyResult:
    """Return the result; its ETag is empty where the store did not tell."""
    answer = parse_result(response.body, tag) if response.body.strip() else None
    return CopyResult(
        etag="" if answer is None else answer.etag,
        version_id=response.headers.get("x-amz-version-id"),
        source_version_id=response.headers.get("x-amz-copy-source-version-id"),
        last_modified_ms=None if answer is None else answer.last_modified_ms,
        checksums={} if answer is None else answer.checksums,
        checksum_type=None if answer is None else answer.checksum_type,
    )


def _part_query(upload_id: str, part_number: int) -> list[tuple[str, str]]:
    return [("partNumber", str(part_number)), ("uploadId", upload_id)]


def md5(body: bytes) -> str:
    """Return the value of Content-MD5."""
    return b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()
