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
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from s3batch.config import Home
from s3batch.ledger.records import Job
from s3batch.ledger.segments import read_outcomes
from s3batch.ledger.store import LedgerStore, open_ledger
from s3batch.model.status import TERMINAL, JobStatus

CHUNK_ENTRIES = 200
WORKERS = 2
WAIT_S = 90.0
POLL_S = 0.002
STAGES = ("copy", "verify", "delete")
_REFUSED = 4


@dataclass(kw_only=True)
class Move:
    """One move under test."""

    home: Home
    environment: Mapping[str, str]
    workers: int = WORKERS
    chunk_entries: int = CHUNK_ENTRIES
    move_id: str = ""

    def start(self, source: str, target: str, *options: str) -> None:
        """Start the move in the background, confirmed from the beginning."""
        answer = self.run(
            "move", source, target, "--yes", "--detach", "--json",
            "--chunk-entries", str(self.chunk_entries), "--workers", str(self.workers), *options,
        )  # fmt: skip
        assert answer.returncode == 0, answer.stderr
        self.move_id = json.loads(answer.stdout)["move_id"]

    def resume(self, *, code: int = 0) -> dict[str, Any]:
        """Resume the move, follow it to its end, and return what it says; ``code`` is the exit code to expect."""
        answer = self.run("jobs", "resume", self.move_id, "--json", "--workers", str(self.workers))
        if answer.returncode == _REFUSED and all(job.status in TERMINAL for job in self.jobs()):
            answer = self.run("jobs", "watch", self.move_id, "--json")  # it came to its end without being resumed
        assert answer.returncode == code, f"{answer.returncode}: {answer.stdout[-3000:]} {answer.stderr} {self.log()}"
        document: dict[str, Any] = json.loads(answer.stdout)
        return document

    def resume_detached(self) -> None:
        """Resume the move and leave it to its runner."""
        answer = self.run("jobs", "resume", self.move_id, "--detach", "--json", "--workers", str(self.workers))
        assert answer.returncode == 0, f"{answer.returncode}: {answer.stdout[-3000:]} {answer.stderr} {self.log()}"

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
        with self.store() as store:
            return store.jobs_by_move(self.move_id)

    def wait_for(self, stage: str, fraction: float) -> bool:
        """Wait until ``stage`` has begun and done that fraction; False when it was over before anyone looked."""
        return self.wait_until(
            stage,
            lambda job: job.status is JobStatus.ACTIVE and job.counts.ended >= fraction * max(job.total, 1),
        )

    def wait_until(self, stage: str, is_so: Callable[[Job], bool]) -> bool:
        """Wait until something holds of the job of ``stage``; False when that job ended first."""
        step = STAGES.index(stage)
        deadline_s = time.monotonic() + WAIT_S
        with self.store() as store:
            while time.monotonic() < deadline_s:
                job = store.jobs_by_move(self.move_id)[step]
                if is_so(job):
                    return True
                if job.status in TERMINAL:
                    return False
                time.sleep(POLL_S)
        raise AssertionError(f"{stage} did not get there: {self.jobs()} {self.log()}")

    def runner_pid(self) -> int | None:
        """Return the runner that the ledger knows, if it is alive."""
        with self.store() as store:
            runners = store.live_runners(now_ms=time.time_ns() // 1_000_000, within_ms=10_000)
        return next((each.pid for each in reversed(runners) if _is_alive(each.pid)), None)

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
        if self.home.ledger.exists() and (runner_pid := self.runner_pid()) is not None:
            os.killpg(runner_pid, signal.SIGKILL)

    def require_exact_counts(self, total: int) -> None:
        """Assert that every task of every job succeeded, once, by the counters and by the segments alike."""
        with self.store() as store:
            for job in store.jobs_by_move(self.move_id):
                assert job.status is JobStatus.COMPLETE, (job, self.log())
                assert (job.counts.total, job.counts.succeeded) == (total, total), (job, self.log())
                assert (job.counts.failed, job.counts.kept) == (0, 0), job
                assert store.outcome_totals(job.id) == job.counts
                for chunk in store.chunks(job.id):
                    outcomes = read_outcomes(store.segments(job.id, chunk.chunk_no), chunk.entries)
                    assert set(outcomes.column("row").to_pylist()) == set(range(chunk.entries))

    @contextmanager
    def store(self) -> Iterator[LedgerStore]:
        """Open the ledger for reading."""
        store = open_ledger(self.home.ledger)
        try:
            yield store
        finally:
            store.close()


@contextmanager
def move_of(folder: Path, environment: Mapping[str, str], **settings: Any) -> Iterator[Move]:  # noqa: ANN401 - as Move's
    """Give a move with a home of its own in ``folder``; whatever of it is at work at the end is killed."""
    home = Home(root=folder / "home")
    move = Move(home=home, environment={**os.environ, **environment, "S3BATCH_HOME": str(home.root)}, **settings)
    try:
        yield move
    finally:
        move.end()


def _is_alive(pid: int) -> bool:
    """Tell whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


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
