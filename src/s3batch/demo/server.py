"""A small S3 server for the demo: MiniStack as a subprocess on loopback, for as long as the demo runs.

Out: the address of the store and the keys of an administrator. MiniStack checks signatures only of IAM users' keys
(1.5.33, measured 2026-11: the root's key is accepted with any secret), so a user is made and its keys are given out.
All data is in the server's memory and gone with it.
"""

from __future__ import annotations

import json
import os
import random
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

from botocore.config import Config
from botocore.session import Session

from s3batch.demo.process import started
from s3batch.model.errors import RefusedError, UnavailableError

REGION = "us-east-1"
START_TIMEOUT_S = 60.0
"""MiniStack is up within a second; a machine under load takes longer."""

_PORTS = range(15_000, 32_000)
"""Below the ports of outgoing connections (Linux: 32768 and up, macOS and BSD: 49152 and up)."""

_POLL_S = 0.05
_LOG_LINES = 10
_ROOT_KEY, _ROOT_SECRET = "AKDEMOROOT0000000000", "the root of a server on loopback"
_USER = "steward"
_ALLOW_ALL = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}


@dataclass(frozen=True, kw_only=True, slots=True)
class Store:
    """Where the server listens, and the keys of a user who may do everything there."""

    endpoint_url: str
    access_key: str
    secret_key: str

    def environment(self) -> dict[str, str]:
        """Return the variables by which any AWS tool finds the store and nothing else."""
        return {
            "AWS_ENDPOINT_URL": self.endpoint_url,
            "AWS_ACCESS_KEY_ID": self.access_key,
            "AWS_SECRET_ACCESS_KEY": self.secret_key,
            "AWS_REGION": REGION,
        }

    def client(self, service: str) -> Any:  # noqa: ANN401 - botocore makes its classes at run time
        """Return botocore's client, which shares no code with ours: what it sees is a second opinion."""
        return Session().create_client(
            service,
            region_name=REGION,
            endpoint_url=self.endpoint_url,
            aws_access_key_id=self.access_key,
            aws_secret_access_key=self.secret_key,
            config=Config(s3={"addressing_style": "path"}),
        )


@contextmanager
def run_server(folder: Path, *, bucket: str) -> Iterator[Store]:
    """Run the server with an empty ``bucket``, its log in ``folder``, until the context ends.

    Raises:
        RefusedError: code ``DemoNotInstalled``: MiniStack is not there.
        UnavailableError: code ``DemoServer``: it does not start.
    """
    program = _find_program()
    port = _free_port()
    log = folder / "ministack.log"
    settings = {
        "AUTH": "true",
        "AWS_ACCESS_KEY_ID": _ROOT_KEY,
        "AWS_SECRET_ACCESS_KEY": _ROOT_SECRET,
        "BIND_HOST": "127.0.0.1",  # its default is every address
        "GATEWAY_PORT": str(port),
        "LOG_LEVEL": "WARNING",
        "MINISTACK_REGION": REGION,
        "S3_DATA_DIR": str(folder / "ministack-s3"),
        "SERVICES": "s3,iam,sts",
        "STATE_DIR": str(folder / "ministack-state"),
        "TMPDIR": str(folder),
    }
    with started([str(program)], log=log, environment=dict(os.environ) | settings) as process:
        _wait_until_healthy(process, port, log)
        yield _make_administrator(f"http://127.0.0.1:{port}", bucket)


def _find_program() -> Path:
    beside = Path(sys.executable).parent / "ministack"
    found = beside if beside.is_file() else shutil.which("ministack")
    if found is None:
        raise RefusedError(
            "The demo needs MiniStack, a small S3 server, and it is not installed.",
            code="DemoNotInstalled",
            way_out="Install the extra: pip install 's3batch[demo]'. In a clone, `make demo` does it all.",
        )
    return Path(found)


def _free_port() -> int:
    """Return a port of loopback that is free now and that no outgoing connection takes before the server does."""
    choose = random.SystemRandom()
    while True:
        port = choose.randrange(_PORTS.start, _PORTS.stop)
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


def _wait_until_healthy(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline_s = time.monotonic() + START_TIMEOUT_S
    while not _is_healthy(port):
        if process.poll() is not None or time.monotonic() > deadline_s:
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-_LOG_LINES:])
            raise UnavailableError(
                f"The demo's S3 server did not start. Its log {log} ends with:\n{tail}\n",
                code="DemoServer",
                way_out="Try again; another MiniStack on this machine does not matter.",
            )
        time.sleep(_POLL_S)


def _is_healthy(port: int) -> bool:
    connection = HTTPConnection("127.0.0.1", port, timeout=2)
    try:
        connection.request("GET", "/_ministack/health")
        return "s3" in json.loads(connection.getresponse().read()).get("services", {})
    except (OSError, HTTPException, ValueError):
        return False
    finally:
        connection.close()


def _make_administrator(endpoint_url: str, bucket: str) -> Store:
    """Make a user with all rights, and the bucket, acting as the server's root."""
    root = Store(endpoint_url=endpoint_url, access_key=_ROOT_KEY, secret_key=_ROOT_SECRET)
    iam = root.client("iam")
    iam.create_user(UserName=_USER)
    iam.put_user_policy(UserName=_USER, PolicyName="everything", PolicyDocument=json.dumps(_ALLOW_ALL))
    keys = iam.create_access_key(UserName=_USER)["AccessKey"]
    root.client("s3").create_bucket(Bucket=bucket)
    return Store(endpoint_url=endpoint_url, access_key=keys["AccessKeyId"], secret_key=keys["SecretAccessKey"])
