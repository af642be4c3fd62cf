"""A hold ends when two clocks say so, whatever happens to one of them or to the runner."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from s3batch.execute import driver, hold
from s3batch.model.job import Connection
from s3batch.model.status import JobStatus
from tests.echo_engine import until
from tests.unit.execute.driven import Bench, done, open_bench

HOLD_S = 100
BEGAN_MS = 1_000_000_000_000
EMPTY_LISTING = b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"


class Clocks:
    """This machine's time and the store's, both set by the test."""

    def __init__(self) -> None:
        self.here_ms = BEGAN_MS
        self.store_ms = BEGAN_MS
        self.asked = 0

    @contextmanager
    def store(self) -> Iterator[Connection]:
        """Serve the store's time."""
        clocks = self

        class Store(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                clocks.asked += 1
                self.send_response_only(200)
                self.send_header("Date", formatdate(clocks.store_ms / 1000, usegmt=True))
                self.send_header("Content-Length", str(len(EMPTY_LISTING)))
                self.end_headers()
                self.wfile.write(EMPTY_LISTING)

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        with HTTPServer(("127.0.0.1", 0), Store) as server:
            thread = threading.Thread(target=server.serve_forever)
            thread.start()
            try:
                yield Connection(endpoint_url=f"http://127.0.0.1:{server.server_port}", region="us-east-1")
            finally:
                server.shutdown()
                thread.join()


@pytest.fixture
def clocks(monkeypatch: pytest.MonkeyPatch) -> Clocks:
    """Clocks, credentials for their store, and a runner that looks often."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLEEXAMPLE00")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setattr(driver, "LOOK_AGAIN_S", 0.02)
    monkeypatch.setattr(hold, "_ASK_STORE_S", 0.02)
    return Clocks()


@pytest.fixture
def bench(tmp_path: Path, clocks: Clocks) -> Iterator[Bench]:
    """A ledger whose runner goes by the test's clock."""
    bench = open_bench(tmp_path).with_clock(lambda: clocks.here_ms)
    yield bench
    bench.store.close()


async def _stays_on_hold(bench: Bench) -> None:
    await asyncio.sleep(0.3)
    job = bench.store.get_job("job-1")
    assert (job.status, job.is_on_hold, job.held_until_ms) == (JobStatus.READY, True, BEGAN_MS + HOLD_S * 1000)


def test_no_clock_alone_ends_a_hold(bench: Bench, clocks: Clocks) -> None:
    """Set back or forward here, or at the store, or a runner that begins anew: the hold has its full length by both."""

    async def scenario() -> None:
        async with bench.running(done) as engine:
            await until(lambda: bench.store.get_job("job-1").held_until_ms is not None)
            asked = clocks.asked
            clocks.here_ms -= 3_600_000
            await _stays_on_hold(bench)
            assert clocks.asked == asked  # no request is made while this machine's clock says that it is too early
            clocks.store_ms += 10 * HOLD_S * 1000
            await _stays_on_hold(bench)
            clocks.here_ms, clocks.store_ms = BEGAN_MS + 10 * HOLD_S * 1000, BEGAN_MS + HOLD_S * 1000
            await _stays_on_hold(bench)  # the store tells whole seconds, rounded down: not quite over by its clock
            assert engine.orders == []
        clocks.store_ms += 1_000
        async with bench.running(done):
            job = await bench.until(JobStatus.COMPLETE)
        assert (job.counts.succeeded, job.is_on_hold) == (9, False)
        assert [event.kind for event in bench.store.events("job-1")].count("held") == 1

    with clocks.store() as connection:
        bench.plan(hold_s=HOLD_S, connection=connection)
        asyncio.run(scenario())


def test_a_job_that_has_begun_is_not_held_again(bench: Bench, clocks: Clocks) -> None:
    """After its hold a job may be paused, resumed and taken over like any other."""

    async def scenario() -> None:
        async with bench.running(lambda _: None):
            await until(lambda: bench.store.get_job("job-1").held_until_ms is not None)
            clocks.here_ms += HOLD_S * 1000
            clocks.store_ms += HOLD_S * 1000 + 1_000
            await bench.until(JobStatus.ACTIVE)
        assert bench.store.get_job("job-1").status is JobStatus.READY
        clocks.here_ms = clocks.store_ms = BEGAN_MS
        async with bench.running(done):
            await bench.until(JobStatus.COMPLETE)

    with clocks.store() as connection:
        bench.plan(hold_s=HOLD_S, connection=connection)
        bench = bench.with_times(drain_s=0.2)
        asyncio.run(scenario())
