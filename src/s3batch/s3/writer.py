"""Typed calls that write. What reads is inherited, so a dry run that holds an ``S3Reader`` has none of these.

What is sent twice, and what then happens (``sender`` has the rule):

======================================  ==============================================================================
PutObject, CopyObject, tags, parts      repeated; in a versioned bucket a lost answer may leave one version more
the same with If-Match, If-None-Match   repeated on connections of their own; a 412 after a lost attempt has
                                        ``is_ambiguous``: it may be our own object, read before deciding
CreateMultipartUpload                   repeated; a lost answer leaves an upload without parts
CompleteMultipartUpload                 not repeated when the outcome is unknown: read the target
DeleteObject with a version id, Abort   repeated: the second finds nothing
DeleteObject without one, DeleteObjects  not repeated when the outcome is unknown: in a versioned bucket each repetition
                                        would add a delete marker (DeleteObjects with only version ids is repeated)
======================================  ==============================================================================
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import copy
from typing import Self

from s3batch.model.errors import RefusedError
from s3batch.s3.answers import (
    CopyResult,
    DeleteBatch,
    DeletedKey,
    DeleteKey,
    DeleteOutcome,
    DeleteResult,
    PutResult,
    Unknown,
)
from s3batch.s3.attribute_calls import AttributeCalls
from s3batch.s3.copy_plan import CopyPlan, copy_source
from s3batch.s3.errors import (
    NO_SUCH_KEY,
    NOT_IMPLEMENTED,
    PRECONDITION_FAILED,
    S3RefusedError,
)
from s3batch.s3.multipart import COPY_TIMEOUT_S, md5, put_result
from s3batch.s3.object_headers import conditions
from s3batch.s3.sender import Repeat, require_key
from s3batch.s3.transport import RawResponse
from s3batch.s3.xml_answers import (
    parse_delete_batch,
)
from s3batch.s3.xml_bodies import delete_body

MAX_DELETE_KEYS = 1000
"""Keys of one DeleteObjects (API reference, read 2026-11); some stores take more and do as they like with them."""

DELETE_PATIENCE = 5.0
"""DeleteObjects may take so many times the usual read time-out: small stores delete 1,000 keys one by one."""

_MALFORMED_XML = "MalformedXML"


class S3Client(AttributeCalls):
    """One store's calls, reading and writing."""

    @property
    def conditional_copy_supported(self) -> bool | None:
        """Return False once the store answered 501 to a condition on the target of a copy; None: nothing is known."""
        return self._sender.learned.conditional_copy_supported

    @property
    def conditional_delete_supported(self) -> bool | None:
        """Return False once the store refused a DeleteObjects body with ETags; many ignore them in silence."""
        return self._sender.learned.conditional_delete_supported

    def guarded_by(self, may_write: Callable[[], bool]) -> Self:
        """Return a client of the same connections whose writes are sent only while ``may_write`` says so.

        All calls but AbortMultipartUpload and the hot path's ``CopyPlan.start`` ask it before each attempt, when their
        turn has come; they raise ``PermissionExpiredError`` then. Close the client that this was made from, not this.
        """
        guarded = copy(self)
        guarded._sender = self._sender.guarded_by(may_write)  # noqa: SLF001 - of its own class
        return guarded

    async def put_object(
        self,
        bucket: str,
        key: str,
        body: bytes,
        *,
        headers: Mapping[str, str] | None = None,
        if_none_match: bool = False,
        if_match: str | None = None,
    ) -> PutResult:
        """Write a whole object from memory.

        Raises:
            S3RefusedError: ``PreconditionFailed`` where a condition is given; see the module's text.
        """
        condition = conditions(if_match=if_match, if_none_match=if_none_match)
        call = self._write(
            "PutObject",
            "PUT",
            bucket,
            key,
            headers={**(headers or {}), **condition, "content-md5": md5(body)},
            body=body,
            fresh=bool(condition),
        )
        return await self._sender.send(call, put_result)

    async def copy_object(
        self,
        source_bucket: str,
        source_key: str,
        bucket: str,
        key: str,
        *,
        source_version_id: str | None = None,
        source_if_match: str | None = None,
        if_none_match: bool = False,
        if_match: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> CopyResult:
        """Copy an object of up to 5 GiB within the store.

        Where the store says 501 to a condition on the target, the target is read just before instead, now and on later
        calls; a race remains then (safety.md rule 6). An empty 200 is settled by reading the target.

        Raises:
            S3RefusedError: ``NoSuchKey``, ``PreconditionFailed`` (source or target), ``InvalidObjectState``, ...
        """
        require_key(source_key)
        source = {
            **(headers or {}),
            **conditions(source_if_match=source_if_match),
            "x-amz-copy-source": copy_source(source_bucket, source_key, source_version_id),
        }
        condition = conditions(if_match=if_match, if_none_match=if_none_match)
        if condition and self.conditional_copy_supported is not False:
            call = self._write("CopyObject", "PUT", bucket, key, headers=source | condition, fresh=True, late=True)
            try:
                return await self._result_of(call, "CopyObjectResult")
            except S3RefusedError as error:
                if error.code != NOT_IMPLEMENTED:
                    raise
            self._sender.learned.conditional_copy_supported = False
        if condition:
            await self._require_target(bucket, key, if_match=if_match, if_none_match=if_none_match)
        call = self._write("CopyObject", "PUT", bucket, key, headers=source, late=True)
        return await self._result_of(call, "CopyObjectResult")

    async def delete_object(
        self, bucket: str, key: str, *, version_id: str | None = None, if_match: str | None = None
    ) -> DeleteResult:
        """Delete an object, or one version of it for good. A key that is not there is no error.

        Raises:
            S3RefusedError: ``PreconditionFailed``, ``AccessDenied`` (also Object Lock), ...
            TransportError: the outcome is unknown (only without ``version_id``).
        """
        is_versionless = version_id is None
        call = self._write(
            "DeleteObject",
            "DELETE",
            bucket,
            key,
            query=[] if version_id is None else [("versionId", version_id)],
            headers=conditions(if_match=if_match),
            fresh=is_versionless,
            repeat=Repeat.UNLESS_AMBIGUOUS if is_versionless else Repeat.ALWAYS,
        )
        return await self._sender.send(call, _delete_result)

    async def remove_marker(self, bucket: str, key: str, marker_id: str) -> None:
        """Remove one delete marker by its version id; one that is gone already is no error.

        Raises:
            RefusedError: ``EmptyKey``, ``NoMarkerId``.
            S3RefusedError: ``AccessDenied`` (also MFA delete), ...
        """
        _require_marker_ids([key], [marker_id])
        await self.delete_object(bucket, key, version_id=marker_id)

    async def remove_markers(self, bucket: str, keys: Sequence[str], marker_ids: Sequence[str]) -> DeleteBatch:
        """Remove up to 1,000 delete markers by their version ids, and nothing without one; repeated when in doubt.

        That each id is that of a marker is the caller's knowledge: the store removes whatever version has it.

        Raises:
            RefusedError: ``EmptyKey``, ``TooManyKeys``, ``KeyNotInXml`` (remove that one by itself), ``NoMarkerId``.
            S3RefusedError: the whole request was refused.
        """
        _require_batch(keys)
        _require_marker_ids(keys, marker_ids)
        return await self._delete_batch(bucket, keys, marker_ids, None)

    async def delete_objects(
        self, bucket: str, keys: Sequence[DeleteKey], *, allow_unconditional: bool = False
    ) -> list[DeleteOutcome]:
        """Delete up to 1,000 keys; one outcome for each, in the order of the request. See :meth:`delete_batch`."""
        names = [entry.key for entry in keys]
        version_ids = [entry.version_id for entry in keys]
        etags = [entry.etag for entry in keys]
        batch = await self.delete_batch(
            bucket,
            names,
            version_ids=version_ids if any(version_ids) else None,
            etags=etags if any(etag is not None for etag in etags) else None,
            allow_unconditional=allow_unconditional,
        )
        return [_outcome(batch, position, entry) for position, entry in enumerate(keys)]

    async def delete_batch(
        self,
        bucket: str,
        keys: Sequence[str],
        *,
        version_ids: Sequence[str | None] | None = None,
        etags: Sequence[str | None] | None = None,
        allow_unconditional: bool = False,
    ) -> DeleteBatch:
        """Delete up to 1,000 keys, in columns: what bulk deletes use.

        ``etags`` are conditions. A store that refuses a body with them gets it without only if ``allow_unconditional``
        (then ``conditional_delete_supported`` is False from then on); many stores ignore them without a word, which a
        canary must find out (safety.md rule 15).

        Raises:
            RefusedError: ``EmptyKey``, ``TooManyKeys``, or ``KeyNotInXml`` (delete that key by itself).
            S3RefusedError: the whole request was refused.
            TransportError: the outcome of all keys is unknown.
        """
        _require_batch(keys)
        if allow_unconditional and self.conditional_delete_supported is False:
            etags = None
        try:
            batch = await self._delete_batch(bucket, keys, version_ids, etags)
        except S3RefusedError as error:
            if etags is None or error.code != _MALFORMED_XML or not allow_unconditional:
                raise
            batch = await self._delete_batch(bucket, keys, version_ids, None)
            self._sender.learned.conditional_delete_supported = False
        return batch

    def copy_plan(
        self,
        source_bucket: str,
        target_bucket: str,
        *,
        headers: Mapping[str, str] | None = None,
        if_none_match: bool = False,
        want_headers: bool = True,
        timeout_s: float = COPY_TIMEOUT_S,
    ) -> CopyPlan:
        """Return the way for many copies between two buckets with the same headers: no coroutine, no second attempt.

        ``if_none_match`` is left out where the store is known not to take it (``conditional_copy_supported``); the
        caller looks at the target first then. The throttle is the caller's too: see :class:`CopyPlan`.
        """
        fixed = dict(headers or {})
        if if_none_match and self.conditional_copy_supported is not False:
            fixed |= conditions(if_none_match=True)
        return CopyPlan(
            self._sender,
            source_bucket=source_bucket,
            target_bucket=target_bucket,
            headers=fixed,
            timeout_s=timeout_s,
            want_headers=want_headers,
        )

    async def _require_target(self, bucket: str, key: str, *, if_match: str | None, if_none_match: bool) -> None:
        """Do by reading what the store does not do by a condition."""
        try:
            found: str | None = (await self.head_object(bucket, key)).etag
        except S3RefusedError as error:
            if error.code != NO_SUCH_KEY:
                raise
            found = None
        is_met = found is None if if_none_match else found is not None and if_match in {found, "*"}
        if not is_met:
            raise S3RefusedError(
                f"The condition on s3://{bucket}/{key} is not met: "
                + ("nothing is there." if found is None else f"its ETag is {found}."),
                code=PRECONDITION_FAILED,
                status=412,
            )

    async def _delete_batch(
        self,
        bucket: str,
        keys: Sequence[str],
        version_ids: Sequence[str | None] | None,
        etags: Sequence[str | None] | None,
    ) -> DeleteBatch:
        body = delete_body(keys, version_ids=version_ids, etags=etags)
        is_repeatable = version_ids is not None and all(version_ids)
        call = self._write(
            "DeleteObjects",
            "POST",
            bucket,
            query=[("delete", "")],
            # Content-MD5: older stores demand it, AWS takes it in place of its newer checksums
            headers={"content-md5": md5(body), "content-type": "application/xml"},
            body=body,
            fresh=not is_repeatable,
            repeat=Repeat.ALWAYS if is_repeatable else Repeat.UNLESS_AMBIGUOUS,
            patience=DELETE_PATIENCE,
        )
        return await self._sender.send(call, lambda response: parse_delete_batch(response.body, keys, version_ids))


def _require_batch(keys: Sequence[str]) -> None:
    if not keys or len(keys) > MAX_DELETE_KEYS:
        raise RefusedError(
            f"A DeleteObjects of {len(keys)} keys is not possible.",
            code="TooManyKeys",
            way_out=f"Send 1 to {MAX_DELETE_KEYS} keys at a time.",
        )
    if "" in keys:
        require_key("")


def _require_marker_ids(keys: Sequence[str], marker_ids: Sequence[str]) -> None:
    """Refuse what would be a delete without version id, or of a null version, which may be an object's."""
    bad = next((marker_id for marker_id in marker_ids if marker_id in {"", "null"}), None)
    if bad is not None or len(keys) != len(marker_ids):
        what = f"{len(marker_ids)} ids for {len(keys)} keys" if bad is None else f"the version id {bad!r}"
        raise RefusedError(
            f"Delete markers cannot be removed by {what}: each key needs its marker's own id.",
            code="NoMarkerId",
            way_out="Take the ids from the record of the job that made the markers.",
        )


def _outcome(batch: DeleteBatch, position: int, asked: DeleteKey) -> DeleteOutcome:
    error = batch.errors.get(position)
    if error is not None:
        return error
    if position in batch.unknown:
        return Unknown(key=asked.key, version_id=asked.version_id)
    marker_id = batch.marker_ids[position]
    return DeletedKey(
        key=asked.key,
        version_id=asked.version_id,
        delete_marker=marker_id is not None,
        delete_marker_version_id=marker_id,
    )


def _delete_result(response: RawResponse) -> DeleteResult:
    return DeleteResult(
        delete_marker=response.headers.get("x-amz-delete-marker") == "true",
        version_id=response.headers.get("x-amz-version-id"),
    )
