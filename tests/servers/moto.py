"""moto's server with authentication on.

Facts: authentication is off until `POST /moto-api/reset-auth` with a text body `0`; users must exist before that; user
names and keys are made by its IAM. Measured with 5.2.5, 2026-11.
"""

import contextlib
import sys
from collections.abc import Iterator
from http.client import HTTPConnection
from importlib.util import find_spec
from pathlib import Path

from tests.servers.process import NotInstalledError, ServerProcess, accepts_connections, free_port
from tests.servers.server import Server
from tests.servers.users import with_users


@contextlib.contextmanager
def run_moto(folder: Path) -> Iterator[Server]:
    """Run moto's server until the context ends."""
    if find_spec("moto") is None:
        msg = "moto is not installed: pip install 'moto[s3,server]' (the extra `dev`)"
        raise NotInstalledError(msg)
    port = free_port()
    arguments = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    # its temporary files hold the objects above a few MB
    environment = {"TMPDIR": str(folder), "AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
    with ServerProcess(arguments, log=folder / "moto.log", environment=environment) as process:
        process.wait_until(lambda: accepts_connections(port))
        anonymous = Server(
            name="moto",
            endpoint_url=f"http://127.0.0.1:{port}",
            access_key="none",
            secret_key="none",
            pid=process.pid,
        )
        server = with_users(anonymous)
        _switch_authentication_on(port)
        yield server


def _switch_authentication_on(port: int) -> None:
    connection = HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        connection.request("POST", "/moto-api/reset-auth", body="0", headers={"Content-Type": "text/plain"})
        connection.getresponse().read()
    finally:
        connection.close()
