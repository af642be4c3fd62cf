"""A process that runs beside the demo and ends with it, however that ends.

In: a command and where its output goes. Out: the process, running; at the end of the context it has been asked to
leave, and was killed if it did not within some seconds.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

_STOP_TIMEOUT_S = 10.0


@contextmanager
def started(command: Sequence[str], *, log: Path, environment: Mapping[str, str]) -> Iterator[subprocess.Popen[bytes]]:
    """Run ``command`` until the context ends.

    It has a session of its own: Ctrl-C is for the command that is shown, not for what serves it.
    """
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*_guard(), *command],
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        process.terminate()
        with suppress(subprocess.TimeoutExpired):
            process.wait(_STOP_TIMEOUT_S)
        if process.poll() is None:
            process.kill()
            process.wait()


def _guard() -> list[str]:
    """Return what ends the process when the demo is killed; without it the process would stay (Linux only)."""
    setpriv = shutil.which("setpriv")
    return [setpriv, "--pdeathsig", "TERM", "--"] if setpriv else []
