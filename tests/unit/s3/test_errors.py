"""The error families: what a caller can tell from an exception."""

import pytest

from s3batch.model.errors import RefusedError, S3BatchError, UnavailableError
from s3batch.s3.errors import (
    S3Error,
    S3RefusedError,
    S3UnavailableError,
    TransportError,
    code_without_body,
    way_out_of,
)


def test_a_refusal_is_a_refused_error_and_keeps_what_the_store_said() -> None:
    """Callers catch by family, and go by the code within it."""
    error = S3RefusedError("CopyObject s3://b/k: 403 AccessDenied.", code="AccessDenied", status=403, request_id="R1")
    assert isinstance(error, RefusedError)
    assert isinstance(error, S3Error)
    assert (error.code, error.status, error.request_id, error.exit_code) == ("AccessDenied", 403, "R1", 4)


def test_an_unavailable_store_is_an_unavailable_error() -> None:
    """The same request may succeed later: exit code 5."""
    error = S3UnavailableError("ListObjectsV2 s3://b/: 503 SlowDown.", code="SlowDown", status=503)
    assert isinstance(error, UnavailableError)
    assert error.exit_code == 5
    assert str(error) == "ListObjectsV2 s3://b/: 503 SlowDown. Lower --max-rate or --concurrency and resume."


@pytest.mark.parametrize(("sent", "is_ambiguous"), [(False, False), (True, True), (None, True)])
def test_a_transport_error_is_ambiguous_unless_surely_nothing_was_sent(
    *, sent: bool | None, is_ambiguous: bool
) -> None:
    """What is not known to be unsent may have been carried out."""
    error = TransportError("reset", kind="closed", sent=sent)
    assert error.is_ambiguous is is_ambiguous
    assert isinstance(error, S3BatchError)


@pytest.mark.parametrize(
    ("status", "has_key", "code"),
    [
        (404, True, "NoSuchKey"),
        (404, False, "NoSuchBucket"),
        (403, True, "AccessDenied"),
        (412, True, "PreconditionFailed"),
        (405, True, "MethodNotAllowed"),
        (503, True, "ServiceUnavailable"),
        (418, True, "Http418"),
    ],
)
def test_an_answer_without_a_body_has_the_code_that_s3_would_have_given(
    status: int, code: str, *, has_key: bool
) -> None:
    """HEAD has no body, so its status must do."""
    assert code_without_body(status, has_key=has_key) == code


def test_a_code_without_advice_has_no_way_out() -> None:
    """No advice is better than a guess."""
    assert way_out_of("PreconditionFailed") == ""
