"""No plan writes one target twice or overwrites a source (safety.md rule 4)."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s3batch.manifest.entries import RawColumns, batch_of_columns
from s3batch.manifest.normalised import NormalisedManifest, NormalisedWriter
from s3batch.model.errors import RefusedError
from s3batch.model.job import KeyMapping
from s3batch.plan.collisions import KeySpan, check_collisions


def _check(tmp_path: Path, keys_by_bucket: dict[str, list[str]], mapping: KeyMapping) -> None:
    path = tmp_path / "manifest.parquet"
    with NormalisedWriter(path) as writer:
        for bucket, keys in sorted(keys_by_bucket.items()):
            rows = range(1, len(keys) + 1)
            writer.write(
                batch_of_columns(RawColumns(row_numbers=rows, buckets=[bucket] * len(keys), keys=sorted(keys)))
            )
    spans = tuple(
        KeySpan(bucket=bucket, first_key=min(keys), last_key=max(keys)) for bucket, keys in keys_by_bucket.items()
    )
    with NormalisedManifest.open(path):
        check_collisions(path, spans, mapping, scratch=tmp_path)


def test_a_source_inside_the_target_is_refused_where_a_copy_would_overwrite_a_source(tmp_path: Path) -> None:
    """``a/b/ -> a/`` would put a/b/b/x over a/b/x before that was copied."""
    with pytest.raises(RefusedError, match="a/b/b/x onto a/b/x") as caught:
        _check(
            tmp_path,
            {"bkt": ["a/b/b/x", "a/b/x"]},
            KeyMapping(target_bucket="bkt", strip_prefix="a/b/", add_prefix="a/"),
        )
    assert caught.value.code == "TargetIsSource"


def test_a_target_inside_the_source_is_refused_where_it_holds_sources_already(tmp_path: Path) -> None:
    """``a/ -> a/b/`` is refused when a/b/x is itself among the sources of a/x."""
    with pytest.raises(RefusedError) as caught:
        _check(
            tmp_path, {"bkt": ["a/b/x", "a/x"]}, KeyMapping(target_bucket="bkt", strip_prefix="a/", add_prefix="a/b/")
        )
    assert caught.value.code == "TargetIsSource"


def test_sdo_to_sdac_sdo_is_permitted(tmp_path: Path) -> None:
    """The main job: the ranges of keys do not even touch."""
    _check(
        tmp_path,
        {"bkt": ["sdo/a", "sdo/b"]},
        KeyMapping(target_bucket="bkt", strip_prefix="sdo/", add_prefix="sdac/sdo/"),
    )


def test_source_equal_to_target_is_refused(tmp_path: Path) -> None:
    """A move onto itself deletes in other tools; here it is refused."""
    with pytest.raises(RefusedError, match="onto itself") as caught:
        _check(tmp_path, {"bkt": ["a/x"]}, KeyMapping(target_bucket="bkt", strip_prefix="a/", add_prefix="a/"))
    assert caught.value.code == "SourceIsTarget"


def test_one_key_in_two_buckets_is_refused(tmp_path: Path) -> None:
    """Two sources to one target: one would overwrite the other, or fail at it."""
    with pytest.raises(RefusedError, match="one/x and two/x") as caught:
        _check(tmp_path, {"one": ["x", "y"], "two": ["x"]}, KeyMapping(target_bucket="tgt"))
    assert caught.value.code == "TwoSourcesOneTarget"


@settings(max_examples=40, deadline=None)
@given(
    keys=st.sets(st.text(alphabet="ab/", min_size=1, max_size=6), min_size=1, max_size=8),
    strip=st.sampled_from(["", "a", "a/", "ab"]),
    add=st.sampled_from(["", "a", "a/", "b/", "/"]),
)
def test_the_join_finds_exactly_the_overwritten_sources(
    tmp_path_factory: pytest.TempPathFactory, keys: set[str], strip: str, add: str
) -> None:
    """Refused if and only if some mapped key is a source key, whatever the ranges look like."""
    sources = {strip + key for key in keys}
    mapping = KeyMapping(target_bucket="bkt", strip_prefix=strip, add_prefix=add)
    overwrites = strip == add or any(mapping.target_key(key) in sources for key in sources)
    try:
        _check(tmp_path_factory.mktemp("manifest"), {"bkt": sorted(sources)}, mapping)
    except RefusedError:
        assert overwrites
    else:
        assert not overwrites
