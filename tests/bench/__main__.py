"""`make bench`: CPU per object of the whole program on a stub of S3, beside s5cmd and rclone in the same run.

CPU is user + system time of all processes: the command, the runner that it starts, and the runner's worker. The command
ends before its runner, which Linux then hands to this process (a "child subreaper"), with the account of what it used.
The stub's CPU is not in it. Machines are noisy, so each figure stands beside a peer's of the same run, with its rate,
and nothing is asserted.

    python -m tests.bench [--objects 100000] [--objects 1000000] [--peer-objects 20000] [--write docs/benchmarks.md]
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from tests.bench import http_engines
from tests.servers.process import find_program
from tests.servers.server import Server
from tests.servers.stub.launcher import StubControl, run_stub

BEGIN, END = "<!-- figures: begin -->\n", "<!-- figures: end -->\n"
WARM_UP_OBJECTS = 1_000
MOST_HEADED_OBJECTS = 100_000
_SAMPLE_S = 0.1
_KIB = 1024
_PR_SET_CHILD_SUBREAPER = 36


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One measured run."""

    work: str
    program: str
    objects: int
    cpu_s: float
    wall_s: float
    rss_mb: float
    requests: int

    @property
    def microseconds(self) -> float:
        """CPU per object."""
        return self.cpu_s / self.objects * 1e6


class Bench:
    """The stub and the programs to run against it."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.server = server
        self.control = StubControl(server)
        self.folder = folder
        self.figures: list[Figure] = []
        self.environment = {
            **os.environ,
            **server.environment(),
            "S3BATCH_HOME": str(folder / "home"),
            "HOME": str(folder),
            "RCLONE_CONFIG": str(folder / "rclone.conf"),
            "RCLONE_CONFIG_STUB_TYPE": "s3",
            "RCLONE_CONFIG_STUB_PROVIDER": "Other",
            "RCLONE_CONFIG_STUB_ENDPOINT": server.endpoint_url,
            "RCLONE_CONFIG_STUB_ACCESS_KEY_ID": server.access_key,
            "RCLONE_CONFIG_STUB_SECRET_ACCESS_KEY": server.secret_key,
            "RCLONE_CONFIG_STUB_LIST_VERSION": "2",
            "RCLONE_CONFIG_STUB_FORCE_PATH_STYLE": "true",
            "S3_ENDPOINT_URL": server.endpoint_url,
        }
        self.environment.pop("AWS_CA_BUNDLE", None)
        # An installed program has its bytecode: pip compiles what it installs. A source tree may not be written to.
        self.environment.pop("PYTHONDONTWRITEBYTECODE", None)
        self.environment["PYTHONPYCACHEPREFIX"] = str(folder / "bytecode")

    def ours(self, work: str, objects: int, *words: str) -> dict[str, object]:
        """Run one of our commands, note its figure, return its JSON."""
        command = [sys.executable, "-m", "s3batch", *words, "--json"]
        document: dict[str, object] = json.loads(self._measure(work, "s3batch", objects, command))
        return document

    def main_job(self, objects: int, *, delete: str, options: Sequence[str], note: str = "") -> None:
        """Copy, verify and delete the source; with a note, only the delete is new to the table."""
        workers = ("--workers", "1")
        names = [f"({work}, {note})" if note else work for work in ("copy", "verify")]
        copy = self.ours(names[0], objects, "copy", "s3://source/obj/", "s3://target/new/", *workers)
        verify = self.ours(names[1], objects, "verify", "--job", str(copy["job_id"]), *workers)
        self.ours(delete, objects, "delete", "--job", str(verify["job_id"]), "--yes", *options, *workers)
        client = self.server.boto3_client()
        if client.list_objects_v2(Bucket="source", Prefix="obj/").get("KeyCount"):
            raise RuntimeError("The delete left objects behind, so its figure would flatter.")

    def yardstick(self) -> None:
        """Note what the transport and the signer cost by themselves just now: how fast the machine is at the moment."""
        case = http_engines.YARDSTICK
        with http_engines.stub() as ports:
            figures = http_engines.measure_apart(case, ports)
        figure = Figure(
            work="copy",
            program="libcurl alone",
            objects=case.requests,
            cpu_s=figures["us"] * case.requests / 1e6,
            wall_s=case.requests / figures["rate_per_s"],
            rss_mb=figures["rss_mb"],
            requests=case.requests,
        )
        self.figures.append(figure)
        print(f"copy     libcurl alone {case.requests:,} {figure.microseconds:8.2f} us/object", flush=True)  # noqa: T201

    def peer(self, work: str, program: str, objects: int, *words: str) -> None:
        """Run a peer and note its figure."""
        self._measure(work, program, objects, [str(find_program(program, package=program)), *words])

    def _measure(self, work: str, program: str, objects: int, command: Sequence[str]) -> str:
        before, others = self.control.counts(), _children()
        output = self.folder / "output"
        began_s = time.perf_counter()
        with output.open("wb") as stdout, (self.folder / "errors").open("ab") as stderr, _MemoryWatch(others) as watch:
            process = subprocess.Popen(command, env=self.environment, stdout=stdout, stderr=stderr)
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            wall_s = time.perf_counter() - began_s
            shares_s = [usage.ru_utime + usage.ru_stime]
            while left := _children() - others:  # the runner, which the command left behind
                usage = os.wait4(left.pop(), 0)[2]
                shares_s.append(usage.ru_utime + usage.ru_stime)
        if status:
            raise RuntimeError(f"{work}, {program}: {output.read_text()[-2000:]} {self._errors()}")
        after = self.control.counts()
        figure = Figure(
            work=work,
            program=program,
            objects=objects,
            cpu_s=sum(shares_s),
            wall_s=wall_s,
            rss_mb=watch.largest_mb,
            requests=sum(after.methods.values()) - sum(before.methods.values()),
        )
        self.figures.append(figure)
        print(  # noqa: T201 - this program's purpose
            f"{work:8} {program:8} {objects:>9,} {figure.microseconds:8.2f} us/object"
            f" {objects / figure.cpu_s:>10,.0f} per CPU s {figure.wall_s:7.1f} s {figure.rss_mb:6.0f} MB"
            f" {figure.requests:>9,} requests; {' + '.join(f'{share_s:.2f}' for share_s in shares_s)} CPU s",
            flush=True,
        )
        return output.read_text()

    def _errors(self) -> str:
        return (self.folder / "errors").read_text()[-2000:]


class _MemoryWatch:
    """The largest resident size that any descendant of this process has, but for those that were there before."""

    def __init__(self, others: set[int]) -> None:
        self.largest_mb = 0.0
        self._others = others
        self._is_ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._is_ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._is_ended.wait(_SAMPLE_S):
            for pid in _descendants(self._others):
                try:
                    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
                    peak = next(line for line in lines if line.startswith("VmHWM"))
                except (OSError, StopIteration):
                    continue
                self.largest_mb = max(self.largest_mb, int(peak.split()[1]) / _KIB)


def _children(pid: int | str = "self") -> set[int]:
    """Return the processes that a process has to wait for; those of any of its threads."""
    found: set[int] = set()
    for path in Path(f"/proc/{pid}/task").glob("*/children"):
        with suppress(OSError):
            found.update(map(int, path.read_text().split()))
    return found


def _descendants(others: set[int]) -> set[int]:
    found: set[int] = set()
    waiting = _children() - others
    while waiting:
        found |= waiting
        waiting = set().union(*(_children(pid) for pid in waiting)) - found
    return found


def _adopt_orphans() -> None:
    """Become the parent of descendants whose parent ended."""
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "prctl")


def measure_ours(bench: Bench, objects: int) -> None:
    """Run the main job's steps on ``objects`` objects, one worker; the listings before a delete are believed or not."""
    bench.yardstick()
    bench.control.reset()
    bench.control.fill("source", "obj/", objects)
    manifest = bench.folder / f"manifest-{objects}.parquet"
    bench.ours("list", objects, "manifest", "create", "s3://source/obj/", "-o", str(manifest))
    bench.main_job(objects, delete="delete", options=("--trust-listings",))
    bench.control.reset()
    bench.control.fill("source", "obj/", objects)
    bench.control.configure_bucket("source", conditions="ignored")
    bench.main_job(objects, delete="delete, conditions ignored", options=("--trust-listings",), note="again")
    if objects <= MOST_HEADED_OBJECTS:
        bench.control.reset()
        bench.control.fill("source", "obj/", objects)
        bench.main_job(objects, delete="delete, two HEADs an object", options=(), note="again")


def measure_peers(bench: Bench, objects: int) -> None:
    """Run the peers' nearest commands on ``objects`` objects."""
    bench.control.reset()
    bench.control.fill("source", "obj/", objects)
    bench.peer("list", "s5cmd", objects, "ls", "s3://source/obj/*")
    bench.peer("list", "rclone", objects, "size", "stub:source/obj")
    bench.peer("copy", "s5cmd", objects, "cp", "s3://source/obj/*", "s3://target/s5cmd/")
    bench.peer("copy", "rclone", objects, "copy", "stub:source/obj", "stub:target/rclone", "--transfers", "64")
    bench.peer("verify", "rclone", objects, "check", "stub:source/obj", "stub:target/rclone", "--checkers", "64")
    bench.peer("delete", "s5cmd", objects, "rm", "s3://target/s5cmd/*")


def table(figures: Sequence[Figure]) -> str:
    """Return the figures as Markdown, each beside the peers of the same run."""
    names = ["work", "program", "objects", "us CPU an object", "objects a CPU second", "peer / ours", "wall s"]
    names += ["largest process MB", "requests"]
    lines = [f"| {' | '.join(names)} |", "|---" * len(names) + "|"]
    for figure in figures:
        if figure.work.startswith("("):
            continue
        ours = [each for each in figures if each.work == figure.work and each.program == "s3batch"]
        ratio = "" if figure.program == "s3batch" or not ours else f"{figure.microseconds / ours[0].microseconds:.1f}x"
        lines.append(
            f"| {figure.work} | {figure.program} | {figure.objects:,} | {figure.microseconds:.2f} |"
            f" {figure.objects / figure.cpu_s:,.0f} | {ratio} | {figure.wall_s:.1f} | {figure.rss_mb:.0f} |"
            f" {figure.requests:,} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure, print, and write the table where asked to."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("--objects", type=int, action="append", help="may be repeated; default 100,000 and 1,000,000")
    parser.add_argument("--peer-objects", type=int, default=20_000)
    parser.add_argument("--write", type=Path, help="put the table between the marks of this file")
    arguments = parser.parse_args()
    _adopt_orphans()
    folder = Path(tempfile.mkdtemp(prefix="s3b-bench-"))
    try:
        with run_stub(folder) as server:
            bench = Bench(server, folder)
            measure_ours(bench, WARM_UP_OBJECTS)
            bench.figures.clear()
            sizes = arguments.objects or [100_000, 1_000_000]
            measure_ours(bench, sizes[0])
            measure_peers(bench, arguments.peer_objects)
            for objects in sizes[1:]:
                measure_ours(bench, objects)
            bench.yardstick()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    machine = f"{os.cpu_count()} cores, Python {platform.python_version()}, {platform.system()} {platform.machine()}"
    text = f"Measured {time.strftime('%Y-%m-%d')} on {machine}.\n\n{table(bench.figures)}"
    print(f"\n{text}")  # noqa: T201
    if arguments.write:
        before, _, rest = arguments.write.read_text().partition(BEGIN)
        arguments.write.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}")


if __name__ == "__main__":
    main()
