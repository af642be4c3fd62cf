"""Which failures are worth another attempt, how many, and after how long. Pure: no clock, no randomness, no sleeping.

Input:  an answer's status and code, or a transport error. Output: a class, and waiting times in seconds.
Whether a second attempt is *safe* is not decided here: the client knows which calls may be repeated.

Sources: "Best practices design patterns", Amazon S3 User Guide, and "Error responses", API reference, read 2026-11;
full jitter: Marc Brooker, "Exponential Backoff And Jitter", AWS Architecture Blog 2015.
"""

from __future__ import annotations

from enum import StrEnum

from s3batch.s3.errors import INVALID_ANSWER, TransportError


class RetryClass(StrEnum):
    """What kind of failure it is, by what helps against it."""

    THROTTLE = "throttle"
    """The store asks for fewer requests: wait, and lower the concurrency."""
    SERVER = "server"
    """The store failed: wait."""
    CONFLICT = "conflict"
    """Another write to the same key was under way: wait."""
    TRANSPORT = "transport"
    """The connection failed: another connection."""
    CLOCK = "clock"
    """This machine's clock is off: correct the offset and sign again."""
    CREDENTIALS = "credentials"
    """The session ended: renew the credentials and sign again."""
    REGION = "region"
    """The bucket is elsewhere: the client learns where, and signs again; otherwise final."""
    FINAL = "final"
    """The same request gets the same answer."""


MAX_ATTEMPTS: dict[RetryClass, int] = {
    RetryClass.THROTTLE: 12,
    RetryClass.SERVER: 5,
    RetryClass.CONFLICT: 5,
    RetryClass.TRANSPORT: 5,
    RetryClass.CLOCK: 2,
    RetryClass.CREDENTIALS: 2,
    RetryClass.REGION: 1,
    RetryClass.FINAL: 1,
}
"""Attempts of one call that may fail in this way. Throttling gets many: S3 takes minutes to split a busy partition."""

_THROTTLE_CODES = frozenset(
    {
        "BandwidthLimitExceeded",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "ServiceUnavailable",
        "SlowDown",
        "SlowDownRead",
        "SlowDownWrite",
        "Throttling",
        "ThrottlingException",
        "TooManyRequests",
        "TooManyRequestsException",
    }
)
_SERVER_CODES = frozenset(
    {"BadGateway", "GatewayTimeout", "InternalError", "InternalServerError", "ServerBusy", INVALID_ANSWER}
)
_CONFLICT_CODES = frozenset({"ConditionalRequestConflict", "OperationAborted"})
_TRANSPORT_CODES = frozenset({"IncompleteBody", "RequestTimeout"})
_CLOCK_CODES = frozenset({"RequestTimeTooSkewed"})
_CREDENTIAL_CODES = frozenset({"ExpiredToken", "ExpiredTokenException", "TokenRefreshRequired"})
_REGION_CODES = frozenset(
    {"AuthorizationHeaderMalformed", "IllegalLocationConstraintException", "PermanentRedirect", "TemporaryRedirect"}
)

_CLASS_BY_CODE: dict[str, RetryClass] = {
    **dict.fromkeys(_THROTTLE_CODES, RetryClass.THROTTLE),
    **dict.fromkeys(_SERVER_CODES, RetryClass.SERVER),
    **dict.fromkeys(_CONFLICT_CODES, RetryClass.CONFLICT),
    **dict.fromkeys(_TRANSPORT_CODES, RetryClass.TRANSPORT),
    **dict.fromkeys(_CLOCK_CODES, RetryClass.CLOCK),
    **dict.fromkeys(_CREDENTIAL_CODES, RetryClass.CREDENTIALS),
    **dict.fromkeys(_REGION_CODES, RetryClass.REGION),
}
_CLASS_BY_STATUS: dict[int, RetryClass] = {
    408: RetryClass.TRANSPORT,
    429: RetryClass.THROTTLE,
    500: RetryClass.SERVER,
    502: RetryClass.SERVER,
    503: RetryClass.THROTTLE,
    504: RetryClass.SERVER,
    509: RetryClass.THROTTLE,
}

# seconds: what the first wait is drawn from, and what no wait exceeds
_FIRST_WAIT_S: dict[RetryClass, float] = {
    RetryClass.THROTTLE: 0.5,
    RetryClass.SERVER: 0.25,
    RetryClass.CONFLICT: 0.25,
    RetryClass.TRANSPORT: 0.25,
    RetryClass.CLOCK: 0.0,
    RetryClass.CREDENTIALS: 0.0,
    RetryClass.REGION: 0.0,
    RetryClass.FINAL: 0.0,
}
ANSWER_TOO_LARGE = 63
"""libcurl's CURLE_FILESIZE_EXCEEDED: the answer is longer than the caller takes."""

MAX_WAIT_S = 20.0
"""No single wait is longer; the sum for throttling is then about two minutes, after which the task fails."""


def classify(status: int, code: str) -> RetryClass:
    """Return the class of an error answer; the code decides, the status where the code is unknown.

    An ``<Error>`` inside a 200 keeps the class of its code: an InternalError there is S3's late 500.
    """
    by_code = _CLASS_BY_CODE.get(code)
    if by_code is not None:
        return by_code
    return _CLASS_BY_STATUS.get(status, RetryClass.FINAL)


def classify_transport(error: TransportError) -> RetryClass:
    """Return the class of a failed connection. A certificate that does not verify will not verify next time."""
    if error.kind in {"tls", "cancelled"} or error.curl_code == ANSWER_TOO_LARGE:
        return RetryClass.FINAL
    return RetryClass.TRANSPORT


def backoff_s(attempt: int, retry_class: RetryClass, random_unit: float) -> float:
    """Return the seconds to wait after the ``attempt``-th failure (1 for the first), full jitter.

    ``random_unit`` is drawn uniformly from [0, 1) by the caller.
    """
    # 2**30 s is far above the cap; a bounded exponent keeps the arithmetic small for any count of attempts
    ceiling = min(MAX_WAIT_S, _FIRST_WAIT_S[retry_class] * 2.0 ** min(attempt - 1, 30))
    return ceiling * random_unit
