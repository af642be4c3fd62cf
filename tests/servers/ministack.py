"""MiniStack with authentication on: the closest to AWS of the servers that a test can start in a fraction of a second.

Facts: BIND_HOST must be given (its default is every address); with AUTH=true it enforces SigV4, IAM users' policies and
bucket policies, but for its root, whose key comes from the environment (see users.py). Measured with 1.5.33, 2026-11.
"""

import contextlib
import json
from collections.abc import Iterator
from http.client import HTTPConnection, HTTPException
from pathlib import Path

from tests.servers.process import ServerProcess, find_program, free_port
from tests.servers.server import REGION, Server
from tests.servers.users import with_users

ROOT_KEY = "AKMINISTACK000000000"
ROOT_SECRET = "SKMINISTACK0000000000000000000000000000"


@contextlib.contextmanager
def run_ministack(folder: Path) -> Iterator[Server]:
    """Run MiniStack with its temporary files in ``folder``, until the context ends."""
    program = find_program("ministack", package="pip install ministack==1.5.33 (the extra `demo`)")
    port = free_port()
    environment = {
        "AUTH": "true",
        "AWS_ACCESS_KEY_ID": ROOT_KEY,
        "AWS_SECRET_ACCESS_KEY": ROOT_SECRET,
        "BIND_HOST": "127.0.0.1",
        "GATEWAY_PORT": str(port),
        "LOG_LEVEL": "WARNING",
        "MINISTACK_REGION": REGION,
        "S3_DATA_DIR": str(folder / "s3"),
        "SERVICES": "s3,iam,sts",
        "STATE_DIR": str(folder / "state"),
        "TMPDIR": str(folder),
    }
    with ServerProcess([program], log=folder / "ministack.log", environment=environment) as process:
        process.wait_until(lambda: _is_healthy(port))
        root = Server(
            name="ministack",
            endpoint_url=f"http://127.0.0.1:{port}",
            access_key=ROOT_KEY,
            secret_key=ROOT_SECRET,
            pid=process.pid,
        )
        yield with_users(root)


def _is_healthy(port: int) -> bool:
    connection = HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/_ministack/health")
        return "s3" in json.loads(connection.getresponse().read()).get("services", {})
    except (OSError, HTTPException, ValueError):
        return False
    finally:
        connection.close()
