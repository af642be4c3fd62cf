"""Pytest plugin: the servers as fixtures, one session folder, and an environment without the user's own AWS settings.

A server that is not installed skips its tests with the way to install it; with S3BATCH_REQUIRE_SERVERS=1 it fails them.
Light servers are started once per test process; Ceph once per test session, also with several test processes (xdist):
its launcher writes its address into the session folder, and the session's first process ends it.
"""

import contextlib
import os
import shutil
import tempfile
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest

from tests.servers import gaps
from tests.servers.ceph_rgw import stop_shared_ceph_rgw, use_shared_ceph_rgw
from tests.servers.fault_proxy import FaultProxy, run_fault_proxy
from tests.servers.faults import FaultPlan
from tests.servers.ministack import run_ministack
from tests.servers.moto import run_moto
from tests.servers.process import NotInstalledError
from tests.servers.server import Server, register_profile
from tests.servers.stub.launcher import run_stub

SESSION_FOLDER = pytest.StashKey[Path]()
REAL_SERVERS = ("ministack", "moto", "ceph_rgw")


def pytest_configure(config: pytest.Config) -> None:
    """Make the session folder (short, for Ceph's socket paths), or take the one that xdist's controller made."""
    config.addinivalue_line(
        "markers", "needs(*behaviours): what the server must do; a listed gap is an expected failure"
    )
    worker_input: dict[str, str] | None = getattr(config, "workerinput", None)
    if worker_input is None:
        config.stash[SESSION_FOLDER] = Path(tempfile.mkdtemp(prefix="s3b-"))
        (config.stash[SESSION_FOLDER] / "owner").write_text(str(os.getpid()))
    else:
        config.stash[SESSION_FOLDER] = Path(worker_input["s3batch_session_folder"])
    _isolate_environment(Path(tempfile.mkdtemp(prefix="aws-", dir=config.stash[SESSION_FOLDER])))


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:  # noqa: ANN401 (xdist's class has no public type)
    """Tell xdist's workers the session folder."""
    node.workerinput["s3batch_session_folder"] = str(node.config.stash[SESSION_FOLDER])


def pytest_unconfigure(config: pytest.Config) -> None:
    """End what the whole session shared."""
    folder = config.stash.get(SESSION_FOLDER, None)
    if folder is not None and not hasattr(config, "workerinput"):
        stop_shared_ceph_rgw(folder)
        shutil.rmtree(folder, ignore_errors=True)


OF_TESTS = ("S3BATCH_REQUIRE_SERVERS", "S3BATCH_PLANTED_OBJECTS")
"""Variables that are meant for the tests, not for what they start."""


def _isolate_environment(folder: Path) -> None:
    for name in [name for name in os.environ if name.startswith(("AWS_", "S3BATCH_"))]:
        if name not in OF_TESTS and not name.startswith("S3BATCH_CRASH_"):
            del os.environ[name]
    (folder / "credentials").touch()
    os.environ["AWS_SHARED_CREDENTIALS_FILE"] = str(folder / "credentials")
    os.environ["AWS_CONFIG_FILE"] = os.devnull
    os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
    os.environ["S3BATCH_HOME"] = str(folder / "home")


Starter = Callable[[Path], AbstractContextManager[Server]]


@contextlib.contextmanager
def _running(request: pytest.FixtureRequest, start: Starter) -> Iterator[Server]:
    folder = Path(tempfile.mkdtemp(prefix="srv-", dir=request.config.stash[SESSION_FOLDER]))
    with contextlib.ExitStack() as stack:
        try:
            server = stack.enter_context(start(folder))
        except NotInstalledError as error:
            if os.environ.get("S3BATCH_REQUIRE_SERVERS") == "1":
                pytest.fail(str(error))
            pytest.skip(str(error))
        register_profile(server)
        yield server


@pytest.fixture(scope="session")
def ministack(request: pytest.FixtureRequest) -> Iterator[Server]:
    """MiniStack with authentication on."""
    with _running(request, run_ministack) as server:
        yield server


@pytest.fixture(scope="session")
def moto(request: pytest.FixtureRequest) -> Iterator[Server]:
    """Moto with authentication on."""
    with _running(request, run_moto) as server:
        yield server


@pytest.fixture(scope="session")
def ceph_rgw(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A one-node Ceph with its RADOS gateway, shared by the whole session: use buckets of your own only."""
    session_folder = request.config.stash[SESSION_FOLDER]
    with _running(request, lambda _: use_shared_ceph_rgw(session_folder)) as server:
        yield server


@pytest.fixture(scope="session")
def stub(request: pytest.FixtureRequest) -> Iterator[Server]:
    """The very fast stub: no signatures checked; see tests/servers/stub."""
    with _running(request, run_stub) as server:
        yield server


@pytest.fixture
def fault_proxy(tmp_path: Path) -> Iterator[Callable[[Server, FaultPlan], FaultProxy]]:
    """A function that starts a proxy before a server, which injects the plan's faults until the test ends."""
    with contextlib.ExitStack() as proxies:

        def start(server: Server, plan: FaultPlan) -> FaultProxy:
            proxy = proxies.enter_context(run_fault_proxy(tmp_path, server, plan))
            register_profile(proxy.server)
            return proxy

        yield start


@pytest.fixture(params=REAL_SERVERS)
def s3_server(request: pytest.FixtureRequest) -> Server:
    """Each real server in turn. ``@pytest.mark.needs("...")`` makes its listed gaps expected failures."""
    name: str = request.param
    for marker in request.node.iter_markers("needs"):
        for behaviour in marker.args:
            gaps.expect_gap(request, name, behaviour)
    server: Server = request.getfixturevalue(name)
    return server


@pytest.fixture
def bucket_name() -> str:
    """A name for a bucket that nothing else uses; the bucket is not made."""
    return f"test-{uuid.uuid4().hex[:20]}"
