"""The writing thread: batches, order, refusals, and what a killed process leaves behind."""

import asyncio
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from sqlalchemy import event

from s3batch.ledger.records import ChunkState
from s3batch.ledger.store import LedgerStore, open_ledger
from s3batch.ledger.writer import LedgerWriter
from s3batch.model.errors import RefusedError, UnavailableError
from s3batch.model.status import JobStatus
from tests.unit.ledger.ledgers import LEASE_MS, PlannedChunk, active_job, counters, new_job


@contextmanager
def _counted_commits(ledger: LedgerStore) -> Iterator[list[int]]:
    commits: list[int] = []

    def count(_connection: object) -> None:
        commits.append(threading.get_ident())

    event.listen(ledger._writing_engine, "commit", count)
    yield commits
    event.remove(ledger._writing_engine, "commit", count)


@contextmanager
def _blocked(ledger: LedgerStore) -> Iterator[None]:
    """Keep everybody else from writing, as another process's transaction does."""
    with closing(sqlite3.connect(ledger._engine.url.database or "", isolation_level=None)) as blocker:
        blocker.execute("BEGIN IMMEDIATE")
        yield
        blocker.execute("ROLLBACK")


def _wait_until(is_so: Callable[[], bool]) -> None:
    for _ in range(1_000):
        if is_so():
            return
        time.sleep(0.005)
    raise AssertionError("waited too long")


def test_writes_that_wait_share_a_commit_on_another_thread(ledger: LedgerStore) -> None:
    """The loop goes on while the disk flushes, and a hundred writes cost few flushes."""

    async def write_all() -> list[int]:
        writer = LedgerWriter(ledger, asyncio.get_running_loop())
        first = writer.write(LedgerStore.create_jobs, [new_job()], now_ms=0)
        notes = [
            writer.write(
                LedgerStore.append_event, "job-1", kind="note", actor="me", detail={"n": number}, now_ms=number
            )
            for number in range(100)
        ]
        await asyncio.gather(first, *notes)
        await writer.close()
        return [number for noted in ledger.events("job-1")[1:] for number in [noted.at_ms]]

    with _counted_commits(ledger) as commits:
        assert asyncio.run(write_all()) == list(range(100)), "in the order of the calls"
    assert len(commits) <= 3
    assert threading.get_ident() not in commits


def test_a_refused_write_does_not_harm_those_beside_it(ledger: LedgerStore) -> None:
    """Each write is a savepoint: its own error comes back to its own caller, half of it is never kept."""

    async def write_all() -> list[object]:
        writer = LedgerWriter(ledger, asyncio.get_running_loop())
        bad = [new_job("c"), new_job("d", priority=-1)]
        answers = await asyncio.gather(
            writer.write(LedgerStore.create_jobs, [new_job("a")], now_ms=1),
            writer.write(LedgerStore.create_jobs, bad, now_ms=1),
            writer.write(LedgerStore.create_jobs, [new_job("b")], now_ms=1),
            writer.write(LedgerStore.get_job, "nobody"),
            return_exceptions=True,
        )
        await writer.close()
        return list(answers)

    first, refused, third, missing = asyncio.run(write_all())
    assert isinstance(first, list)
    assert isinstance(third, list)
    assert isinstance(refused, RefusedError)
    assert isinstance(missing, RefusedError)
    assert sorted(job.id for job in ledger.list_jobs()) == ["a", "b"]


def test_a_failed_commit_fails_every_write_of_its_batch(ledger: LedgerStore) -> None:
    """Nobody is told of a durable write that is not there; afterwards the writer goes on."""

    async def write_all() -> list[object]:
        writer = LedgerWriter(ledger, asyncio.get_running_loop())
        await writer.write(LedgerStore.create_jobs, [new_job("small")], now_ms=0)
        with ledger._read() as connection:
            pages = connection.exec_driver_sql("PRAGMA page_count").scalar_one()
            connection.exec_driver_sql(f"PRAGMA max_page_count = {pages + 1}")
        with _blocked(ledger):  # so that both wait for the same batch
            ahead = writer.write(LedgerStore.heartbeat, "nobody", now_ms=1)
            await asyncio.to_thread(_wait_until, lambda: not writer._waiting)
            fits = writer.write(LedgerStore.create_jobs, [new_job("fits")], now_ms=1)
            large = writer.write(LedgerStore.create_jobs, [new_job("large", description="x" * 100_000)], now_ms=1)
        assert await ahead is False
        answers = await asyncio.gather(fits, large, return_exceptions=True)
        with ledger._read() as connection:
            connection.exec_driver_sql("PRAGMA max_page_count = 1000000")
        await writer.write(LedgerStore.create_jobs, [new_job("later")], now_ms=2)
        await writer.close()
        return list(answers)

    answers = asyncio.run(write_all())
    assert [getattr(answer, "code", None) for answer in answers] == ["DiskFull", "DiskFull"]
    assert sorted(job.id for job in ledger.list_jobs()) == ["later", "small"]


def test_a_write_whose_caller_gave_up_is_written_all_the_same(ledger: LedgerStore) -> None:
    """Cancelling the wait does not undo what was asked, and close waits for all of it."""

    async def write_and_leave() -> None:
        writer = LedgerWriter(ledger, asyncio.get_running_loop())
        writer.write(LedgerStore.create_jobs, [new_job()], now_ms=1).cancel()
        await writer.close()
        with pytest.raises(UnavailableError, match="writer is closed"):
            writer.write(LedgerStore.get_job, "job-1")

    asyncio.run(write_and_leave())
    assert ledger.get_job("job-1").id == "job-1"


def test_a_writer_that_is_too_far_behind_says_so(ledger: LedgerStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """The queue has a bound, so a dead disk does not fill the memory."""
    monkeypatch.setattr("s3batch.ledger.writer.MAX_WAITING", 5)

    async def flood() -> None:
        loop = asyncio.get_running_loop()
        writer = LedgerWriter(ledger, loop)
        with _blocked(ledger):
            ahead = writer.write(LedgerStore.heartbeat, "r", now_ms=1)
            await asyncio.to_thread(_wait_until, lambda: not writer._waiting)
            waiting = [writer.write(LedgerStore.heartbeat, "r", now_ms=1) for _ in range(5)]
            with pytest.raises(UnavailableError, match="5 writes behind"):
                writer.write(LedgerStore.heartbeat, "r", now_ms=1)
        assert await asyncio.gather(ahead, *waiting) == [False] * 6
        await writer.close()

    asyncio.run(flood())


_WRITING_PROCESS = """
import asyncio, sys
from pathlib import Path
from s3batch.ledger.store import LedgerStore, open_ledger
from s3batch.ledger.writer import LedgerWriter
from tests.unit.ledger.ledgers import WrittenSegment

async def main(path, epoch):
    writer = LedgerWriter(open_ledger(path), asyncio.get_running_loop())
    while claimed := await writer.write(LedgerStore.claim_chunks, "job-1", epoch, count=16, now_ms=1):
        async def finish(each):
            segment = WrittenSegment(rows=1, succeeded=1, bytes_done=1, path=f"segment-{each.chunk_no}")
            if await writer.write(LedgerStore.finish_chunk, "job-1", epoch, each.chunk_no, each.epoch,
                                  segment=segment, complete=True, now_ms=2):
                print(each.chunk_no, flush=True)
        await asyncio.gather(*(finish(each) for each in claimed))

asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
"""


def _write_until_killed(path: Path, epoch: int, acknowledgements: int) -> set[int]:
    """Run a process that finishes chunks, kill it after so many acknowledgements, and return what it acknowledged."""
    root = Path(__file__).parents[3]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root / "src"), str(root)])}
    command = [sys.executable, "-c", _WRITING_PROCESS, str(path), str(epoch)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        seen = {int(process.stdout.readline()) for _ in range(acknowledgements)}
        process.send_signal(signal.SIGKILL)
        return seen | {int(line) for line in process.stdout.read().splitlines(keepends=True) if line.endswith("\n")}


def test_no_acknowledged_write_is_lost_when_the_process_is_killed(tmp_path: Path) -> None:
    """After kill -9, again and again: the file is sound, what was acknowledged is there, the rest is run again."""
    path = tmp_path / "ledger.sqlite"
    total = 3_000
    with closing(open_ledger(path)) as ledger:
        epoch = active_job(ledger, chunks=[PlannedChunk(entries=1, bytes=1)] * total)
    acknowledged: set[int] = set()
    for acknowledgements in (3, 90, 41):
        acknowledged |= _write_until_killed(path, epoch, acknowledgements)
        with closing(sqlite3.connect(path)) as connection:
            assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
            assert connection.execute("PRAGMA foreign_key_check").fetchall() == []
        with closing(open_ledger(path)) as ledger:
            taken = ledger.acquire_job("job-1", runner_id="next", host="h", now_ms=9, lease_ms=LEASE_MS, force=True)
            assert taken == epoch + 1
            epoch = taken
            ledger.reclaim_running("job-1", epoch)
            done = {chunk.chunk_no for chunk in ledger.chunks("job-1") if chunk.state is ChunkState.DONE}
            assert acknowledged <= done
            assert len(done) - len(acknowledged) <= 3 * 16, "at most one window more, whose answers were not read"
            assert {segment.chunk_no for segment in ledger.segments("job-1")} == done
            assert counters(ledger.get_job("job-1")) == (len(done), 0, 0)
            assert ledger.chunk_counts("job-1").running == 0
            assert ledger.get_job("job-1").status is JobStatus.ACTIVE
