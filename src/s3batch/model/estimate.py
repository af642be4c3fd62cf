"""What a job is expected to cost and take: the part of its plan that is never exact, as values. Pure.

Each figure of money has its parts beside it, so that it can be checked; what is not known is ``None``, never zero. Its
JSON form is part of the plan's: members may be added with a default, never renamed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

_CENT = 0.01
_WHOLE_DOLLARS = 1_000
"""From here on cents say nothing about an estimate."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Charge:
    """One line of an expected bill."""

    kind: str
    """``requests``, ``retrieval``, ``early deletion``, ``transfer`` or ``KMS``."""
    what: str
    """In words: ``CopyObject into STANDARD``."""
    quantity: float
    unit: str
    """``requests`` or ``GB``; of storage that is paid for after its delete ``GB-months``."""
    usd: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """What is expected of one job. Sizes are bytes, times seconds, money US dollars at list prices."""

    bytes_added: int = 0
    """More in the store when the job has ended than before: of a move until its originals are deleted."""
    bytes_read: int = 0
    """What comes over the network to this machine."""
    bytes_not_freed: int = 0
    """Of what is deleted: kept by a versioned bucket as old versions."""
    charges: tuple[Charge, ...] = ()
    usd: float | None = None
    """The sum of the charges; ``None`` where no prices are known: every store but AWS."""
    usd_a_month: float | None = None
    """What the bytes added cost for as long as they are there."""
    price_region: str = ""
    price_date: str = ""
    seconds_at_s3_rate: float | None = None
    """At the rates that S3 documents for one prefix partition; ``None`` where the store is not AWS."""
    seconds_at_max_rate: float | None = None
    """At the user's own bound on requests a second; ``None`` where none is set."""
    seconds_measured: tuple[float, float] | None = None
    """As the fastest and the slowest comparable job of this ledger did it; ``None`` where there is none yet."""
    jobs_measured: int = 0
    notes: tuple[str, ...] = ()
    """What a reader of these figures should know."""

    @classmethod
    def from_members(cls, raw: Mapping[str, Any]) -> Self:
        """Return the value from its JSON form; members of later versions are left out."""
        known = {each.name: raw[each.name] for each in fields(cls) if each.name in raw}
        names = {each.name for each in fields(Charge)}
        known["charges"] = tuple(
            Charge(**{name: value for name, value in each.items() if name in names}) for each in raw.get("charges", ())
        )
        known["notes"] = tuple(raw.get("notes", ()))
        measured = raw.get("seconds_measured")
        known["seconds_measured"] = None if measured is None else (measured[0], measured[1])
        return cls(**known)


def usd_of_kind(charges: Iterable[Charge]) -> dict[str, float]:
    """Return the money by kind of charge, in the order of their first."""
    found: dict[str, float] = {}
    for each in charges:
        found[each.kind] = found.get(each.kind, 0.0) + each.usd
    return found


def money_text(usd: float) -> str:
    """Return an amount as people read it: ``nothing``, ``under $0.01``, ``$0.37``, ``$1,234``."""
    if not usd:
        return "nothing"
    if usd < _CENT:
        return f"under ${_CENT}"
    return f"${usd:,.2f}" if usd < _WHOLE_DOLLARS else f"${usd:,.0f}"
