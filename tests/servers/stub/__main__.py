"""Run a stub in the foreground until Ctrl-C, and tell how to reach it."""

import argparse
import contextlib
import signal
import sys
import tempfile
from pathlib import Path

from tests.servers.stub.launcher import DEFAULT_DELAY_MS, StubControl, run_stub, slow_endpoint_url


def main() -> None:
    """Read the arguments, start, wait."""
    parser = argparse.ArgumentParser(prog="python -m tests.servers.stub", description=__doc__)
    parser.add_argument("--port", type=int, help="default: a free one")
    parser.add_argument("--delay-ms", type=int, default=DEFAULT_DELAY_MS, help="of the second port (port + 1)")
    parser.add_argument("--fill", action="append", default=[], metavar="BUCKET/FOLDER/=COUNT", help="may be repeated")
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with (
        contextlib.suppress(KeyboardInterrupt),
        tempfile.TemporaryDirectory(prefix="s3b-stub-") as folder,
        run_stub(Path(folder), port=arguments.port, delay_ms=arguments.delay_ms) as server,
    ):
        control = StubControl(server)
        for filling in arguments.fill:
            place, _, count = filling.rpartition("=")
            bucket, _, name = place.partition("/")
            control.fill(bucket, name, int(count))
        sys.stdout.write(f"{server.endpoint_url} (later by {arguments.delay_ms} ms: {slow_endpoint_url(server)})\n")
        sys.stdout.flush()
        signal.pause()


if __name__ == "__main__":
    main()
