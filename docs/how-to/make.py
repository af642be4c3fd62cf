"""Makes the generated parts of the page about permissions: ``python docs/how-to/make.py``.

In: ``permissions.md`` beside this file, with its marks; the table of ``s3batch.plan.permissions``; what ``s3batch
iam-policy`` writes. Out: the same page with its table and its policies as these are now. A test holds that nothing is
left to do.
"""  # noqa: INP001 - a script, not a package

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

from s3batch.plan.permissions import PERMISSIONS
from s3batch.plan.policy_request import Step

PAGE = Path(__file__).parent / "permissions.md"

_POLICY = re.compile(r"(```\n(s3batch iam-policy [^\n]*)\n```\n\n```json\n).*?(```\n)", re.DOTALL)
_TABLE = re.compile(r"(<!-- table: made by docs/how-to/make.py -->\n).*?(<!-- end of the table -->\n)", re.DOTALL)


def made(page: str) -> str:
    """Return the page with its generated parts as they are now."""
    with_policies = _POLICY.sub(lambda found: f"{found[1]}{_policy(found[2])}{found[3]}", page)
    return _TABLE.sub(lambda found: f"{found[1]}{_table()}{found[2]}", with_policies)


def _policy(command: str) -> str:
    """Return what a command writes where nothing is configured."""
    words = [sys.executable, "-m", *shlex.split(command), "--json"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "S3BATCH_"))}
    with tempfile.TemporaryDirectory() as home:
        isolated = {**environment, "AWS_CONFIG_FILE": os.devnull, "S3BATCH_HOME": home}
        return subprocess.run(words, env=isolated, capture_output=True, text=True, check=True).stdout


def _table() -> str:
    rows = [
        f"| `{each.action}` | {each.place} | {', '.join(step for step in Step if step in each.steps)} | {each.why} |"
        for each in PERMISSIONS
    ]
    return "\n".join(["| action | on | steps | why |", "|---|---|---|---|", *rows]) + "\n"


if __name__ == "__main__":
    PAGE.write_text(made(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
