"""The documentation against the repository: links lead somewhere, tests and options that are named exist."""

import importlib.util
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from s3batch.cli.app import app

ROOT = Path(__file__).parents[2]
PAGES = [*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").rglob("*.md"))]


def _name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def _commands() -> Iterator[tuple[str, str]]:
    """Yield each command line of ours that stands in a block of code, with its page."""
    for page in PAGES:
        for block in re.findall(r"^```[a-z]*\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE):
            for line in block.splitlines():
                # a line with brackets tells the form of a command and is none
                if line.startswith("s3batch ") and "[" not in line:
                    yield _name(page), line


@pytest.mark.parametrize("page", PAGES, ids=_name)
def test_links_lead_somewhere(page: Path) -> None:
    """A link to a file of the repository names one that is there."""
    links = re.findall(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8"))
    missing = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert missing == []


def test_what_the_readme_promises_names_tests_that_exist() -> None:
    """A promise whose test is gone is a promise no more."""
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    defined = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "tests").rglob("test_*.py"))
    named = set(re.findall(r"`(test_\w+)`", text))
    assert len(named) > 8
    assert sorted(name for name in named if f"def {name}(" not in defined) == []
    files = re.findall(r"`(?:tests/unit/verify/)?((?:tests/)?[\w/]*test_\w+\.py)`", text)
    assert [name for name in files if not list(ROOT.glob(f"**/{name}"))] == []


def test_limits_name_files_that_exist() -> None:
    """The page of limits says where each of ours is set."""
    named = set(re.findall(r"`([a-z0-9_/]+\.py)`", (ROOT / "docs/limits.md").read_text(encoding="utf-8")))
    assert len(named) > 20
    assert (
        sorted(name for name in named if not (ROOT / "src/s3batch" / name).is_file() and not (ROOT / name).is_file())
        == []
    )


@pytest.mark.parametrize(("page", "line"), list(_commands()))
def test_commands_have_verbs_and_options_that_exist(page: str, line: str) -> None:
    """What a page tells to type is understood."""
    words = shlex.split(line, comments=True)[1:]
    command = typer.main.get_command(app)
    context = command.make_context("s3batch", [], resilient_parsing=True)
    while words and hasattr(command, "get_command"):
        found = command.get_command(context, words[0])
        assert found is not None, f"{page}: {line}"
        command, words = found, words[1:]
    options = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
    unknown = [word for word in words if word.startswith("-") and word.partition("=")[0] not in {*options, "--help"}]
    assert unknown == [], f"{page}: {line}"


def _script(monkeypatch: pytest.MonkeyPatch, path: str) -> Any:  # noqa: ANN401 - a module
    specification = importlib.util.spec_from_file_location("make", ROOT / path)
    assert specification is not None
    assert specification.loader is not None
    make = importlib.util.module_from_spec(specification)
    monkeypatch.setitem(sys.modules, "make", make)  # where dataclasses look for their module
    specification.loader.exec_module(make)
    return make


def test_permissions_are_those_of_the_table_and_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    """What changes in ``plan/permissions.py`` changes on the page: run ``python docs/how-to/make.py``."""
    page = (ROOT / "docs/how-to/permissions.md").read_text(encoding="utf-8")
    assert page.count("```json\n{") == 3
    assert _script(monkeypatch, "docs/how-to/make.py").made(page) == page


def test_the_picture_is_what_its_script_makes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A text that is changed in the script is changed in the picture."""
    make = _script(monkeypatch, "docs/pictures/make.py")
    assert (ROOT / "docs/pictures/main-job.svg").read_text(encoding="utf-8") == make.main_job()
