"""Did it go right? What the demo finds at the end, against what it expects. Pure.

In: what was in the bucket before, what a listing and the ledger say afterwards. Out: one line for each question, right
or wrong, with the first difference where it is wrong.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from s3batch.demo.archive import CDAWEB, SDO, STAGING, Seen
from s3batch.model.outcome import Code, Counts

SDAC_SDO, SPDF, MANIFESTS = "sdac/sdo/", "spdf/", "manifests/"

_EMPTY_TAGS: tuple[tuple[str, str], ...] = ()
Tags = Mapping[str, Sequence[tuple[str, str]]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One question and its answer."""

    text: str
    problem: str = ""
    """What is wrong; empty where all is as it should be."""

    @property
    def is_right(self) -> bool:
        """Tell whether nothing is wrong."""
        return not self.problem


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """What there is at the end."""

    objects: Mapping[str, Seen]
    tags: Tags
    """Of the copies of the objects that had tags."""
    sdo_delete: Counts
    cdaweb_delete: Counts
    report_rows: Sequence[str]
    """Rows of the completion report of the delete below ``sdo/`` that name a failure."""


def check(originals: Mapping[str, Seen], tags: Tags, changed_key: str, changed: Seen, found: Found) -> list[Check]:
    """Return every question with its answer. ``changed_key`` was written anew, as ``changed``, after its copy."""
    copied = {**_moved(originals, SDO, SDAC_SDO), **_moved(originals, CDAWEB, SPDF)}
    left = {changed_key: changed}
    staging = _below(originals, STAGING)
    at_sdac, at_spdf = _below(found.objects, SDAC_SDO), _below(found.objects, SPDF)
    others = {key for key in found.objects if not key.startswith((SDO, CDAWEB, STAGING, SDAC_SDO, SPDF, MANIFESTS))}
    return [
        Check(
            text=f"{SDAC_SDO} has all {len(at_sdac):,} objects of {SDO}, each with the size and ETag of its original",
            problem=_difference(_below(copied, SDAC_SDO), at_sdac),
        ),
        Check(
            text=f"{SDO} has one object left: the one that was changed behind its back",
            problem=_difference(left, _below(found.objects, SDO)),
        ),
        Check(
            text=f"{SPDF} has all {len(at_spdf):,} objects of {CDAWEB}, each with the size and ETag of its original",
            problem=_difference(_below(copied, SPDF), at_spdf),
        ),
        Check(text=f"{CDAWEB} is empty", problem=_difference({}, _below(found.objects, CDAWEB))),
        Check(
            text=f"{STAGING} still has its {len(staging):,} objects, and nothing is where nothing should be",
            problem=_difference(staging, _below(found.objects, STAGING)) or "".join(sorted(others)[:1]),
        ),
        Check(
            text=f"tags are kept: {len(tags):,} copies have those of their originals",
            problem=_tag_difference(tags, found.tags),
        ),
        Check(
            text=f"the ledger says the same: {found.sdo_delete.succeeded:,} deleted and 1 kept, {SDO};"
            f" {found.cdaweb_delete.succeeded:,} deleted, {CDAWEB}",
            problem=_count_problem(originals, found),
        ),
        Check(
            text=f"the completion report names the kept object and why: {Code.SOURCE_CHANGED}",
            problem="" if _is_named(changed_key, found.report_rows) else f"it says {list(found.report_rows)!r}",
        ),
    ]


def target_of(key: str) -> str:
    """Return where an object of the archive goes; one that stays keeps its key."""
    for source, target in ((SDO, SDAC_SDO), (CDAWEB, SPDF)):
        if key.startswith(source):
            return target + key.removeprefix(source)
    return key


def _below(objects: Mapping[str, Seen], prefix: str) -> dict[str, Seen]:
    return {key: seen for key, seen in objects.items() if key.startswith(prefix)}


def _moved(objects: Mapping[str, Seen], source: str, target: str) -> dict[str, Seen]:
    return {target + key.removeprefix(source): seen for key, seen in _below(objects, source).items()}


def _difference(expected: Mapping[str, Seen], there: Mapping[str, Seen]) -> str:
    for key in sorted(expected.keys() | there.keys()):
        if expected.get(key) != there.get(key):
            return f"{key!r} is {there.get(key)}, expected was {expected.get(key)}"
    return ""


def _tag_difference(expected: Tags, there: Tags) -> str:
    for key in sorted(expected):
        if sorted(expected[key]) != sorted(there.get(key, _EMPTY_TAGS)):
            return f"{key!r} has {there.get(key)}, expected was {expected[key]}"
    return ""


def _count_problem(originals: Mapping[str, Seen], found: Found) -> str:
    of_sdo, of_cdaweb = len(_below(originals, SDO)), len(_below(originals, CDAWEB))
    expected = (
        Counts(total=of_sdo, succeeded=of_sdo - 1, kept=1, by_code={Code.SOURCE_CHANGED: 1}),
        Counts(total=of_cdaweb, succeeded=of_cdaweb),
    )
    there = (found.sdo_delete, found.cdaweb_delete)
    return "" if there == expected else f"{there}, expected was {expected}"


def _is_named(key: str, rows: Sequence[str]) -> bool:
    return len(rows) == 1 and key in rows[0] and Code.SOURCE_CHANGED in rows[0]
