"""What can go wrong between this program and a store, in the families that the caller acts on.

An answer that refuses becomes :class:`S3RefusedError`, one that asks to come back later :class:`S3UnavailableError`;
no answer at all is a :class:`TransportError`. S3's own codes are kept as ``code``, so that ``NoSuchKey`` is the same
word here, in segments and in reports. An answer without a body (HEAD) gets the code that S3 would have given.

Nothing is decided here about trying again: that is ``retry``. Codes and their meaning: "Error responses", Amazon S3
API reference, read 2026-11.
"""

from __future__ import annotations

from typing import Literal

from s3batch.model.errors import RefusedError, S3BatchError, UnavailableError

TransportKind = Literal["connect", "timeout", "closed", "tls", "cancelled", "other"]

NO_SUCH_KEY = "NoSuchKey"
NO_SUCH_BUCKET = "NoSuchBucket"
NO_SUCH_UPLOAD = "NoSuchUpload"
NOT_IMPLEMENTED = "NotImplemented"
PRECONDITION_FAILED = "PreconditionFailed"
INVALID_ANSWER = "InvalidAnswer"
"""Ours: the store's answer is no S3 answer, is cut short, or contradicts itself."""
EMPTY_ANSWER = "EmptyAnswer"
"""Ours: 200 with no body where S3 sends one; some stores answer a copy so (s3cmd#499). Read the target to know."""

_CODE_WITHOUT_BODY = {
    301: "PermanentRedirect",
    304: "NotModified",
    307: "TemporaryRedirect",
    400: "BadRequest",
    401: "AccessDenied",
    403: "AccessDenied",
    405: "MethodNotAllowed",
    409: "Conflict",
    411: "MissingContentLength",
    412: PRECONDITION_FAILED,
    413: "EntityTooLarge",
    416: "InvalidRange",
    429: "TooManyRequests",
    500: "InternalError",
    501: NOT_IMPLEMENTED,
    502: "BadGateway",
    503: "ServiceUnavailable",
    504: "GatewayTimeout",
}

_WAY_OUT = {
    "AccessDenied": "Check the permissions of these credentials on this bucket.",
    "AccountProblem": "Ask the store's operator about the account.",
    "AllAccessDisabled": "Ask the store's operator about the account.",
    "EntityTooLarge": "Copy it in parts (--multipart-threshold).",
    "ExpiredToken": "Renew the credentials (for example `aws sso login`) and resume.",
    "InvalidAccessKeyId": "Check AWS_ACCESS_KEY_ID or the profile, and that they belong to this endpoint.",
    "InvalidObjectState": "Restore the archived object first.",
    "NoSuchBucket": "Check the bucket's name and the endpoint.",
    "RequestTimeTooSkewed": "Set this machine's clock.",
    "SignatureDoesNotMatch": "Check the secret access key.",
    "SlowDown": "Lower --max-rate or --concurrency and resume.",
}


def code_without_body(status: int, *, has_key: bool) -> str:
    """Return the code that an error answer without a body stands for."""
    if status == 404:  # noqa: PLR2004 - Not Found
        return NO_SUCH_KEY if has_key else NO_SUCH_BUCKET
    return _CODE_WITHOUT_BODY.get(status, f"Http{status}")


def way_out_of(code: str) -> str:
    """Return what a user can do about an S3 code; empty where nothing general can be said."""
    return _WAY_OUT.get(code, "")


class S3Error(S3BatchError):
    """A store's answer that is not success.

    ``is_ambiguous`` tells that this call may have been carried out all the same: either this answer does not say, or
    an earlier attempt of the call was lost after it was sent. A 412 to a conditional write with ``is_ambiguous`` may
    therefore be this program's own work (safety.md rule 6): read before deciding.
    """

    def __init__(  # noqa: D417 - the others are explained by the base class
        self,
        message: str,
        *,
        code: str,
        status: int = 0,
        request_id: str = "",
        way_out: str = "",
        is_ambiguous: bool = False,
    ) -> None:
        """Keep the answer's parts.

        Args:
            status: the HTTP status; 0 when there was no answer.
            request_id: S3's ``x-amz-request-id``, what a store's operator asks for.
            is_ambiguous: the call may have been carried out.
        """
        super().__init__(message, code=code, way_out=way_out or way_out_of(code))
        self.status = status
        self.request_id = request_id
        self.is_ambiguous = is_ambiguous


class S3RefusedError(S3Error, RefusedError):
    """A final answer: the same request will be answered the same way."""


class S3UnavailableError(S3Error, UnavailableError):
    """The store did not do it now, and trying again within the limits did not help."""


class PermissionExpiredError(UnavailableError):
    """This program may not write any more (safety.md rule 21): nothing was sent, by this attempt of the call at least.

    No failure of the store and nothing to try again: who holds the permission says when it comes back.
    """

    default_code = "PermissionExpired"


class TransportError(UnavailableError):
    """No answer: the connection failed, or the answer was not read to its end.

    ``sent`` is False when surely nothing of the request left this machine, True when it was sent whole, None when
    that is not known. Anything but False means that the store may have carried it out.
    """

    default_code = "TransportError"

    def __init__(
        self,
        message: str,
        *,
        curl_code: int = 0,
        kind: TransportKind = "other",
        sent: bool | None = None,
        way_out: str = "",
    ) -> None:
        """Keep libcurl's code and what is known about the request."""
        super().__init__(message, way_out=way_out)
        self.curl_code = curl_code
        self.kind: TransportKind = kind
        self.sent = sent

    @property
    def is_ambiguous(self) -> bool:
        """Return whether the store may have carried the request out."""
        return self.sent is not False
