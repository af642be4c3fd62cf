"""A runner in the background: is one serving this folder, and if not, start one.

The runner is a process in a session of its own, so that it outlives the command that started it and no Ctrl-C reaches
it. It leaves by itself when it has had nothing to do for a while. It has the environment of the command that started
it: credentials that are variables are those of that moment.
"""

from __future__ import annotations

import fcntl
import subprocess
import sys

from s3batch.config import Home
from s3batch.model.errors import UnavailableError

IDLE_EXIT_S = 3.0
"""How long such a runner stays without work: long enough for the next command of a script."""

MAX_STARTS = 5
"""Runners that one command starts, at most: a job that kills every runner must not do so for ever."""

_LOOK_EVERY_S = 1.0
"""How often it is asked whether somebody else's runner still lives; asking takes the lock for a moment."""

_LOG_BYTES = 2_000


def is_served(home: Home) -> bool:
    """Tell whether a living runner of this host serves the folder: it holds the lock for its life."""
    try:
        with home.runner_lock.open("a") as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False


class BackgroundRunner:
    """Sees to it, for as long as a command follows a job, that a runner serves the folder."""

    def __init__(self, home: Home, *, workers: int) -> None:
        """``workers`` is for a runner that has to be started; one that is there keeps its own number."""
        self._home = home
        self._workers = workers
        self._own: subprocess.Popen[bytes] | None = None
        self._starts = 0
        self._looked_s: float | None = None

    def keep(self, now_s: float) -> None:
        """Start a runner unless one serves the folder. Two that are started at once settle it by the lock.

        Raises:
            UnavailableError: code ``RunnerDied``: runners die again and again.
        """
        if self._own is not None and self._own.poll() is None:
            return
        if self._looked_s is not None and now_s - self._looked_s < _LOOK_EVERY_S:
            return
        self._looked_s = now_s
        if is_served(self._home):
            return
        if self._starts >= MAX_STARTS:
            raise UnavailableError(
                f"The runner has ended {self._starts} times before the job did. Its log ends with: {self._log_end()}",
                code="RunnerDied",
                way_out=f"The whole log is {self._home.runner_log}. `s3batch jobs resume` starts the runner again.",
            )
        self._starts += 1
        self._own = self._start()

    def _start(self) -> subprocess.Popen[bytes]:
        home = self._home
        command = [sys.executable, "-m", "s3batch.wiring"]
        options = ["--workers", str(self._workers), "--idle-exit", str(IDLE_EXIT_S)]
        try:
            home.root.mkdir(parents=True, exist_ok=True)
            with home.runner_log.open("ab") as log:
                return subprocess.Popen(
                    [*command, *options], stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
                )
        except OSError as error:
            raise UnavailableError(
                f"No runner can be started: {error}.",
                code="NoRunner",
                way_out="Set S3BATCH_HOME to a folder that can be written to.",
            ) from error

    def _log_end(self) -> str:
        try:
            lines = self._home.runner_log.read_bytes()[-_LOG_BYTES:].decode(errors="replace").strip().splitlines()
        except OSError:
            return "(no log)"
        return lines[-1] if lines else "(nothing)"
