"""``s3batch demo``: the main job, end to end, on a small archive in an S3 server of its own."""

from __future__ import annotations

import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from s3batch.config import Home
from s3batch.control.background import IDLE_EXIT_S, is_served
from s3batch.demo.story import run_demo

_RUNNER_WAIT_S = 4 * IDLE_EXIT_S
_POLL_S = 0.1

_NEXT = """
For your own bucket, with the settings that your AWS tools use (AWS_PROFILE, AWS_ENDPOINT_URL, ...):

  # try a few; nothing is deleted
  {program} copy s3://BUCKET/PREFIX/ s3://BUCKET/NEW/ --sample 25
  # are the copies the originals?
  {program} verify --job JOB
  # the plan of it all; nothing is written
  {program} move s3://BUCKET/PREFIX/ s3://BUCKET/NEW/ --if-target-exists skip-if-same --dry-run
  # copies, verifies, and asks before it deletes
  {program} move s3://BUCKET/PREFIX/ s3://BUCKET/NEW/ --if-target-exists skip-if-same
"""

app = typer.Typer(rich_markup_mode=None)


@app.command(
    epilog="Exit codes: 0 all went right; 1 something did not; 4 MiniStack is not installed; 5 it broke off before its"
    " end."
)
def demo(
    *,
    clean: Annotated[
        bool, typer.Option("--clean", help="Remove ledger, reports and logs at the end; else they are kept and named.")
    ] = False,
) -> None:
    """See both tasks of an archive's steward on 5,000 objects, in under a minute.

    A small S3 server is started on this machine for it; your own AWS settings and jobs are not used and not changed.
    """
    console = Console(highlight=False, soft_wrap=True)
    folder = Path(tempfile.mkdtemp(prefix="s3batch-demo-"))
    home = Home(root=folder / "home")
    try:
        is_right = run_demo(folder, console)
    finally:
        if clean:
            _wait_for_runner(home)
            shutil.rmtree(folder, ignore_errors=True)
    if not clean:
        console.print(f"\nLedger, segments and reports are kept in {home.root}; look at them with\n")
        console.print(f"  S3BATCH_HOME={home.root} {_program()} jobs list")
    if is_right:
        console.print(_NEXT.format(program=_program()))
    sys.stdout.flush()
    raise typer.Exit(0 if is_right else 1)


def _program() -> str:
    """Return the command as it can be typed here: in a clone it is not on the path."""
    beside = Path(sys.executable).parent / "s3batch"
    if shutil.which("s3batch") is not None or not beside.is_file():
        return "s3batch"
    return str(beside.relative_to(Path.cwd())) if beside.is_relative_to(Path.cwd()) else str(beside)


def _wait_for_runner(home: Home) -> None:
    """Wait until the runner in the background has left by itself, so that nobody writes to the folder any more."""
    deadline_s = time.monotonic() + _RUNNER_WAIT_S
    while is_served(home) and time.monotonic() < deadline_s:
        time.sleep(_POLL_S)
