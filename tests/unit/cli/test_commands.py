"""Every command is there, loads only what it needs, and the settings file reaches it."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from s3batch import __version__
from s3batch.cli.app import VERBS, Verbs, app
from s3batch.cli.flat import flat
from s3batch.cli.jobs import JobCommands
from s3batch.cli.jobs import app as jobs_app
from s3batch.cli.options import Copying, Following
from s3batch.config import SETTINGS, Kind
from s3batch.ledger.store import open_ledger
from tests.unit.cli.command import CommandLine
from tests.unit.ledger.ledgers import new_job

HEAVY = ("alembic", "botocore", "duckdb", "pyarrow", "pycurl", "rich")
LIGHT_SCRIPT = """
import sys
from s3batch.cli.app import main
try:
    main()
except SystemExit:
    pass
sys.stderr.write(" ".join(name for name in {heavy!r} if name in sys.modules))
"""


def loaded_by(*arguments: str, home: Path) -> list[str]:
    """Return which heavy libraries a command loads."""
    ended = subprocess.run(
        [sys.executable, "-c", LIGHT_SCRIPT.format(heavy=HEAVY), *arguments],
        env={"S3BATCH_HOME": str(home), "PATH": "", "PYTHONPATH": ":".join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=True,
    )
    return ended.stderr.split()


@pytest.mark.parametrize("arguments", [["--help"], ["version"], ["jobs", "list"], ["jobs", "--help"]])
def test_quick_commands_load_no_heavy_library(arguments: list[str], tmp_path: Path) -> None:
    """So that help and the list of jobs are there at once."""
    assert loaded_by(*arguments, home=tmp_path) == []


def test_help_does_not_even_load_the_ledger(tmp_path: Path) -> None:
    """SQLAlchemy is most of what `jobs list` costs."""
    script = LIGHT_SCRIPT.format(heavy=("sqlalchemy",))
    ended = subprocess.run(
        [sys.executable, "-c", script, "--help"],
        env={"S3BATCH_HOME": str(tmp_path), "PYTHONPATH": ":".join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=True,
    )
    assert ended.stderr == ""
    assert "Usage: s3batch" in ended.stdout


@pytest.mark.parametrize("group", [Verbs, JobCommands])
def test_every_command_of_a_table_is_in_its_module(group: Any) -> None:  # noqa: ANN401 - a class of Typer's
    """A table that names a command which is not there would be found by a user first."""
    made = typer.main.get_command(app if group is Verbs else jobs_app)
    for name in group.modules:
        command: Any = made.get_command(None, name)  # type: ignore[attr-defined]  # both are groups
        assert command is not None
        assert command.name == name
        assert command.help


def test_help_shows_every_verb(command_line: CommandLine) -> None:
    """With what it does."""
    out = command_line.run("--help").out
    for verb, (_, summary) in VERBS.items():
        assert f"{verb}  " in out
        assert summary in out


def test_the_version_is_told(command_line: CommandLine) -> None:
    """In both ways."""
    assert command_line.run("version").out == command_line.run("--version").out == f"{__version__}\n"
    assert command_line.run("version", "--json").document["s3batch"] == __version__


def test_config_show_tells_each_value_and_its_origin(
    command_line: CommandLine, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Variable, file, AWS's own settings, default."""
    home.mkdir()
    (home / "config.toml").write_text('part-size = "8 MiB"\nworkers = 3\n')
    monkeypatch.setenv("S3BATCH_WORKERS", "2")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9000")
    shown = command_line.run("config", "show", "--json").document
    assert (shown["workers"]["value"], shown["workers"]["origin"]) == (2, "S3BATCH_WORKERS")
    assert (shown["part-size"]["value"], shown["part-size"]["origin"]) == (8 * 1024**2, str(home / "config.toml"))
    assert (shown["endpoint-url"]["value"], shown["endpoint-url"]["origin"]) == (
        "http://127.0.0.1:9000",
        "AWS_ENDPOINT_URL",
    )
    assert (shown["addressing"]["value"], shown["addressing"]["origin"]) == ("auto", "default")
    assert shown["home"] == {**shown["home"], "value": str(home), "origin": "S3BATCH_HOME"}
    table = command_line.run("config", "show").out
    assert "part-size            8,388,608" in table
    assert f"The settings file is {home / 'config.toml'}" in table


def test_an_option_comes_before_the_variable_and_that_before_the_file(
    home: Path, monkeypatch: pytest.MonkeyPatch, command_line: CommandLine
) -> None:
    """The one precedence, seen by a command of a group."""
    seen: list[int] = []

    @flat
    def watch(*, following: Following, copying: Copying) -> None:
        seen.append(following.workers)
        seen.append(copying.multipart_threshold)

    probe = typer.Typer()
    probe.command()(watch)
    monkeypatch.setattr("s3batch.cli.jobs_steer.app", probe)
    home.mkdir()
    (home / "config.toml").write_text('workers = 5\nmultipart-threshold = "5MiB"\n')
    assert command_line.run("jobs", "watch").code == 0
    monkeypatch.setenv("S3BATCH_WORKERS", "6")
    assert command_line.run("jobs", "watch").code == 0
    assert command_line.run("jobs", "watch", "--workers", "7", "--multipart-threshold", "1 KiB").code == 0
    assert seen == [5, 5 * 1024**2, 6, 5 * 1024**2, 7, 1024]


def test_jobs_are_listed_as_a_table_and_as_an_array(command_line: CommandLine, home: Path) -> None:
    """An empty ledger is no mistake."""
    assert command_line.run("jobs", "list").out == "No job is in this ledger.\n"
    assert command_line.run("jobs", "list", "--json").document == []
    ledger = open_ledger(home / "ledger.sqlite")
    ledger.create_jobs([new_job("copy-1111")], now_ms=1)
    ledger.close()
    assert "copy-111" in command_line.run("jobs", "list").out
    listed = command_line.run("jobs", "list", "--json").document
    assert [(job["job_id"], job["operation"], job["status"]) for job in listed] == [("copy-1111", "copy", "New")]
    assert {"counts", "bytes", "report"} <= listed[0].keys()
    assert command_line.run("jobs", "list", "--status", "Complete").out == "No such job.\n"


def test_a_priority_is_changed(command_line: CommandLine, home: Path) -> None:
    """And told."""
    ledger = open_ledger(home / "ledger.sqlite")
    ledger.create_jobs([new_job("copy-1111")], now_ms=1)
    ledger.close()
    assert command_line.run("jobs", "priority", "copy-1111", "50").out == "copy copy-1111 has priority 50\n"
    assert command_line.run("jobs", "priority", "copy-1111", "60", "--json").document["priority"] == 60


@pytest.mark.parametrize("words", [["", "jobs"], ["jobs", "con"]])
def test_the_shell_completes_names(words: list[str], home: Path) -> None:
    """Typer's completion reaches the commands that are loaded late."""
    typed = " ".join(["s3batch", *words]).replace("  ", " ")
    ended = subprocess.run(
        [sys.executable, "-m", "s3batch"],
        env={
            "S3BATCH_HOME": str(home),
            "PYTHONPATH": ":".join(filter(None, sys.path)),
            "_S3BATCH_COMPLETE": "complete_bash",
            "COMP_WORDS": typed,
            "COMP_CWORD": str(len(typed.split()) - 1),
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.stdout.split() == (["jobs"] if words[-1] == "jobs" else ["confirm"])


def test_json_of_an_error_is_valid_whatever_was_typed(command_line: CommandLine) -> None:
    """Hostile words do not break the document."""
    ended = command_line.run("jobs", "show", 'a"b\\c\n\u2028é', "--json")
    assert json.loads(ended.out)["error"]["code"] == "NoSuchJob"


def test_the_reference_names_every_setting_verb_and_command_of_jobs() -> None:
    """With its option, its variable and where it has one its number."""
    text = (Path(__file__).parents[3] / "docs/reference/command-line.md").read_text(encoding="utf-8")
    for setting in SETTINGS.values():
        row = next(
            line for line in text.splitlines() if line.startswith(f"| `--{setting.name}` | `{setting.variable}`")
        )
        if setting.kind in (Kind.COUNT, Kind.NUMBER) and setting.default is not None and setting.name != "workers":
            assert f"{setting.default:,.10g}" in row
        for bound in (setting.least, setting.most):
            assert bound is None or setting.kind is Kind.SIZE or f"{bound:,.10g}" in row
        assert all(choice in row for choice in setting.choices)
    assert [verb for verb in VERBS if f"s3batch {verb}" not in text] == []
    assert [name for name in ("list", "show", "priority", *JobCommands.modules) if f"`jobs {name}" not in text] == []


def test_the_reference_names_every_option_of_the_main_verbs() -> None:
    """A new option that nobody describes is noticed."""
    text = (Path(__file__).parents[3] / "docs/reference/command-line.md").read_text(encoding="utf-8")
    made: Any = typer.main.get_command(app)
    for verb in ("copy", "verify", "delete", "move"):
        parameters = made.get_command(None, verb).params
        names = {name for each in parameters for name in each.opts if name.startswith("--")}
        assert sorted(name for name in names - {"--help"} if name not in text) == []
