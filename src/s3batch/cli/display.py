"""Showing how far jobs are while a command follows them: live in a terminal, else a line now and then.

Everything goes to standard error: standard output is the summary's, or the one JSON document's.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Protocol, Self

from s3batch.cli.deferred import LiveDisplay
from s3batch.cli.progress import Pace, line_text
from s3batch.control.standing import due_job
from s3batch.ledger.records import Job

_LINE_EVERY_S = 5.0


class Display(Protocol):
    """Where progress is shown; a context manager."""

    def __enter__(self) -> Self: ...
    def __exit__(self, *_: object) -> None: ...

    def update(self, jobs: Sequence[Job], now_s: float) -> None:
        """Show how far the jobs are."""

    def say(self, text: str) -> None:
        """Show one message that stays."""


class LineDisplay:
    """A line every few seconds and whenever another stage begins."""

    def __init__(self) -> None:
        """Nothing is shown yet."""
        self._pace = Pace()
        self._told_s = 0.0
        self._stage: tuple[str, str] | None = None

    def __enter__(self) -> Self:
        """Begin to show."""
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is left to do."""

    def update(self, jobs: Sequence[Job], now_s: float) -> None:
        """Show how far the jobs are, if that is due."""
        job = due_job(jobs)
        self._pace.see(job, now_s)
        stage = (job.id, str(job.status))
        if stage == self._stage and now_s - self._told_s < _LINE_EVERY_S:
            return
        self._stage, self._told_s = stage, now_s
        self.say(line_text(jobs, self._pace.rates()))

    def say(self, text: str) -> None:
        """Print one line."""
        sys.stderr.write(f"{text}\n")
        sys.stderr.flush()


class NoDisplay(LineDisplay):
    """Shows messages only: a script asked for JSON."""

    def update(self, jobs: Sequence[Job], now_s: float) -> None:
        """Show nothing."""


def make_display(*, as_json: bool) -> Display:
    """Return the display that fits where standard error goes."""
    if sys.stderr.isatty():
        return LiveDisplay()
    return NoDisplay() if as_json else LineDisplay()
