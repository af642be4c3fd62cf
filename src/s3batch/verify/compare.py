"""Compares what a target range holds with what the manifest pinned, a chunk at a time.

In go the pinned sizes and ETags (of the manifest, never of the source as it is now: a source changed after its copy
would be matched against itself, safety.md rule 1) and what was seen under the mapped keys. Out come the positions
that are not proven, by exception: most chunks have none.

Equal sizes and equal ETags prove equal bytes; different ETags alone prove nothing, because they depend on how an
object was uploaded and encrypted (safety.md rule 11). Pure: no request, no clock.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """The positions that are not proven by size and ETag; every other position is.

    Positions are ascending and each is in at most one of the three.
    """

    missing: tuple[int, ...] = ()
    """Nothing is at the target."""
    different: tuple[int, ...] = ()
    """The sizes differ."""
    undecided: tuple[int, ...] = ()
    """The sizes are equal and the ETags are not (or the manifest pinned none)."""

    @property
    def is_proven(self) -> bool:
        """Tell whether every position is proven."""
        return not (self.missing or self.different or self.undecided)


ALL_PROVEN = Comparison()
"""The answer for a chunk without exceptions."""


def compare(
    pinned_etags: list[str], pinned_sizes: list[int], seen_etags: list[str | None], seen_sizes: list[int]
) -> Comparison:
    """Return which positions are missing, different or undecided at the target.

    All four lists have one length; an absent object has the ETag ``None``. Two list comparisons settle a chunk of which
    everything is proven (0.05 us a row), so nothing is built per row there.

    Raises:
        ValueError: the lists differ in length.
    """
    if seen_etags == pinned_etags and seen_sizes == pinned_sizes and "" not in pinned_etags:
        return ALL_PROVEN
    missing: list[int] = []
    different: list[int] = []
    undecided: list[int] = []
    columns = zip(pinned_etags, pinned_sizes, seen_etags, seen_sizes, strict=True)
    for position, (pinned_etag, pinned_size, seen_etag, seen_size) in enumerate(columns):
        if seen_etag is None:
            missing.append(position)
        elif seen_size != pinned_size:
            different.append(position)
        elif seen_etag != pinned_etag or not pinned_etag:
            undecided.append(position)
    return Comparison(missing=tuple(missing), different=tuple(different), undecided=tuple(undecided))
