"""The gate of an undo decides every situation as safety.md rule 16 wants it."""

import pytest

from s3batch.verify import undo_gate
from tests.unit.verify.undo_gate_table import KEY, PINNED, TABLE, version, wrong_lines


def test_every_situation_is_decided_as_the_rules_say() -> None:
    """No line of the table is decided wrongly."""
    assert list(wrong_lines(undo_gate)) == []


def test_the_table_has_each_decision() -> None:
    """The table itself is not blind: each code and the permission occur in it."""
    assert {line.expected for line in TABLE} == {
        None,
        "NoMarker",
        "EvidenceExpired",
        "NoSuchVersion",
        "NotLatest",
        "AlreadyUndone",
    }


@pytest.mark.parametrize(("stack", "said"), [("pinned", "was written"), ("other marker", "deleted again")])
def test_a_refusal_names_the_version_that_is_in_the_way(stack: str, said: str) -> None:
    """Who looks at the key's versions then finds it."""
    versions = [version(stack, is_latest=True), version("ours", is_latest=False)]
    refusal = undo_gate.permit_undo(key=KEY, marker_id="marker", pinned=PINNED, versions=versions, age_ms=0)
    assert refusal is not None
    assert versions[0].version_id in refusal.message
    assert said in refusal.message
