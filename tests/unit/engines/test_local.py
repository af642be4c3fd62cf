"""The local engine places attempts in real processes and tells how each one ended."""

import asyncio
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from s3batch.engines.local import ATTEMPTS_PER_WORKER
from s3batch.engines.port import Ended, Lost
from tests.echo_engine import WAIT_S, attempt, ends, running


@pytest.mark.parametrize("workers", [1, 2])
def test_every_attempt_ends_in_some_worker_with_its_result(workers: int) -> None:
    """Attempts are spread over the workers, and each end names its attempt."""

    async def scenario() -> None:
        async with running(workers) as engine:
            assert engine.capacity == workers * ATTEMPTS_PER_WORKER
            for number in range(workers * ATTEMPTS_PER_WORKER):
                engine.submit(attempt(number), {"do": "answer"})
            found = await ends(engine, workers * ATTEMPTS_PER_WORKER)
            results = [each.result for each in found if isinstance(each, Ended)]
            assert {each.attempt.chunk_no for each in found} == set(range(workers * ATTEMPTS_PER_WORKER))
            assert len({result["pid"] for result in results}) == workers
            assert all(result["may_write"] for result in results)

    asyncio.run(scenario())


@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_worker_s_attempts_are_lost_and_another_takes_its_place(workers: int) -> None:
    """Kill -9 of a worker is told as lost attempts, never as silence, and the engine goes on."""

    async def scenario() -> None:
        async with running(workers) as engine:
            engine.submit(attempt(0), {"do": "die"})
            (lost,) = await ends(engine, 1)
            assert isinstance(lost, Lost)
            assert lost.attempt == attempt(0)
            engine.submit(attempt(1), {"do": "answer"})
            (ended,) = await ends(engine, 1)
            assert isinstance(ended, Ended)

    asyncio.run(scenario())


def test_stop_ends_the_attempts_of_one_job_and_not_of_another() -> None:
    """Pausing one job leaves the others at work."""

    async def scenario() -> None:
        async with running(1) as engine:
            engine.submit(attempt(0, "paused"), {"do": "wait"})
            engine.submit(attempt(0, "other"), {"do": "wait"})
            await asyncio.sleep(0.1)
            engine.stop("paused")
            (ended,) = await ends(engine, 1)
            assert ended.attempt.job_id == "paused"
            engine.stop("other")
            (ended,) = await ends(engine, 1)
            assert ended.attempt.job_id == "other"

    asyncio.run(scenario())


def test_without_a_renewed_permission_attempts_end_by_themselves() -> None:
    """A worker that hears nothing from its runner stops writing (safety.md rule 21)."""

    async def scenario() -> None:
        async with running(1, lease_s=0.5) as engine:
            engine.submit(attempt(0), {"do": "wait"})
            (ended,) = await ends(engine, 1)
            assert isinstance(ended, Ended)
            assert ended.result == {"stopped": True}

    asyncio.run(scenario())


def test_an_attempt_without_permission_may_not_write() -> None:
    """The permission has to come first."""

    async def scenario() -> None:
        async with running(1, lease_s=0.0) as engine:
            engine.submit(attempt(0), {"do": "answer"})
            (ended,) = await ends(engine, 1)
            assert isinstance(ended, Ended)
            assert ended.result["may_write"] is False

    asyncio.run(scenario())


@pytest.mark.parametrize(
    ("do", "family", "code"), [("refuse", "refused", "No"), ("fail", "internal", "ZeroDivisionError")]
)
def test_an_error_travels_as_family_and_code(do: str, family: str, code: str) -> None:
    """Not as a pickle; a bug in one attempt does not end the worker."""

    async def scenario() -> None:
        async with running(1) as engine:
            engine.submit(attempt(0), {"do": do})
            (ended,) = await ends(engine, 1)
            assert isinstance(ended, Ended)
            assert (ended.result["error"]["family"], ended.result["error"]["code"]) == (family, code)
            engine.submit(attempt(1), {"do": "answer"})
            assert isinstance((await ends(engine, 1))[0], Ended)

    asyncio.run(scenario())


HOLD = """
import asyncio, sys
from tests.echo_engine import attempt, ends, running

async def hold():
    async with running(1) as engine:
        engine.submit(attempt(0), {"do": "answer"})
        (ended,) = await ends(engine, 1)
        print(ended.result["pid"], flush=True)
        await asyncio.sleep(60)

if __name__ == "__main__":
    asyncio.run(hold())
"""


def test_workers_die_with_their_runner(tmp_path: Path) -> None:
    """Kill -9 of the runner leaves no worker behind that could still write."""
    script = tmp_path / "hold.py"
    script.write_text(HOLD)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    runner = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, env=environment)
    with runner:
        assert runner.stdout is not None
        worker = int(runner.stdout.readline())
        runner.kill()
    _wait_until_gone(worker)


def _wait_until_gone(pid: int) -> None:
    deadline_s = time.monotonic() + WAIT_S
    while time.monotonic() < deadline_s:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
        except OSError:
            return
        if state == "Z":
            return
        time.sleep(0.01)
    msg = f"worker {pid} outlived its runner"
    raise AssertionError(msg)
