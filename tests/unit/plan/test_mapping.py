"""Keys that have no place at the target are refused before anything is touched."""

import pytest
from hypothesis import given

from s3batch.model.errors import RefusedError
from s3batch.model.job import KeyMapping
from s3batch.plan.mapping import check_mapping
from tests.keys import keys

MOVE = KeyMapping(target_bucket="b", strip_prefix="cdaweb/", add_prefix="spdf/")


@given(key=keys())
def test_a_mapped_key_keeps_all_behind_the_prefix(key: str) -> None:
    """``cdaweb/x`` becomes ``spdf/x`` for every x, also for those that begin with the prefix again."""
    assert MOVE.target_key("cdaweb/" + key) == "spdf/" + key


def test_a_key_outside_the_prefix_is_refused_with_an_example() -> None:
    """A manifest with a stray key is an error of the plan, not a copy to a surprising place."""
    with pytest.raises(RefusedError, match="'other/x'") as caught:
        check_mapping(["cdaweb/a", "other/x"], MOVE)
    assert caught.value.code == "KeyOutsidePrefix"


def test_the_key_equal_to_the_prefix_is_an_ordinary_entry() -> None:
    """A directory marker ``cdaweb/`` becomes ``spdf/``."""
    check_mapping(["cdaweb/", "cdaweb/a"], MOVE)
    assert MOVE.target_key("cdaweb/") == "spdf/"


def test_an_empty_target_key_is_refused() -> None:
    """The marker of a prefix that is stripped to nothing has no name left."""
    with pytest.raises(RefusedError, match="empty key") as caught:
        check_mapping(["cdaweb/", "cdaweb/a"], KeyMapping(target_bucket="b", strip_prefix="cdaweb/"))
    assert caught.value.code == "EmptyTargetKey"


@pytest.mark.parametrize("character", ["x", "é", "😀"])
def test_a_target_key_over_1024_bytes_is_refused_and_one_of_1024_is_not(character: str) -> None:
    """The bound is in bytes of UTF-8, not in characters."""
    width = len(character.encode())
    fits = "cdaweb/" + character * ((1024 - len("spdf/")) // width)
    check_mapping([fits], MOVE)
    with pytest.raises(RefusedError, match="1024 bytes") as caught:
        check_mapping([fits + character], MOVE)
    assert caught.value.code == "TargetKeyTooLong"
