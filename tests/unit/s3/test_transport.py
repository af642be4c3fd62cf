"""The transport against real sockets: what goes over the wire, faults, cancel, limits, streams."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from s3batch.model.errors import InconsistentError, UsageError
from s3batch.s3 import transport as transport_module
from s3batch.s3.encoding import encode_key
from s3batch.s3.errors import TransportError
from s3batch.s3.polling import EpollPoller, LoopPoller
from s3batch.s3.raw_response import header_dict
from s3batch.s3.response_stream import MAX_BUFFERED_BYTES
from s3batch.s3.transport import Handle, RawResponse, Transport
from tests.unit.s3.raw_server import (
    Behaviour,
    RawServer,
    SeenRequest,
    close_at_once,
    hang,
    ok,
    reset,
    sends,
    sends_then_hangs,
)

TIMEOUT_MS = 10_000
SHORT_MS = 300
BIG = 1000


@pytest.fixture(params=[EpollPoller, LoopPoller], autouse=True)
def _each_poller(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run every test with both ways of waiting."""
    monkeypatch.setattr(transport_module, "new_poller", request.param)


@pytest.fixture
def server() -> Iterator[RawServer]:
    """Give a server with every fault by name."""
    with RawServer(FAULTS) as running:
        yield running


@asynccontextmanager
async def opened(**settings: Any) -> AsyncIterator[Transport]:  # noqa: ANN401 - the transport's own
    """Give a transport and close it."""
    transport = Transport(asyncio.get_running_loop(), **settings)
    try:
        yield transport
    finally:
        await transport.close()


def run(test: Callable[[Transport], Awaitable[None]], **settings: Any) -> None:  # noqa: ANN401 - the transport's own
    """Run a coroutine with a transport; anything that the loop would only log is an error."""
    failures: list[dict[str, Any]] = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: failures.append(context))
        async with opened(**settings) as transport:
            await test(transport)

    asyncio.run(main())
    assert failures == []


async def get(transport: Transport, url: str, **more: Any) -> RawResponse:  # noqa: ANN401 - request's own
    """Send a GET."""
    return await transport.request("GET", url, [], **({"timeout_ms": TIMEOUT_MS} | more))


async def until(holds: Callable[[], bool]) -> None:
    """Wait until something holds that another thread brings about."""
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110 - what it waits for happens in threads that know no loop
            await asyncio.sleep(0.005)


def drip(_server: RawServer, connection: socket.socket, _request: SeenRequest) -> bool:
    """Send an answer byte by byte."""
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    for byte in ok(b"slowly"):
        connection.sendall(bytes([byte]))
    return True


_CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

FAULTS: dict[str, Behaviour] = {
    "close": close_at_once,
    "reset": reset,
    "hang": hang,
    "half-head": sends(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\nX-Ha", keep=False),
    "status-only": sends(b"HTTP/1.1 200 OK\r\n", keep=False),
    "continue-close": sends(b"HTTP/1.1 100 Continue\r\n\r\n", keep=False),
    "short": sends(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort", keep=False),
    "short-hang": sends_then_hangs(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort"),
    "short-chunk": sends(_CHUNKED + b"5\r\nshort\r\n", keep=False),
    "short-in-chunk": sends(_CHUNKED + b"64\r\nshort", keep=False),
    "short-trailer": sends(_CHUNKED + b"5\r\nshort\r\n0\r\n", keep=False),
    "blank-chunk": sends(_CHUNKED + b"  5\r\nshort\r\n0\r\n\r\n", keep=False),
    "bad-chunk": sends(_CHUNKED + b"zz\r\nshort\r\n0\r\n\r\n", keep=False),
    "chunked": sends(_CHUNKED + b"5\r\nwhole\r\n3;x=y\r\n!!!\r\n0\r\nX-Trailer: t\r\n\r\n"),
    "drip": drip,
    "continue": sends(b"HTTP/1.1 100 Continue\r\nX-Early: 1\r\n\r\n" + ok(b"after", b"X-Late: 2\r\n")),
    "garbage": sends(b"\x00\x01garbage, no HTTP at all\r\n\r\n", keep=False),
    "unavailable": sends(b"HTTP/1.1 503 Slow Down\r\nContent-Length: 4\r\n\r\nslow"),
    "unavailable-close": sends(
        b"HTTP/1.1 503 Slow Down\r\nContent-Length: 4\r\nConnection: close\r\n\r\nslow", keep=False
    ),
    "redirect": sends(b"HTTP/1.1 307 Temporary\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n"),
    "empty": sends(b"HTTP/1.1 204 No Content\r\n\r\n"),
    "big": sends(ok(b"x" * (BIG + 1))),
    "big-chunked": sends(_CHUNKED + (b"64\r\n" + b"x" * 100 + b"\r\n") * 11 + b"0\r\n\r\n"),
    "exact": sends(ok(b"x" * BIG)),
    "head": sends(b"HTTP/1.1 200 OK\r\nContent-Length: 5368709120\r\nETag: e\r\n\r\n"),
}


@pytest.mark.parametrize(
    ("fault", "kinds"),
    [
        ("close", {"closed"}),
        ("reset", {"closed"}),
        ("hang", {"timeout"}),
        ("half-head", {"closed", "other"}),
        ("status-only", {"closed", "other"}),
        ("continue-close", {"closed", "other"}),
        ("short", {"closed"}),
        ("short-hang", {"timeout"}),
        ("short-chunk", {"closed"}),
        ("short-in-chunk", {"closed"}),
        ("short-trailer", {"closed"}),
        ("blank-chunk", {"closed", "other"}),
        ("bad-chunk", {"closed", "other"}),
        ("garbage", {"other"}),
    ],
)
def test_no_half_answer_is_taken_as_good(server: RawServer, fault: str, kinds: set[str]) -> None:
    """Each fault ends as an error of its kind, with nothing of the body, and the request counts as maybe done."""

    async def check(transport: Transport) -> None:
        is_slow = "timeout" in kinds
        with pytest.raises(TransportError) as failed:
            await get(transport, f"{server.url}/{fault}", timeout_ms=SHORT_MS if is_slow else TIMEOUT_MS, fresh=True)
        assert failed.value.kind in kinds
        assert failed.value.sent is not False
        assert (await get(transport, f"{server.url}/fine")).body == b"good"
        assert transport.in_flight == 0

    run(check)


@pytest.mark.parametrize(
    ("name", "status", "body"),
    [
        ("chunked", 200, b"whole!!!"),
        ("drip", 200, b"slowly"),
        ("continue", 200, b"after"),
        ("unavailable", 503, b"slow"),
        ("unavailable-close", 503, b"slow"),
        ("redirect", 307, b""),
        ("empty", 204, b""),
        ("exact", 200, b"x" * BIG),
    ],
)
def test_whole_answers_are_given_as_they_are(server: RawServer, name: str, status: int, body: bytes) -> None:
    """Chunks, drops, early answers, refusals and redirects are all answers; none is followed or repeated."""

    async def check(transport: Transport) -> None:
        for _ in range(3):
            answer = await get(transport, f"{server.url}/{name}")
            assert (answer.status, answer.body) == (status, body)
        assert len(server.requests) == 3

    run(check)


def test_only_the_headers_of_the_final_answer_are_given(server: RawServer) -> None:
    """A ``100 Continue`` has headers of its own."""

    async def check(transport: Transport) -> None:
        answer = await get(transport, f"{server.url}/continue")
        assert answer.headers == {"content-length": "5", "x-late": "2"}
        assert (await get(transport, f"{server.url}/redirect")).headers["location"] == "http://127.0.0.1:1/"

    run(check)


@pytest.mark.parametrize("name", ["big", "big-chunked"])
def test_a_body_over_the_bound_is_an_error(server: RawServer, name: str) -> None:
    """With a length told beforehand and without; one byte less is fine (see the answer called exact)."""

    async def check(transport: Transport) -> None:
        with pytest.raises(TransportError) as failed:
            await get(transport, f"{server.url}/{name}", max_body_bytes=BIG)
        assert failed.value.kind == "other"
        assert len((await get(transport, f"{server.url}/exact", max_body_bytes=BIG)).body) == BIG
        assert len((await get(transport, f"{server.url}/{name}")).body) > BIG

    run(check)


def test_a_head_of_a_big_object_is_no_big_body(server: RawServer) -> None:
    """The bound is on bodies; HEAD tells a length and sends nothing."""

    async def check(transport: Transport) -> None:
        answer = await transport.request("HEAD", f"{server.url}/head", [], timeout_ms=TIMEOUT_MS, max_body_bytes=10)
        assert answer.headers["content-length"] == "5368709120"

    run(check)


def test_a_refused_connection_surely_sent_nothing() -> None:
    """The caller may repeat such a request whatever it was."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]

    async def check(transport: Transport) -> None:
        with pytest.raises(TransportError) as failed:
            await get(transport, f"http://127.0.0.1:{port}/")
        assert failed.value.kind == "connect"
        assert failed.value.sent is False

    run(check)


def test_an_unknown_host_surely_sent_nothing() -> None:
    """The reserved name ``.invalid`` never resolves (RFC 6761)."""

    async def check(transport: Transport) -> None:
        with pytest.raises(TransportError) as failed:
            await get(transport, "http://no-such-host.invalid/")
        assert failed.value.kind in {"connect", "timeout"}
        assert failed.value.sent is False

    run(check)


def test_host_names_are_resolved_without_holding_up_others(server: RawServer) -> None:
    """Names are looked up in libcurl's threads; the addresses of both families are tried."""

    async def check(transport: Transport) -> None:
        by_name = server.url.replace("127.0.0.1", "localhost")
        answers = await asyncio.gather(
            *(get(transport, f"{address}/{number}") for number in range(100) for address in (by_name, server.url))
        )
        assert {answer.body for answer in answers} == {b"good"}

    run(check)


def test_a_connection_that_is_never_accepted_times_out_and_sent_nothing() -> None:
    """The time-out for connecting works apart from the request's own."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))

        async def check(transport: Transport) -> None:
            with pytest.raises(TransportError) as failed:
                await get(transport, f"http://127.0.0.1:{port}/")
            assert failed.value.kind == "timeout"
            assert failed.value.sent is False

        run(check, connect_timeout_s=SHORT_MS / 1000)
        for filler in fillers:
            filler.close()


def dies_when_used_again(_server: RawServer, connection: socket.socket, request: SeenRequest) -> bool:
    """Answer the first request on a connection, read the second one and close."""
    if not request.target.endswith("/first"):
        return False
    connection.sendall(ok())
    return True


def test_a_fresh_request_is_never_sent_twice() -> None:
    """A kept connection that dies makes libcurl repeat the request; a Complete or a DELETE must not be."""
    with RawServer({"*": dies_when_used_again}) as server:

        async def check(transport: Transport) -> None:
            for fresh in (False, True):
                await get(transport, f"{server.url}/a/first")
                server.requests.clear()
                with pytest.raises(TransportError) as failed:
                    await transport.request(
                        "POST", f"{server.url}/a/second", [], b"x", timeout_ms=TIMEOUT_MS, fresh=fresh
                    )
                assert failed.value.kind == "closed"
                assert failed.value.sent is not False
                assert len(server.requests) == (1 if fresh else 2)

        run(check)


def test_a_request_that_was_sent_before_the_connection_was_refused_counts_as_sent() -> None:
    """Sent on a kept connection that died, then repeated by libcurl to a closed port: "could not connect" lies."""

    def last_words(server: RawServer, connection: socket.socket, request: SeenRequest) -> bool:
        if request.target.endswith("/first"):
            connection.sendall(ok())
            return True
        server.stop_listening()
        return False

    with RawServer({"*": last_words}) as server:

        async def check(transport: Transport) -> None:
            await get(transport, f"{server.url}/a/first")
            with pytest.raises(TransportError) as failed:
                await get(transport, f"{server.url}/a/second")
            assert failed.value.sent is not False

        run(check)


def test_a_connection_closed_while_idle_is_replaced() -> None:
    """Keep-alive ends whenever the server likes; the next request just takes a new connection."""
    closing = sends(ok(), keep=False)
    with RawServer({"*": closing}) as server:

        async def check(transport: Transport) -> None:
            for number in range(10):
                assert (await get(transport, f"{server.url}/{number}")).body == b"good"
            assert server.connections == 10

        run(check)


@pytest.mark.parametrize(
    "key",
    [
        "a/../c",
        "a/./b",
        "../../up",
        "..",
        "//lead",
        "a//b///c/",
        "a b",
        "a+b",
        "a%20b",
        "a%2Fb",
        "q?x=1&y",
        "#frag",
        "new\nline",
        "emoji 🚀",
        "é" * 512,
        "{}|\\^`[]<>\"'",
    ],
)
def test_keys_arrive_as_they_were_encoded(server: RawServer, key: str) -> None:
    """No part of the way normalises a path: with ``..`` taken away, another object would be copied or deleted."""
    path = "/bucket/" + encode_key(key)

    async def check(transport: Transport) -> None:
        for method in ("GET", "HEAD", "PUT", "DELETE"):
            await transport.request(method, server.url + path, [], timeout_ms=TIMEOUT_MS)
            await transport.request(method, (server.url + path + "?versionId=x").encode(), [], timeout_ms=TIMEOUT_MS)
        assert server.targets() == [path, path + "?versionId=x"] * 4

    run(check)


def test_nothing_is_sent_that_was_not_given(server: RawServer) -> None:
    """What was signed goes out, and besides it only Host and the length of the body."""

    async def check(transport: Transport) -> None:
        headers = [b"host: " + server.url[7:].encode(), b"x-amz-date: d", b"x-empty;"]
        for method, body in (("GET", None), ("HEAD", None), ("DELETE", None), ("PUT", None), ("POST", b"xml")):
            server.requests.clear()
            await transport.request(method, server.url, headers, body, timeout_ms=TIMEOUT_MS)
            sent = {line.lower() for line in server.requests[0].header_lines}
            expected = {f"host: {server.url[7:]}", "x-amz-date: d", "x-empty:"}
            if method in {"PUT", "POST"}:
                expected.add(f"content-length: {len(body or b'')}")
            assert sent == expected
        server.requests.clear()
        typed = [b"content-type: text/xml"]
        await transport.request("POST", server.url, typed, b"y" * 2_000_000, timeout_ms=TIMEOUT_MS)
        assert {line.lower() for line in server.requests[0].header_lines} == {
            f"host: {server.url[7:]}",
            "content-type: text/xml",
            "content-length: 2000000",
        }

    run(check)


def test_methods_and_bodies_change_freely_on_one_handle(server: RawServer) -> None:
    """A handle that sent a body or a HEAD before leaves nothing of it behind."""
    large = os.urandom(2_000_000)
    sequence: list[tuple[str, bytes | None]] = [
        ("PUT", b"one"),
        ("POST", b"two"),
        ("GET", None),
        ("DELETE", None),
        ("PUT", large),
        ("PUT", None),
        ("GET", None),
        ("POST", None),
        ("POST", b""),
        ("HEAD", None),
        ("PUT", b"x"),
        ("HEAD", None),
        ("GET", None),
        ("PUT", None),
        ("PUT", None),
    ]

    async def check(transport: Transport) -> None:
        for method, body in sequence:
            answer = await transport.request(method, server.url, [], body, timeout_ms=TIMEOUT_MS)
            assert answer.body == (b"" if method == "HEAD" else b"good")
        assert [(seen.method, seen.body) for seen in server.requests] == [
            (method, body or b"") for method, body in sequence
        ]
        for seen in server.requests:
            lengths = [line for line in _lower_lines(seen) if line.startswith(("content-length", "content-type"))]
            assert lengths == ([f"content-length: {len(seen.body)}"] if seen.method in {"PUT", "POST"} else [])
        assert server.connections == 1

    # HEAD answers of the server carry a body by mistake otherwise
    server.behaviour_by_name = {"*": _ok_by_method}
    run(check, max_in_flight=1)


def _lower_lines(seen: SeenRequest) -> list[str]:
    """Return the header lines of a request in lower case."""
    return [line.lower() for line in seen.header_lines]


def _ok_by_method(_server: RawServer, connection: socket.socket, request: SeenRequest) -> bool:
    connection.sendall(ok()[:-4] if request.method == "HEAD" else ok())
    return True


def test_hundreds_of_hanging_requests_are_cancelled_and_leave_nothing_behind(server: RawServer) -> None:
    """Their connections are closed, not used again: a late answer must not meet another request."""

    async def check(transport: Transport) -> None:
        hanging = [asyncio.ensure_future(get(transport, f"{server.url}/hang/{number}")) for number in range(200)]
        await until(lambda: len(server.requests) == 200)
        assert transport.in_flight == 200
        for task in hanging:
            task.cancel()
        await asyncio.gather(*hanging, return_exceptions=True)
        assert transport.in_flight == 0
        answers = await asyncio.gather(*(get(transport, f"{server.url}/fine/{number}") for number in range(200)))
        assert {answer.body for answer in answers} == {b"good"}
        assert server.connections == 400

    run(check, max_in_flight=200)


def test_every_request_times_out_in_every_multi(server: RawServer) -> None:
    """Three multis, no traffic at all: only timers can end these."""

    async def check(transport: Transport) -> None:
        answers = await asyncio.gather(
            *(get(transport, f"{server.url}/hang/{number}", timeout_ms=SHORT_MS) for number in range(130)),
            return_exceptions=True,
        )
        assert {answer.kind for answer in answers if isinstance(answer, TransportError)} == {"timeout"}
        assert len([answer for answer in answers if isinstance(answer, TransportError)]) == 130
        answers = await asyncio.gather(*(get(transport, f"{server.url}/fine") for _ in range(130)))
        assert len(answers) == 130

    run(check, max_in_flight=130)


def test_a_timer_that_fires_too_early_is_not_the_last(server: RawServer) -> None:
    """Two clocks read a moment apart are enough for it; the time-out must come all the same."""

    async def check(transport: Transport) -> None:
        task = asyncio.ensure_future(get(transport, f"{server.url}/hang", timeout_ms=SHORT_MS))
        await until(lambda: len(server.requests) == 1)
        for _ in range(3):
            for shard in transport._shards:
                transport._fire(shard)
        async with asyncio.timeout(10):
            with pytest.raises(TransportError) as failed:
                await task
        assert failed.value.kind == "timeout"

    run(check)


def test_file_descriptors_above_1024_work(server: RawServer) -> None:
    """``select`` would break there; epoll does not."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 1400
    if hard != resource.RLIM_INFINITY and hard < wanted:
        pytest.skip("The hard limit on open files is too low.")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, wanted), hard))
    fillers = [os.open(os.devnull, os.O_RDONLY) for _ in range(1100)]
    try:

        async def check(transport: Transport) -> None:
            answers = await asyncio.gather(*(get(transport, f"{server.url}/{number}") for number in range(20)))
            assert len(answers) == 20

        run(check)
    finally:
        for filler in fillers:
            os.close(filler)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_file_descriptor_numbers_that_are_used_again_wake_up(server: RawServer) -> None:
    """Connections come and go between files that take and free numbers; no stale registration loses a wake-up."""

    async def check(transport: Transport) -> None:
        for number in range(60):
            fillers = [os.open(os.devnull, os.O_RDONLY) for _ in range(number % 3)]
            await asyncio.gather(
                *(get(transport, f"{server.url}/{kind}") for kind in ("unavailable-close", "fine", "chunked")),
                get(transport, f"{server.url}/fine", fresh=True),
            )
            for filler in fillers:
                os.close(filler)

    run(check, max_in_flight=5)


def test_callbacks_may_submit_at_once_even_at_the_limit(server: RawServer) -> None:
    """Handles are free before callbacks run, and thousands in a row do not recurse."""

    async def check(transport: Transport) -> None:
        finished: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        counts = {"started": 0, "ended": 0}

        def start() -> None:
            counts["started"] += 1
            transport.submit("PUT", f"{server.url}/k", [], None, timeout_ms=TIMEOUT_MS, on_done=done)

        def done(_context: object, status: int, body: bytes, headers: list[bytes], error: object) -> None:
            assert (status, body, headers, error) == (200, b"good", [], None)
            counts["ended"] += 1
            if counts["started"] < 3000:
                start()
            elif counts["ended"] == 3000:
                finished.set_result(None)

        for _ in range(8):
            start()
        await finished
        assert transport.in_flight == 0

    run(check, max_in_flight=8)


def test_one_request_too_many_is_a_bug_that_changes_nothing(server: RawServer) -> None:
    """The throttle above keeps below the limit; if it does not, it is told."""

    async def check(transport: Transport) -> None:
        task = asyncio.ensure_future(get(transport, f"{server.url}/hang"))
        await until(lambda: len(server.requests) == 1)
        with pytest.raises(InconsistentError) as refused:
            await get(transport, f"{server.url}/fine")
        assert refused.value.code == "TransportFull"
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert (await get(transport, f"{server.url}/fine")).body == b"good"

    run(check, max_in_flight=1)


def test_a_request_that_libcurl_does_not_take_leaves_the_handle_usable(server: RawServer) -> None:
    """A wrong type is the caller's bug; the slot is not lost by it."""

    async def check(transport: Transport) -> None:
        for _ in range(3):
            with pytest.raises(TypeError):
                await transport.request("GET", server.url, [object()], timeout_ms=TIMEOUT_MS)  # type: ignore[list-item]
        assert transport.in_flight == 0
        assert (await get(transport, server.url)).status == 200

    run(check, max_in_flight=1)


def test_a_failing_callback_does_not_lose_the_answers_of_others(server: RawServer) -> None:
    """It is reported to the loop; everything else goes on."""
    reported: list[dict[str, Any]] = []

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _loop, context: reported.append(context))
        async with opened() as transport:

            def fail(*_: object) -> None:
                raise ValueError("a caller's bug")

            for _ in range(3):
                transport.submit("GET", server.url, [], None, timeout_ms=TIMEOUT_MS, on_done=fail)
            assert (await get(transport, server.url)).body == b"good"
            await until(lambda: transport.in_flight == 0)

    asyncio.run(main())
    assert [str(context["exception"]) for context in reported] == ["a caller's bug"] * 3


def test_after_cancel_the_callback_is_never_called() -> None:
    """Not even when both answers came in one batch and the first one's callback cancels the second."""
    barrier = threading.Barrier(2)

    def together(_server: RawServer, connection: socket.socket, _request: SeenRequest) -> bool:
        barrier.wait(10)
        connection.sendall(ok())
        return True

    with RawServer({"pair": together}) as server:

        async def check(transport: Transport) -> None:
            for _ in range(20):
                called: list[object] = []
                handles: dict[int, Handle] = {}

                def done(context: Any, *_: object) -> None:  # noqa: ANN401 - the number given below
                    called.append(context)  # noqa: B023 - called within this turn
                    transport.cancel(handles[1 - context])  # noqa: B023
                    transport.submit("GET", f"{server.url}/next", [], None, timeout_ms=TIMEOUT_MS, on_done=then)

                ended = asyncio.Event()

                def then(_context: object, status: int, *_: object) -> None:
                    assert status == 200
                    ended.set()  # noqa: B023

                for number in (0, 1):
                    handles[number] = transport.submit(
                        "GET", f"{server.url}/pair", [], None, timeout_ms=TIMEOUT_MS, on_done=done, context=number
                    )
                await asyncio.wait_for(ended.wait(), 10)
                assert len(called) == 1
                transport.cancel(handles[0])
                transport.cancel(handles[1])
                assert transport.in_flight == 0

        run(check)


def test_closing_ends_what_is_under_way_as_cancelled(server: RawServer) -> None:
    """Nobody waits for ever for a transport that is gone."""

    async def main() -> None:
        transport = Transport(asyncio.get_running_loop())
        tasks = [asyncio.ensure_future(get(transport, f"{server.url}/hang")) for _ in range(3)]
        await until(lambda: len(server.requests) == 3)
        await transport.close()
        await transport.close()
        for answer in await asyncio.gather(*tasks, return_exceptions=True):
            assert isinstance(answer, TransportError)
            assert answer.kind == "cancelled"
        with pytest.raises(InconsistentError) as refused:
            await get(transport, server.url)
        assert refused.value.code == "TransportClosed"

    asyncio.run(main())


def test_a_large_body_is_let_go_after_the_request(server: RawServer) -> None:
    """A handle that kept its last part would hold hundreds of megabytes over all handles."""

    async def check(transport: Transport) -> None:
        sent = os.urandom(1_000_000)
        before = sys.getrefcount(sent)
        await transport.request("PUT", server.url, [], sent, timeout_ms=TIMEOUT_MS)
        assert sys.getrefcount(sent) == before
        assert server.requests[0].body == sent

    run(check)


def _streams(size: int) -> Behaviour:
    def behave(_server: RawServer, connection: socket.socket, _request: SeenRequest) -> bool:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nX-Name: v\r\n\r\n" % size)
        block = bytes(range(256)) * 256
        for _ in range(size // len(block)):
            connection.sendall(block)
        return True

    return behave


def test_a_stream_gives_the_whole_body_in_bounded_memory() -> None:
    """A slow reader makes the transfer pause; nothing is lost and little is kept."""
    size = 32 * 1024 * 1024
    with RawServer({"body": _streams(size)}) as server:

        async def check(transport: Transport) -> None:
            received = most = 0
            async with transport.stream("GET", f"{server.url}/body", [], timeout_ms=TIMEOUT_MS) as stream:
                assert stream.status == 200
                assert stream.headers["x-name"] == "v"
                async for piece in stream:
                    if received % (1 << 20) < len(piece):
                        await asyncio.sleep(0.001)
                    assert piece[0] == received % 256
                    received += len(piece)
                    most = max(most, stream._buffered_bytes)
            assert received == size
            assert most <= MAX_BUFFERED_BYTES + 256 * 1024
            assert transport.in_flight == 0
            assert (await get(transport, f"{server.url}/fine")).body == b"good"
            assert server.connections == 1

        run(check)


@pytest.mark.parametrize(
    ("fault", "kind", "beginning"),
    [("short", "closed", b"short"), ("short-chunk", "closed", b"short"), ("short-hang", "timeout", b"short")],
)
def test_a_stream_that_breaks_off_raises(server: RawServer, fault: str, kind: str, beginning: bytes) -> None:
    """It never looks like the end of the body."""

    async def check(transport: Transport) -> None:
        received = []

        async def read() -> None:
            async with transport.stream("GET", f"{server.url}/{fault}", [], timeout_ms=SHORT_MS) as stream:
                async for piece in stream:
                    received.append(piece)  # noqa: PERF401 - what came before the error counts

        with pytest.raises(TransportError) as failed:
            await read()
        assert failed.value.kind == kind
        assert b"".join(received) == beginning
        assert transport.in_flight == 0

    run(check)


@pytest.mark.parametrize(
    ("fault", "kind"),
    [("close", "closed"), ("hang", "timeout"), ("status-only", "closed"), ("continue-close", "closed")],
)
def test_a_stream_without_an_answer_raises_before_it_begins(server: RawServer, fault: str, kind: str) -> None:
    """No head, no stream."""

    async def check(transport: Transport) -> None:
        with pytest.raises(TransportError) as failed:
            async with transport.stream("GET", f"{server.url}/{fault}", [], timeout_ms=SHORT_MS, fresh=True):
                pytest.fail("There is nothing to read.")
        assert failed.value.kind == kind

    run(check)


def test_streams_of_other_answers_work_too(server: RawServer) -> None:
    """Refusals have bodies, some answers have none, early answers come first."""

    async def check(transport: Transport) -> None:
        for name, status, body in (
            ("unavailable", 503, b"slow"),
            ("empty", 204, b""),
            ("continue", 200, b"after"),
            ("chunked", 200, b"whole!!!"),
        ):
            async with transport.stream("GET", f"{server.url}/{name}", [], timeout_ms=TIMEOUT_MS) as stream:
                assert stream.status == status
                assert b"".join([piece async for piece in stream]) == body

    run(check, max_in_flight=1)


def test_leaving_a_stream_early_ends_its_connection() -> None:
    """The rest of the body must not be read by the next request."""
    with RawServer({"body": _streams(64 * 1024 * 1024)}) as server:

        async def check(transport: Transport) -> None:
            async with transport.stream("GET", f"{server.url}/body", [], timeout_ms=TIMEOUT_MS) as stream:
                async for _ in stream:
                    break
            assert transport.in_flight == 0
            assert (await get(transport, f"{server.url}/fine")).body == b"good"
            assert server.connections == 2

        run(check)


def test_a_paused_stream_does_not_hold_up_others() -> None:
    """A reader that takes its time has no time-out, and other requests go on meanwhile."""
    with RawServer({"body": _streams(16 * 1024 * 1024)}) as server:

        async def check(transport: Transport) -> None:
            async with transport.stream("GET", f"{server.url}/body", [], timeout_ms=SHORT_MS) as stream:
                await until(lambda: stream._is_paused)
                for _ in range(50):
                    await get(transport, f"{server.url}/fine")
                await asyncio.sleep(2 * SHORT_MS / 1000)
                assert sum([len(piece) async for piece in stream]) == 16 * 1024 * 1024

        run(check)


def test_a_missing_ca_bundle_is_told_at_once() -> None:
    """Not as a strange TLS error on each request."""

    async def check(_: Transport) -> None:
        with pytest.raises(UsageError, match="no CA bundle"):
            Transport(asyncio.get_running_loop(), ca_bundle=str(Path("does") / "not-exist.pem"))

    run(check)


def test_header_lines_become_a_dictionary() -> None:
    """Names in lower case, repeated ones joined, values as text whatever their encoding."""
    lines = [
        b'ETag: "x"\r\n',
        b"X-A:1\r\n",
        b"x-a: 2\r\n",
        b"X-Utf: \xc3\xa9\r\n",
        b"X-Latin: \xe9\r\n",
        b"X-None:\r\n",
    ]
    assert header_dict(lines) == {"etag": '"x"', "x-a": "1,2", "x-utf": "é", "x-latin": "\udce9", "x-none": ""}
