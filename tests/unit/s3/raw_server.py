"""A server on loopback that does on each connection exactly what a test says, byte by byte.

In: one behaviour per first path part. Out: the requests as they came, each with the number of its connection.
It knows no HTTP beyond finding the end of a request, so it can do what no HTTP library would.
"""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct
import threading
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

RECEIVE_BYTES = 1024 * 1024
GIVE_UP_S = 20.0


@dataclass(frozen=True, kw_only=True, slots=True)
class SeenRequest:
    """One request as it came."""

    connection: int
    head: bytes
    body: bytes

    @property
    def method(self) -> str:
        """Return the method."""
        return self.head.split(b" ", 1)[0].decode()

    @property
    def target(self) -> str:
        """Return the request target, undecoded."""
        return self.head.split(b" ", 2)[1].decode("latin-1")

    @property
    def header_lines(self) -> list[str]:
        """Return the header lines."""
        return self.head.decode("latin-1").split("\r\n")[1:-2]


Behaviour = Callable[["RawServer", socket.socket, SeenRequest], bool]
"""Answers a request; returns whether the connection stays open."""


class RawServer:
    """Listens until closed; a context manager."""

    def __init__(self, behaviour_by_name: dict[str, Behaviour], tls: ssl.SSLContext | None = None) -> None:
        """Start listening on a port that the system chooses."""
        self.behaviour_by_name = behaviour_by_name
        self.requests: list[SeenRequest] = []
        self.connections = 0
        self.closed_by_client = 0
        self.release = threading.Event()
        self._tls = tls
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.port = self._listener.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def __enter__(self) -> Self:
        """Return the server."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close all and wait for the threads."""
        self.release.set()
        self.stop_listening()
        with self._lock:
            still_open = tuple(self._open)
        for connection in still_open:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(GIVE_UP_S)

    def stop_listening(self) -> None:
        """Refuse further connections."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def targets(self) -> list[str]:
        """Return the request targets in the order of arrival."""
        return [request.target for request in self.requests]

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            connection.settimeout(GIVE_UP_S)
            with self._lock:
                self.connections += 1
                self._open.add(connection)
                thread = threading.Thread(target=self._serve, args=(connection, self.connections), daemon=True)
                self._threads.append(thread)
            thread.start()

    def _serve(self, plain: socket.socket, number: int) -> None:
        connection = plain
        try:
            if self._tls is not None:
                connection = self._tls.wrap_socket(plain, server_side=True)
                with self._lock:
                    self._open.add(connection)
            while (request := read_request(connection, number)) is not None:
                with self._lock:
                    self.requests.append(request)
                name = request.target.strip("/").split("/")[0].split("?")[0]
                behaviour = self.behaviour_by_name.get(name, self.behaviour_by_name.get("*", answer_ok))
                if not behaviour(self, connection, request):
                    return
            self.closed_by_client += 1
        except OSError:
            self.closed_by_client += 1
        finally:
            with self._lock:
                self._open -= {plain, connection}
            connection.close()
            plain.close()


def read_request(connection: socket.socket, number: int) -> SeenRequest | None:
    """Return the next request with its body, or None at the end of the stream."""
    received = b""
    while b"\r\n\r\n" not in received:
        more = connection.recv(RECEIVE_BYTES)
        if not more:
            return None
        received += more
    head, _, body = received.partition(b"\r\n\r\n")
    length = next(
        (int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")),
        0,
    )
    pieces = [body]
    missing = length - len(body)
    while missing > 0:
        more = connection.recv(RECEIVE_BYTES)
        if not more:
            return None
        pieces.append(more)
        missing -= len(more)
    return SeenRequest(connection=number, head=head + b"\r\n\r\n", body=b"".join(pieces))


def sends(text: bytes, *, keep: bool = True) -> Behaviour:
    """Answer with these bytes."""

    def behave(_server: RawServer, connection: socket.socket, _request: SeenRequest) -> bool:
        connection.sendall(text)
        return keep

    return behave


def ok(body: bytes = b"good", extra: bytes = b"") -> bytes:
    """Return a whole answer."""
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%s\r\n%s" % (len(body), extra, body)


answer_ok = sends(ok())


def close_at_once(_server: RawServer, _connection: socket.socket, _request: SeenRequest) -> bool:
    """Say nothing."""
    return False


def reset(_server: RawServer, connection: socket.socket, _request: SeenRequest) -> bool:
    """Send a TCP reset."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    return False


def hang(server: RawServer, _connection: socket.socket, _request: SeenRequest) -> bool:
    """Keep the connection and say nothing until the test ends."""
    server.release.wait(GIVE_UP_S)
    return False


def sends_then_hangs(text: bytes) -> Behaviour:
    """Answer with these bytes, then nothing more."""

    def behave(server: RawServer, connection: socket.socket, request: SeenRequest) -> bool:
        connection.sendall(text)
        return hang(server, connection, request)

    return behave
