"""One worker process of the local engine: attempts come in by its pipe, run on one event loop, and are answered there.

The process dies with its runner: the end of the pipe is the end of the process, at once and without clean-up, because a
runner that takes over waits for exactly that (safety.md rules 21 and 22).
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import json
import os
import signal
import sys
from collections.abc import Mapping
from multiprocessing.connection import Connection
from traceback import format_exception
from typing import Any

from s3batch.engines.port import ChunkFunction, ChunkFunctionFactory
from s3batch.model.errors import S3BatchError
from s3batch.operations.stop import StopSignal

_PROGRESS_INTERVAL_S = 0.5
_GC_ALLOCATIONS = 500_000
"""Objects made between two looks for garbage in cycles. Chunks make long lists and hardly any cycle: at Python's own
700 the looks cost 1 to 2 us an object of a delete (measured 2026-11)."""

_PR_SET_PDEATHSIG = 1
"""prctl(2) option: the signal that this process gets when its parent dies (Linux)."""


def work(connection: Connection, factory: ChunkFunctionFactory) -> None:
    """Run attempts until the pipe ends. The entry point of a worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the runner's business; it ends attempts in order
    _die_with_parent()
    gc.freeze()
    gc.set_threshold(_GC_ALLOCATIONS)
    asyncio.run(_Worker(connection, factory).run())


def _die_with_parent() -> None:
    """Ask the kernel to kill this process when its parent dies; the pipe's end is the portable second way."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


_Name = tuple[str, int, int]
"""An attempt's job, chunk and epoch."""


class _Worker:
    def __init__(self, connection: Connection, factory: ChunkFunctionFactory) -> None:
        self._connection = connection
        self._factory = factory
        self._stops: dict[_Name, StopSignal] = {}
        self._tasks: dict[_Name, asyncio.Task[None]] = {}
        self._is_leaving = asyncio.Event()

    async def run(self) -> None:
        loop = asyncio.get_running_loop()
        function = await self._factory()
        loop.add_reader(self._connection.fileno(), self._read, function)
        progress = loop.create_task(self._tell_progress(function))
        await self._is_leaving.wait()
        loop.remove_reader(self._connection.fileno())
        progress.cancel()
        await function.close()

    def _read(self, function: ChunkFunction) -> None:
        try:
            message = json.loads(self._connection.recv_bytes())
        except (EOFError, OSError):
            os._exit(1)
        match message["do"]:
            case "run":
                name = _name_of(message["attempt"])
                task = asyncio.get_running_loop().create_task(self._run_attempt(function, message))
                self._tasks[name] = task
                task.add_done_callback(lambda _: self._tasks.pop(name, None))
            case "extend":
                for stop in self._stops.values():
                    stop.extend_until(message["until_s"])
            case "stop":
                self._stop(message["job_id"])
            case "abandon":
                self._abandon(_name_of(message["attempt"]))
            case "leave":
                self._is_leaving.set()

    def _stop(self, job_id: str) -> None:
        for (of_job, _, _), stop in self._stops.items():
            if of_job == job_id:
                stop.request()

    def _abandon(self, name: _Name) -> None:
        task = self._tasks.get(name)
        if task is not None:
            task.cancel()

    async def _run_attempt(self, function: ChunkFunction, message: Mapping[str, Any]) -> None:
        attempt = message["attempt"]
        name = _name_of(attempt)
        stop = self._stops[name] = StopSignal()
        stop.extend_until(message["until_s"])
        try:
            result = await function.run(message["payload"], stop)
        except asyncio.CancelledError:  # only on request: a process that leaves does not cancel
            text = "The attempt was ended by force."
            result = {"error": {"family": "unavailable", "code": "Abandoned", "message": text}}
        except S3BatchError as error:
            result = {"error": {"family": error.family, "code": error.code, "message": str(error)}}
        except Exception as error:  # noqa: BLE001 - a bug in one chunk must be told by name, not kill the others
            result = {
                "error": {
                    "family": "internal",
                    "code": type(error).__name__,
                    "message": "".join(format_exception(error)),
                }
            }
        finally:
            del self._stops[name]
        self._send({"event": "ended", "attempt": attempt, "result": result})

    async def _tell_progress(self, function: ChunkFunction) -> None:
        while True:
            await asyncio.sleep(_PROGRESS_INTERVAL_S)
            if self._tasks:
                self._send({"event": "progress", "figures": function.figures()})

    def _send(self, message: Mapping[str, Any]) -> None:
        try:
            self._connection.send_bytes(json.dumps(message).encode())
        except OSError:
            os._exit(1)


def _name_of(attempt: Mapping[str, Any]) -> _Name:
    return (attempt["job_id"], attempt["chunk_no"], attempt["epoch"])
