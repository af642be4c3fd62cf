"""The gate: the only decision that a source may be deleted.

In go the identity that the manifest pinned, the proof that a verify job found, and what was read on both sides just
now. Out comes ``None`` (permitted) or a refusal with its code. Nothing is read here and no clock is asked: readings
and their age are arguments, so every case can be tried in a table (tests/unit/verify/test_gate.py), and mutants of
this file are tried against that table too (test_gate_mutations.py).

The ETag condition that a delete request carries comes on top of this decision, never instead of it: it says nothing
about the target (safety.md rule 14).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from s3batch.model.outcome import Code
from s3batch.verify.attributes import compared_words

MAX_READING_AGE_MS = 60_000
"""How old the older of the two readings may be when the delete request is sent (safety.md rule 14).

Long enough for a throttled listing of both sides, short enough that a lifecycle rule or a colleague who removes the
copy is seen in all but this minute.
"""

MAX_CLOCK_SKEW_MS = 900_000
"""How far in the future a proof's time may lie: clocks of two hosts differ, and one that was set back further than S3
would take ("RequestTimeTooSkewed", 15 min, S3 API reference, read 2026-11) makes a proof look younger than it is."""


class Identity(NamedTuple):
    """Which object it is: its ETag without quotes and its size in bytes."""

    etag: str
    size: int


class Refusal(NamedTuple):
    """Why a source is not deleted; ``AlreadyGone`` is the one that is no loss."""

    code: Code
    message: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Readings:
    """The rows of one delete request as columns of one length: what is known, and what was seen just now.

    An object that was not there has the ETag ``None``.
    """

    pinned_etags: list[str]
    pinned_sizes: list[int]
    source_etags: list[str | None]
    source_sizes: list[int]
    needs_proof: bool
    """False only for a delete that was asked for as unverified."""
    proven: Sequence[bool] = ()
    proof_etags: Sequence[str | None] = ()
    """The target's ETags that verify recorded."""
    proof_sizes: Sequence[int | None] = ()
    proof_age_ms: int | None = None
    """Time since the oldest of these proofs was recorded; not known, it permits nothing that needs a proof."""
    max_proof_age_ms: int = 0
    required: frozenset[str] = frozenset()
    """Attributes that must have been compared beside the bytes (safety.md rule 13)."""
    proof_covers: Sequence[str | None] = ()
    """What verify compared of each row, as it recorded it."""
    target_etags: Sequence[str | None] = ()
    target_sizes: Sequence[int] = ()
    proof_version_ids: Sequence[str | None] = ()
    """The version that verify proved, where a HEAD told it."""
    target_version_ids: Mapping[int, str] = field(default_factory=dict)
    """By position: the target's current version, where a HEAD told it. A listing tells none."""
    needs_backup: bool = False
    backed_up: Sequence[bool] = ()
    """Whether a copy at the backup was proven."""
    own_targets: frozenset[int] = frozenset()
    """Positions whose object is the target of one of the job's own evidence rows."""
    null_at_risk: frozenset[int] = frozenset()
    """Positions whose key has a ``null`` version that is not the object, where a delete would destroy it (rule 17)."""


def find_refusals(readings: Readings, *, age_ms: int) -> dict[int, Refusal]:
    """Return the positions that must not be deleted, each with its reason.

    ``age_ms`` is the time since the older of the two readings began.
    """
    if permits_all(readings, age_ms=age_ms):
        return {}
    found = ((position, _permit_at(readings, position, age_ms)) for position in range(len(readings.pinned_etags)))
    return {position: refusal for position, refusal in found if refusal is not None}


def is_fresh(age_ms: int) -> bool:
    """Tell whether readings of this age may still permit a delete; a clock that went backwards permits nothing."""
    return 0 <= age_ms <= MAX_READING_AGE_MS


def is_current(proof_age_ms: int | None, *, max_proof_age_ms: int) -> bool:
    """Tell whether a proof of this age may still permit a delete (safety.md rule 14)."""
    return proof_age_ms is not None and -MAX_CLOCK_SKEW_MS <= proof_age_ms <= max_proof_age_ms


def permits_all(readings: Readings, *, age_ms: int) -> bool:
    """Tell by comparing whole columns whether :func:`permit` would permit every position.

    This is what makes reading both sides again affordable: nothing is built per row where nothing is wrong.
    """
    return (
        is_fresh(age_ms)
        and not readings.own_targets
        and not readings.null_at_risk
        and "" not in readings.pinned_etags
        and readings.source_etags == readings.pinned_etags
        and readings.source_sizes == readings.pinned_sizes
        and (not readings.needs_proof or _is_proof_whole(readings))
        and (not readings.needs_backup or _is_all_backed_up(readings))
        and not any(_is_replaced(readings, position) for position in readings.target_version_ids)
    )


def permit(  # noqa: C901, PLR0911 - one return for each line of the decision table
    *,
    pinned: Identity,
    proof: Identity | None,
    source: Identity | None,
    target: Identity | None,
    age_ms: int,
    needs_proof: bool,
    is_proof_current: bool,
    uncovered: frozenset[str],
    lacks_backup: bool,
    is_replaced: bool,
    is_own_target: bool,
    is_null_at_risk: bool,
) -> Refusal | None:
    """Return ``None`` if this source may be deleted now, else why not.

    ``proof`` is the target that verify proved to be the copy; ``source`` and ``target`` are what is there now;
    ``is_proof_current`` is what :func:`is_current` says;
    ``uncovered`` names what the delete requires of the proof and verify did not compare;
    ``lacks_backup`` says that a backup was asked for and is not proven;
    ``is_replaced`` says that the target is known to be another version than the proven one; ``is_null_at_risk``
    that the delete would destroy another version of the key than this object.
    """
    if is_own_target:
        return Refusal(Code.NOT_PROVEN, "The object is itself the target of this job's evidence.")
    if not pinned.etag:
        return Refusal(Code.NOT_PROVEN, "The manifest pins no ETag for this object.")
    refusal = _refuse_proof(pinned, proof, uncovered, is_proof_current=is_proof_current) if needs_proof else None
    if refusal is not None:
        return refusal
    if lacks_backup:
        return Refusal(Code.NOT_BACKED_UP, "No copy of this object was proven at the backup.")
    if not is_fresh(age_ms):
        limit_s = MAX_READING_AGE_MS // 1000
        return Refusal(Code.EVIDENCE_EXPIRED, f"Both sides could not be read again within {limit_s} s.")
    if source is not None and source != pinned:
        return Refusal(Code.SOURCE_CHANGED, _not("source", source, "what the manifest pinned"))
    also = "" if source is not None else " The source is gone as well."
    if needs_proof and target != proof:
        if target is None:
            return Refusal(Code.TARGET_MISSING, f"The target that was proven is no longer there.{also}")
        return Refusal(Code.TARGET_CHANGED, f"{_not('target', target, 'what was proven')}{also}")
    if is_replaced:
        return Refusal(Code.TARGET_CHANGED, f"The target was written again: it is another version now.{also}")
    if source is None:
        return Refusal(Code.ALREADY_GONE, "")
    if is_null_at_risk:
        return Refusal(Code.NULL_VERSION_AT_RISK, "The delete would destroy the null version, which is another object.")
    return None


def _refuse_proof(
    pinned: Identity, proof: Identity | None, uncovered: frozenset[str], *, is_proof_current: bool
) -> Refusal | None:
    """Return why a proof does not do, whatever is there now."""
    if proof is None or proof.size != pinned.size:
        return Refusal(Code.NOT_PROVEN, "No copy of this object was proven.")
    if uncovered:
        return Refusal(
            Code.NOT_PROVEN, f"Verify did not compare {', '.join(sorted(uncovered))}, as this delete requires."
        )
    if not is_proof_current:
        return Refusal(Code.EVIDENCE_TOO_OLD, "The proof of the copy is older than this delete takes.")
    return None


def _permit_at(readings: Readings, position: int, age_ms: int) -> Refusal | None:
    """Decide one position of the columns."""
    needs_proof = readings.needs_proof
    is_proven = needs_proof and readings.proven[position]
    return permit(
        pinned=Identity(readings.pinned_etags[position], readings.pinned_sizes[position]),
        proof=_identity(readings.proof_etags, readings.proof_sizes, position) if is_proven else None,
        source=_identity(readings.source_etags, readings.source_sizes, position),
        target=_identity(readings.target_etags, readings.target_sizes, position) if needs_proof else None,
        age_ms=age_ms,
        needs_proof=needs_proof,
        is_proof_current=_is_proof_current(readings),
        uncovered=_uncovered(readings, position),
        lacks_backup=readings.needs_backup and not (readings.backed_up and readings.backed_up[position]),
        is_replaced=_is_replaced(readings, position),
        is_own_target=position in readings.own_targets,
        is_null_at_risk=position in readings.null_at_risk,
    )


def _is_proof_whole(readings: Readings) -> bool:
    """Tell whether every position has a proof that is current and covers what is required."""
    return _is_all_proven(readings) and _is_all_covered(readings) and _is_proof_current(readings)


def _is_proof_current(readings: Readings) -> bool:
    return is_current(readings.proof_age_ms, max_proof_age_ms=readings.max_proof_age_ms)


def _is_all_proven(readings: Readings) -> bool:
    """Tell whether every position was proven and its target is still exactly what was proven."""
    return (
        len(readings.proven) == len(readings.pinned_etags)
        and all(readings.proven)
        and None not in readings.proof_etags
        and readings.target_etags == readings.proof_etags
        and readings.target_sizes == readings.proof_sizes
        and readings.proof_sizes == readings.pinned_sizes
    )


def _is_all_covered(readings: Readings) -> bool:
    """Tell whether verify compared in every row what the delete requires; a few words stand for all rows."""
    if not readings.required:
        return True
    covers = readings.proof_covers
    is_whole = len(covers) == len(readings.pinned_etags)
    return is_whole and not any(readings.required - compared_words(word) for word in set(covers))


def _is_all_backed_up(readings: Readings) -> bool:
    return len(readings.backed_up) == len(readings.pinned_etags) and all(readings.backed_up)


def _uncovered(readings: Readings, position: int) -> frozenset[str]:
    """Return what is required and was not compared in this row."""
    return readings.required - compared_words(readings.proof_covers[position] if readings.proof_covers else None)


def _is_replaced(readings: Readings, position: int) -> bool:
    """Tell whether the target's version is known, and known not to be the proven one."""
    seen = readings.target_version_ids.get(position)
    proven = readings.proof_version_ids[position] if readings.proof_version_ids else None
    return None not in (seen, proven) and seen != proven


def _identity(etags: Sequence[str | None], sizes: Sequence[int | None], position: int) -> Identity | None:
    """Return what is at a position, or ``None`` where there is nothing."""
    etag, size = etags[position], sizes[position]
    return None if etag is None or size is None else Identity(etag, size)


def _not(side: str, seen: Identity, expected: str) -> str:
    return f"The {side} now has {seen.size} bytes and ETag {seen.etag}: not {expected}."
