"""The local engine places attempts in real processes and tells how each one ended."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from s3batch.engines import local
from s3batch.engines.local import ATTEMPTS_PER_WORKER
from s3batch.engines.port import Ended, Lost
from s3batch.model.errors import UnavailableError
from tests.echo_engine import WAIT_S, attempt, ends, running, until


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


def test_a_stopped_worker_does_not_stop_the_runner() -> None:
    """It reads nothing; the runner's loop goes on, and in the end the worker is replaced."""

    async def scenario() -> None:
        async with running(1) as engine:
            engine.submit(attempt(0), {"do": "answer"})
            (first,) = await ends(engine, 1)
            assert isinstance(first, Ended)
            os.kill(first.result["pid"], signal.SIGSTOP)
            engine.submit(attempt(1), {"do": "answer", "ballast": "x" * 10_000_000})  # more than any pipe holds
            for _ in range(500):  # what a runner sends in a quarter of an hour
                engine.extend(60)
            (lost,) = await ends(engine, 1)
            assert isinstance(lost, Lost)
            engine.submit(attempt(2), {"do": "answer"})
            assert isinstance((await ends(engine, 1))[0], Ended)

    asyncio.run(scenario())


def test_an_abandoned_attempt_ends_and_its_worker_lives() -> None:
    """Whatever it waits for; the attempt beside it is not touched."""

    async def scenario() -> None:
        async with running(1) as engine:
            engine.submit(attempt(0), {"do": "answer"})
            (first,) = await ends(engine, 1)
            engine.submit(attempt(1), {"do": "ignore"})
            engine.submit(attempt(2), {"do": "wait"})
            await asyncio.sleep(0.1)
            engine.abandon(attempt(1))
            (abandoned,) = await ends(engine, 1)
            assert isinstance(abandoned, Ended)
            assert abandoned.attempt == attempt(1)
            assert abandoned.result["error"]["family"] == "unavailable"
            engine.stop("job")
            await ends(engine, 1)
            engine.submit(attempt(3), {"do": "answer"})
            (last,) = await ends(engine, 1)
            assert isinstance(first, Ended)
            assert isinstance(last, Ended)
            assert last.result["pid"] == first.result["pid"]

    asyncio.run(scenario())


def test_an_abandoned_attempt_that_cannot_be_reached_ends_with_its_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that does not come back to its loop is killed: what holds the job's lock must be gone."""
    monkeypatch.setattr(local, "_ABANDON_S", 0.2)

    async def scenario() -> None:
        async with running(1) as engine:
            engine.submit(attempt(0), {"do": "block"})
            await asyncio.sleep(0.5)
            engine.abandon(attempt(0))
            (lost,) = await ends(engine, 1)
            assert isinstance(lost, Lost)

    asyncio.run(scenario())


def test_a_loss_is_told_even_where_no_worker_can_be_started_and_one_is_started_later(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """No process is to be had for a moment (EAGAIN): the attempt is lost, not forgotten, and the engine comes back."""
    monkeypatch.setattr(local, "_START_AGAIN_S", 0.1)
    failures = 2

    async def scenario() -> None:
        async with running(1) as engine:
            start = engine._start_worker

            def fail_at_first() -> None:
                nonlocal failures
                failures -= 1
                if failures >= 0:
                    raise BlockingIOError
                start()

            monkeypatch.setattr(engine, "_start_worker", fail_at_first)
            engine.submit(attempt(0), {"do": "die"})
            (lost,) = await ends(engine, 1)
            assert isinstance(lost, Lost)
            with pytest.raises(UnavailableError) as caught:
                engine.submit(attempt(1), {"do": "answer"})
            assert caught.value.code == "NoWorker"
            await until(lambda: failures < 0)
            engine.submit(attempt(1), {"do": "answer"})
            assert isinstance((await ends(engine, 1))[0], Ended)

    asyncio.run(scenario())


def test_only_deaths_of_late_count_against_an_engine(monkeypatch: pytest.MonkeyPatch) -> None:
    """An engine that lives for weeks may lose a worker now and then."""
    monkeypatch.setattr(local, "MAX_RESTARTS", 1)
    monkeypatch.setattr(local, "RESTART_WINDOW_S", 0.0)

    async def scenario() -> None:
        async with running(1) as engine:
            for number in range(3):
                engine.submit(attempt(number), {"do": "die"})
                (lost,) = await ends(engine, 1)
                assert isinstance(lost, Lost)

    asyncio.run(scenario())


HOLD = """
import asyncio, sys
from s3batch.engines import worker
from s3batch.engines.local import LocalEngine
from tests.echo_engine import attempt, ends, make_echo

how, workers, by_pipe = sys.argv[1], int(sys.argv[2]), len(sys.argv) > 3

async def hold(engine):
    engine.extend(60)
    await engine.start()
    for number in range(2 * workers):
        engine.submit(attempt(number), {"do": "answer"})
    print(*{ended.result["pid"] for ended in await ends(engine, 2 * workers)}, flush=True)
    engine.submit(attempt(10), {"do": "die"})
    await ends(engine, 1)
    for number in range(11, 11 + 2 * workers):
        engine.submit(attempt(number), {"do": "answer"})
    print(*{ended.result["pid"] for ended in await ends(engine, 2 * workers)}, flush=True)
    await asyncio.sleep(60)

if __name__ == "__main__":
    if by_pipe:
        worker._die_with_parent = lambda: None
    engine = LocalEngine(workers=workers, factory=make_echo)
    if how == "fork":
        engine.fork_workers()
    asyncio.run(hold(engine))
"""


@pytest.mark.parametrize(("how", "workers"), [("spawn", 1), ("fork", 1), ("fork", 3)])
def test_workers_die_with_their_runner(tmp_path: Path, how: str, workers: int) -> None:
    """Kill -9 of the runner leaves no worker behind that could still write, nor one that replaced another."""
    with _holding(tmp_path, how, str(workers)) as (runner, first, replaced):
        assert len(first) == len(replaced) == workers
        assert len(first & replaced) == workers - 1
        runner.kill()
    for pid in first | replaced:
        _wait_until_gone(pid)


def test_the_end_of_its_pipe_alone_ends_a_forked_worker(tmp_path: Path) -> None:
    """Its siblings hold no copy of the runner's end; where the kernel did not kill it, it would write on."""
    with _holding(tmp_path, "fork", "3", "by-pipe") as (runner, first, replaced):
        runner.kill()
    for pid in first | replaced:
        _wait_until_gone(pid)


@contextmanager
def _holding(folder: Path, *words: str) -> Iterator[tuple[subprocess.Popen[bytes], set[int], set[int]]]:
    """Give a runner of sorts, its first workers, and its workers after one had died."""
    script = folder / "hold.py"
    script.write_text(HOLD)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    runner = subprocess.Popen([sys.executable, str(script), *words], stdout=subprocess.PIPE, env=environment)
    with runner:
        assert runner.stdout is not None
        first, replaced = (set(map(int, runner.stdout.readline().split())) for _ in range(2))
        yield runner, first, replaced


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
