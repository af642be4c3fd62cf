"""A command line with a home and AWS settings of its own."""

from pathlib import Path

import pytest

from tests.unit.cli.command import CommandLine


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home for this test."""
    folder = tmp_path / "home"
    monkeypatch.setenv("S3BATCH_HOME", str(folder))
    monkeypatch.setenv("COLUMNS", "200")
    return folder


@pytest.fixture
def command_line(home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> CommandLine:  # noqa: ARG001
    """The command line with an empty home."""
    return CommandLine(monkeypatch, capsys)
