"""The local engine: worker processes on this machine, one event loop each, a few overlapping chunks in each.

A worker that dies is replaced; its attempts are reported as lost. What it is told goes through a thread of its own: one
that is stopped fills its pipe, and must not stop the runner's loop. The first workers are copies of the young process
(:meth:`LocalEngine.fork_workers`), where the system can do that; those that replace them are spawned
(docs/adr/0003-worker-processes.md).
"""

from __future__ import annotations

import asyncio
import json
import multiprocessing
import queue
import sys
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any

from s3batch.engines.port import AttemptId, ChunkFunctionFactory, Ended, EngineDiedError, Event, Lost, Progress
from s3batch.engines.worker import work
from s3batch.model.errors import UnavailableError
from s3batch.operations.stop import boot_time_s

ATTEMPTS_PER_WORKER = 2
"""Chunks that overlap in one process, so that the end of one does not leave the connections idle."""

MAX_RESTARTS = 20
"""Workers replaced within ``RESTART_WINDOW_S`` before the engine gives up: something kills them (memory, a limit)."""

RESTART_WINDOW_S = 600.0

_START_AGAIN_S = 1.0
"""When a worker could not be started (no process, no memory), it is tried again after so long."""

_MAX_UNREAD = 256
"""Messages that a worker may leave unread: minutes of permissions. One that reads none is as good as dead."""

_ABANDON_S = 5.0
"""How long an abandoned attempt may take to end before its worker is killed."""

_EXIT_WAIT_S = 5.0

_CAN_FORK = sys.platform == "linux"
"""Where a copied process works: macOS's own libraries forbid it, and only Linux kills a worker with its parent."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _StartedProcess:
    number: int
    process: BaseProcess
    connection: Connection


@dataclass(kw_only=True, slots=True)
class _WorkerProcess:
    number: int
    process: BaseProcess
    connection: Connection
    unsent: queue.Queue[bytes | None]
    """What the worker is to be told; ``None`` ends the sending thread."""
    sender: threading.Thread
    attempts: set[AttemptId] = field(default_factory=set)


class LocalEngine:
    """Worker processes on this machine. See :class:`s3batch.engines.port.Engine` for the contract."""

    def __init__(self, *, workers: int, factory: ChunkFunctionFactory) -> None:
        """``factory`` makes the chunk function inside each worker."""
        self._worker_count = workers
        self._factory = factory
        self._forked: list[_StartedProcess] = []
        self._workers: dict[int, _WorkerProcess] = {}
        self._events: deque[Event] = deque()
        self._has_events = asyncio.Event()
        self._until_s = 0.0
        self._restarts_s: deque[float] = deque()
        self._starting: deque[asyncio.TimerHandle] = deque()
        self._next_number = 0

    @property
    def capacity(self) -> int:
        """Return how many attempts may be under way at once."""
        return self._worker_count * ATTEMPTS_PER_WORKER

    def fork_workers(self) -> None:
        """Start the workers as copies of this process, where that is possible; they wait for :meth:`start`.

        To be called once, with all that a worker needs imported, before the process has a thread of Python's, an event
        loop, or anything open that a copy must not share. It saves each worker's imports: 0.5 s of CPU.
        """
        if not _CAN_FORK:
            return
        context = multiprocessing.get_context("fork")
        ends: list[Connection] = []
        for _ in range(self._worker_count):
            ours, theirs = context.Pipe()
            ends.append(ours)
            process = context.Process(
                target=_work_as_copy,
                args=(theirs, self._factory, tuple(ends)),
                name=f"s3batch-worker-{self._next_number}",
                daemon=True,
            )
            process.start()
            theirs.close()  # else the pipe would not end with the worker
            self._forked.append(_StartedProcess(number=self._next_number, process=process, connection=ours))
            self._next_number += 1

    async def start(self) -> None:
        """Begin to use the workers that were forked, or start them; each takes its first attempt when it is up."""
        for started in self._forked:
            self._attach(started)
        for _ in range(self._worker_count - len(self._forked)):
            self._start_worker_or_later()

    def submit(self, attempt: AttemptId, payload: Mapping[str, Any]) -> None:
        """Hand the attempt to the worker that has the fewest.

        Raises:
            EngineDiedError: workers keep dying.
            UnavailableError: none is up; one is going to be started.
        """
        if not self._workers and self._starting:
            raise UnavailableError("No worker process is up.", code="NoWorker")
        if not self._workers:
            raise EngineDiedError(
                f"Worker processes died {len(self._restarts_s)} times.",
                way_out="Look at the system's log for an out-of-memory kill, then resume with fewer --workers.",
            )
        worker = min(self._workers.values(), key=lambda each: len(each.attempts))
        worker.attempts.add(attempt)
        self._tell(worker, {"do": "run", "attempt": asdict(attempt), "payload": payload, "until_s": self._until_s})

    def extend(self, seconds: float) -> None:
        """Permit all attempts, present and to come, to write for so many seconds from now.

        The workers are told the moment, not the time: a worker that was stopped finds old permissions in its pipe.
        """
        self._until_s = boot_time_s() + seconds
        self._tell_all({"do": "extend", "until_s": self._until_s})

    def stop(self, job_id: str) -> None:
        """Ask the attempts of a job to end early."""
        self._tell_all({"do": "stop", "job_id": job_id})

    def abandon(self, attempt: AttemptId) -> None:
        """Cancel an attempt; kill its worker when that does not end it within a few seconds."""
        for worker in self._workers.values():
            if attempt in worker.attempts:
                self._tell(worker, {"do": "abandon", "attempt": asdict(attempt)})
                asyncio.get_running_loop().call_later(_ABANDON_S, _kill_if_at, worker, attempt)

    async def next_event(self) -> Event:
        """Wait for something to happen and return it."""
        while not self._events:
            self._has_events.clear()
            await self._has_events.wait()
        return self._events.popleft()

    async def close(self) -> None:
        """Let the workers leave; kill those that do not within a few seconds."""
        loop = asyncio.get_running_loop()
        for timer in self._starting:
            timer.cancel()
        workers = list(self._workers.values())
        self._workers.clear()
        for worker in workers:
            loop.remove_reader(worker.connection.fileno())
            self._tell(worker, {"do": "leave"})
        for worker in workers:
            await asyncio.to_thread(worker.process.join, _EXIT_WAIT_S)
            if worker.process.is_alive():
                worker.process.kill()
                await asyncio.to_thread(worker.process.join)
            _close(worker)

    def _start_worker(self) -> None:
        context = multiprocessing.get_context("spawn")
        ours, theirs = context.Pipe()
        number = self._next_number
        self._next_number += 1
        process = context.Process(
            target=work, args=(theirs, self._factory), name=f"s3batch-worker-{number}", daemon=True
        )
        try:
            process.start()
        except (OSError, EOFError):
            ours.close()
            raise
        finally:
            theirs.close()  # else the pipe would not end with the worker
        self._attach(_StartedProcess(number=number, process=process, connection=ours))

    def _attach(self, started: _StartedProcess) -> None:
        """Listen to a process, and have a thread that talks to it."""
        ours, number = started.connection, started.number
        unsent: queue.Queue[bytes | None] = queue.Queue(_MAX_UNREAD)
        sender = threading.Thread(target=_send_all, args=(ours, unsent), name=f"to-worker-{number}", daemon=True)
        sender.start()
        worker = _WorkerProcess(number=number, process=started.process, connection=ours, unsent=unsent, sender=sender)
        self._workers[number] = worker
        asyncio.get_running_loop().add_reader(ours.fileno(), self._read, worker)

    def _read(self, worker: _WorkerProcess) -> None:
        try:
            message = json.loads(worker.connection.recv_bytes())
        except (EOFError, OSError):
            self._replace(worker)
            return
        if message["event"] == "progress":
            self._put(Progress(process=worker.number, figures=message["figures"]))
            return
        attempt = AttemptId(**message["attempt"])
        worker.attempts.discard(attempt)
        self._put(Ended(attempt=attempt, result=message["result"]))

    def _replace(self, worker: _WorkerProcess) -> None:
        """Report the dead worker's attempts as lost and start another in its place."""
        asyncio.get_running_loop().remove_reader(worker.connection.fileno())
        if self._workers.pop(worker.number, None) is None:
            return
        worker.process.kill()
        worker.process.join()
        _close(worker)
        self._put(Progress(process=worker.number, figures={}))
        for attempt in worker.attempts:
            self._put(Lost(attempt=attempt, reason=f"worker ended with {worker.process.exitcode}"))
        self._start_worker_or_later()

    def _start_worker_or_later(self) -> None:
        """Start a worker, or try again soon; none any more when there have been too many lately."""
        loop = asyncio.get_running_loop()
        if self._next_number >= self._worker_count:  # a replacement
            while self._restarts_s and self._restarts_s[0] <= loop.time() - RESTART_WINDOW_S:
                self._restarts_s.popleft()
            if len(self._restarts_s) >= MAX_RESTARTS:
                return
            self._restarts_s.append(loop.time())
        try:
            self._start_worker()
        except (OSError, EOFError):  # the server that forks the workers may be dying too; the next start makes another
            self._starting.append(loop.call_later(_START_AGAIN_S, self._start_again))

    def _start_again(self) -> None:
        self._starting.popleft()  # all wait for the same time, so this is the first
        self._start_worker_or_later()

    def _tell(self, worker: _WorkerProcess, message: Mapping[str, Any]) -> None:
        try:
            worker.unsent.put_nowait(json.dumps(message).encode())
        except queue.Full:
            worker.process.kill()  # the pipe's end is seen by _read, which reports the attempts as lost

    def _tell_all(self, message: Mapping[str, Any]) -> None:
        for worker in self._workers.values():
            self._tell(worker, message)

    def _put(self, event: Event) -> None:
        self._events.append(event)
        self._has_events.set()


def _work_as_copy(connection: Connection, factory: ChunkFunctionFactory, inherited: Sequence[Connection]) -> None:
    """Run a forked worker. The runner's ends of the pipes came along: held open here, no pipe would end with it."""
    for each in inherited:
        each.close()
    work(connection, factory)


def _send_all(connection: Connection, unsent: queue.Queue[bytes | None]) -> None:
    """Send what a worker is told, in order, until told to end or the pipe is broken; runs on a thread."""
    while (message := unsent.get()) is not None:
        try:
            connection.send_bytes(message)
        except OSError:
            return  # the pipe's end is seen by _read, which reports the attempts as lost


def _close(worker: _WorkerProcess) -> None:
    """Free what belongs to a worker that is dead; its sender cannot wait for it any more."""
    with suppress(queue.Full):  # then it is at a broken pipe
        worker.unsent.put_nowait(None)
    worker.sender.join()
    worker.connection.close()


def _kill_if_at(worker: _WorkerProcess, attempt: AttemptId) -> None:
    if attempt in worker.attempts and worker.process.is_alive():
        worker.process.kill()
