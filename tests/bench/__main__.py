"""`make bench`: CPU per object of the whole program on a stub of S3, beside s5cmd and rclone in the same run.

CPU is user + system time of all processes: the command, the runner, its worker. The runner is started here, so that
the operating system accounts for it and for the worker that it reaps. The stub's CPU is not in it. Machines are
noisy, so each figure stands beside a peer's of the same run, with its rate, and nothing is asserted.

    python -m tests.bench [--objects 100000] [--objects 1000000] [--peer-objects 20000] [--write docs/benchmarks.md]
"""

from __future__ import annotations

import argparse
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
from dataclasses import dataclass
from pathlib import Path

from tests.servers.process import find_program
from tests.servers.server import Server
from tests.servers.stub.launcher import StubControl, run_stub

BEGIN, END = "<!-- figures: begin -->\n", "<!-- figures: end -->\n"
WARM_UP_OBJECTS = 1_000
_SAMPLE_S = 0.1
_KIB = 1024


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
        """Run one of our commands with a runner of its own, note its figure, return its JSON."""
        runner = [sys.executable, "-m", "s3batch", "runner", "--workers", "1", "--idle-exit", "1"]
        commands = [[sys.executable, "-m", "s3batch", *words, "--json"]]
        if words[0] != "manifest":
            commands.insert(0, runner)
        document: dict[str, object] = json.loads(self._measure(work, "s3batch", objects, commands))
        return document

    def peer(self, work: str, program: str, objects: int, *words: str) -> None:
        """Run a peer and note its figure."""
        self._measure(work, program, objects, [[str(find_program(program, package=program)), *words]])

    def _measure(self, work: str, program: str, objects: int, commands: Sequence[Sequence[str]]) -> str:
        before = self.control.counts()
        began_s, watch = time.perf_counter(), _MemoryWatch()
        output = self.folder / "output"
        with output.open("wb") as stdout, (self.folder / "errors").open("ab") as stderr:
            processes = []
            for command in commands:
                out = stdout if command is commands[-1] else stderr
                processes.append(
                    subprocess.Popen(command, env=self.environment, stdout=out, stderr=stderr, start_new_session=True)
                )
                if command is not commands[-1]:
                    time.sleep(0.5)  # the runner has the lock before the command looks for one
            watch.start([process.pid for process in processes])
            shares_s = []
            for process in reversed(processes):
                _, status, usage = os.wait4(process.pid, 0)
                shares_s.append(usage.ru_utime + usage.ru_stime)
                if status and process is processes[-1]:
                    watch.stop()
                    raise RuntimeError(f"{work}, {program}: {output.read_text()[-2000:]} {self._errors()}")
                if process is processes[-1]:
                    wall_s = time.perf_counter() - began_s
        after = self.control.counts()
        figure = Figure(
            work=work,
            program=program,
            objects=objects,
            cpu_s=sum(shares_s),
            wall_s=wall_s,
            rss_mb=watch.stop(),
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
    """The largest resident size that any process of some sessions has had."""

    def __init__(self) -> None:
        self._largest_kib = 0
        self._is_ended = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self, sessions: Sequence[int]) -> None:
        self._thread = threading.Thread(target=self._watch, args=(sessions,), daemon=True)
        self._thread.start()

    def stop(self) -> float:
        """Return it in MB."""
        self._is_ended.set()
        if self._thread is not None:
            self._thread.join()
        return self._largest_kib / _KIB

    def _watch(self, sessions: Sequence[int]) -> None:
        while not self._is_ended.wait(_SAMPLE_S):
            for status in Path("/proc").glob("[0-9]*/status"):
                try:
                    if os.getsid(int(status.parent.name)) in sessions:
                        peak = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
                        self._largest_kib = max(self._largest_kib, int(peak.split()[1]))
                except (OSError, StopIteration):
                    continue


def measure_ours(bench: Bench, objects: int) -> None:
    """Run the main job's steps on ``objects`` objects."""
    bench.control.reset()
    bench.control.fill("source", "obj/", objects)
    manifest = bench.folder / f"manifest-{objects}.parquet"
    bench.ours("list", objects, "manifest", "create", "s3://source/obj/", "-o", str(manifest))
    copy = bench.ours("copy", objects, "copy", "s3://source/obj/", "s3://target/new/")
    verify = bench.ours("verify", objects, "verify", "--job", str(copy["job_id"]))
    bench.ours("delete", objects, "delete", "--job", str(verify["job_id"]), "--trust-listings", "--yes")
    _require_empty(bench)
    bench.control.reset()
    bench.control.fill("source", "obj/", objects)
    bench.control.configure_bucket("source", conditions="ignored")
    copy = bench.ours("(copy)", objects, "copy", "s3://source/obj/", "s3://target/new/")
    verify = bench.ours("(verify)", objects, "verify", "--job", str(copy["job_id"]))
    delete = ("delete", "--job", str(verify["job_id"]), "--trust-listings", "--yes")
    bench.ours("delete, conditions ignored", objects, *delete)
    _require_empty(bench)


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


def _require_empty(bench: Bench) -> None:
    """A figure of a delete that deleted nothing would flatter."""
    client = bench.server.boto3_client()
    if client.list_objects_v2(Bucket="source", Prefix="obj/").get("KeyCount"):
        raise RuntimeError("The delete left objects behind.")


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
