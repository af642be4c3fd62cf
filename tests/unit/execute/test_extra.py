"""What is at a target that no entry explains: exactly that, whatever the keys, as a manifest that can be used."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s3batch.execute.extra import write_extra
from s3batch.manifest.normalised import NormalisedManifest
from s3batch.model.job import KeyMapping
from tests.keys import keys
from tests.unit.report.finished_job import Task, finished_job

MAPPING = KeyMapping(target_bucket="target-bucket", strip_prefix="a/", add_prefix="b%/+ 'x\\\"/")


def _extra(folder: Path, named: Sequence[str], there: Sequence[str]) -> dict[str, object]:
    """Return what is told where these keys are named by the manifest, and these are at the target."""
    job = finished_job(folder / "job", [Task(key=key) for key in named])
    target = finished_job(
        folder / "there", [Task(key=key, size=3, etag=f"etag of {key}") for key in there], bucket="target-bucket"
    )
    return write_extra(folder / "extra.parquet", target.manifest.path, job.manifest.path, MAPPING, scratch=folder)


def _rows(folder: Path) -> list[tuple[str, str, int, str]]:
    with NormalisedManifest.open(folder / "extra.parquet") as manifest:
        tables = [
            manifest.read_chunk(number, ("bucket", "key", "size", "etag")) for number in range(len(manifest.chunks))
        ]
        return [tuple(row.values()) for table in tables for row in table.to_pylist()]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with room for two jobs."""
    for name in ("job", "there"):
        (tmp_path / name).mkdir()
    return tmp_path


def test_what_no_entry_explains_is_listed_with_its_facts(folder: Path) -> None:
    """Entries whose copies are missing explain nothing else; the manifest pins what it names."""
    found = _extra(folder, ["a/1", "a/2", "a/gone"], [MAPPING.add_prefix + name for name in ("1", "2", "3", "z")])
    assert found == {
        "entries": 2,
        "bytes": 6,
        "manifest": str(folder / "extra.parquet"),
        "examples": [f"s3://target-bucket/{MAPPING.add_prefix}{name}" for name in ("3", "z")],
    }
    assert _rows(folder) == [
        ("target-bucket", MAPPING.add_prefix + name, 3, f"etag of {MAPPING.add_prefix}{name}") for name in ("3", "z")
    ]


def test_where_all_is_explained_the_list_is_empty(folder: Path) -> None:
    """And there all the same, so that nobody takes an old one for it."""
    found = _extra(folder, ["a/1", "a/2"], [MAPPING.add_prefix + "1"])
    assert (found["entries"], found["examples"]) == (0, [])
    assert _rows(folder) == []


_RESTS = keys(max_pieces=4).filter(lambda key: len(key.encode()) <= 1000)


@given(named=st.sets(_RESTS, min_size=1, max_size=8), others=st.sets(_RESTS, max_size=8), missing=st.booleans())
@settings(max_examples=40, deadline=None)
def test_hostile_keys_are_told_apart_as_the_mapping_tells_them(
    tmp_path_factory: pytest.TempPathFactory,
    named: set[str],
    others: set[str],
    missing: bool,  # noqa: FBT001 - hypothesis hands it in by name
) -> None:
    """The list is the set difference in the order of keys, newlines and quotes included."""
    folder = tmp_path_factory.mktemp("extra")
    for name in ("job", "there"):
        (folder / name).mkdir()
    there = others if missing else others | named
    found = _extra(folder, [f"a/{key}" for key in named], [MAPPING.add_prefix + key for key in there])
    expected = sorted((MAPPING.add_prefix + key for key in others - named), key=str.encode)
    assert [key for _, key, _, _ in _rows(folder)] == expected
    assert found["entries"] == len(expected)
