"""Start the stub, and steer it: fill folders, set a bucket's habits, read the counts of requests.

What the stub knows is told in s3.lua; what it holds, in objects.lua. It runs as one nginx process without privileges.
The port after its own answers the same, each answer later by a delay.
"""

import contextlib
import getpass
import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from tests.servers.process import NotInstalledError, ServerProcess, accepts_connections, find_program, free_port
from tests.servers.server import Server

PACKAGES = "apt-get install --no-install-recommends nginx-light libnginx-mod-http-lua"
MODULE_FOLDERS = (Path("/usr/lib/nginx/modules"), Path("/usr/share/nginx/modules"))
MODULES = ("ndk_http_module.so", "ngx_http_lua_module.so")
DEFAULT_DELAY_MS = 100

CONFIGURATION = """\
{modules}
{user}
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log warn;
events {{ worker_connections 8192; multi_accept on; }}
http {{
  access_log off;
  server_tokens off;
  merge_slashes off;
  keepalive_requests 1000000000;
  keepalive_timeout 300s;
  client_max_body_size 5g;
  client_body_buffer_size 1m;
  large_client_header_buffers 8 32k;
  client_body_temp_path {folder}/body;
  proxy_temp_path {folder}/proxy;
  fastcgi_temp_path {folder}/fastcgi;
  uwsgi_temp_path {folder}/uwsgi;
  scgi_temp_path {folder}/scgi;
  lua_package_path "{lua}/?.lua;;";
  init_by_lua_block {{ s3 = require "s3" }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{ set $delay 0; content_by_lua_block {{ s3.answer() }} }}
  }}
  server {{
    listen 127.0.0.1:{slow_port} backlog=4096;
    location / {{ set $delay {delay_s}; content_by_lua_block {{ s3.answer() }} }}
  }}
}}
"""


@contextlib.contextmanager
def run_stub(folder: Path, *, port: int | None = None, delay_ms: int = DEFAULT_DELAY_MS) -> Iterator[Server]:
    """Run a stub with its temporary files in ``folder`` until the context ends.

    Raises:
        NotInstalledError: nginx or its Lua module is missing.
    """
    program = find_program("nginx", package=PACKAGES)
    port = free_port(span=2) if port is None else port
    text = CONFIGURATION.format(
        modules="\n".join(f"load_module {_module(name)};" for name in MODULES),
        # started by root, nginx would give its rights up and could not read a root's temporary folder
        user=f"user {getpass.getuser()};" if os.getuid() == 0 else "",
        folder=folder,
        lua=Path(__file__).parent,
        port=port,
        slow_port=port + 1,
        delay_s=delay_ms / 1000,
    )
    configuration = folder / "nginx.conf"
    configuration.write_text(text)
    arguments = [program, "-p", str(folder), "-e", str(folder / "error.log"), "-c", str(configuration)]
    with ServerProcess(arguments, log=folder / "nginx.out") as process:
        process.wait_until(lambda: accepts_connections(port))
        yield Server(
            name="stub",
            endpoint_url=f"http://127.0.0.1:{port}",
            access_key="stub",
            secret_key="stub",
            pid=process.pid,
        )


def _module(name: str) -> Path:
    for folder in MODULE_FOLDERS:
        if (folder / name).exists():
            return folder / name
    msg = f"nginx's module {name} is not installed: {PACKAGES}"
    raise NotInstalledError(msg)


@dataclass(frozen=True, kw_only=True)
class RequestCounts:
    """The requests that the stub has answered since its start or reset."""

    methods: Mapping[str, int]
    """By HTTP method."""
    kinds: Mapping[str, int]
    """By S3's name of the call, as `CopyObject`."""
    deleted_keys: int


class StubControl:
    """The stub's own calls."""

    def __init__(self, server: Server) -> None:
        self._address = urlsplit(server.endpoint_url).netloc

    def reset(self) -> None:
        """Forget all objects and counts."""
        self._call("POST", "/__reset")

    def configure_bucket(
        self, bucket: str, *, etags: str = "single", conditions: str = "honoured", size_bytes: int = 1024
    ) -> None:
        """Set a bucket's habits, before it is filled.

        Args:
            bucket: its name.
            etags: `multipart` gives numbered objects ETags that end in `-2`. A copy of one into a bucket of the
                `single` kind has a single-part ETag, as on AWS; into a `multipart` one it keeps its ETag, as on some
                stores.
            conditions: `ignored` makes every If-Match, If-None-Match, copy-source condition and ETag in DeleteObjects
                without effect, as on some stores.
            size_bytes: of each numbered object.
        """
        habits = {"bucket": bucket, "etags": etags, "conditions": conditions, "size": size_bytes}
        self._call("POST", "/__bucket?" + urlencode(habits))

    def fill(self, bucket: str, folder: str, count: int) -> None:
        """Put ``count`` objects (at most 10^9) into a folder: its name, which ends in a slash, and nine digits."""
        self._call("POST", "/__fill?" + urlencode({"bucket": bucket, "folder": folder, "count": count}))

    def counts(self) -> RequestCounts:
        """Return the counts of requests."""
        return RequestCounts(**json.loads(self._call("GET", "/__counts")))

    def _call(self, method: str, path: str) -> bytes:
        connection = HTTPConnection(self._address, timeout=60)
        try:
            connection.request(method, path)
            response = connection.getresponse()
            body = response.read()
        finally:
            connection.close()
        if response.status != 200:
            msg = f"the stub answered {response.status} to {method} {path}: {body[:200]!r}"
            raise RuntimeError(msg)
        return body


def slow_endpoint_url(server: Server) -> str:
    """Return the address at which the stub answers later."""
    host, _, port = server.endpoint_url.rpartition(":")
    return f"{host}:{int(port) + 1}"
