"""The gate decides every situation as safety.md wants it, one row at a time and as whole columns."""

import dataclasses

from hypothesis import given
from hypothesis import strategies as st

from s3batch.model.outcome import Code
from s3batch.verify import gate
from tests.unit.verify.gate_table import COVERS, ORDINARY, PINNED, TABLE, columns, wrong_lines


def test_every_situation_is_decided_as_the_rules_say() -> None:
    """No line of the table is decided wrongly."""
    assert list(wrong_lines(gate)) == []


def test_the_table_has_each_decision() -> None:
    """The table itself is not blind: each code and the permission occur in it."""
    assert {row.expected for row in TABLE} == {
        None,
        "NotProven",
        "EvidenceExpired",
        "EvidenceTooOld",
        "NotBackedUp",
        "AlreadyGone",
        "SourceChanged",
        "TargetMissing",
        "TargetChanged",
        "NullVersionAtRisk",
    }


_ETAGS = st.sampled_from(["a", "b"])
_PAIRS = st.tuples(_ETAGS, st.integers(0, 1))


@given(
    rows=st.lists(
        st.tuples(
            _PAIRS,
            st.none() | _PAIRS,
            st.none() | _PAIRS,
            st.none() | _PAIRS,
            st.booleans(),
            st.sampled_from(tuple(COVERS)),
        ),
        min_size=1,
        max_size=4,
    ),
    needs_proof=st.booleans(),
    age_ms=st.sampled_from([0, 60_000, 60_001]),
)
def test_whole_columns_are_decided_as_their_rows_are(
    rows: list[
        tuple[
            tuple[str, int],
            tuple[str, int] | None,
            tuple[str, int] | None,
            tuple[str, int] | None,
            bool,
            frozenset[str],
        ]
    ],
    needs_proof: bool,  # noqa: FBT001 - hypothesis hands it in by name
    age_ms: int,
) -> None:
    """The quick way by comparing columns permits exactly the chunks whose every row is permitted."""
    lines = [
        ORDINARY._replace(
            pinned=pinned,
            proof=proof,
            source=source,
            target=target,
            is_own_target=is_own,
            needs_proof=needs_proof,
            uncovered=uncovered,
        )
        for pinned, proof, source, target, is_own, uncovered in rows
    ]
    readings = columns(gate, lines)
    one_by_one = {
        position: refusal
        for position, line in enumerate(lines)
        if (
            refusal := gate.permit(
                pinned=gate.Identity(*line.pinned),
                proof=line.proof and gate.Identity(*line.proof) if needs_proof else None,
                source=line.source and gate.Identity(*line.source),
                target=line.target and gate.Identity(*line.target) if needs_proof else None,
                age_ms=age_ms,
                needs_proof=needs_proof,
                is_proof_current=line.is_proof_current,
                uncovered=line.uncovered,
                lacks_backup=False,
                is_replaced=False,
                is_own_target=line.is_own_target,
                is_null_at_risk=False,
            )
        )
        is not None
    }
    assert gate.find_refusals(readings, age_ms=age_ms) == one_by_one
    assert gate.permits_all(readings, age_ms=age_ms) == (not one_by_one)


def test_a_refusal_says_what_is_there_now() -> None:
    """A user who reads the report sees what replaced the object."""
    refusal = gate.permit(
        pinned=gate.Identity(*PINNED),
        proof=gate.Identity(*PINNED),
        source=gate.Identity("new", 7),
        target=gate.Identity(*PINNED),
        age_ms=0,
        needs_proof=True,
        is_proof_current=True,
        uncovered=frozenset(),
        lacks_backup=False,
        is_replaced=False,
        is_own_target=False,
        is_null_at_risk=False,
    )
    assert refusal == gate.Refusal(
        Code.SOURCE_CHANGED, "The source now has 7 bytes and ETag new: not what the manifest pinned."
    )


def test_a_refusal_says_what_verify_did_not_compare() -> None:
    """A user who reads the report sees which comparison is wanting (safety.md rule 13)."""
    readings = dataclasses.replace(columns(gate, [ORDINARY]), proof_covers=["bytes"])
    assert gate.find_refusals(readings, age_ms=0) == {
        0: gate.Refusal(Code.NOT_PROVEN, "Verify did not compare metadata, tags, as this delete requires.")
    }
