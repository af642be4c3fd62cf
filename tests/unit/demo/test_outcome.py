"""The demo's own examination: it passes where all is right and notices each thing that could be wrong."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from s3batch.demo.archive import Seen
from s3batch.demo.outcome import Found, check, target_of
from s3batch.model.outcome import Counts

CHANGED = "sdo/b"
ORIGINALS = {
    key: Seen(etag=f"etag of {key}", size=len(key)) for key in ("sdo/a", CHANGED, "cdaweb/", "cdaweb/c", "staging/d")
}
NEW = Seen(etag="another", size=1)
TAGS = {"sdac/sdo/a": [("x", "1"), ("y", "2")]}
RIGHT = Found(
    objects={
        "sdac/sdo/a": ORIGINALS["sdo/a"],
        "sdac/sdo/b": ORIGINALS[CHANGED],
        CHANGED: NEW,
        "spdf/": ORIGINALS["cdaweb/"],
        "spdf/c": ORIGINALS["cdaweb/c"],
        "staging/d": ORIGINALS["staging/d"],
        "manifests/sdo.csv": NEW,
    },
    tags={"sdac/sdo/a": [("y", "2"), ("x", "1")]},
    sdo_delete=Counts(total=2, succeeded=1, kept=1, by_code={"SourceChanged": 1}),
    cdaweb_delete=Counts(total=2, succeeded=2),
    report_rows=[f"archive,{CHANGED},,failed,200,SourceChanged,why"],
)


def _wrong(found: Found) -> list[str]:
    return [each.text for each in check(ORIGINALS, TAGS, CHANGED, NEW, found) if not each.is_right]


def _without(key: str) -> Callable[[Found], Found]:
    return lambda found: replace(found, objects={k: seen for k, seen in found.objects.items() if k != key})


def _with(key: str, seen: Seen) -> Callable[[Found], Found]:
    return lambda found: replace(found, objects={**found.objects, key: seen})


def test_nothing_is_wrong_where_all_is_right() -> None:
    """Else the demo would cry wolf."""
    assert _wrong(RIGHT) == []


@pytest.mark.parametrize(
    ("spoil", "noticed"),
    [
        (_without("sdac/sdo/a"), "sdac/sdo/ has all"),
        (_with("sdac/sdo/b", NEW), "sdac/sdo/ has all"),
        (_with("sdac/sdo/more", NEW), "sdac/sdo/ has all"),
        (_without(CHANGED), "sdo/ has one object left"),
        (_with("sdo/a", ORIGINALS["sdo/a"]), "sdo/ has one object left"),
        (_with(CHANGED, ORIGINALS[CHANGED]), "sdo/ has one object left"),
        (_without("spdf/c"), "spdf/ has all"),
        (_with("cdaweb/c", ORIGINALS["cdaweb/c"]), "cdaweb/ is empty"),
        (_without("staging/d"), "staging/ still has"),
        (_with("elsewhere", NEW), "staging/ still has"),
        (lambda found: replace(found, tags={}), "tags are kept"),
        (lambda found: replace(found, cdaweb_delete=Counts(total=2, succeeded=1, failed=1)), "the ledger says"),
        (lambda found: replace(found, report_rows=[]), "the completion report"),
    ],
)
def test_each_thing_that_is_wrong_is_noticed(spoil: Callable[[Found], Found], noticed: str) -> None:
    """A demo that passes whatever happens shows nothing."""
    wrong = _wrong(spoil(RIGHT))
    assert len(wrong) == 1
    assert wrong[0].startswith(noticed)


def test_keys_go_where_the_tasks_say() -> None:
    """sdo/ keeps its name below sdac/, cdaweb/ becomes spdf/, all else stays."""
    assert [target_of(key) for key in ("sdo/x", "cdaweb/x", "staging/x")] == ["sdac/sdo/x", "spdf/x", "staging/x"]
