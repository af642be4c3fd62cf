"""What one signed CopyObject costs the client's CPU, by HTTP engine: the measurement behind docs/adr/0001.

Run it: ``python -m tests.bench.http_engines [--rounds 3]``; it takes about a minute and needs nginx.
Each engine runs in a process of its own against an nginx on loopback that answers every request alike; counted is
user + system CPU of that process, all threads, over the measured requests only, after a warm-up that opens all
connections. Rounds are interleaved; the table has the median and the range. Requests per second are shown because a
rate that collapses (another job on the machine) raises the CPU per request.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import boto3
import botocore.config
import pycurl
import urllib3

from s3batch.s3 import transport as transport_module
from s3batch.s3.polling import LoopPoller
from s3batch.s3.signing import CopySigner, Credentials
from s3batch.s3.transport import Transport

ETAG = "d41d8cd98f00b204e9800998ecf8427e"
ANSWER = (
    '<?xml version="1.0" encoding="UTF-8"?><CopyObjectResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
    f"<LastModified>2026-11-01T00:00:00.000Z</LastModified><ETag>&quot;{ETAG}&quot;</ETag></CopyObjectResult>"
)
CREDENTIALS = Credentials(access_key="AKIDEXAMPLE", secret_key="wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
TIMEOUT_MS = 60_000
NGINX = """
worker_processes 1; daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log warn;
events {{ worker_connections 8192; }}
http {{
  access_log off; keepalive_requests 100000000; keepalive_timeout 300s;
  client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{
    listen 127.0.0.1:{port} backlog=4096; listen 127.0.0.1:{tls_port} ssl backlog=4096;
    ssl_certificate {folder}/c.pem; ssl_certificate_key {folder}/k.pem;
    location / {{ default_type application/xml; return 200 '{answer}'; }}
  }}
}}
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One row of the table."""

    engine: str
    in_flight: int
    requests: int
    is_tls: bool = False

    @property
    def name(self) -> str:
        """Return the row's name."""
        return f"{self.engine}{' TLS' if self.is_tls else ''}, {self.in_flight}"


YARDSTICK = Case(engine="transport", in_flight=256, requests=30_000)
"""The product's own transport and signer and nothing else: what ``tests.bench`` compares whole copies with."""

CASES = (
    Case(engine="transport", in_flight=64, requests=30_000),
    YARDSTICK,
    Case(engine="transport", in_flight=1024, requests=30_000),
    Case(engine="transport", in_flight=256, requests=30_000, is_tls=True),
    Case(engine="one multi", in_flight=256, requests=30_000),
    Case(engine="one multi", in_flight=1024, requests=30_000),
    Case(engine="add_reader", in_flight=256, requests=30_000),
    Case(engine="futures", in_flight=256, requests=30_000),
    Case(engine="urllib3", in_flight=16, requests=4_000),
    Case(engine="boto3", in_flight=16, requests=1_500),
)


class Tally:
    """Counts requests to start and answers to come; knows when all have come."""

    def __init__(self, loop: asyncio.AbstractEventLoop, requests: int) -> None:
        """Begin with nothing started."""
        self.left_to_start = self.left_to_end = requests
        self.finished: asyncio.Future[None] = loop.create_future()


async def by_transport(url: str, in_flight: int, requests: int, measured: Callable[[], None]) -> None:
    """Run the product's own hot path: plan, callbacks, no coroutine per request."""
    loop = asyncio.get_running_loop()
    transport = Transport(loop, max_in_flight=in_flight, verify_tls=False)
    signer = CopySigner(CREDENTIALS, "us-east-1", url.partition("://")[2], {"x-amz-metadata-directive": "COPY"})

    def start(tally: Tally) -> None:
        tally.left_to_start -= 1
        path = f"/target/sdo/aia/2011/01/01/{tally.left_to_start:09d}.fits"
        headers = signer.headers(path, path[1:], ETAG, time.time())
        transport.submit("PUT", url + path, headers, None, timeout_ms=TIMEOUT_MS, on_done=done, context=tally)

    def done(tally: Tally, status: int, body: bytes, _headers: list[bytes], error: Exception | None) -> None:
        if error is not None or status != 200 or b"<CopyObjectResult" not in body:
            tally.finished.set_exception(error or RuntimeError(f"{status} {body!r}"))
            return
        tally.left_to_end -= 1
        if tally.left_to_start:
            start(tally)
        elif not tally.left_to_end:
            tally.finished.set_result(None)

    async def run(count: int) -> None:
        tally = Tally(loop, count)
        for _ in range(in_flight):
            start(tally)
        await tally.finished

    await run(max(500, 2 * in_flight))
    measured()
    await run(requests)
    measured()
    await transport.close()


async def by_futures(url: str, in_flight: int, requests: int, measured: Callable[[], None]) -> None:
    """Run the same with a coroutine per place in flight and a future per request."""
    transport = Transport(asyncio.get_running_loop(), max_in_flight=in_flight)
    signer = CopySigner(CREDENTIALS, "us-east-1", url.partition("://")[2], {"x-amz-metadata-directive": "COPY"})

    async def worker(count: int) -> None:
        for number in range(count):
            path = f"/target/sdo/aia/2011/01/01/{number:09d}.fits"
            headers = signer.headers(path, path[1:], ETAG, time.time())
            answer = await transport.request("PUT", url + path, headers, timeout_ms=TIMEOUT_MS)
            if answer.status != 200 or b"<CopyObjectResult" not in answer.body:
                raise RuntimeError(answer)

    await asyncio.gather(*(worker(2) for _ in range(in_flight)))
    measured()
    await asyncio.gather(*(worker(requests // in_flight) for _ in range(in_flight)))
    measured()
    await transport.close()


def in_threads(count: int, work: Callable[[int], None], requests: int) -> None:
    """Share requests among threads."""

    def share() -> None:
        for number in range(requests // count):
            work(number)

    threads = [threading.Thread(target=share) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def by_urllib3(url: str, in_flight: int, requests: int, measured: Callable[[], None]) -> None:
    """Run urllib3 in threads, with the product's own signer."""
    host = url.partition("://")[2]
    signer = CopySigner(CREDENTIALS, "us-east-1", host, {"x-amz-metadata-directive": "COPY"})
    name, _, port = host.partition(":")
    pool = urllib3.HTTPConnectionPool(name, int(port), maxsize=in_flight)

    def copy(number: int) -> None:
        path = f"/target/sdo/aia/2011/01/01/{number:09d}.fits"
        lines = [line.decode().partition(": ") for line in signer.headers(path, path[1:], ETAG, time.time())]
        answer = pool.urlopen("PUT", path, headers={name: value for name, _, value in lines}, retries=False)
        if answer.status != 200 or b"<CopyObjectResult" not in answer.data:
            raise RuntimeError(answer.status)

    in_threads(in_flight, copy, 500)
    measured()
    in_threads(in_flight, copy, requests)
    measured()


def by_boto3(url: str, in_flight: int, requests: int, measured: Callable[[], None]) -> None:
    """Run boto3 in threads, retries and parameter validation off (flattering)."""
    client = boto3.client(
        "s3",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id=CREDENTIALS.access_key,
        aws_secret_access_key=CREDENTIALS.secret_key,
        config=botocore.config.Config(
            max_pool_connections=in_flight,
            retries={"max_attempts": 0},
            parameter_validation=False,
            s3={"addressing_style": "path"},
        ),
    )

    def copy(number: int) -> None:
        key = f"sdo/aia/2011/01/01/{number:09d}.fits"
        client.copy_object(
            Bucket="target", Key=key, CopySource=f"target/{key}", CopySourceIfMatch=ETAG, MetadataDirective="COPY"
        )

    in_threads(in_flight, copy, 300)
    measured()
    in_threads(in_flight, copy, requests)
    measured()


def measure(case: Case, url: str) -> dict[str, float]:
    """Run one engine in this process and return its figures."""
    marks: list[tuple[float, float]] = []

    def measured() -> None:
        used = resource.getrusage(resource.RUSAGE_SELF)
        marks.append((used.ru_utime + used.ru_stime, time.perf_counter()))

    if case.engine == "one multi":
        vars(transport_module)["HANDLES_PER_MULTI"] = case.in_flight
    if case.engine == "add_reader":
        vars(transport_module)["new_poller"] = LoopPoller
    if case.engine == "urllib3":
        by_urllib3(url, case.in_flight, case.requests, measured)
    elif case.engine == "boto3":
        by_boto3(url, case.in_flight, case.requests, measured)
    elif case.engine == "futures":
        asyncio.run(by_futures(url, case.in_flight, case.requests, measured))
    else:
        asyncio.run(by_transport(url, case.in_flight, case.requests, measured))
    (cpu_before, wall_before), (cpu_after, wall_after) = marks
    return {
        "us": (cpu_after - cpu_before) / case.requests * 1e6,
        "rate_per_s": case.requests / (wall_after - wall_before),
        "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def free_port() -> int:
    """Return a port that is free now."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


@contextlib.contextmanager
def stub() -> Iterator[tuple[int, int]]:
    """Run nginx with one constant answer and give its ports: plain and TLS."""
    nginx = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    if nginx is None:
        raise SystemExit("nginx is missing: apt-get install nginx-light")
    with tempfile.TemporaryDirectory(prefix="s3batch-bench-") as folder:
        port, tls_port = free_port(), free_port()
        command = "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=stub -addext subjectAltName=IP:127.0.0.1"
        subprocess.run(
            ["openssl", *command.split(), "-keyout", f"{folder}/k.pem", "-out", f"{folder}/c.pem"],
            check=True,
            capture_output=True,
        )
        configuration = Path(folder) / "nginx.conf"
        configuration.write_text(NGINX.format(folder=folder, port=port, tls_port=tls_port, answer=ANSWER))
        process = subprocess.Popen([nginx, "-p", folder, "-c", str(configuration), "-e", f"{folder}/error.log"])
        try:
            for _ in range(200):
                with contextlib.suppress(OSError):
                    socket.create_connection(("127.0.0.1", port)).close()
                    break
                time.sleep(0.05)
            yield port, tls_port
        finally:
            process.terminate()
            process.wait(10)


def measure_apart(case: Case, ports: tuple[int, int]) -> dict[str, float]:
    """Run one engine in a process of its own and return its figures; ``ports`` are those of :func:`stub`."""
    url = f"https://127.0.0.1:{ports[1]}" if case.is_tls else f"http://127.0.0.1:{ports[0]}"
    command = [sys.executable, "-m", "tests.bench.http_engines", "--case", str(CASES.index(case)), "--url", url]
    figures: dict[str, float] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return figures


def main() -> None:
    """Measure every case in every round and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--case", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.case is not None:
        sys.stdout.write(json.dumps(measure(CASES[arguments.case], arguments.url)))
        return
    figures: dict[Case, list[dict[str, float]]] = {case: [] for case in CASES}
    with stub() as ports:
        for _ in range(arguments.rounds):
            for case in CASES:
                figures[case].append(measure_apart(case, ports))
    lines = [
        f"{pycurl.version}",
        "| engine, in flight | us CPU | range | requests/s | RSS MB |",
        "|---|---|---|---|---|",
    ]
    for case, rounds in figures.items():
        costs = [figure["us"] for figure in rounds]
        rate = statistics.median(figure["rate_per_s"] for figure in rounds)
        memory = max(figure["rss_mb"] for figure in rounds)
        spread = f"{min(costs):.1f}-{max(costs):.1f}"
        lines.append(f"| {case.name} | {statistics.median(costs):.1f} | {spread} | {rate:,.0f} | {memory:.0f} |")
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
