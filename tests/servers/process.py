"""Server processes: a free port, a start, a bounded wait until ready, an end.

A process started here ends with the one that started it (Linux, by `setpriv --pdeathsig`), even after a kill -9.
"""

import contextlib
import os
import random
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Self

PORTS = range(15000, 32000)
"""Below Linux's range for outgoing connections (32768 and up), so that none of those takes a port before its use."""
POLL_S = 0.02
STOP_TIMEOUT_S = 10.0


class ServerStartError(Exception):
    """A server did not come up; the message ends with the last lines of its log."""


class NotInstalledError(Exception):
    """A server's program is not on this machine; the message tells how to install it."""


def free_port(*, span: int = 1) -> int:
    """Return a port such that it and the ``span - 1`` after it are free on loopback."""
    choose = random.SystemRandom()
    for _ in range(200):
        port = choose.randrange(PORTS.start, PORTS.stop - span)
        if all(_is_free(port + offset) for offset in range(span)):
            return port
    msg = f"no {span} free ports in a row between {PORTS.start} and {PORTS.stop}"
    raise ServerStartError(msg)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def find_program(name: str, *, package: str) -> str:
    """Return the path of an installed program: beside this interpreter, on the PATH, or where daemons live.

    Raises:
        NotInstalledError: it is not there; ``package`` says what brings it.
    """
    folders = [str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath), "/usr/sbin", "/usr/local/sbin"]
    found = shutil.which(name, path=os.pathsep.join(folders))
    if found is None:
        msg = f"{name} is not installed: {package}"
        raise NotInstalledError(msg)
    return found


class ServerProcess:
    """One subprocess, its log, and its end. Use as a context manager, or call ``stop``."""

    def __init__(self, arguments: Sequence[str], *, log: Path, environment: Mapping[str, str] | None = None) -> None:
        self._log = log
        setpriv = shutil.which("setpriv")
        guard = [setpriv, "--pdeathsig", "TERM", "--"] if setpriv else []
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [*guard, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=None if environment is None else {**os.environ, **environment},
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        """The process id (the server's own: the guard becomes the server by exec)."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether it has not ended yet."""
        return self._process.poll() is None

    def wait_until(self, is_ready: Callable[[], bool], *, timeout_s: float = 30.0) -> None:
        """Poll until ready.

        Raises:
            ServerStartError: it ended, or is not ready in time.
        """
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            if not self.is_running:
                msg = f"the server ended with code {self._process.returncode}:\n{self.log_tail()}"
                raise ServerStartError(msg)
            if is_ready():
                return
            time.sleep(POLL_S)
        msg = f"the server was not ready after {timeout_s} s:\n{self.log_tail()}"
        raise ServerStartError(msg)

    def log_tail(self, *, lines: int = 20) -> str:
        """Return the end of what it printed."""
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-lines:])

    def stop(self) -> None:
        """End it: politely, then surely."""
        if self.is_running:
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_TIMEOUT_S)
        if self.is_running:
            self._process.kill()
        self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def accepts_connections(port: int) -> bool:
    """Tell whether something listens on a loopback port."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
    except OSError:
        return False
