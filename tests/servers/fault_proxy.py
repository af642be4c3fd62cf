"""A proxy process before a real S3 server that injects faults, each kind with its probability, from a seed.

The client uses the proxy's address and signs for it; the proxy passes the Host header on as it came, so that signatures
stay valid. Each request goes to the server on a connection of its own, so that nothing is ever sent twice but by plan.
`GET /__faults/counts` tells what was asked, passed on and injected; `PUT /__faults/plan` changes the plan.

Path addressing only; answers are held whole, so objects should be small.
"""

import argparse
import asyncio
import collections
import contextlib
import json
import socket
import struct
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlsplit

from tests.servers.faults import WRITES, Fault, FaultPlan, FaultSource, RequestLine, drop_from_listing
from tests.servers.http1 import STREAM_LIMIT_BYTES, Message, header, read_answer, read_body, read_head
from tests.servers.process import ServerProcess, accepts_connections, free_port
from tests.servers.server import Server

OWN_CALLS = "/__faults/"
ERROR_CODES = ("InternalError", "SlowDown")
LISTING_FAULTS = frozenset({Fault.SHORT_LISTING, Fault.TORN_LISTING, Fault.STALE_LISTING})


# ---------------------------------------------------------------------------------------------------- the test's side


@dataclass(frozen=True, kw_only=True)
class FaultCounts:
    """What the proxy has seen and done."""

    asked: Mapping[str, int]
    """Requests that clients sent, by kind."""
    methods: Mapping[str, int]
    """The same requests, by HTTP method."""
    delivered: Mapping[str, int]
    """Requests that the server got, by kind."""
    injected: Mapping[str, int]
    """Faults, by kind; each request that a storm refuses counts."""
    repeated_writes: int
    """Successful writes to a key that had been written successfully before."""


class FaultProxy:
    """A running proxy, as a test sees it."""

    def __init__(self, server: Server) -> None:
        self.server = server
        """The server as seen through the proxy: use its clients, environment and connection."""

    def counts(self) -> FaultCounts:
        """Return the counts so far."""
        return FaultCounts(**json.loads(self._call("GET", "counts", b"")))

    def change_plan(self, plan: FaultPlan) -> None:
        """Follow another plan from now on; counts go on."""
        self._call("PUT", "plan", plan.to_json().encode())

    def _call(self, method: str, name: str, body: bytes) -> bytes:
        connection = HTTPConnection(urlsplit(self.server.endpoint_url).netloc, timeout=30)
        try:
            connection.request(method, OWN_CALLS + name, body=body)
            return connection.getresponse().read()
        finally:
            connection.close()


@contextlib.contextmanager
def run_fault_proxy(folder: Path, server: Server, plan: FaultPlan) -> Iterator[FaultProxy]:
    """Run a proxy before a server until the context ends."""
    port = free_port()
    arguments = [sys.executable, "-m", "tests.servers.fault_proxy"]
    arguments += ["--upstream", server.endpoint_url, "--port", str(port), "--plan", plan.to_json()]
    environment = {"PYTHONPATH": ":".join(path for path in sys.path if path)}
    with ServerProcess(arguments, log=folder / f"fault_proxy_{port}.log", environment=environment) as process:
        process.wait_until(lambda: accepts_connections(port))
        yield FaultProxy(replace(server, endpoint_url=f"http://127.0.0.1:{port}", pid=process.pid))


# --------------------------------------------------------------------------------------------------- the proxy process


class _Proxy:
    """One process's state: the plan, the counts, and what was written when."""

    def __init__(self, upstream: str, plan: FaultPlan) -> None:
        address = urlsplit(upstream)
        self._host, self._port = address.hostname or "127.0.0.1", address.port or 80
        self._faults = FaultSource(plan)
        self._asked: collections.Counter[str] = collections.Counter()
        self._methods: collections.Counter[str] = collections.Counter()
        self._delivered: collections.Counter[str] = collections.Counter()
        self._injected: collections.Counter[str] = collections.Counter()
        self._repeated_writes = 0
        self._written_at: dict[tuple[str, str], float] = {}
        self._storm_until = 0.0
        self._errors = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one client connection."""
        try:
            while await self._serve_one(reader, writer):
                pass
        except (asyncio.IncompleteReadError, ConnectionError):
            pass  # the client went away
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    async def _serve_one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        """Answer one request; tell whether the connection goes on."""
        head = await read_head(reader)
        if head is None:
            return False
        if (header(head, b"expect") or b"").lower() == b"100-continue":
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        message = Message(head=head, body=await read_body(reader, head)).without(b"expect")
        method, target, _ = message.first_line.decode("latin-1").split(" ", 2)
        if target.startswith(OWN_CALLS):
            writer.write(self._own_call(method, target, message.body))
            await writer.drain()
            return True
        request = RequestLine(method=method, target=target, is_copy=message.header(b"x-amz-copy-source") is not None)
        self._asked[request.kind] += 1
        self._methods[method] += 1
        fault = self._faults.choose(request)
        if fault is Fault.STORM:
            self._storm_until = time.monotonic() + self._faults.plan.storm_s
        if fault is Fault.STORM or time.monotonic() < self._storm_until:
            self._injected[Fault.STORM] += 1
            return await _send(writer, _error(b"503 Slow Down", "SlowDown", request))
        if fault is None:
            return await _send(writer, await self._deliver(request, message))
        return await self._serve_badly(fault, request, message, writer)

    async def _serve_badly(
        self, fault: Fault, request: RequestLine, message: Message, writer: asyncio.StreamWriter
    ) -> bool:
        answer = None
        if fault not in {Fault.RESET_BEFORE, Fault.ERROR_BODY}:
            answer = await self._deliver(request, message)
        if fault is Fault.DELIVER_TWICE:
            answer = await self._deliver(request, message)
        altered = self._altered(fault, request, answer)
        if altered is answer and fault in LISTING_FAULTS | {Fault.TRUNCATED_BODY} and answer is not None:
            return await _send(writer, answer)  # nothing in it to be cut
        self._injected[fault] += 1
        if fault in {Fault.RESET_BEFORE, Fault.RESET_AFTER}:
            _reset(writer)
            return False
        if fault is Fault.DELAY_ANSWER:
            await asyncio.sleep(self._faults.plan.delay_s)
        if fault is Fault.LOSE_ANSWER or altered is None:
            return False
        return await _send(writer, altered) and fault is not Fault.TRUNCATED_BODY

    def _altered(self, fault: Fault, request: RequestLine, answer: Message | None) -> Message | None:
        """Return what the client gets in the answer's place; the same object when nothing is to be changed."""
        if fault in {Fault.ERROR_BODY, Fault.ERROR_BODY_AFTER}:
            self._errors += 1
            return _error(b"200 OK", ERROR_CODES[self._errors % len(ERROR_CODES)], request)
        if answer is None:
            return None
        if fault is Fault.TRUNCATED_BODY and len(answer.body) > 1:
            # the head still announces the whole; what ends by closing would pass for whole, and so is announced
            told = answer.with_body(answer.body) if answer.ends_by_close else answer
            return replace(told, body=told.body[: len(told.body) // 2])
        if fault in LISTING_FAULTS:
            return self._altered_listing(fault, request, answer)
        return answer

    def _altered_listing(self, fault: Fault, request: RequestLine, answer: Message) -> Message:
        now, stale_s = time.monotonic(), self._faults.plan.stale_s

        def is_dropped(index: int, count: int, key: str) -> bool:
            if fault is Fault.STALE_LISTING:
                return now - self._written_at.get((request.bucket, key), -stale_s) < stale_s
            return index >= count // 2

        whole = answer.plain_body()
        body = drop_from_listing(whole, is_dropped=is_dropped, adjust_count=fault is not Fault.TORN_LISTING)
        return answer if body == whole else answer.with_body(body)

    async def _deliver(self, request: RequestLine, message: Message) -> Message:
        """Send a request to the server, on a connection of its own, and return the answer."""
        self._delivered[request.kind] += 1
        reader, writer = await asyncio.open_connection(self._host, self._port, limit=STREAM_LIMIT_BYTES)
        try:
            writer.write(message.head + message.body)
            await writer.drain()
            answer = await read_answer(reader, is_head_request=request.method == "HEAD")
        finally:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
        if request.kind in WRITES - {"UploadPartCopy"} and answer.first_line.split(b" ")[1] == b"200":
            place = (request.bucket, request.key)
            self._repeated_writes += place in self._written_at
            self._written_at[place] = time.monotonic()
        return answer

    def _own_call(self, method: str, target: str, body: bytes) -> bytes:
        if (method, target) == ("PUT", OWN_CALLS + "plan"):
            self._faults = FaultSource(FaultPlan.from_json(body))
        counts = {
            "asked": self._asked,
            "methods": self._methods,
            "delivered": self._delivered,
            "injected": self._injected,
            "repeated_writes": self._repeated_writes,
        }
        text = json.dumps(counts).encode()
        return b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s" % (len(text), text)


async def _send(writer: asyncio.StreamWriter, answer: Message) -> bool:
    """Send an answer; tell whether the connection goes on. The server's wish to close its own is not passed on."""
    writer.write(answer.without(b"connection").head + answer.body)
    await writer.drain()
    return not answer.ends_by_close


def _error(status: bytes, code: str, request: RequestLine) -> Message:
    xml = f'<?xml version="1.0" encoding="UTF-8"?>\n<Error><Code>{code}</Code><Message>Injected.</Message></Error>'
    body = b"" if request.method == "HEAD" else xml.encode()
    head = b"HTTP/1.1 %s\r\nContent-Type: application/xml\r\nContent-Length: %d\r\n\r\n" % (status, len(body))
    return Message(head=head, body=body)


def _reset(writer: asyncio.StreamWriter) -> None:
    raw = writer.get_extra_info("socket")
    # no lingering: closing sends RST in place of FIN
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def _run(upstream: str, port: int, plan: FaultPlan) -> None:
    proxy = _Proxy(upstream, plan)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", port, limit=STREAM_LIMIT_BYTES, backlog=1024)
    async with server:
        await server.serve_forever()


def main() -> None:
    """Read the arguments and serve until ended."""
    parser = argparse.ArgumentParser(prog="python -m tests.servers.fault_proxy", description=__doc__)
    parser.add_argument("--upstream", required=True, help="the server's address, as http://127.0.0.1:4566")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--plan", default=FaultPlan().to_json(), help="JSON, as FaultPlan.to_json writes it")
    arguments = parser.parse_args()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_run(arguments.upstream, arguments.port, FaultPlan.from_json(arguments.plan)))


if __name__ == "__main__":
    main()
