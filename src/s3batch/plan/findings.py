"""What a look at a source and a target found, one sentence each, and what follows from it for a job. Pure.

In: findings of whoever looked. Out: a refusal, warnings for a plan, or the exit code of a check.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from s3batch.model.errors import RefusedError

MAX_TOLD = 5
"""Findings of one kind that are told one by one (ours, 2026-11): a bucket may have 1,000 rules of each kind."""


class Weight(StrEnum):
    """How much a finding matters, the least first."""

    OK = "ok"
    NOTE = "note"
    """Good to know; nothing is in danger."""
    WARNING = "warning"
    """A job would run, and something would be other than one may think."""
    REFUSAL = "refusal"
    """A job would be refused, or none of its tasks could succeed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One thing that was found."""

    weight: Weight
    code: str
    """A stable CamelCase word, the code of the refusal where it is one."""
    text: str
    way_out: str = ""


_EXIT_CODES = {Weight.OK: 0, Weight.NOTE: 0, Weight.WARNING: 3, Weight.REFUSAL: RefusedError.exit_code}


def exit_code_of(findings: Sequence[Finding]) -> int:
    """Return 4 where something would be refused, 3 where something is to be thought about, else 0."""
    return max((_EXIT_CODES[each.weight] for each in findings), default=0)


def require_permitted(findings: Sequence[Finding]) -> None:
    """Refuse what a finding forbids.

    Raises:
        RefusedError: the first refusal, with its own code.
    """
    for each in findings:
        if each.weight is Weight.REFUSAL:
            raise RefusedError(each.text, code=each.code, way_out=each.way_out)


def warnings_of(findings: Sequence[Finding]) -> tuple[str, ...]:
    """Return the warnings as a plan has them."""
    return tuple(f"{each.text} {each.way_out}".rstrip() for each in findings if each.weight is Weight.WARNING)


def bounded(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    """Return findings of one kind, the weightiest first, and instead of too many a last one that counts the others."""
    ordered = sorted(findings, key=lambda each: list(Weight).index(each.weight), reverse=True)
    told, others = ordered[:MAX_TOLD], ordered[MAX_TOLD:]
    if not others:
        return tuple(told)
    rest = Finding(
        weight=others[0].weight, code=others[0].code, text=f"{len(others):,} more of this kind are not told."
    )
    return (*told, rest)
