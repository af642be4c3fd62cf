"""The gate's decision table: every situation of one row, and what must be decided in it.

Used on the gate itself and on each of its mutants. In: the gate's module (real or mutated). Out: the names of the lines
that it decides wrongly.
"""

import dataclasses
import itertools
from collections.abc import Iterator
from typing import Any, NamedTuple

PINNED = ("etag-of-source", 10)
LIMIT_MS = 60_000
"""Safety.md rule 14, written here a second time on purpose: the gate may not loosen it unnoticed."""
SKEW_MS = 900_000
"""How much younger than nothing a proof may look: the same, a second time."""
PROOF_LIMIT_MS = 5_000
CURRENT_MS = (0, 1, PROOF_LIMIT_MS, -1, -SKEW_MS)
TOO_OLD_MS = (PROOF_LIMIT_MS + 1, 10**12, -SKEW_MS - 1, None)
"""Ages of proofs; one that nobody knows is no age."""

# The copy's ETag may be another one than the source's: proof by checksum or bytes.
PROOFS: dict[str, tuple[str, int] | None] = {
    "proven": ("etag-of-copy", 10),
    "proven, same etag": PINNED,
    "proof of another size": ("etag-of-copy", 11),
    "no proof": None,
}
SOURCES: dict[str, tuple[str, int] | None] = {
    "as pinned": PINNED,
    "other etag": ("another", 10),
    "other size": (PINNED[0], 11),
    "without an etag": ("", 10),
    "absent": None,
}
TARGETS: dict[str, tuple[str, int] | None] = {
    "as proven": ("etag-of-copy", 10),
    "as pinned": PINNED,
    "other etag": ("another", 10),
    "other size": ("etag-of-copy", 12),
    "as the proof of another size": ("etag-of-copy", 11),
    "absent": None,
}
AGES_MS = (0, 1, LIMIT_MS - 1, LIMIT_MS, LIMIT_MS + 1, -1)


NOTHING: frozenset[str] = frozenset()
REQUIRED = frozenset({"metadata", "tags"})
COVERS = {NOTHING: "bytes+metadata+tags", frozenset({"tags"}): "bytes+metadata", REQUIRED: None}
"""What an evidence row says where this much of what is required was not compared; an older one says nothing."""

ONE_OR_NONE = (
    (False, False, False, NOTHING, True, False),
    (True, False, False, NOTHING, True, False),
    (False, True, False, NOTHING, True, False),
    (False, False, True, NOTHING, True, False),
    (False, False, False, frozenset({"tags"}), True, False),
    (False, False, False, REQUIRED, True, False),
    (False, False, False, NOTHING, False, False),
    (False, False, False, REQUIRED, False, False),
    (False, False, False, NOTHING, True, True),
    (False, True, False, NOTHING, True, True),
    (False, False, True, NOTHING, True, True),
)


class Row(NamedTuple):
    """One line of the table."""

    name: str
    pinned: tuple[str, int]
    proof: tuple[str, int] | None
    source: tuple[str, int] | None
    target: tuple[str, int] | None
    age_ms: int
    needs_proof: bool
    is_proof_current: bool
    uncovered: frozenset[str]
    lacks_backup: bool
    is_replaced: bool
    is_own_target: bool
    is_null_at_risk: bool
    expected: str | None


def table() -> Iterator[Row]:
    """Yield every combination with the decision that safety.md wants."""
    for proof, source, target, age_ms, needs_proof, (
        is_own_target,
        is_replaced,
        is_null_at_risk,
        uncovered,
        is_proof_current,
        lacks_backup,
    ), pinned in itertools.product(PROOFS, SOURCES, TARGETS, AGES_MS, (True, False), ONE_OR_NONE, (PINNED, ("", 10))):
        row = Row(
            name=f"{proof} / source {source} / target {target} / {age_ms} ms"
            f" / {needs_proof} {is_replaced} {is_own_target} {is_null_at_risk} {sorted(uncovered)}"
            f" / {is_proof_current} {lacks_backup} {pinned}",
            pinned=pinned,
            proof=PROOFS[proof],
            source=SOURCES[source],
            target=TARGETS[target],
            age_ms=age_ms,
            needs_proof=needs_proof,
            is_proof_current=is_proof_current,
            uncovered=uncovered,
            lacks_backup=lacks_backup,
            is_replaced=is_replaced,
            is_own_target=is_own_target,
            is_null_at_risk=is_null_at_risk,
            expected=None,
        )
        yield row._replace(expected=_expected(row))


def _expected(row: Row) -> str | None:  # noqa: PLR0911 - one return for each rule
    """Say what must be decided, in the words of the rules and not in the gate's own order of conditions."""
    is_proven = row.proof is not None and row.proof[1] == row.pinned[1]
    if row.is_own_target or not row.pinned[0] or (row.needs_proof and (row.uncovered or not is_proven)):
        return "NotProven"
    if row.needs_proof and not row.is_proof_current:
        return "EvidenceTooOld"
    if row.lacks_backup:
        return "NotBackedUp"
    if row.age_ms < 0 or row.age_ms > LIMIT_MS:
        return "EvidenceExpired"
    if row.source is not None and row.source != row.pinned:
        return "SourceChanged"
    if row.needs_proof and row.target != row.proof:  # where both sides are gone nothing may be called well
        return "TargetMissing" if row.target is None else "TargetChanged"
    if row.is_replaced:
        return "TargetChanged"
    at_risk = "NullVersionAtRisk" if row.is_null_at_risk else None
    return "AlreadyGone" if row.source is None else at_risk


def wrong_lines(gate: Any) -> Iterator[str]:  # noqa: ANN401 - a module that was made at run time has no type
    """Yield the lines of the table that a gate decides wrongly, as columns and one row at a time."""
    yield from wrong_columns(gate)
    yield from (row.name for row in TABLE if not _is_right(gate, row))


def _is_right(gate: Any, row: Row) -> bool:  # noqa: ANN401 - as above
    refusal = gate.permit(
        pinned=gate.Identity(*row.pinned),
        proof=_identity(gate, row.proof),
        source=_identity(gate, row.source),
        target=_identity(gate, row.target),
        age_ms=row.age_ms,
        needs_proof=row.needs_proof,
        is_proof_current=row.is_proof_current,
        uncovered=row.uncovered,
        lacks_backup=row.lacks_backup,
        is_replaced=row.is_replaced,
        is_own_target=row.is_own_target,
        is_null_at_risk=row.is_null_at_risk,
    )
    if (None if refusal is None else str(refusal.code)) != row.expected:
        return False
    if row.expected in {"TargetMissing", "TargetChanged"} and ("as well" in refusal.message) != (row.source is None):
        return False  # a lost copy beside a lost source must be said
    if row.expected == "EvidenceExpired" and f" {LIMIT_MS // 1000} s" not in refusal.message:
        return False
    ordinary = ORDINARY._replace(is_proof_current=row.is_proof_current)
    readings = columns(gate, [row, ordinary] if row.needs_proof else [row])
    found = gate.find_refusals(readings, age_ms=row.age_ms)
    code = str(found[0].code) if 0 in found else None
    return code == row.expected and gate.permits_all(readings, age_ms=row.age_ms) == (not found)


ORDINARY = Row(
    name="an ordinary row",
    pinned=PINNED,
    proof=("etag-of-copy", 10),
    source=PINNED,
    target=("etag-of-copy", 10),
    age_ms=0,
    needs_proof=True,
    is_proof_current=True,
    uncovered=NOTHING,
    lacks_backup=False,
    is_replaced=False,
    is_own_target=False,
    is_null_at_risk=False,
    expected=None,
)


def columns(gate: Any, rows: list[Row], *, proven: list[bool] | None = None) -> Any:  # noqa: ANN401 - as above
    """Return rows of one kind as the gate's columns."""
    needs_proof = rows[0].needs_proof
    return gate.Readings(
        pinned_etags=[row.pinned[0] for row in rows],
        pinned_sizes=[row.pinned[1] for row in rows],
        source_etags=[row.source and row.source[0] for row in rows],
        source_sizes=[row.source[1] if row.source else 0 for row in rows],
        needs_proof=needs_proof,
        proven=proven or [row.proof is not None for row in rows] if needs_proof else (),
        proof_etags=[row.proof and row.proof[0] for row in rows] if needs_proof else (),
        proof_sizes=[row.proof and row.proof[1] for row in rows] if needs_proof else (),
        target_etags=[row.target and row.target[0] for row in rows] if needs_proof else (),
        target_sizes=[row.target[1] if row.target else 0 for row in rows] if needs_proof else (),
        proof_age_ms=0 if rows[0].is_proof_current else PROOF_LIMIT_MS + 1,
        max_proof_age_ms=PROOF_LIMIT_MS,
        needs_backup=any(row.lacks_backup for row in rows),
        backed_up=[not row.lacks_backup for row in rows],
        required=REQUIRED if needs_proof else NOTHING,
        proof_covers=[COVERS[row.uncovered] for row in rows] if needs_proof else (),
        proof_version_ids=["proven"] * len(rows),
        target_version_ids={position: "another" if row.is_replaced else "proven" for position, row in enumerate(rows)},
        own_targets=frozenset(position for position, row in enumerate(rows) if row.is_own_target),
        null_at_risk=frozenset(position for position, row in enumerate(rows) if row.is_null_at_risk),
    )


TABLE = tuple(table())


def wrong_columns(gate: Any) -> list[str]:  # noqa: ANN401 - as above
    """Return what is wrong about whole columns that no single row shows."""
    wrong = []
    three = columns(gate, [ORDINARY, ORDINARY, ORDINARY])
    if gate.find_refusals(three, age_ms=0) != {} or not gate.permits_all(three, age_ms=0):
        wrong.append("three ordinary rows are permitted at once")
    unproven = columns(gate, [ORDINARY, ORDINARY], proven=[True, False])
    found = gate.find_refusals(unproven, age_ms=0)
    if {position: str(refusal.code) for position, refusal in found.items()} != {1: "NotProven"}:
        wrong.append("ETag and size on record without a proof prove nothing")
    absent = columns(gate, [ORDINARY._replace(proof=None, target=None)] * 2, proven=[True, True])
    if set(gate.find_refusals(absent, age_ms=0)) != {0, 1} or gate.permits_all(absent, age_ms=0):
        wrong.append("a proof without an ETag is none, also where the target is absent")
    if gate.permits_all(columns(gate, [ORDINARY, ORDINARY], proven=[True]), age_ms=0):
        wrong.append("columns of another length are not taken as permission")
    nowhere = gate.Readings(
        pinned_etags=["a"],
        pinned_sizes=[1],
        source_etags=["a"],
        source_sizes=[1],
        needs_proof=True,
        proven=[True],
        proof_etags=[None],
        proof_sizes=[1],
        target_etags=[None],
        target_sizes=[1],
        proof_age_ms=0,
    )
    if gate.permits_all(nowhere, age_ms=0) or set(gate.find_refusals(nowhere, age_ms=0)) != {0}:
        wrong.append("an absent target is never equal to a proof without an ETag")
    if gate._identity(["a"], [None], 0) is not None:
        wrong.append("an object without a known size is not identified")
    wrong += _wrong_coverage(gate, three)
    wrong += _wrong_ages_of_proofs(gate, three)
    wrong += _wrong_backups(gate, three)
    if not _compares_known_versions_only(gate, three):
        wrong.append("a version that one of the two readings does not tell is not compared")
    if _costs_per_row(gate, three):
        wrong.append("ordinary rows are looked at one by one")
    if gate.MAX_READING_AGE_MS != LIMIT_MS:
        wrong.append("the limit of age")
    return wrong


def _wrong_backups(gate: Any, three: Any) -> list[str]:  # noqa: ANN401 - as above
    """Return what is wrong about backups: each row counts, nothing on record backs nothing up, and only if asked."""
    wrong = []
    for backed_up, refused in (([True] * 3, set()), ([True, False, True], {1}), ((), {0, 1, 2})):
        for needs_proof in (True, False):
            readings = dataclasses.replace(three, needs_backup=True, backed_up=backed_up, needs_proof=needs_proof)
            found = gate.find_refusals(readings, age_ms=0)
            codes = {str(refusal.code) for refusal in found.values()}
            is_right = set(found) == refused and codes <= {"NotBackedUp"}
            if not is_right or gate.permits_all(readings, age_ms=0) == bool(refused):
                wrong.append(f"backed up: {backed_up}")
        unasked = dataclasses.replace(three, needs_backup=False, backed_up=backed_up)
        one_unproven = dataclasses.replace(unasked, proven=[True, True, False])
        if not gate.permits_all(unasked, age_ms=0) or set(gate.find_refusals(one_unproven, age_ms=0)) != {2}:
            wrong.append("no backup was asked for")
    if gate.permits_all(dataclasses.replace(three, needs_backup=True, backed_up=[True]), age_ms=0):
        wrong.append("a backup of another length is not taken as permission")
    return wrong


def _wrong_ages_of_proofs(gate: Any, three: Any) -> list[str]:  # noqa: ANN401 - as above
    """Return the ages of proofs that are taken wrongly; without one nothing is known, so nothing is permitted."""
    wrong = []
    for age_ms, is_right in [(age, True) for age in CURRENT_MS] + [(age, False) for age in TOO_OLD_MS]:
        readings = dataclasses.replace(three, proof_age_ms=age_ms)
        found = {str(refusal.code) for refusal in gate.find_refusals(readings, age_ms=0).values()}
        if found != (set() if is_right else {"EvidenceTooOld"}) or gate.permits_all(readings, age_ms=0) != is_right:
            wrong.append(f"a proof of {age_ms} ms")
        unverified = dataclasses.replace(readings, needs_proof=False)
        if not gate.permits_all(unverified, age_ms=0):
            wrong.append(f"no proof is asked for, so its age of {age_ms} ms is nothing to ask for")
    unknown = gate.Readings(pinned_etags=[], pinned_sizes=[], source_etags=[], source_sizes=[], needs_proof=True)
    if unknown.proof_age_ms is not None or unknown.max_proof_age_ms != 0 or unknown.needs_backup:
        wrong.append("by itself a proof has no age, and none would do")
    return wrong


def _wrong_coverage(gate: Any, three: Any) -> list[str]:  # noqa: ANN401 - as above
    """Return what is wrong about what proofs cover: each row counts, and nothing on record covers nothing."""
    cases: dict[str, tuple[dict[str, Any], set[int]]] = {
        "nothing is required, so nothing is asked of the proofs": ({"required": NOTHING, "proof_covers": ()}, set()),
        "an older verify recorded no coverage": ({"proof_covers": ()}, {0, 1, 2}),
        "one row of three is not covered": ({"proof_covers": ["bytes+metadata+tags"] * 2 + ["bytes"]}, {2}),
        "more than was required": ({"proof_covers": ["bytes+metadata+storage-class+tags"] * 3}, set()),
        "names that only contain a required one": ({"proof_covers": ["bytes+metadata+tagsets"] * 3}, {0, 1, 2}),
    }
    wrong = []
    for name, (changes, refused) in cases.items():
        readings = dataclasses.replace(three, **changes)
        found = gate.find_refusals(readings, age_ms=0)
        if set(found) != refused or gate.permits_all(readings, age_ms=0) == bool(refused):
            wrong.append(name)
        if any(str(refusal.code) != "NotProven" or "tags" not in refusal.message for refusal in found.values()):
            wrong.append(f"{name}: the refusal says what was not compared")
    if gate.permits_all(dataclasses.replace(three, proof_covers=["bytes+metadata+tags"]), age_ms=0):
        wrong.append("coverage of another length is not taken as permission")
    return wrong


def _compares_known_versions_only(gate: Any, readings: Any) -> bool:  # noqa: ANN401 - as above
    """Tell whether versions that were not told change nothing, by column and row by row."""
    for proof_ids, target_ids in (([None] * 3, {0: "v"}), (["v"] * 3, {}), (["v"] * 3, {1: "v"}), ((), {0: "v"})):
        told = dataclasses.replace(readings, proof_version_ids=proof_ids, target_version_ids=target_ids)
        one_unproven = dataclasses.replace(told, proven=[True, True, False])
        if gate.find_refusals(told, age_ms=0) != {} or gate.find_refusals(one_unproven, age_ms=0).keys() != {2}:
            return False
    return True


def _costs_per_row(gate: Any, readings: Any) -> bool:  # noqa: ANN401 - as above
    """Tell whether the gate decides row by row where columns settle it; deletes would then cost far more."""
    permit = gate.permit
    gate.permit = None
    try:
        return bool(gate.find_refusals(readings, age_ms=0))
    except TypeError:
        return True
    finally:
        gate.permit = permit


def _identity(gate: Any, pair: tuple[str, int] | None) -> Any:  # noqa: ANN401 - as above
    return None if pair is None else gate.Identity(*pair)
