"""The only place that picks concrete parts: a runner with its ledger, its engine and its log.

``python -m s3batch.wiring`` is the runner that commands start in the background: what ``s3batch runner`` does, without
the command line's own libraries, which cost 0.25 s of CPU to load (measured 2026-11).
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import os
import signal
import socket
import sys
import uuid

from s3batch.config import Home
from s3batch.engines.local import LocalEngine
from s3batch.execute.chunk import make_chunk_runner
from s3batch.execute.runner import Runner, only_runner
from s3batch.execute.services import RunnerServices
from s3batch.ledger.store import Upgrade, open_ledger
from s3batch.ledger.writer import LedgerWriter
from s3batch.model.errors import S3BatchError
from s3batch.telemetry import make_log

_GC_ALLOCATIONS = 50_000
"""Objects made between two looks for garbage in cycles; the tables of a manifest are long lists without any."""


def serve(home: Home, *, workers: int, idle_exit_s: float | None, upgrade: Upgrade | None) -> None:
    """Drive the jobs of the ledger in ``home`` until SIGTERM or SIGINT, or until idle for ``idle_exit_s``.

    The workers are copies of this process and are made first, while nothing else is open but the runner's lock: they
    hold it too, so that no other runner begins while one of them lives (safety.md rule 22).

    Raises:
        AnotherRunnerError: a runner on this host serves it already.
        RefusedError, UnavailableError, InconsistentError: the ledger cannot be used; see ``open_ledger``.
    """
    with only_runner(home.runner_lock):
        engine = LocalEngine(workers=workers, factory=make_chunk_runner)
        engine.fork_workers()
        asyncio.run(_serve(home, engine, workers=workers, idle_exit_s=idle_exit_s, upgrade=upgrade))


async def _serve(
    home: Home, engine: LocalEngine, *, workers: int, idle_exit_s: float | None, upgrade: Upgrade | None
) -> None:
    loop = asyncio.get_running_loop()
    store = open_ledger(home.ledger, upgrade=upgrade)
    writer = LedgerWriter(store, loop)
    services = RunnerServices(
        home=home,
        store=store,
        writer=writer,
        engine=engine,
        runner_id=str(uuid.uuid4()),
        host=socket.gethostname(),
        workers=workers,
        log=make_log(),
    )
    runner = Runner(services, idle_exit_s=idle_exit_s)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, runner.leave)
    try:
        await runner.run()
    finally:
        await writer.close()
        store.close()


def main() -> None:
    """Serve the ledger of ``S3BATCH_HOME`` in the background of a command, which has opened it, and so upgraded it."""
    parser = argparse.ArgumentParser(prog="python -m s3batch.wiring", description=serve.__doc__)
    parser.add_argument("--workers", type=int, required=True)
    parser.add_argument("--idle-exit", type=float, required=True, metavar="SECONDS")
    arguments = parser.parse_args()
    gc.set_threshold(_GC_ALLOCATIONS)
    home = Home.from_environment(os.environ)
    try:
        serve(home, workers=arguments.workers, idle_exit_s=arguments.idle_exit, upgrade=None)
    except S3BatchError as error:
        sys.stderr.write(f"s3batch: {error}\n")
        sys.exit(error.exit_code)


if __name__ == "__main__":
    main()
