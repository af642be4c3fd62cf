"""Attributes are compared by name and value; what is told of a difference are names, never values."""

from hypothesis import given
from hypothesis import strategies as st

from s3batch.model.attributes import Attribute
from s3batch.verify.attributes import MAX_NAMES, compared_words, covered_word, describe, differing_names

_TEXT = st.text(max_size=3)
_PAIRS = st.dictionaries(_TEXT, _TEXT, max_size=6)


@given(wanted=_PAIRS, seen=_PAIRS)
def test_nothing_differs_if_and_only_if_all_is_equal(wanted: dict[str, str], seen: dict[str, str]) -> None:
    """Each name with another value on one side is told once, in order."""
    names = differing_names(wanted, seen)
    assert (names == ()) == (wanted == seen)
    assert names == tuple(sorted(set(names)))
    without = [{name: value for name, value in side.items() if name not in names} for side in (wanted, seen)]
    assert without[0] == without[1]
    assert differing_names(seen, wanted) == names


@given(asked=st.frozensets(st.sampled_from(Attribute)))
def test_what_was_covered_is_read_as_it_was_written(asked: frozenset[Attribute]) -> None:
    """Bytes always, and exactly what was asked for."""
    assert compared_words(covered_word(asked)) == {"bytes", *asked}
    assert compared_words(None) == frozenset()


def test_the_word_is_the_same_in_each_run() -> None:
    """Machines read it, so its order is fixed."""
    assert covered_word(frozenset(Attribute)) == "bytes+metadata+storage-class+tags"
    assert covered_word(()) == "bytes"


def test_names_are_told_and_values_are_not() -> None:
    """A value may be secret; a hostile name breaks no line."""
    wanted = {"token": "hunter2", "only\nhere": "a", "same": "b"}
    seen = {"token": "hunter3", "there": "hunter4", "same": "b"}
    told = describe(differing_names(wanted, seen), wanted, seen)
    assert told == "'only\\nhere' (missing), 'there' (not wanted), 'token' (another value)"


def test_many_or_long_names_are_shortened() -> None:
    """A report is not filled by the names of one object."""
    wanted = {f"{number:02}{'x' * 200}": "v" for number in range(MAX_NAMES + 3)}
    told = describe(differing_names(wanted, {}), wanted, {})
    assert told.endswith(" and 3 more")
    assert len(told) < 500
