"""docs/state-machine.md says what model/status.py does: its table and its diagram are compared with the code."""

import re
from pathlib import Path

from s3batch.model.status import TERMINAL, TRANSITIONS, JobStatus

PAGE = Path(__file__).parents[3] / "docs" / "state-machine.md"


def table() -> str:
    """Return the page's table as the code has it."""
    lines = ["| from | to |", "|---|---|"]
    for status in JobStatus:
        following = ", ".join(after for after in JobStatus if after in TRANSITIONS[status])
        lines.append(f"| {status} | {following or '(the end)'} |")
    return "\n".join(lines) + "\n"


def diagram() -> str:
    """Return the page's diagram, in Mermaid's language, as the code has it."""
    steps = [f"    {before} --> {after}" for before in JobStatus for after in JobStatus if after in TRANSITIONS[before]]
    ends = [f"    {status} --> [*]" for status in JobStatus if status in TERMINAL]
    return "\n".join(["stateDiagram-v2", "    [*] --> New", *steps, *ends]) + "\n"


def _part(pattern: str) -> str:
    found = re.search(pattern, PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    return found[1]


def test_the_page_has_the_table_of_the_code() -> None:
    """A status or a step that is added to the code fails here until the page has it."""
    assert _part(r"<!-- table -->\n(.*?)<!-- /table -->") == table()


def test_the_page_has_the_diagram_of_the_code() -> None:
    """The picture shows every step and no other."""
    assert _part(r"```mermaid\n(.*?)```") == diagram()
