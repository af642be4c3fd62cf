"""Which failures are tried again, and after how long."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3batch.s3.errors import INVALID_ANSWER, TransportError, TransportKind
from s3batch.s3.retry import (
    ANSWER_TOO_LARGE,
    MAX_ATTEMPTS,
    MAX_WAIT_S,
    RetryClass,
    backoff_s,
    classify,
    classify_transport,
)


@pytest.mark.parametrize(
    ("status", "code", "retry_class"),
    [
        (503, "SlowDown", RetryClass.THROTTLE),
        (503, "ServiceUnavailable", RetryClass.THROTTLE),
        (429, "Whatever", RetryClass.THROTTLE),
        (400, "RequestLimitExceeded", RetryClass.THROTTLE),
        (500, "InternalError", RetryClass.SERVER),
        (200, "InternalError", RetryClass.SERVER),
        (200, "SlowDown", RetryClass.THROTTLE),
        (200, "AccessDenied", RetryClass.FINAL),
        (200, INVALID_ANSWER, RetryClass.SERVER),
        (502, "Http502", RetryClass.SERVER),
        (409, "OperationAborted", RetryClass.CONFLICT),
        (409, "ConditionalRequestConflict", RetryClass.CONFLICT),
        (409, "BucketNotEmpty", RetryClass.FINAL),
        (400, "RequestTimeout", RetryClass.TRANSPORT),
        (403, "RequestTimeTooSkewed", RetryClass.CLOCK),
        (400, "ExpiredToken", RetryClass.CREDENTIALS),
        (301, "PermanentRedirect", RetryClass.REGION),
        (400, "AuthorizationHeaderMalformed", RetryClass.REGION),
        (403, "AccessDenied", RetryClass.FINAL),
        (404, "NoSuchKey", RetryClass.FINAL),
        (412, "PreconditionFailed", RetryClass.FINAL),
        (403, "InvalidObjectState", RetryClass.FINAL),
        (501, "NotImplemented", RetryClass.FINAL),
    ],
)
def test_answers_fall_into_the_class_of_what_helps(status: int, code: str, retry_class: RetryClass) -> None:
    """The table of "Error responses", Amazon S3 API reference."""
    assert classify(status, code) is retry_class


@pytest.mark.parametrize(
    ("kind", "retry_class"),
    [
        ("connect", RetryClass.TRANSPORT),
        ("timeout", RetryClass.TRANSPORT),
        ("closed", RetryClass.TRANSPORT),
        ("other", RetryClass.TRANSPORT),
        ("tls", RetryClass.FINAL),
        ("cancelled", RetryClass.FINAL),
    ],
)
def test_connections_are_tried_again_but_certificates_are_not(kind: TransportKind, retry_class: RetryClass) -> None:
    """A certificate that does not verify will not verify next time."""
    assert classify_transport(TransportError("x", kind=kind)) is retry_class


def test_an_answer_that_is_too_large_is_not_asked_for_again() -> None:
    """It would be as large."""
    assert classify_transport(TransportError("x", curl_code=ANSWER_TOO_LARGE)) is RetryClass.FINAL


def test_throttling_is_given_at_least_twelve_attempts_and_every_class_has_a_limit() -> None:
    """S3 takes minutes to split a busy partition, but nothing is tried for ever."""
    assert MAX_ATTEMPTS[RetryClass.THROTTLE] >= 12
    assert set(MAX_ATTEMPTS) == set(RetryClass)
    assert MAX_ATTEMPTS[RetryClass.FINAL] == 1


@given(
    attempt=st.integers(1, 10_000),
    retry_class=st.sampled_from(RetryClass),
    random_unit=st.floats(0, 1, exclude_max=True),
)
def test_waits_are_bounded_and_never_negative(attempt: int, retry_class: RetryClass, random_unit: float) -> None:
    """For any count of attempts."""
    assert 0 <= backoff_s(attempt, retry_class, random_unit) <= MAX_WAIT_S


@given(attempt=st.integers(1, 20), retry_class=st.sampled_from(RetryClass))
def test_the_bound_of_the_wait_never_falls_with_the_attempts(attempt: int, retry_class: RetryClass) -> None:
    """Exponential until the cap."""
    assert backoff_s(attempt, retry_class, 1.0) <= backoff_s(attempt + 1, retry_class, 1.0)


def test_corrections_are_tried_at_once() -> None:
    """A new signature needs no wait."""
    assert backoff_s(1, RetryClass.CLOCK, 0.9) == 0
    assert backoff_s(1, RetryClass.CREDENTIALS, 0.9) == 0
