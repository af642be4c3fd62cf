"""The command line, run in the test's own process: what it prints and the code that it ends with."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import Any

import pytest

from s3batch.cli.app import main


@dataclass(frozen=True, kw_only=True)
class Ended:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:  # noqa: ANN401 - whatever JSON holds
        """The one JSON document on standard output."""
        return json.loads(self.out)


class CommandLine:
    """Runs commands with the environment that the test has set."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        """Take the fixtures of one test."""
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def run(self, *arguments: str) -> Ended:
        """Run ``s3batch`` with these arguments."""
        self._monkeypatch.setattr(sys, "argv", ["s3batch", *arguments])
        self._capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main()
        printed = self._capsys.readouterr()
        code = end.value.code
        return Ended(code=code if isinstance(code, int) else 0, out=printed.out, err=printed.err)
