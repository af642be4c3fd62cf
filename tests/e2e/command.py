"""The real command as a subprocess, with a home of its own."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from s3batch.config import Home
from s3batch.ledger.records import Job
from s3batch.ledger.store import open_ledger
from s3batch.model.status import JobStatus

WAIT_S = 120.0
_POLL_S = 0.02


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:  # noqa: ANN401 - whatever JSON holds
        """The one JSON document on standard output; anything beside it is an error."""
        return json.loads(self.out)


@dataclass(frozen=True, kw_only=True)
class CommandLine:
    """Runs ``s3batch`` in an environment that leads to one server and one home."""

    home: Path
    environment: Mapping[str, str]

    def run(self, *arguments: str, **variables: str) -> Ended:
        """Run a command to its end; ``variables`` are set beside those of the server."""
        process = self.start(*arguments, **variables)
        out, err = process.communicate(timeout=WAIT_S)
        assert "Traceback" not in err, err
        return Ended(code=process.returncode, out=out, err=err)

    def start(self, *arguments: str, **variables: str) -> subprocess.Popen[str]:
        """Start a command without a terminal."""
        # a shell's background job ignores Ctrl-C, and so would what the tests start there
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            return subprocess.Popen(
                [sys.executable, "-m", "s3batch", *arguments],
                env={**self._environment(), **variables},
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        finally:
            signal.signal(signal.SIGINT, before)

    def run_in_terminal(self, *arguments: str, answers: Mapping[str, str]) -> Ended:
        """Run a command whose standard input and error are a terminal; each answer is typed when its question comes."""
        terminal, other_end = os.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "s3batch", *arguments],
            env={**self._environment(), "TERM": "xterm", "COLUMNS": "150"},
            stdin=other_end,
            stdout=subprocess.PIPE,
            stderr=other_end,
            text=True,
        )
        os.close(other_end)
        shown, left = "", dict(answers)
        while True:
            try:
                shown += os.read(terminal, 4096).decode(errors="replace")
            except OSError:  # the other end was closed: the command has ended
                break
            for question in [each for each in left if each in shown]:
                os.write(terminal, f"{left.pop(question)}\n".encode())
        out, _ = process.communicate(timeout=WAIT_S)
        os.close(terminal)
        assert "Traceback" not in shown, shown
        return Ended(code=process.returncode, out=out, err=re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", shown))

    def jobs(self) -> list[Job]:
        """Return the ledger's jobs, the newest first."""
        store = open_ledger(Home(root=self.home).ledger)
        try:
            return store.list_jobs()
        finally:
            store.close()

    def is_under_way(self, bucket: str) -> bool:
        """Tell whether a job about this bucket runs and has recorded something."""
        if not Home(root=self.home).ledger.exists():
            return False
        return any(job.status is JobStatus.ACTIVE and job.succeeded and bucket in job.spec_json for job in self.jobs())

    def pid_of_runner(self, bucket: str) -> int:
        """Return the process of the runner that drives a job about this bucket, once it has recorded something."""
        deadline_s = time.monotonic() + WAIT_S
        while not self.is_under_way(bucket):
            assert time.monotonic() < deadline_s
            time.sleep(_POLL_S)
        store = open_ledger(Home(root=self.home).ledger)
        try:
            (job,) = (job for job in store.list_jobs() if job.status is JobStatus.ACTIVE and bucket in job.spec_json)
            runners = store.live_runners(now_ms=time.time_ns() // 10**6, within_ms=60_000)
            return next(runner.pid for runner in runners if runner.id == job.runner_id)
        finally:
            store.close()

    def _environment(self) -> dict[str, str]:
        return {**os.environ, **self.environment, "S3BATCH_HOME": str(self.home), "S3BATCH_WORKERS": "1"}


def interrupt_when(process: subprocess.Popen[str], is_time: Callable[[], bool]) -> Ended:
    """Press Ctrl-C once, as soon as it is time, and wait for the command's end."""
    deadline_s = time.monotonic() + WAIT_S
    while not is_time():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline_s
        time.sleep(_POLL_S)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=WAIT_S)
    return Ended(code=process.returncode, out=out, err=err)
