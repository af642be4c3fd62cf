"""Background runners: one is started where none serves, and not for ever."""

from __future__ import annotations

import fcntl
import sys
from pathlib import Path

import pytest

from s3batch.config import Home
from s3batch.control.background import MAX_STARTS, BackgroundRunner, is_served
from s3batch.model.errors import UnavailableError


@pytest.fixture
def home(tmp_path: Path) -> Home:
    """A home that nobody serves."""
    return Home(root=tmp_path / "home")


def program(path: Path, text: str) -> str:
    """Write a program that stands for a runner and return its path."""
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_a_lock_that_is_held_means_a_runner(home: Home) -> None:
    """Asking again and again neither takes the lock for good nor makes the folder."""
    assert not is_served(home)
    assert not home.root.exists()
    home.root.mkdir()
    with home.runner_lock.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        assert is_served(home)
    assert not is_served(home)


def test_where_a_runner_serves_none_is_started(home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The lock is somebody else's."""
    monkeypatch.setattr(sys, "executable", program(tmp_path / "runner", f"touch {tmp_path}/started"))
    home.root.mkdir()
    with home.runner_lock.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        BackgroundRunner(home, workers=1).keep(0.0)
    assert not (tmp_path / "started").exists()


def test_a_runner_that_dies_is_started_again_but_not_for_ever(
    home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """What it last said is in the message."""
    count = tmp_path / "count"
    monkeypatch.setattr(sys, "executable", program(tmp_path / "runner", f"echo x >> {count}; echo 'no room' >&2"))
    runner = BackgroundRunner(home, workers=1)
    for start in range(MAX_STARTS):
        runner.keep(start * 10.0)
        assert runner._own is not None
        runner._own.wait(timeout=30)
    with pytest.raises(UnavailableError) as refusal:
        runner.keep(MAX_STARTS * 10.0)
    assert refusal.value.code == "RunnerDied"
    assert "Its log ends with: no room" in refusal.value.message
    assert count.read_text().count("x") == MAX_STARTS


def test_it_is_not_asked_too_often(home: Home, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Asking takes the lock for a moment, in which a runner that starts would believe that another one serves."""
    monkeypatch.setattr(sys, "executable", program(tmp_path / "runner", "exit 1"))
    runner = BackgroundRunner(home, workers=1)
    runner.keep(0.0)
    assert runner._own is not None
    runner._own.wait(timeout=30)
    first = runner._own
    runner.keep(0.1)
    assert runner._own is first


def test_a_home_that_cannot_be_made_is_told() -> None:
    """With the variable that names another one."""
    with pytest.raises(UnavailableError, match="Set S3BATCH_HOME to a folder"):
        BackgroundRunner(Home(root=Path("/proc/none")), workers=1).keep(0.0)
