"""The safety page names only modules and tests that exist, and has every rule once."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
PAGE = (ROOT / "docs/safety.md").read_text(encoding="utf-8")


def test_each_rule_is_there_once_and_in_order() -> None:
    """Code and messages refer to rules by number."""
    assert [int(number) for number in re.findall(r"^\*\*(\d+)\. ", PAGE, re.MULTILINE)] == list(range(1, 27))


def test_what_holds_a_rule_exists() -> None:
    """A rule that names a module or test which is gone is not held by it."""
    named = re.findall(r"`([a-z0-9_/]+\.py)`", PAGE)
    assert len(named) > 40
    missing = [name for name in named if not (ROOT / name).is_file() and not (ROOT / "src/s3batch" / name).is_file()]
    assert missing == []


def test_a_rule_of_this_release_says_what_holds_it() -> None:
    """Each rule is either held by something or marked as later."""
    for rule in re.split(r"^(?=\*\*\d+\. )", PAGE, flags=re.MULTILINE)[1:]:
        assert ("*Held by:*" in rule) != ("Later." in rule.split("\n\n")[0])
