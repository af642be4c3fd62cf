"""Every small mistake in the gates is noticed: their mutants are tried against the decision tables, in this process."""

import ast
from pathlib import Path

import pytest

from s3batch.verify import gate, undo_gate
from tests.unit.verify import gate_table, undo_gate_table
from tests.unit.verify.mutants import is_noticed, mutants_of

_MUTANTS = mutants_of(Path(gate.__file__).read_text(encoding="utf-8"))
_UNDO_MUTANTS = mutants_of(Path(undo_gate.__file__).read_text(encoding="utf-8"))


def test_there_are_mutants_of_each_kind() -> None:
    """The search for places to change is not blind."""
    assert len(_MUTANTS) > 50
    assert len(_UNDO_MUTANTS) > 40
    words = " ".join(name for name, _ in _MUTANTS)
    for kind in ("Eq", "LtE", "and/or", "dropped", "not dropped", "taken always", "taken never", "number", "code"):
        assert kind in words


@pytest.mark.parametrize("mutant", [tree for _, tree in _MUTANTS], ids=[name for name, _ in _MUTANTS])
def test_a_changed_gate_is_noticed(mutant: ast.Module) -> None:
    """At least one line of the table is decided otherwise than the rules say."""
    assert is_noticed(mutant, gate_table.wrong_lines)


@pytest.mark.parametrize("mutant", [tree for _, tree in _UNDO_MUTANTS], ids=[name for name, _ in _UNDO_MUTANTS])
def test_a_changed_gate_of_an_undo_is_noticed(mutant: ast.Module) -> None:
    """The same for the only decision that deletes by version id."""
    assert is_noticed(mutant, undo_gate_table.wrong_lines)
