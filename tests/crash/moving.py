"""A move in processes of its own, and the processes to kill.

The command line starts it, the ledger tells how far it is, /proc tells which processes belong to it.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from s3batch.config import Home
from s3batch.ledger.records import Job
from s3batch.ledger.store import LedgerStore, open_ledger
from s3batch.model.status import TERMINAL, JobStatus

CHUNK_ENTRIES = 200
WORKERS = 2
WAIT_S = 90.0
STAGES = ("copy", "verify", "delete")


@dataclass(kw_only=True)
class Move:
    """One move under test."""

    home: Home
    environment: Mapping[str, str]
    move_id: str = ""

    def start(self, source: str, target: str) -> None:
        """Start the move in the background, confirmed from the beginning."""
        answer = self.run(
            "move", source, target, "--yes", "--detach", "--json",
            "--chunk-entries", str(CHUNK_ENTRIES), "--workers", str(WORKERS),
        )  # fmt: skip
        assert answer.returncode == 0, answer.stderr
        self.move_id = json.loads(answer.stdout)["move_id"]

    def resume(self) -> dict[str, Any]:
        """Resume the move, follow it to its end, and return what it says."""
        answer = self.run("jobs", "resume", self.move_id, "--json", "--workers", str(WORKERS))
        assert answer.returncode == 0, f"{answer.returncode}: {answer.stdout[-3000:]} {answer.stderr} {self.log()}"
        document: dict[str, Any] = json.loads(answer.stdout)
        return document

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run the command line to its end."""
        return subprocess.run(
            [sys.executable, "-m", "s3batch", *words],
            env=dict(self.environment), capture_output=True, text=True, timeout=WAIT_S * 2, check=False,
        )  # fmt: skip

    def log(self) -> str:
        """Return the end of the runners' log."""
        return self.home.runner_log.read_text()[-4000:] if self.home.runner_log.exists() else ""

    def jobs(self) -> list[Job]:
        """Return the move's three jobs."""
        store = self._store()
        try:
            return store.jobs_by_move(self.move_id)
        finally:
            store.close()

    def wait_for(self, stage: str, fraction: float) -> bool:
        """Wait until ``stage`` has done that fraction of its tasks; False when it was over before anyone looked."""
        step = STAGES.index(stage)
        store, deadline_s = self._store(), time.monotonic() + WAIT_S
        try:
            while time.monotonic() < deadline_s:
                job = store.jobs_by_move(self.move_id)[step]
                if job.status in TERMINAL:
                    return False
                if job.status is not JobStatus.NEW and job.counts.ended >= fraction * max(job.total, 1):
                    return True
                time.sleep(0.002)
        finally:
            store.close()
        raise AssertionError(f"{stage} did not get to {fraction}: {self.jobs()} {self.log()}")

    def runner_pid(self) -> int | None:
        """Return the runner that the ledger knows, if it is alive."""
        store = self._store()
        try:
            runners = store.live_runners(now_ms=time.time_ns() // 1_000_000, within_ms=10_000)
        finally:
            store.close()
        return next((each.pid for each in runners if Path(f"/proc/{each.pid}").exists()), None)

    def worker_pids(self, runner_pid: int) -> list[int]:
        """Return the processes of the runner's session that run chunks, and the server that forks them."""
        return [
            pid
            for pid in (int(each.name) for each in Path("/proc").iterdir() if each.name.isdigit())
            if pid != runner_pid and _session(pid) == runner_pid and "resource_tracker" not in _command(pid)
        ]

    def kill(self, kind: str, chance: random.Random) -> bool:
        """Kill the runner, a worker, or everything, with -9; False when there is nothing left to kill."""
        runner_pid = self.runner_pid()
        if runner_pid is None:
            return False
        try:
            match kind:
                case "runner":
                    os.kill(runner_pid, signal.SIGKILL)
                case "group":
                    os.killpg(runner_pid, signal.SIGKILL)
                case "worker":
                    workers = self.worker_pids(runner_pid)
                    if not workers:
                        return False
                    os.kill(chance.choice(workers), signal.SIGKILL)
        except ProcessLookupError:
            return False
        return True

    def end(self) -> None:
        """End whatever is still at work, so that a failed test leaves nothing behind."""
        if (runner_pid := self.runner_pid()) is not None:
            os.killpg(runner_pid, signal.SIGKILL)

    def _store(self) -> LedgerStore:
        return open_ledger(self.home.ledger)


def _session(pid: int) -> int:
    try:
        return os.getsid(pid)
    except ProcessLookupError:
        return -1


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode()
    except OSError:
        return ""
