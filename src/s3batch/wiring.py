"""The only place that picks concrete parts: a runner with its ledger, its engine and its log."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import uuid

import structlog
from structlog.typing import FilteringBoundLogger

from s3batch.config import Home
from s3batch.engines.local import LocalEngine
from s3batch.execute.chunk import make_chunk_runner
from s3batch.execute.runner import Runner, only_runner
from s3batch.execute.services import RunnerServices
from s3batch.ledger.store import Upgrade, open_ledger
from s3batch.ledger.writer import LedgerWriter

_PRELOAD = ("s3batch.execute.chunk",)


async def serve(home: Home, *, workers: int, idle_exit_s: float | None, upgrade: Upgrade) -> None:
    """Drive the jobs of the ledger in ``home`` until SIGTERM or SIGINT, or until idle for ``idle_exit_s``.

    Raises:
        AnotherRunnerError: a runner on this host serves it already.
    """
    with only_runner(home.runner_lock):
        loop = asyncio.get_running_loop()
        store = open_ledger(home.ledger, upgrade=upgrade)
        writer = LedgerWriter(store, loop)
        services = RunnerServices(
            home=home,
            store=store,
            writer=writer,
            engine=LocalEngine(workers=workers, factory=make_chunk_runner, preload=_PRELOAD),
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


def make_log() -> FilteringBoundLogger:
    """Return a logger that writes lines of JSON to standard error."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso"),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=True,
    )
    logger: FilteringBoundLogger = structlog.get_logger(pid=os.getpid())
    return logger
