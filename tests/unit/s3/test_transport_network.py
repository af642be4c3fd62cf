"""TLS with certificates of one's own, and proxies, over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import subprocess
import threading
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from s3batch.s3.errors import TransportError
from s3batch.s3.network_environment import default_ca_bundle, environment_proxy, proxy_from_environment
from s3batch.s3.transport import RawResponse, Transport
from tests.unit.s3.raw_server import RECEIVE_BYTES, RawServer, SeenRequest, ok, sends

PROXY_VARIABLES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


def run(test: Callable[[Transport], Awaitable[None]], **settings: Any) -> None:  # noqa: ANN401 - the transport's own
    """Run a coroutine with a transport."""

    async def main() -> None:
        transport = Transport(asyncio.get_running_loop(), **settings)
        try:
            await test(transport)
        finally:
            await transport.close()

    asyncio.run(main())


async def get(transport: Transport, url: str) -> RawResponse:
    """Send a GET."""
    return await transport.request("GET", url, [], timeout_ms=10_000)


def _certificate(folder: Path, name: str, alternative_name: str) -> tuple[Path, ssl.SSLContext]:
    """Return a new self-signed certificate's path and a server's context that uses it."""
    certificate, key = folder / f"{name}.pem", folder / f"{name}.key"
    subprocess.run(
        [
            "openssl",
            "req",
            "-x509",
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
            "-days",
            "2",
            "-subj",
            f"/CN={name}",
            "-addext",
            f"subjectAltName={alternative_name}",
            "-keyout",
            str(key),
            "-out",
            str(certificate),
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return certificate, context


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ssl.SSLContext]:
    """Give the certificate of a site's own authority, valid for loopback."""
    return _certificate(tmp_path_factory.mktemp("site"), "site", "IP:127.0.0.1")


@pytest.fixture(scope="module")
def stranger(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ssl.SSLContext]:
    """Give a certificate for another host name."""
    return _certificate(tmp_path_factory.mktemp("stranger"), "stranger", "DNS:other.example.com")


def test_a_site_s_own_authority_is_trusted_when_named(site: tuple[Path, ssl.SSLContext]) -> None:
    """Requests, bodies and many connections over TLS, as a private store has it."""
    certificate, context = site
    with RawServer({}, tls=context) as server:

        async def check(transport: Transport) -> None:
            answers = await asyncio.gather(*(get(transport, f"{server.url}/{number}") for number in range(80)))
            assert {answer.body for answer in answers} == {b"good"}
            body = b"x" * 3_000_000
            await transport.request("PUT", f"{server.url}/k", [], body, timeout_ms=10_000, fresh=True)
            assert server.requests[-1].body == body

        run(check, ca_bundle=str(certificate))


def test_an_unknown_authority_is_refused_before_anything_is_sent(site: tuple[Path, ssl.SSLContext]) -> None:
    """With the system's bundle the site's own certificate is worth nothing."""
    with RawServer({}, tls=site[1]) as server:

        async def check(transport: Transport) -> None:
            with pytest.raises(TransportError) as failed:
                await get(transport, server.url)
            assert failed.value.kind == "tls"
            assert failed.value.sent is False
            assert "CA bundle" in str(failed.value)

        run(check)
        assert server.requests == []


def test_a_certificate_for_another_host_is_refused(stranger: tuple[Path, ssl.SSLContext]) -> None:
    """A trusted authority does not make every name right."""
    certificate, context = stranger
    with RawServer({}, tls=context) as server:

        async def check(transport: Transport) -> None:
            with pytest.raises(TransportError) as failed:
                await get(transport, server.url)
            assert failed.value.kind == "tls"
            assert failed.value.sent is False

        run(check, ca_bundle=str(certificate))
        assert server.requests == []


def test_verification_can_be_switched_off(stranger: tuple[Path, ssl.SSLContext]) -> None:
    """For a test server; it must be asked for."""
    with RawServer({}, tls=stranger[1]) as server:

        async def check(transport: Transport) -> None:
            assert (await get(transport, server.url)).body == b"good"

        run(check, verify_tls=False)


def test_http_spoken_to_a_tls_port_and_the_other_way_round_are_errors(site: tuple[Path, ssl.SSLContext]) -> None:
    """A wrong scheme in the endpoint is the usual mistake; it neither hangs nor looks like an answer."""
    with RawServer({}, tls=site[1]) as secure, RawServer({}) as plain:

        async def check(transport: Transport) -> None:
            with pytest.raises(TransportError) as failed:
                await get(transport, secure.url.replace("https", "http"))
            assert failed.value.kind in {"closed", "other"}
            with pytest.raises(TransportError) as failed:
                await transport.request("GET", plain.url.replace("http", "https"), [], timeout_ms=2_000)
            assert failed.value.kind in {"tls", "timeout"}
            assert failed.value.sent is False

        run(check, connect_timeout_s=1.0)


def test_there_is_always_a_ca_bundle(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The system's, or the one that is named as for other programs, or certifi's."""
    assert Path(default_ca_bundle()).is_file()
    own = tmp_path / "own.pem"
    own.write_text("")
    monkeypatch.setenv("SSL_CERT_FILE", str(own))
    assert default_ca_bundle() == str(own)
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "missing.pem"))
    monkeypatch.setattr("s3batch.s3.network_environment.SYSTEM_CA_BUNDLES", ())
    assert "certifi" in default_ca_bundle()


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Give a function that sets the proxy variables and clears the others."""

    def set_variables(**variables: str) -> None:
        for name in PROXY_VARIABLES:
            monkeypatch.delenv(name, raising=False)
            monkeypatch.delenv(name.upper(), raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    set_variables()
    return set_variables


def test_the_environment_names_the_proxy(environment: Callable[..., None]) -> None:
    """As curl, requests and botocore read it: by scheme, with exceptions, lower or upper case."""
    assert environment_proxy("https://s3.example.com") == ""
    assert proxy_from_environment() is None
    environment(http_proxy="http://p:1", HTTPS_PROXY="http://q:2", no_proxy="internal.example.com,127.0.0.1:99")
    assert proxy_from_environment() is environment_proxy
    assert environment_proxy("http://s3.example.com") == "http://p:1"
    assert environment_proxy("https://s3.example.com:8443") == "http://q:2"
    assert environment_proxy("https://bucket.internal.example.com") == ""
    assert environment_proxy("http://internal.example.com:9000") == ""
    assert environment_proxy("http://127.0.0.1:99") == ""
    environment(all_proxy="socks5h://r:3")
    assert environment_proxy("https://s3.example.com") == "socks5h://r:3"
    environment(http_proxy="http://p:1", no_proxy="*")
    assert environment_proxy("http://s3.example.com") == ""
    environment(no_proxy="x")
    assert proxy_from_environment() is None


def test_plain_requests_go_through_the_proxy_as_they_are(environment: Callable[..., None]) -> None:
    """The proxy gets the whole address, the path untouched; exceptions go directly."""
    with RawServer({"*": sends(ok(b"by proxy"))}) as proxy, RawServer({}) as server:
        environment(http_proxy=proxy.url, no_proxy="127.0.0.1")

        async def check(transport: Transport) -> None:
            address = "http://store.example.com/b/a/../c//d%20e"
            assert (await get(transport, address)).body == b"by proxy"
            assert proxy.requests[0].target == address
            assert (await get(transport, f"{server.url}/direct")).body == b"good"
            assert (await get(transport, address)).body == b"by proxy"
            assert [seen.target for seen in server.requests] == ["/direct"]

        run(check, proxy=proxy_from_environment(), max_in_flight=1)


def test_without_a_proxy_argument_the_environment_does_not_matter(environment: Callable[..., None]) -> None:
    """Left alone libcurl would read the variables itself."""
    with RawServer({}) as server:
        environment(http_proxy="http://127.0.0.1:1", all_proxy="http://127.0.0.1:1")

        async def check(transport: Transport) -> None:
            assert (await get(transport, server.url)).body == b"good"

        run(check)


def tunnel(_server: RawServer, client: socket.socket, request: SeenRequest) -> bool:
    """Connect as CONNECT asks, and carry bytes both ways."""
    host, _, port = request.target.rpartition(":")
    with socket.create_connection((host, int(port))) as target:
        client.sendall(b"HTTP/1.1 200 Connected\r\nX-Proxy: secret\r\n\r\n")

        def carry(source: socket.socket, sink: socket.socket) -> None:
            with contextlib.suppress(OSError):
                while piece := source.recv(RECEIVE_BYTES):
                    sink.sendall(piece)
                sink.shutdown(socket.SHUT_WR)

        back = threading.Thread(target=carry, args=(target, client), daemon=True)
        back.start()
        carry(client, target)
        back.join(10)
    return False


def test_tls_goes_through_the_proxy_s_tunnel(site: tuple[Path, ssl.SSLContext]) -> None:
    """The store's certificate is checked through the tunnel; the proxy's headers are not the store's."""
    certificate, context = site
    with RawServer({"*": tunnel}) as proxy, RawServer({}, tls=context) as server:

        async def check(transport: Transport) -> None:
            answer = await get(transport, f"{server.url}/k")
            assert answer.body == b"good"
            assert "x-proxy" not in answer.headers
            assert proxy.requests[0].method == "CONNECT"

        run(check, ca_bundle=str(certificate), proxy=lambda _origin: proxy.url)


def test_a_proxy_that_refuses_the_tunnel_is_an_error() -> None:
    """Its 407 is not the store's answer."""
    refusal = b"HTTP/1.1 407 Who are you\r\nContent-Length: 0\r\n\r\n"
    with RawServer({"*": sends(refusal, keep=False)}) as proxy:

        async def check(transport: Transport) -> None:
            with pytest.raises(TransportError, match="407"):
                await get(transport, "https://store.example.com/k")

        run(check, proxy=lambda _origin: proxy.url)
