"""Byte ranges of multipart copies."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3batch.model.errors import RefusedError
from s3batch.plan.parts import MIB, Limits, part_ranges, parts_in_etag, ranges_of_layout, uniform_layout

MD5 = "9b2cf535f27731c974343645a3985328"
LARGEST_OBJECT = 10_000 * 5 * 1024 * MIB
"""10,000 parts of 5 GiB: the largest object that S3's limits on parts allow."""


@given(size=st.integers(1, LARGEST_OBJECT), wanted=st.integers(1, 5 * 1024 * MIB))
def test_ranges_tile_the_object_within_the_limits(size: int, wanted: int) -> None:
    """Every byte is in exactly one part, and no store refuses the number or the size of the parts."""
    ranges = part_ranges(size, part_size_wanted=wanted)
    assert ranges[0].first == 0
    assert ranges[-1].last == size - 1
    assert all(left.last + 1 == right.first for left, right in pairwise(ranges))
    assert len(ranges) <= 10_000
    lengths = {each.last - each.first + 1 for each in ranges[:-1]}
    assert len(lengths) <= 1
    assert all(5 * MIB <= length <= 5 * 1024 * MIB for length in lengths)


def test_an_object_that_does_not_fit_is_refused_with_the_numbers() -> None:
    """Nothing is copied of an object that the store could not take whole."""
    with pytest.raises(RefusedError, match="needs parts of") as caught:
        part_ranges(LARGEST_OBJECT + 1, part_size_wanted=MIB)
    assert caught.value.code == "EntityTooLarge"


def test_fifty_terabytes_fit() -> None:
    """The largest object since December 2025, 50 TB, needs about 5 GB a part."""
    assert len(part_ranges(50 * 10**12, part_size_wanted=8 * MIB)) <= 10_000


@given(part=st.integers(1, 10**6), parts=st.integers(1, 50), last=st.integers(1, 10**6))
def test_a_uniform_layout_is_recognised_and_no_other(part: int, parts: int, last: int) -> None:
    """Equal parts with a shorter last one are taken for the layout; sizes that cannot be so are not."""
    size = part * (parts - 1) + min(last, part)
    layout = uniform_layout(size, first_part=part, parts=parts)
    assert layout is not None
    assert sum(layout) == size
    assert len(layout) == parts
    assert ranges_of_layout(layout)[-1].last == size - 1
    assert uniform_layout(size + part, first_part=part, parts=parts) is None


@pytest.mark.parametrize(
    ("etag", "parts"),
    [
        ("9b2cf535f27731c974343645a3985328-12", 12),
        ("9b2cf535f27731c974343645a3985328", 0),
        ("-3", 0),
        ("a-b", 0),
        ("", 0),
    ],
)
def test_an_etag_tells_its_parts(etag: str, parts: int) -> None:
    """Only ``digest-N`` is a multipart ETag."""
    assert parts_in_etag(etag) == parts


def test_small_limits_are_honoured() -> None:
    """Stores may allow less than S3; the limits are arguments."""
    limits = Limits(smallest_part=10, largest_part=4 * MIB, most_parts=3)
    assert len(part_ranges(9 * MIB, part_size_wanted=1, limits=limits)) == 3
