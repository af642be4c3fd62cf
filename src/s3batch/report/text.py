"""Numbers, times and names as people read them. Pure; every surface uses these, so figures look the same everywhere."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_STEP: Final = 1024
_MINUTE_S: Final = 60
_HOUR_S: Final = 3600
_DAY_S: Final = 86_400


def size_text(size_bytes: float) -> str:
    """Return a size with a unit: ``999 B``, ``1.5 KiB``, ``1,023 PiB``."""
    size, unit = float(size_bytes), 0
    while size >= _STEP and unit < len(_UNITS) - 1:
        size, unit = size / _STEP, unit + 1
    return f"{size_bytes:,.0f} B" if unit == 0 else f"{size:,.1f} {_UNITS[unit]}"


def visible(name: str) -> str:
    """Return a name with its control characters as escapes: a key must not steer the terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in name)


def duration_text(seconds: float) -> str:
    """Return a duration: ``0.4 s``, ``12 s``, ``3 min 20 s``, ``5 h 2 min``, ``2 d 3 h``."""
    if seconds < 10:  # noqa: PLR2004 - below ten the first decimal tells something
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < _MINUTE_S:
        return f"{whole} s"
    if whole < _HOUR_S:
        return f"{whole // _MINUTE_S} min {whole % _MINUTE_S} s"
    if whole < _DAY_S:
        return f"{whole // _HOUR_S} h {whole % _HOUR_S // _MINUTE_S} min"
    return f"{whole // _DAY_S} d {whole % _DAY_S // _HOUR_S} h"


def moment_text(time_ms: int) -> str:
    """Return a time to the second, in UTC: ``2026-11-22 21:00:00Z``."""
    return datetime.fromtimestamp(time_ms // 1000, UTC).strftime("%Y-%m-%d %H:%M:%SZ")


def count_text(count: int, noun: str) -> str:
    """Return a number of things: ``1 object``, ``2,000 objects``."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def table_lines(heads: Sequence[str], rows: Sequence[Sequence[str]], *, right: frozenset[int]) -> list[str]:
    """Return the rows below their heads in columns; those in ``right`` are flush right, the last is not padded."""
    widths = [max(len(row[column]) for row in (heads, *rows)) for column in range(len(heads))]

    def line(cells: Sequence[str]) -> str:
        padded = [
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(cells, widths, strict=True))
        ]
        return "  ".join(padded).rstrip()

    return [line(heads), *(line(row) for row in rows)]
