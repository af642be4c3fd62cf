"""The decision table of an undo: what may lie under a key, and what must be decided about the recorded marker.

Used on the gate itself and on each of its mutants. In: the gate's module (real or mutated). Out: the names of the lines
that it decides wrongly.
"""

import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

from s3batch.s3.answers import ObjectVersion
from s3batch.verify.gate import Identity

KEY = "a/b"
PINNED = Identity("etag", 10)
LIMIT_MS = 60_000
"""Written here a second time on purpose: the gate may not loosen it unnoticed."""

AGES_MS = (0, LIMIT_MS, LIMIT_MS + 1, -1)
STACKED = ("ours", "other marker", "pinned", "other etag", "other size", "without an etag")
"""What may lie under the key, newest first, in any order; an entry of a longer key may stand anywhere between."""


class Line(NamedTuple):
    """One line of the table."""

    marker_id: str
    pinned: Identity
    stack: tuple[str, ...]
    is_latest_told: bool
    with_neighbour: bool
    age_ms: int

    @property
    def expected(self) -> str | None:
        """Say what must be decided, in the words of the rules and not in the gate's own order of conditions."""
        if self.marker_id in {"", "null"}:
            return "NoMarker"
        if not 0 <= self.age_ms <= LIMIT_MS:
            return "EvidenceExpired"
        if not self.stack:
            return "NoSuchVersion"
        is_restorable = [name == "pinned" and self.pinned.etag != "" for name in self.stack]
        if self.pinned.etag == "":
            is_restorable = [False] * len(self.stack)
        if self.is_latest_told and is_restorable[0] and "ours" not in self.stack:
            return "AlreadyUndone"
        if not self.is_latest_told or self.stack[0] != "ours":
            return "NotLatest"
        return None if len(self.stack) > 1 and is_restorable[1] else "NoSuchVersion"


def table() -> Iterator[Line]:
    """Yield every stack of up to three, each in every situation."""
    stacks = [stack for depth in range(4) for stack in itertools.permutations(STACKED, depth)]
    for stack, marker_id, pinned, told, neighbour, age_ms in itertools.product(
        stacks, ("marker", "", "null"), (PINNED, Identity("", 10)), (True, False), (True, False), AGES_MS
    ):
        yield Line(marker_id, pinned, stack, told, neighbour, age_ms)


TABLE = tuple(table())


def wrong_lines(gate: Any) -> Iterator[str]:  # noqa: ANN401 - a module that was made at run time has no type
    """Yield the lines of the table that a gate decides wrongly."""
    if gate.NULL_VERSION != "null":
        yield "the name of the null version"
    for line in TABLE:
        versions = [version(name, is_latest=line.is_latest_told and not place) for place, name in enumerate(line.stack)]
        if line.with_neighbour:  # a page that begins with the prefix may begin with other keys on a strange store
            versions.insert(0, version("pinned", key=KEY + "c", is_latest=True))
            versions.append(version("ours", key=KEY + "c", is_latest=False))
        refusal = gate.permit_undo(
            key=KEY, marker_id=line.marker_id, pinned=line.pinned, versions=versions, age_ms=line.age_ms
        )
        if (None if refusal is None else str(refusal.code)) != line.expected:
            yield str(line)


def version(name: str, *, key: str = KEY, is_latest: bool) -> ObjectVersion:
    """Return a version of the kind that the table names."""
    ids = {"ours": "marker", "other marker": "another"}
    return ObjectVersion(
        key=key,
        version_id=ids.get(name, name),
        is_latest=is_latest,
        is_delete_marker=name in ids,
        last_modified="2026-11-01T00:00:00.000Z",
        # a marker that carries an object's facts, as no store sends, must not pass for the object
        etag={"other etag": "else", "without an etag": ""}.get(name, "etag"),
        size=11 if name == "other size" else 10,
    )
