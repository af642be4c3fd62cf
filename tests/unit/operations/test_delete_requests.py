"""Every key of a DeleteObjects answer is accounted for, and errors are told apart by what helps against them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3batch.model.errors import RefusedError
from s3batch.operations.delete_requests import LOST, NOT_MENTIONED, TOO_LATE, ExpiredError, Sent, account, trouble_of
from s3batch.s3.answers import DeleteBatch, DeleteError
from s3batch.s3.errors import S3RefusedError, S3UnavailableError, TransportError

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


@pytest.mark.parametrize("errors", [{}, {0: DeleteError(key="k", code="AccessDenied")}])
def test_an_answer_about_another_number_of_keys_is_refused(errors: dict[int, DeleteError]) -> None:
    """Rows that shifted against their answers would be called deleted."""
    with pytest.raises(ValueError, match=r"."):
        account(Sent(), [1, 2, 3], DeleteBatch(marker_ids=[None, None], errors=errors))


def test_lost_answers_are_read_again_and_refusals_are_final() -> None:
    """What may have been done is never called undone, and what the client gave up is not tried for ever."""
    assert trouble_of(TimeoutError()) is LOST
    assert trouble_of(TransportError("closed", sent=True)) is LOST
    assert trouble_of(TransportError("closed", sent=None)) is LOST
    assert trouble_of(S3UnavailableError("500", code="InternalError", status=500, is_ambiguous=True)) is LOST
    assert trouble_of(ExpiredError("late")) is TOO_LATE
    unsent = trouble_of(TransportError("no route", sent=False))
    assert (unsent.is_final, unsent.may_be_done, unsent.code) == (True, False, "TransportError")
    denied = trouble_of(S3RefusedError("no", code="AccessDenied", status=403))
    assert (denied.is_final, denied.http_status) == (True, 403)
    slow = trouble_of(S3UnavailableError("slow", code="SlowDown", status=503))
    assert (slow.is_final, slow.code, slow.http_status) == (True, "SlowDown", 503)
    changed = trouble_of(S3RefusedError("412", code="PreconditionFailed", status=412))
    assert (changed.is_final, changed.may_be_done, changed.http_status) == (False, True, 412)
    assert trouble_of(RefusedError("empty", code="EmptyKey")).is_final
