"""Comparing a chunk with its target range: equal proves, another size differs, another ETag alone says nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3batch.verify.compare import ALL_PROVEN, Comparison, compare

_ETAGS = st.sampled_from(["a", "b", ""])
_ROWS = st.lists(st.tuples(_ETAGS, st.integers(0, 2), st.none() | _ETAGS, st.integers(0, 2)), max_size=6)


def test_a_chunk_of_equal_rows_is_proven_as_a_whole() -> None:
    """The usual chunk builds nothing per row."""
    assert compare(["a", "b"], [1, 2], ["a", "b"], [1, 2]) is ALL_PROVEN


@given(_ROWS)
def test_each_row_is_decided_by_size_and_etag_alone(rows: list[tuple[str, int, str | None, int]]) -> None:
    """Whatever stands beside it, a row is proven if and only if ETag and size are equal and an ETag was pinned."""
    pinned_etags, pinned_sizes = [row[0] for row in rows], [row[1] for row in rows]
    found = compare(pinned_etags, pinned_sizes, [row[2] for row in rows], [row[3] for row in rows])
    for position, (pinned_etag, pinned_size, seen_etag, seen_size) in enumerate(rows):
        is_proven = bool(pinned_etag) and seen_etag == pinned_etag and seen_size == pinned_size
        assert (position in found.missing) == (seen_etag is None)
        assert (position in found.different) == (seen_etag is not None and seen_size != pinned_size)
        assert (position in found.undecided) == (seen_etag is not None and seen_size == pinned_size and not is_proven)
    assert found.is_proven == (not (found.missing or found.different or found.undecided))


def test_an_etag_that_was_never_pinned_proves_nothing() -> None:
    """Two objects without ETags are not equal for that (safety.md rule 1)."""
    assert compare([""], [1], [""], [1]) == Comparison(undecided=(0,))


def test_columns_of_different_length_are_refused() -> None:
    """Rows that shifted against each other must not be compared at all."""
    with pytest.raises(ValueError, match="zip"):
        compare(["a", "b"], [1, 2], ["a"], [1])
