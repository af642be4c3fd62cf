"""A one-node Ceph with its RADOS gateway on loopback: one monitor, one OSD in memory, one gateway, no manager.

Runs as root or not, in one short folder (Unix sockets allow about 100 characters). It takes half a gigabyte, so a test
session shares one: a launcher process (`python -m tests.servers.ceph_rgw FOLDER OWNER_PID`) starts the daemons as its
children, writes `ready.json`, and ends them when it is told to or when its owner is gone.

Facts (Ceph 16.2.15, Debian 12, seen 2026-11): without cephx the gateway hangs; `tcp_nodelay=1` and `rgw copy obj
progress = false` take a copy from 48 ms to 6; storage classes are read when the gateway starts; the first write into
a new cluster stalls while the pool is made, hence the warm-up; with `paxos propose interval` at its default of a second
each step of the start takes that long (a start took 13 s, and now takes 2).
"""

import contextlib
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from tests.servers.process import (
    NotInstalledError,
    ServerProcess,
    ServerStartError,
    accepts_connections,
    find_program,
    free_port,
)
from tests.servers.server import Server

PACKAGES = "apt-get install --no-install-recommends radosgw ceph-mon ceph-osd ceph-common"
PROGRAMS = ("ceph", "ceph-mon", "ceph-osd", "ceph-authtool", "monmaptool", "radosgw", "radosgw-admin")
ACCESS_KEY = "AKCEPH00000000000000"
SECRET_KEY = "SKCEPH0000000000000000000000000000000000"
OTHER_ACCESS_KEY = "AKCEPH00000000000002"
OTHER_SECRET_KEY = "SKCEPH0000000000000000000000000000000002"
STORAGE_CLASSES = ("STANDARD_IA", "GLACIER")
OSD_PORT_SPAN = 8
START_TIMEOUT_S = 120.0

CONFIGURATION = """\
[global]
fsid = {fsid}
mon host = v2:127.0.0.1:{monitor_port}/0
public addr = 127.0.0.1
cluster addr = 127.0.0.1
auth cluster required = cephx
auth service required = cephx
auth client required = cephx
auth allow insecure global id reclaim = false
cephx sign messages = false
keyring = {folder}/keyring
run dir = {folder}
admin socket = {folder}/$name.asok
log file = {folder}/$name.log
pid file = {folder}/$name.pid
crash dir = {folder}
heartbeat file = {folder}/$name.heartbeat
ms bind port min = {osd_port}
ms bind port max = {osd_port_last}
ms bind msgr1 = false
osd pool default size = 1
osd pool default min size = 1
mon allow pool size one = true
osd pool default pg num = 2
osd pool default pgp num = 2
osd pool default pg autoscale mode = off
mon max pg per osd = 1000
mon osd initial require min compat client = luminous
osd crush chooseleaf type = 0
mon data avail crit = 1
mon data avail warn = 2
paxos propose interval = 0.02
paxos min wait = 0.01
debug ms = 0/0
debug rgw = 0/0
debug osd = 0/0
debug mon = 0/0
debug paxos = 0/0
[mon.a]
mon data = {folder}/mon
mon initial members = a
[osd.0]
osd data = {folder}/osd
osd objectstore = memstore
memstore device bytes = 4294967296
osd memory target = 1073741824
osd max object name len = 2048
[client.rgw]
rgw data = {folder}/rgw
rgw frontends = beast endpoint=127.0.0.1:{port} tcp_nodelay=1
rgw thread pool size = 64
rgw enable usage log = false
rgw enable ops log = false
rgw dns name = 127.0.0.1
rgw copy obj progress = false
rgw gc obj min wait = 60
rgw relaxed s3 bucket names = true
"""


@contextlib.contextmanager
def run_ceph_rgw(folder: Path) -> Iterator[Server]:
    """Run a new, empty cluster in ``folder`` until the context ends.

    Raises:
        NotInstalledError: a program is missing.
        ServerStartError: it did not come up.
    """
    for program in PROGRAMS:
        find_program(program, package=PACKAGES)
    with contextlib.ExitStack() as daemons:
        yield _Cluster(folder, daemons).start()


class _Cluster:
    """The steps of a start, in order."""

    def __init__(self, folder: Path, daemons: contextlib.ExitStack) -> None:
        self._folder = folder
        self._daemons = daemons
        self._port = free_port()
        self._monitor_port = free_port()
        self._osd_port = free_port(span=OSD_PORT_SPAN)

    def start(self) -> Server:
        for name in ("mon", "osd", "rgw"):
            (self._folder / name).mkdir()
        self._write_configuration()
        self._start_monitor()
        self._start_osd()
        self._make_users_and_classes()
        gateway = self._daemon("radosgw", "-n", "client.rgw", "-f")
        gateway.wait_until(lambda: accepts_connections(self._port), timeout_s=START_TIMEOUT_S)
        server = Server(
            name="ceph_rgw",
            endpoint_url=f"http://127.0.0.1:{self._port}",
            access_key=ACCESS_KEY,
            secret_key=SECRET_KEY,
            pid=gateway.pid,
            other_access_key=OTHER_ACCESS_KEY,
            other_secret_key=OTHER_SECRET_KEY,
        )
        _warm_up(server)
        return server

    def _write_configuration(self) -> None:
        text = CONFIGURATION.format(
            folder=self._folder,
            fsid=uuid.uuid4(),
            monitor_port=self._monitor_port,
            osd_port=self._osd_port,
            osd_port_last=self._osd_port + OSD_PORT_SPAN - 1,
            port=self._port,
        )
        (self._folder / "ceph.conf").write_text(text)

    def _start_monitor(self) -> None:
        keyring = str(self._folder / "keyring")
        everything = ["--cap", "mon", "allow *", "--cap", "osd", "allow *", "--cap", "mgr", "allow *"]
        self._run("ceph-authtool", "--create-keyring", keyring, "--gen-key", "-n", "mon.", "--cap", "mon", "allow *")
        self._run("ceph-authtool", keyring, "--gen-key", "-n", "client.admin", *everything)
        self._run("ceph-authtool", keyring, "--gen-key", "-n", "client.rgw", *everything)
        osd = ["--cap", "mon", "allow profile osd", "--cap", "osd", "allow *"]
        self._run("ceph-authtool", keyring, "--gen-key", "-n", "osd.0", *osd)
        address, monmap = f"[v2:127.0.0.1:{self._monitor_port}]", str(self._folder / "monmap")
        self._run("monmaptool", "--create", "--clobber", "--addv", "a", address, monmap)
        self._run("ceph-mon", "--mkfs", "-i", "a", "--monmap", monmap, "--keyring", keyring)
        monitor = self._daemon("ceph-mon", "-i", "a", "-f")
        monitor.wait_until(lambda: accepts_connections(self._monitor_port), timeout_s=START_TIMEOUT_S)

    def _start_osd(self) -> None:
        identity = str(uuid.uuid4())
        self._run("ceph", "osd", "new", identity, "0")
        self._run("ceph-osd", "-i", "0", "--mkfs", "--osd-uuid", identity)
        osd = self._daemon("ceph-osd", "-i", "0", "-f")
        osd.wait_until(lambda: " 1 up" in self._run("ceph", "osd", "stat"), timeout_s=START_TIMEOUT_S)

    def _make_users_and_classes(self) -> None:
        users = {"owner": (ACCESS_KEY, SECRET_KEY), "other": (OTHER_ACCESS_KEY, OTHER_SECRET_KEY)}
        for name, (key, secret) in users.items():
            self._admin(
                "user", "create", "--uid", name, "--display-name", name, "--access-key", key, "--secret", secret
            )
        for storage_class in STORAGE_CLASSES:
            # a class is a name for a placement; both use the same pool
            same = ["--placement-id", "default-placement", "--storage-class", storage_class]
            pool = ["--data-pool", "default.rgw.buckets.data"]
            self._admin("zonegroup", "placement", "add", "--rgw-zonegroup", "default", *same)
            self._admin("zone", "placement", "add", "--rgw-zone", "default", *same, *pool)

    def _admin(self, *arguments: str) -> None:
        self._run("radosgw-admin", "-n", "client.rgw", *arguments)

    def _run(self, program: str, *arguments: str) -> str:
        ran = subprocess.run(
            [find_program(program, package=PACKAGES), "-c", str(self._folder / "ceph.conf"), *arguments],
            capture_output=True,
            text=True,
            timeout=START_TIMEOUT_S,
            check=False,
        )
        with (self._folder / "start.log").open("a") as log:
            log.write(f"{time.monotonic():.2f} {program} {' '.join(arguments)}\n{ran.stderr}")
        if ran.returncode != 0:
            msg = f"{program} {' '.join(arguments)} ended with code {ran.returncode}:\n{ran.stderr[-2000:]}"
            raise ServerStartError(msg)
        return ran.stdout

    def _daemon(self, program: str, *arguments: str) -> ServerProcess:
        command = [find_program(program, package=PACKAGES), "-c", str(self._folder / "ceph.conf"), *arguments]
        return self._daemons.enter_context(ServerProcess(command, log=self._folder / f"{program}.out"))


def _warm_up(server: Server) -> None:
    client = server.boto3_client()
    client.create_bucket(Bucket="warm-up")
    client.put_object(Bucket="warm-up", Key="first", Body=b"makes the pools")
    client.delete_object(Bucket="warm-up", Key="first")
    client.delete_bucket(Bucket="warm-up")


# ------------------------------------------------------------------------------------------- one for a whole session


@contextlib.contextmanager
def use_shared_ceph_rgw(session_folder: Path) -> Iterator[Server]:
    """Give the session's one Ceph, which the first to ask starts; the session ends it by ``stop_shared_ceph_rgw``."""
    for program in PROGRAMS:
        find_program(program, package=PACKAGES)
    folder = session_folder / "ceph"
    with (session_folder / "ceph.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not folder.exists():
            folder.mkdir()
            _launch(folder, owner_pid=int((session_folder / "owner").read_text()))
        if not (folder / "ready.json").exists():
            msg = f"Ceph did not start:\n{(folder / 'launcher.log').read_text()[-3000:]}"
            raise ServerStartError(msg)
    yield Server(**json.loads((folder / "ready.json").read_text()))


def _launch(folder: Path, *, owner_pid: int) -> None:
    # a shell in between, so that the launcher is nobody's child: this test process may end before the session does
    launcher = [sys.executable, "-m", "tests.servers.ceph_rgw", str(folder), str(owner_pid)]
    launch = subprocess.run(
        ["sh", "-c", '"$@" >launcher.log 2>&1 </dev/null & echo $!', "sh", *launcher],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        capture_output=True,
        text=True,
        check=True,
        start_new_session=True,
    )
    pid = int(launch.stdout)
    (folder / "launcher.pid").write_text(str(pid))
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline and _is_running(pid) and not (folder / "ready.json").exists():
        time.sleep(0.05)


def _is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def stop_shared_ceph_rgw(session_folder: Path) -> None:
    """End the session's Ceph, if one was started, and wait until it is gone."""
    pid_file = session_folder / "ceph" / "launcher.pid"
    if not pid_file.exists():
        return
    pid = int(pid_file.read_text())
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGTERM)
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and (session_folder / "ceph" / "ready.json").exists():
        time.sleep(0.05)


def main() -> None:
    """Run a cluster in the folder given until told to stop, or until the owner (a process id; 0 = nobody) is gone."""
    folder, owner_pid = Path(sys.argv[1]).resolve(), int(sys.argv[2])
    signal.signal(signal.SIGTERM, _interrupt)
    ready = folder / "ready.json"
    try:
        with run_ceph_rgw(folder) as server:
            partial = folder / "ready.part"
            partial.write_text(json.dumps(asdict(server)))
            partial.rename(ready)
            while owner_pid == 0 or _is_running(owner_pid):
                time.sleep(0.5)
    except KeyboardInterrupt:
        pass
    except (NotInstalledError, ServerStartError) as error:
        sys.exit(str(error))
    finally:
        ready.unlink(missing_ok=True)


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    main()
