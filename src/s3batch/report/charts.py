"""Bar pictures for a terminal.

In: named numbers. Out: a Rich table whose rows have a bar each, or a bar as text. Nothing is printed here.
Bars are made of block characters in eighths, so that small shares can still be told apart.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from rich.table import Table
from rich.text import Text

from s3batch.report.text import size_text, visible

BAR_CELLS: Final = 32
_EIGHTHS: Final = " ▏▎▍▌▋▊▉"
_FULL: Final = "█"


@dataclass(frozen=True, kw_only=True, slots=True)
class BarRow:
    """One row: a name, its objects and its bytes."""

    name: str
    entries: int
    bytes: int


def bar(share: float, *, cells: int = BAR_CELLS) -> str:
    """Return a bar for a share between 0 and 1; any share above 0 shows at least an eighth of a cell."""
    eighths = round(min(max(share, 0.0), 1.0) * cells * 8)
    if share > 0 and eighths == 0:
        eighths = 1
    full, rest = divmod(eighths, 8)
    return _FULL * full + (_EIGHTHS[rest] if rest else "")


def bar_table(title: str, rows: Sequence[BarRow]) -> Table:
    """Return a table of the rows as they come; bars show the share of bytes, or of objects where there are none."""
    has_bytes = any(row.bytes for row in rows)
    total = sum(row.bytes if has_bytes else row.entries for row in rows) or 1
    table = Table(title=title, title_justify="left", box=None, pad_edge=False)
    table.add_column("", overflow="fold", max_width=50)
    table.add_column("objects", justify="right", no_wrap=True)
    table.add_column("bytes", justify="right", no_wrap=True)
    table.add_column("of bytes" if has_bytes else "of objects", no_wrap=True, min_width=BAR_CELLS + 6)
    for row in rows:
        share = (row.bytes if has_bytes else row.entries) / total
        picture = f"{bar(share):<{BAR_CELLS}} {share:>5.1%}"
        table.add_row(Text(visible(row.name)), f"{row.entries:,}", size_text(row.bytes), picture)
    return table
