"""The way that every small object takes: one signed CopyObject, from keys to libcurl, without coroutine or retry.

In:  source key, target key, the ETag that the manifest pinned. Out: the transport's callback (status, body, headers).
The answer is read by ``xml_answers.parse_copy_answer``; what failed is repeated by the caller, through
``S3Client.copy_object``. Taking the throttle's slot before, and telling it the end after, is the caller's part too, and
so is asking right before ``start`` whether a write may still be sent: this way asks nobody.

A condition on the target and libcurl: a kept connection that dies is replaced in silence, so any 412 here may be the
answer to our own first copy. Connections of their own would cost more than the copies: read the target at a 412.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from s3batch.model.errors import RefusedError
from s3batch.s3.addressing import require_bucket
from s3batch.s3.encoding import encode_key
from s3batch.s3.errors import S3Error
from s3batch.s3.sender import Sender, require_key
from s3batch.s3.signing import CopySigner
from s3batch.s3.transport import Handle, OnDone
from s3batch.s3.xml_answers import parse_copy_answer

__all__ = ["CopyPlan", "S3Error", "copy_source", "parse_copy_answer"]

MAX_ANSWER_BYTES = 1024 * 1024
"""A CopyObjectResult has under 1 KiB; blanks that keep the connection open come before it, one in seconds."""


class CopyPlan:
    """Copies between two buckets with the same headers. Follows changes of credentials, region and clock by itself."""

    __slots__ = (
        "_address",
        "_addresses",
        "_clock",
        "_credentials",
        "_headers",
        "_learned",
        "_offset_s",
        "_prefix",
        "_sender",
        "_signer",
        "_source_prefix",
        "_submit",
        "_target_bucket",
        "_timeout_ms",
        "_want_headers",
    )

    def __init__(
        self,
        sender: Sender,
        *,
        source_bucket: str,
        target_bucket: str,
        headers: Mapping[str, str],
        timeout_s: float,
        want_headers: bool,
    ) -> None:
        """Prepare what is the same for all copies.

        Raises:
            RefusedError: a bucket's name or a header's value that cannot be.
        """
        sender.require_method("PUT")
        self._sender = sender
        self._target_bucket = target_bucket
        self._headers = {**headers, **sender.headers}
        self._source_prefix = _source_prefix(source_bucket)
        self._timeout_ms = round(timeout_s * 1000)
        self._want_headers = want_headers
        self._submit = sender.transport.submit
        self._addresses = sender.addresses
        self._clock = sender.clock
        self._learned = sender.learned
        self._prepare()

    def start(  # noqa: PLR0917 - on the hot path keywords would cost
        self,
        source_key: str,
        target_key: str,
        etag: str,
        on_done: OnDone,
        context: object,
        version_id: str | None = None,
    ) -> Handle:
        """Send one copy of keys as they are. ``etag`` (without quotes) is the condition on the source.

        Raises:
            RefusedError: an empty key, or no ETag: no copy is started without an identity (safety.md rule 1).
        """
        return self.start_encoded(encode_key(source_key), encode_key(target_key), etag, on_done, context, version_id)

    def start_encoded(  # noqa: PLR0917 - on the hot path keywords would cost
        self,
        source_key: str,
        target_key: str,
        etag: str,
        on_done: OnDone,
        context: object,
        version_id: str | None = None,
    ) -> Handle:
        """Send one copy of keys that are percent-encoded already, as a chunk does with all of its keys at once.

        About 4 us beside libcurl.

        Raises:
            RefusedError: as :meth:`start`.
        """
        if not (source_key and target_key and etag):
            _refuse(source_key, target_key)
        now_s = self._clock()
        sender = self._sender
        source = sender.credentials
        if now_s >= source.next_check_s:
            source.peek()
        if (
            source.current is not self._credentials
            or self._learned.clock_offset_s != self._offset_s
            or self._addresses.address(self._target_bucket) is not self._address
        ):
            self._prepare()
        copied = self._source_prefix + source_key
        if version_id is not None:
            copied = f"{copied}?versionId={quote(version_id, safe='-._~')}"
        path = self._prefix + target_key
        return self._submit(
            "PUT",
            self._address.origin + path,
            self._signer.headers(path, copied, etag, now_s),
            None,
            timeout_ms=self._timeout_ms,
            on_done=on_done,
            context=context,
            want_headers=self._want_headers,
            max_body_bytes=MAX_ANSWER_BYTES,
        )

    def _prepare(self) -> None:
        sender = self._sender
        self._address = sender.addresses.address(self._target_bucket)
        self._prefix = self._address.key_prefix
        self._credentials = sender.credentials.current
        self._offset_s = self._learned.clock_offset_s
        self._signer = CopySigner(
            self._credentials,
            self._address.region,
            self._address.host,
            self._headers,
            service=self._address.service,
            clock_offset_s=self._offset_s,
        )


def copy_source(bucket: str, key: str, version_id: str | None = None) -> str:
    """Return the value of ``x-amz-copy-source``: encoded once, so that a key's own ``?versionId=`` stays part of it."""
    source = _source_prefix(bucket) + encode_key(key)
    return source if version_id is None else f"{source}?versionId={quote(version_id, safe='-._~')}"


def _source_prefix(bucket: str) -> str:
    require_bucket(bucket)
    if bucket.startswith("arn:"):
        # an access point: "arn:...:accesspoint/NAME/object/KEY" (CopyObject API reference, read 2026-11)
        return f"{quote(bucket, safe='-._~/')}/object/"
    return f"{quote(bucket, safe='-._~')}/"


def _refuse(source_key: str, target_key: str) -> None:
    require_key(source_key)
    require_key(target_key)
    raise RefusedError(
        f"The copy of {source_key!r} has no ETag to hold the source to.",
        code="NotPinned",
        way_out="Complete the manifest's entries first.",
    )
