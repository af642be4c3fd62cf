"""Makes the pictures of the documentation: ``python docs/pictures/make.py`` (``--demo`` makes the one of the demo too).

In: the texts below; for the demo, a run of it. Out: SVG files beside this one, the same on every run but for the demo's
ids and seconds. A text that does not fit its place is an error, so that nothing is cut off in silence.
"""  # noqa: INP001 - a script, not a package

from __future__ import annotations

import io
import re
import subprocess
import sys
from dataclasses import dataclass
from html import escape
from pathlib import Path

from rich.console import Console
from rich.text import Text

FOLDER = Path(__file__).parent

WIDTH, HEAD, ROW, STEP = 980, 66, 62, 82
STAGE_X, STAGE_W = 66, 136
DOES_X, DOES_W = 222, 368
LEAVES_X, LEAVES_W = 610, 348
FONT = "Helvetica, Arial, 'DejaVu Sans', sans-serif"
WIDEST_CHARACTER = 0.56
"""Of the font size: mean advance of English text in DejaVu Sans, the widest of the fonts named, measured 2026-11."""

WIDE = 118
"""Columns of the terminal in the demo's picture; longer lines end in an ellipsis."""

INK, QUIET, LINE = "#1f2933", "#52606d", "#9aa5b1"


@dataclass(frozen=True, kw_only=True)
class Stage:
    """One row of the picture."""

    name: str
    does: tuple[str, ...]
    leaves: tuple[str, ...]
    fill: str
    stroke: str


READS, WRITES, DECIDES, DELETES = (
    ("#e6f0fa", "#3b7dbd"),
    ("#e7f6ec", "#3c9a5f"),
    ("#fff4d6", "#c9930a"),
    ("#fde8e8", "#c8453c"),
)

STAGES = (
    Stage(
        name="manifest",
        does=("which objects: a listing with filters,", "or a CSV, JSON or Parquet file"),
        leaves=("manifest.parquet: every object", "pinned by its size and ETag"),
        fill=READS[0],
        stroke=READS[1],
    ),
    Stage(
        name="plan",
        does=("where each key goes, collisions, requests;", "refuses what cannot be right"),
        leaves=("the plan, in the ledger;", "nothing has been touched yet"),
        fill=READS[0],
        stroke=READS[1],
    ),
    Stage(
        name="copy",
        does=("only the very object that was pinned,", "and not over what is already there"),
        leaves=("segments: one outcome for each object", ""),
        fill=WRITES[0],
        stroke=WRITES[1],
    ),
    Stage(
        name="verify",
        does=("lists the copies and compares them", "with what the manifest pinned"),
        leaves=("evidence: proven, different, missing or", "undecided; the file old -> new"),
        fill=READS[0],
        stroke=READS[1],
    ),
    Stage(
        name="gate",
        does=("after your yes: source and copy, read again", "just now: still exactly what was proven?"),
        leaves=("if not: the object is kept,", "with the reason"),
        fill=DECIDES[0],
        stroke=DECIDES[1],
    ),
    Stage(
        name="delete",
        does=("what the gate permits, and nothing else,", "each key with its ETag as a condition"),
        leaves=("segments: deleted, kept, already gone;", "every key is accounted for"),
        fill=DELETES[0],
        stroke=DELETES[1],
    ),
    Stage(
        name="report",
        does=("counts, codes and what to do about them;", "what remains at the source"),
        leaves=("AWS's completion report; failed and kept", "rows can be tried again"),
        fill=READS[0],
        stroke=READS[1],
    ),
)


def main_job() -> str:
    """Return the picture of the main job."""
    bottom = HEAD + STEP * (len(STAGES) - 1) + ROW
    height = bottom + 24
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}"'
            f' font-family="{FONT}" role="img" aria-labelledby="title">'
        ),
        '<title id="title">The main job: manifest, plan, copy, verify, gate, delete, report</title>',
        (
            '<defs><marker id="tip" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7"'
            ' orient="auto">'
            f'<path d="M0 0 L10 5 L0 10 z" fill="{LINE}"/></marker></defs>'
        ),
        f'<rect width="{WIDTH}" height="{height}" rx="10" fill="#ffffff"/>',
        _text(DOES_X, 40, "what it does", size=15, width=DOES_W, colour=QUIET, weight="bold"),
        _text(LEAVES_X, 40, "what it leaves behind", size=15, width=LEAVES_W, colour=QUIET, weight="bold"),
        f'<rect x="16" y="{HEAD}" width="26" height="{bottom - HEAD}" rx="6" fill="#f0f2f5" stroke="{LINE}"/>',
        (
            f'<text transform="translate(34 {(HEAD + bottom) // 2}) rotate(-90)" text-anchor="middle" font-size="14"'
            f' fill="{QUIET}">the ledger: after kill -9, each stage goes on where it was</text>'
        ),
    ]
    for number, stage in enumerate(STAGES):
        parts += _row(HEAD + number * STEP, stage, is_last=number == len(STAGES) - 1)
    return "\n".join([*parts, "</svg>", ""])


def _row(top: int, stage: Stage, *, is_last: bool) -> list[str]:
    centre, middle = STAGE_X + STAGE_W // 2, top + ROW // 2
    if stage.name == "gate":
        points = f"{STAGE_X},{middle} {centre},{top} {STAGE_X + STAGE_W},{middle} {centre},{top + ROW}"
        shape = f'<polygon points="{points}" fill="{stage.fill}" stroke="{stage.stroke}" stroke-width="2"/>'
    else:
        shape = (
            f'<rect x="{STAGE_X}" y="{top}" width="{STAGE_W}" height="{ROW}" rx="8" fill="{stage.fill}"'
            f' stroke="{stage.stroke}" stroke-width="2"/>'
        )
    parts = [
        shape,
        (
            f'<text x="{centre}" y="{middle + 6}" text-anchor="middle" font-size="18" font-weight="bold" fill="{INK}">'
            f"{stage.name}</text>"
        ),
        (
            f'<line x1="{LEAVES_X - 16}" y1="{top + 4}" x2="{LEAVES_X - 16}" y2="{top + ROW - 4}"'
            f' stroke="{stage.stroke}" stroke-width="3"/>'
        ),
    ]
    first = middle - 5 if stage.leaves[1] else middle + 5
    parts += [
        _text(DOES_X, middle - 5 + 21 * line, text, size=15, width=DOES_W) for line, text in enumerate(stage.does)
    ]
    parts += [
        _text(LEAVES_X, first + 21 * line, text, size=15, width=LEAVES_W, colour=QUIET)
        for line, text in enumerate(stage.leaves)
        if text
    ]
    if not is_last:
        parts.append(
            f'<line x1="{centre}" y1="{top + ROW + 2}" x2="{centre}" y2="{top + STEP - 2}" stroke="{LINE}"'
            ' stroke-width="2" marker-end="url(#tip)"/>'
        )
    return parts


def _text(x: int, y: int, text: str, *, size: int, width: int, colour: str = INK, weight: str = "normal") -> str:
    """Return a line of text that fits.

    Raises:
        ValueError: it is too long for its place.
    """
    if len(text) * size * WIDEST_CHARACTER > width:
        raise ValueError(f"{text!r} does not fit into {width} pixels")
    return f'<text x="{x}" y="{y}" font-size="{size}" font-weight="{weight}" fill="{colour}">{escape(text)}</text>'


def demo() -> str:
    """Run the demo and return a picture of what a terminal shows at its delete and at its end."""
    done = subprocess.run(
        [sys.executable, "-m", "s3batch", "demo", "--clean"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        encoding="utf-8",
        check=True,
    )
    lines = done.stdout.splitlines()
    delete = next(number for number, line in enumerate(lines) if line.startswith("$ s3batch delete"))
    end = next(number for number, line in enumerate(lines) if line.startswith("Did it go right"))
    last = next(number for number, line in enumerate(lines) if line.startswith("All "))
    shown = [line for line in lines[delete : delete + 9] if not line.startswith("  report")]
    console = Console(record=True, width=WIDE, file=io.StringIO())
    for line in [*shown, "...", "", *lines[end : last + 1]]:
        text = _coloured(re.sub(r"http://127\.0\.0\.1:\d+", "http://127.0.0.1:PORT", line))
        console.print(text, no_wrap=True, overflow="ellipsis")
    picture = console.export_svg(title="s3batch demo", unique_id="demo")
    # no font from somebody else's server: each text has its length, so any monospaced font fits
    return re.sub(r"@font-face \{.*?\n    \}\n", "", picture, flags=re.DOTALL).replace(
        "Fira Code,", "Menlo, Consolas, 'DejaVu Sans Mono',"
    )


def _coloured(line: str) -> Text:
    text = Text(line, style="bold cyan" if line.startswith("$") else "")
    text.highlight_regex(r"^  ok  |^All .*", "bold green")
    text.highlight_regex(r"SourceChanged", "bold yellow")
    return text


if __name__ == "__main__":
    (FOLDER / "main-job.svg").write_text(main_job(), encoding="utf-8")
    if "--demo" in sys.argv[1:]:
        (FOLDER / "demo.svg").write_text(demo(), encoding="utf-8")
