"""Spans of time as they are typed: ``90s``, ``30m``, ``24h``, ``7d``, ``2w``.

In: text. Out: whole seconds within bounds. A bare number is refused: whoever means hours must not get seconds.
"""

from __future__ import annotations

import re

import typer

_UNIT_S = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 7 * 86_400}
_SPAN = re.compile(r"([0-9]{1,9})\s*([smhdw])")

MAX_S = 366 * _UNIT_S["d"]
"""A year: longer than any hold or proof is meant to last, and far from what a clock can hold. Ours, 2026-11."""


def duration_parser(text: str | int) -> int:
    """Return the seconds that a span has.

    Raises:
        typer.BadParameter: it is none, or out of bounds.
    """
    if isinstance(text, int):  # a default
        return text
    found = _SPAN.fullmatch(text.strip().lower())
    seconds = int(found[1]) * _UNIT_S[found[2]] if found else 0
    if not 1 <= seconds <= MAX_S:
        raise typer.BadParameter(f"{text!r} is not a span of time from 1s to 366d: write 90s, 30m, 24h, 7d or 2w.")
    return seconds
