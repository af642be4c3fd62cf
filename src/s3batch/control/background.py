"""A runner in the background: is one serving this folder, and if not, start one.

The runner is a process in a session of its own, so that it outlives the command that started it and no Ctrl-C reaches
it. It leaves by itself when it has had nothing to do for a while.
"""

from __future__ import annotations

import fcntl
import subprocess
import sys

from s3batch.config import Home

IDLE_EXIT_S = 3.0
"""How long such a runner stays without work: long enough for the next command of a script."""


def is_served(home: Home) -> bool:
    """Tell whether a living runner of this host serves the folder: it holds the lock for its life."""
    try:
        with home.runner_lock.open("a") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False


def ensure_runner(home: Home, *, workers: int) -> None:
    """Start a runner unless one serves the folder. Two that are started at once settle it by the lock."""
    if is_served(home):
        return
    home.root.mkdir(parents=True, exist_ok=True)
    with home.runner_log.open("ab") as log:
        subprocess.Popen(
            [sys.executable, "-m", "s3batch", "runner", "--workers", str(workers), "--idle-exit", str(IDLE_EXIT_S)],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
