"""What version ids in a manifest mean: what is refused, and which older versions become current."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3batch.model.errors import RefusedError
from s3batch.model.job import DeleteOptions, JobSpec, KeyMapping, ManifestSource, Operation
from s3batch.plan.versions import ExposedVersions, check_versions
from s3batch.s3.answers import ObjectVersion

MOVE = JobSpec(
    operation=Operation.COPY,
    source=ManifestSource(url="s3://b/list.csv"),
    mapping=KeyMapping(target_bucket="b", strip_prefix="a/", add_prefix="z/"),
)
FOR_GOOD = DeleteOptions(permanent=True)


def _code(spec: JobSpec, *entries: tuple[str, str | None], will_delete: bool = True) -> str:
    try:
        check_versions([key for key, _ in entries], [version for _, version in entries], spec, will_delete=will_delete)
    except RefusedError as refused:
        return refused.code
    return ""


@pytest.mark.parametrize(
    ("entries", "plain", "for_good", "copy_only"),
    [
        ([("a", None), ("b", None)], "", "VersionIdMissing", ""),
        ([("a", "1"), ("b", "2")], "PermanentDelete", "", ""),
        ([("a", "1"), ("b", None)], "PermanentDelete", "VersionIdMissing", ""),
        ([("a", "1"), ("b", "")], "PermanentDelete", "VersionIdMissing", ""),
        ([("a", "1"), ("a", "2")], "PermanentDelete", "SeveralVersions", "SeveralVersions"),
    ],
)
def test_versions_are_deleted_for_good_or_not_at_all(
    entries: list[tuple[str, str | None]], plain: str, for_good: str, copy_only: str
) -> None:
    """As one table: without --permanent, with it, and for a copy that deletes nothing."""
    assert _code(MOVE, *entries) == plain
    assert _code(replace(MOVE, delete=FOR_GOOD), *entries) == for_good
    assert _code(MOVE, *entries, will_delete=False) == copy_only


def test_a_delete_without_a_target_takes_several_versions_of_a_key() -> None:
    """Nothing is mapped, so nothing collides."""
    spec = replace(MOVE, operation=Operation.DELETE, mapping=None, delete=FOR_GOOD)
    assert _code(spec, ("a", "1"), ("a", "2")) == ""


def _versions(markers: list[bool]) -> list[ObjectVersion]:
    return [
        ObjectVersion(
            key="k",
            version_id=str(number),
            is_latest=number == 0,
            is_delete_marker=is_marker,
            last_modified="2026-11-01T00:00:00.000Z",
            size=0 if is_marker else 10 + number,
        )
        for number, is_marker in enumerate(markers)
    ]


@given(markers=st.lists(st.booleans(), max_size=5), named=st.sets(st.integers(0, 4)))
def test_what_becomes_current_is_what_a_store_would_show(markers: list[bool], named: set[int]) -> None:
    """Against a model of a key: its current object before and after the named versions are gone."""
    versions = _versions(markers)

    def current(left: list[ObjectVersion]) -> ObjectVersion | None:
        return left[0] if left and not left[0].is_delete_marker else None

    ids = {str(number) for number in named}
    after = current([version for version in versions if version.version_id not in ids])
    found = ExposedVersions()
    found.add(versions, ids)
    expected = after if after is not None and after is not current(versions) else None
    assert (found.keys, found.bytes) == ((0, 0) if expected is None else (1, expected.size))
    assert bool(found.warning()) == (expected is not None)


def test_the_warning_counts_all_and_names_some() -> None:
    """A plan of a million keys has three examples."""
    found = ExposedVersions()
    for _ in range(1_000):
        found.add(_versions([False, False]), {"0"})
    (text,) = found.warning()
    assert "becomes current again: 1,000 (11,000 bytes)" in text
    assert text.count("(version 1,") == 3
