"""Progress in a terminal: a few lines on standard error that change in place."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.text import Text

from s3batch.cli.progress import Pace, figures_text, store_text, tasks_done, title_text, trouble_text
from s3batch.control.standing import due_job
from s3batch.ledger.records import Job

_BAR_WIDTH = 40


class LiveDisplay:
    """A few lines that change in place."""

    def __init__(self) -> None:
        """Nothing is shown yet."""
        self._console = Console(stderr=True, highlight=False)
        self._live = Live(console=self._console, transient=True, auto_refresh=False)
        self._pace = Pace()

    def __enter__(self) -> Self:
        """Begin to show."""
        self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Take the lines away."""
        self._live.stop()

    def update(self, jobs: Sequence[Job], now_s: float) -> None:
        """Show how far the jobs are."""
        job = due_job(jobs)
        self._pace.see(job, now_s)
        lines: list[Text | ProgressBar] = [Text(title_text(jobs), no_wrap=True, overflow="ellipsis")]
        if job.total:
            lines.append(ProgressBar(total=job.total, completed=tasks_done(job), width=_BAR_WIDTH))
            lines.append(Text(figures_text(job, self._pace.rates())))
        if trouble := trouble_text(job):
            lines.append(Text(trouble, style="yellow"))
        if store := store_text(job):
            lines.append(Text(store, style="dim"))
        self._live.update(Group(*lines), refresh=True)

    def say(self, text: str) -> None:
        """Print above the changing lines."""
        self._console.print(Text(text))
