"""``s3batch runner``: serve the ledger in the foreground, until told to leave."""

from __future__ import annotations

import os
from typing import Annotated

import typer

from s3batch.cli.deferred import upgrade
from s3batch.cli.options import setting_option
from s3batch.config import Home, default_workers
from s3batch.wiring import serve

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command()
def runner(
    *,
    workers: Annotated[int, setting_option("workers")] = default_workers(),
    idle_exit: Annotated[
        float | None, typer.Option(metavar="SECONDS", min=0, help="Leave after so long without a job; else stay.")
    ] = None,
) -> None:
    """Drive the jobs of this ledger until SIGTERM or Ctrl-C; jobs under way are left to the next runner.

    Other commands start a runner by themselves. One that stays saves its start, and drives jobs that nobody follows.
    """
    serve(Home.from_environment(os.environ), workers=workers, idle_exit_s=idle_exit, upgrade=upgrade)
