"""Manifests that name versions, from a model of a versioned bucket that answers in small pages."""

import asyncio

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3batch.manifest.entries import ENTRY_SCHEMA
from s3batch.manifest.filters import Filter
from s3batch.manifest.version_listing import VersionGenerator, VersionScope
from s3batch.model.errors import UnavailableError
from s3batch.s3.answers import ObjectVersion, VersionsPage


class Versions:
    """A bucket's versions in the store's order; the markers of a page are positions."""

    def __init__(self, versions: list[ObjectVersion], *, page: int, is_stuck: bool = False) -> None:
        """Answer ``page`` versions at a time; a stuck one tells the same markers for ever."""
        self._versions, self._page, self._is_stuck = versions, page, is_stuck

    async def list_object_versions(
        self, bucket: str, prefix: str, *, key_marker: str | None = None, version_id_marker: str | None = None
    ) -> VersionsPage:
        """Return one page."""
        del bucket, prefix, key_marker
        first = 0 if version_id_marker is None else int(version_id_marker)
        following = first if self._is_stuck and first else first + self._page
        return VersionsPage(
            versions=self._versions[first : first + self._page],
            is_truncated=following < len(self._versions),
            next_key_marker="key",
            next_version_id_marker=str(following),
        )


def _bucket(markers_by_key: list[list[bool]]) -> list[ObjectVersion]:
    return [
        ObjectVersion(
            key=f"p/{key:03}",
            version_id=f"{key}-{number}",
            is_latest=number == 0,
            is_delete_marker=is_marker,
            last_modified="2026-11-01T00:00:00.000Z",
            etag="" if is_marker else f"e{key}-{number}",
            size=number,
            storage_class="" if is_marker else "GLACIER",
        )
        for key, markers in enumerate(markers_by_key)
        for number, is_marker in enumerate(markers)
    ]


def _read(generator: VersionGenerator) -> list[tuple[str, str]]:
    async def read() -> pa.Table:
        return pa.Table.from_batches([batch async for batch in generator], schema=ENTRY_SCHEMA)

    table = asyncio.run(read())
    rows = table.select(["key", "version_id"]).to_pylist()
    return [(str(row["key"]), str(row["version_id"])) for row in rows]


@given(
    bucket=st.lists(st.lists(st.booleans(), min_size=1, max_size=4), max_size=8),
    scope=st.sampled_from(VersionScope),
    page=st.integers(1, 5),
)
def test_each_wanted_version_is_an_entry_and_no_marker_is(
    bucket: list[list[bool]], scope: VersionScope, page: int
) -> None:
    """Whatever the pages cut apart."""
    versions = _bucket(bucket)
    generator = VersionGenerator(Versions(versions, page=page), "bucket", "p/", scope, Filter())
    wanted = {VersionScope.CURRENT: (True,), VersionScope.NONCURRENT: (False,), VersionScope.ALL: (True, False)}[scope]
    assert _read(generator) == [
        (each.key, each.version_id) for each in versions if not each.is_delete_marker and each.is_latest in wanted
    ]
    assert generator.proof is not None
    assert (generator.listed, generator.markers) == (len(versions), sum(each.is_delete_marker for each in versions))


def test_a_limit_ends_the_listing_and_proves_nothing() -> None:
    """As for a listing of objects."""
    generator = VersionGenerator(
        Versions(_bucket([[False]] * 100), page=10), "bucket", "p/", VersionScope.ALL, Filter(limit=15)
    )
    assert len(_read(generator)) == 15
    assert generator.proof is None
    assert generator.listed == 20


def test_a_store_that_does_not_go_on_is_noticed() -> None:
    """Instead of being listed for ever."""
    stuck = Versions(_bucket([[False]] * 100), page=10, is_stuck=True)
    with pytest.raises(UnavailableError) as caught:
        _read(VersionGenerator(stuck, "bucket", "p/", VersionScope.ALL, Filter()))
    assert caught.value.code == "ListingStuck"
