"""Every key of a DeleteObjects answer is accounted for, and errors are told apart by what helps against them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3batch.model.errors import RefusedError, UnavailableError
from s3batch.operations.delete_requests import NOT_MENTIONED, TOO_LATE, Sent, account, trouble_of
from s3batch.s3.answers import DeleteBatch, DeleteError
from s3batch.s3.errors import PermissionExpiredError, S3RefusedError, S3UnavailableError, TransportError

_CODES = st.sampled_from(["AccessDenied", "PreconditionFailed", "NoSuchKey", "InternalError", "SlowDown", "Odd"])


@given(st.lists(st.one_of(st.just("deleted"), st.just("unknown"), _CODES), max_size=8))
def test_each_row_is_deleted_or_in_trouble_and_never_both(fates: list[str]) -> None:
    """Nothing is lost and nothing is counted twice, whatever the answer says."""
    rows = [10 + 2 * position for position in range(len(fates))]
    answer = DeleteBatch(
        marker_ids=[f"m{position}" for position in range(len(fates))],
        errors={
            position: DeleteError(key="k", code=fate)
            for position, fate in enumerate(fates)
            if fate not in {"deleted", "unknown"}
        },
        unknown=frozenset(position for position, fate in enumerate(fates) if fate == "unknown"),
    )
    sent = Sent()
    account(sent, rows, answer)
    assert sent.deleted == [row for row, fate in zip(rows, fates, strict=True) if fate == "deleted"]
    assert sent.marker_ids == [f"m{position}" for position, fate in enumerate(fates) if fate == "deleted"]
    assert sorted([*sent.deleted, *sent.trouble_by_row]) == rows
    for row, fate in zip(rows, fates, strict=True):
        if fate == "unknown":
            assert sent.trouble_by_row[row] is NOT_MENTIONED
        elif fate != "deleted":
            assert sent.trouble_by_row[row].code == fate
            assert sent.trouble_by_row[row].is_final == (fate in {"AccessDenied", "Odd"})
            assert (sent.trouble_by_row[row].error is not None) == (fate in {"InternalError", "SlowDown"})


@pytest.mark.parametrize("errors", [{}, {0: DeleteError(key="k", code="AccessDenied")}])
def test_an_answer_about_another_number_of_keys_says_nothing(errors: dict[int, DeleteError]) -> None:
    """Rows that shifted against their answers would be called deleted; all are read again, and none is lost."""
    sent = Sent()
    account(sent, [1, 2, 3], DeleteBatch(marker_ids=[None, None], errors=errors))
    assert sent.deleted == []
    assert sent.trouble_by_row == dict.fromkeys([1, 2, 3], NOT_MENTIONED)


def test_lost_answers_are_read_again_and_refusals_are_final() -> None:
    """What may have been done is never called undone, and what the client gave up is not tried for ever."""
    for lost in (
        TimeoutError(),
        TransportError("closed", sent=True),
        TransportError("closed", sent=None),
        S3UnavailableError("500", code="InternalError", status=500, is_ambiguous=True),
    ):
        trouble = trouble_of(lost)
        assert (trouble.code, trouble.may_be_done, trouble.is_final) == ("UnknownOutcome", True, False)
        assert isinstance(trouble.error, UnavailableError)  # if it stays so, a later attempt reads again
    assert trouble_of(PermissionExpiredError("late")) is TOO_LATE
    unsent = trouble_of(TransportError("no route", kind="connect", sent=False))
    assert (unsent.is_final, unsent.may_be_done, unsent.code) == (True, False, "TransportError")
    assert unsent.error is not None
    denied = trouble_of(S3RefusedError("no", code="AccessDenied", status=403))
    assert (denied.is_final, denied.http_status, denied.error) == (True, 403, None)
    slow = trouble_of(S3UnavailableError("slow", code="SlowDown", status=503))
    assert (slow.is_final, slow.code, slow.http_status, slow.error is None) == (True, "SlowDown", 503, False)
    changed = trouble_of(S3RefusedError("412", code="PreconditionFailed", status=412))
    assert (changed.is_final, changed.may_be_done, changed.http_status) == (False, True, 412)
    refused = trouble_of(RefusedError("empty", code="EmptyKey"))
    assert (refused.is_final, refused.error) == (True, None)


@pytest.mark.parametrize("code", ["NoSuchBucket", "InvalidAccessKeyId", "ExpiredToken"])
def test_what_is_refused_to_every_key_is_no_rows_failure(code: str) -> None:
    """The rows have no outcome: either new credentials help later, or nothing does."""
    family = S3UnavailableError if code == "ExpiredToken" else S3RefusedError
    error = family("no", code=code, status=403)
    assert trouble_of(error).error is error
