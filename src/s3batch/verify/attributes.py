"""What belongs to an object beyond its bytes: is the target's as it should be, and what of it did a proof cover?

In go names and values that were wanted and that were seen, out come the names that differ, and for people a sentence
that shows names and never values, which may be secret. Beside that, the word of an evidence row that says what was
compared. Pure: no request, no clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from s3batch.model.attributes import Attribute

BYTES = "bytes"
"""What every proof covers."""

MAX_NAMES = 5
MAX_NAME_CHARACTERS = 64
"""Of the names in a sentence; S3's limits (128 a tag's, 2,048 bytes all metadata) would fill a report."""

_SEPARATOR = "+"


def covered_word(attributes: Iterable[Attribute]) -> str:
    """Return what an evidence row says about a proof of bytes and these attributes."""
    return _SEPARATOR.join([BYTES, *sorted(attributes)])


def compared_words(covered: str | None) -> frozenset[str]:
    """Return what an evidence row says was compared; rows of earlier versions say nothing."""
    return frozenset() if covered is None else frozenset(covered.split(_SEPARATOR))


def differing_names(wanted: Mapping[str, str], seen: Mapping[str, str]) -> tuple[str, ...]:
    """Return the names that one of the two lacks or that have another value, in order."""
    return tuple(sorted(name for name in wanted.keys() | seen.keys() if wanted.get(name) != seen.get(name)))


def describe(names: Iterable[str], wanted: Mapping[str, str], seen: Mapping[str, str]) -> str:
    """Return the first differing names and how they differ, without any value."""
    told = list(names)
    parts = [f"{_shortened(name)} ({_how(name, wanted, seen)})" for name in told[:MAX_NAMES]]
    more = len(told) - MAX_NAMES
    return ", ".join(parts) + (f" and {more} more" if more > 0 else "")


def _how(name: str, wanted: Mapping[str, str], seen: Mapping[str, str]) -> str:
    if name not in seen:
        return "missing"
    return "another value" if name in wanted else "not wanted"


def _shortened(name: str) -> str:
    return repr(name if len(name) <= MAX_NAME_CHARACTERS else name[:MAX_NAME_CHARACTERS] + "...")
