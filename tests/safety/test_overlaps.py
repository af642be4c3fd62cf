"""Sources and targets that touch each other, in one job and in two (safety.md rules 2, 4, 5)."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.safety.bucket import Bucket, numbered

Running = Callable[[], dict[str, object]]


def test_a_source_that_is_its_own_target_is_refused(bucket: Bucket) -> None:
    """Neither by prefix nor by manifest."""
    bucket.put("a/x", "a/y")
    assert bucket.refused("move", bucket.url("a/"), bucket.url("a/"), "--yes") == "SourceIsTarget"
    bucket.put("list.csv", body=f"{bucket.name},a/x\n".encode())
    manifest = ("--manifest", bucket.url("list.csv"), "--to", bucket.url(""))
    assert bucket.refused("move", *manifest, "--yes") == "SourceIsTarget"


def test_a_target_inside_the_source_is_moved_unless_it_would_overwrite_a_source(bucket: Bucket) -> None:
    """a/ -> a/b/ with only a/x: right. With a/b/x there too, its copy of a/x would overwrite it: refused."""
    bucket.put("a/x", "a/y")
    bucket.move("a/", "a/b/", "--yes")
    assert bucket.bodies() == {"a/b/x": b"a/x", "a/b/y": b"a/y"}
    bucket.put("a/x")
    assert bucket.refused("move", bucket.url("a/"), bucket.url("a/b/"), "--yes") == "TargetIsSource"


def test_a_source_inside_the_target_is_moved_unless_it_would_overwrite_a_source(bucket: Bucket) -> None:
    """a/b/ -> a/ with only a/b/x: right. With a/b/b/x, whose copy would be a/b/x: refused."""
    bucket.put("a/b/x", "a/b/y")
    bucket.move("a/b/", "a/", "--yes")
    assert bucket.bodies() == {"a/x": b"a/b/x", "a/y": b"a/b/y"}
    bucket.put("a/b/x", "a/b/b/x")
    assert bucket.refused("move", bucket.url("a/b/"), bucket.url("a/"), "--yes") == "TargetIsSource"


def test_two_sources_with_one_target_are_refused(bucket: Bucket) -> None:
    """A manifest of two buckets that both have the key."""
    other = f"{bucket.name}-2"
    client = bucket.client
    client.create_bucket(Bucket=other)
    bucket.put("a/x", "a/y")
    client.put_object(Bucket=other, Key="a/x", Body=b"another")
    bucket.put("list.csv", body=f"{bucket.name},a/x\n{bucket.name},a/y\n{other},a/x\n".encode())
    manifest = ("--manifest", bucket.url("list.csv"), "--to", bucket.url("b/"))
    assert bucket.refused("move", *manifest, "--yes") == "TwoSourcesOneTarget"
    assert client.get_object(Bucket=other, Key="a/x")["Body"].read() == b"another"


@pytest.mark.parametrize("are_equal", [True, False])
def test_moves_in_opposite_directions_at_once_lose_nothing(are_equal: bool, bucket: Bucket) -> None:  # noqa: FBT001 - pytest hands it over
    """The second waits for the first one's claims; equal objects on both sides never prove each other away."""
    names = [f"{number:03d}.fits" for number in range(60)]
    for folder in ("a/", "b/"):
        for name in names:
            bucket.put(folder + name, body=name.encode() if are_equal else (folder + name).encode())
    before = bucket.bodies()
    _move_both(bucket, ("a/", "b/"), ("b/", "a/"))
    after = bucket.bodies()
    for key, body in before.items():
        other = ("b/" if key.startswith("a/") else "a/") + key[2:]
        assert body in (after.get(key), after.get(other)), key
    if not are_equal:
        assert after == before  # every target was taken


def test_moves_in_opposite_directions_over_different_names_both_arrive(bucket: Bucket) -> None:
    """Nothing is in the way of anything, but the key ranges overlap: one waits for the other."""
    first, second = numbered("a/x", range(60)), numbered("b/y", range(60))
    bucket.put(*first, *second)
    _move_both(bucket, ("a/", "b/"), ("b/", "a/"))
    bodies = bucket.bodies()
    assert sorted(bodies.values()) == sorted(key.encode() for key in (*first, *second))


def test_two_moves_of_one_prefix_at_once_lose_nothing(bucket: Bucket) -> None:
    """Each object is at one of the two targets or, copied by both, at both; its source is deleted once, as reported."""
    keys = numbered("a/", range(90))
    bucket.put(*keys)
    moves = _move_both(bucket, ("a/", "b/"), ("a/", "c/"))
    bodies = bucket.bodies()
    assert set(bodies.values()) == {key.encode() for key in keys}
    assert not any(key.startswith("a/") for key in bodies)
    assert sum(_deleted(job) for jobs in moves for job in jobs) == len(keys)


def _deleted(job: dict[str, Any]) -> int:
    """Return how many sources a job deleted itself: those that somebody else had deleted are no work of it."""
    if job["operation"] != "delete":
        return 0
    return int(job["counts"]["succeeded"]) - int(job["counts"]["by_code"].get("AlreadyGone", 0))


def _move_both(bucket: Bucket, *ways: tuple[str, str]) -> list[list[dict[str, Any]]]:
    """Start moves at the same moment, and return their jobs at their end."""
    processes = [
        bucket.command_line.start("move", bucket.url(source), bucket.url(target), "--yes", "--json")
        for source, target in ways
    ]
    found = []
    for process in processes:
        out, err = process.communicate(timeout=120)
        assert "Traceback" not in err
        found.append(json.loads(out)["jobs"])
    return found
