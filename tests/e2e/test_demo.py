"""``s3batch demo``: what a newcomer runs first, as he runs it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from s3batch.demo import server
from s3batch.model.errors import RefusedError
from tests.servers.process import find_program

KEPT = "sdo/hmi/2024/05/10/hmi_m_45s_000042.fits"


@pytest.fixture
def hostile_environment(tmp_path: Path) -> dict[str, str]:
    """An empty home, and settings of a user that lead elsewhere in every way."""
    home = tmp_path / "home"
    home.mkdir()
    return os.environ | {
        "HOME": str(home),
        "TMPDIR": str(tmp_path),
        "AWS_PROFILE": "no-such-profile",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_ENDPOINT_URL_S3": "http://127.0.0.1:9",
        "AWS_CA_BUNDLE": str(tmp_path / "no-such-bundle"),
        "AWS_USE_FIPS_ENDPOINT": "true",
        "S3BATCH_HOME": str(tmp_path / "jobs-of-the-user"),
        "S3BATCH_CHUNK_ENTRIES": "not a number",
        "HTTP_PROXY": "http://127.0.0.1:9",
        "http_proxy": "http://127.0.0.1:9",
    }


@pytest.mark.timeout(600)
def test_the_demo_does_the_main_job_and_checks_itself(hostile_environment: dict[str, str], tmp_path: Path) -> None:
    """Both tasks run with the real commands; the object changed in between is kept and named; all is as expected."""
    find_program("ministack", package="the extra `demo`")
    done = subprocess.run(
        [sys.executable, "-m", "s3batch", "demo"],
        env=hostile_environment,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    shown = done.stdout
    for command in (
        "manifest create s3://helio-archive/sdo/ -o s3://helio-archive/manifests/sdo.csv",
        "manifest create s3://helio-archive/cdaweb/ -o s3://helio-archive/manifests/cdaweb.json",
        "copy --manifest s3://helio-archive/manifests/sdo.csv --to s3://helio-archive/sdac/ --sample 25",
        "move --manifest s3://helio-archive/manifests/cdaweb.json --strip-prefix cdaweb/ --to s3://helio-archive/spdf/",
    ):
        assert f"$ s3batch {command}" in shown
    assert re.search(rf"SourceChanged .*\n +s3://helio-archive/{KEPT}", shown)
    assert "3,213 deleted, 1 kept of 3,214 objects" in shown
    assert "All 8 checks passed" in shown
    assert "WRONG" not in shown
    assert "For your own bucket" in shown

    kept_home = re.search(r"S3BATCH_HOME=(\S+) \S*s3batch jobs list", shown)
    assert kept_home is not None
    assert (Path(kept_home[1]) / "ledger.sqlite").is_file()
    assert not (tmp_path / "jobs-of-the-user").exists()


def test_without_ministack_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The extra is optional, so its absence is a refusal with the way out and no traceback."""
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", str(tmp_path))
    refusal = pytest.raises(RefusedError, match=re.escape("pip install 's3batch[demo]'"))
    with refusal as refused, server.run_server(tmp_path, bucket="any"):
        pytest.fail("a server was started")
    assert refused.value.code == "DemoNotInstalled"
