"""Keys that look alike, keys that are prefixes, and keys that a mapping makes empty (safety.md rules 2, 3, 12)."""

from tests.safety.bucket import Bucket, counts

ALIKE = ("a b", "a+b", "a%20b", "a%2Bb", "a%252Bb")


def test_keys_that_differ_by_their_encoding_are_moved_each_to_its_own(real_bucket: Bucket) -> None:
    """``a b``, ``a+b`` and ``a%20b`` side by side."""
    bucket = real_bucket
    bucket.put(*(f"sdo/{key}" for key in ALIKE))
    jobs = bucket.move("sdo/", "sdac/sdo/", "--yes")
    assert [counts(job)[1] for job in jobs] == [len(ALIKE)] * 3
    assert bucket.bodies() == {f"sdac/sdo/{key}": f"sdo/{key}".encode() for key in ALIKE}


def test_the_key_that_equals_the_prefix_is_an_ordinary_object(real_bucket: Bucket) -> None:
    """A directory marker moves with its folder; the folder beside it stays."""
    bucket = real_bucket
    bucket.put("cdaweb/", "cdaweb/x", "cdaweb2/x", "cdaweb.txt")
    bucket.move("cdaweb/", "spdf/", "--yes")
    assert bucket.bodies() == {
        "spdf/": b"cdaweb/",
        "spdf/x": b"cdaweb/x",
        "cdaweb2/x": b"cdaweb2/x",
        "cdaweb.txt": b"cdaweb.txt",
    }


def test_a_key_that_the_mapping_makes_empty_is_refused_by_the_plan(real_bucket: Bucket) -> None:
    """The directory marker, stripped whole and put at a bucket's root, has no name any more."""
    bucket = real_bucket
    bucket.put("cdaweb/", "cdaweb/x")
    other = f"{bucket.name}-2"
    bucket.client.create_bucket(Bucket=other)
    code = bucket.refused("move", bucket.url("cdaweb/"), f"s3://{other}/", "--yes")
    assert code == "EmptyTargetKey"
    assert bucket.client.list_objects_v2(Bucket=other)["KeyCount"] == 0


def test_only_the_named_object_is_deleted_not_those_that_begin_like_it(real_bucket: Bucket) -> None:
    """``d/a.fits`` goes; ``d/a.fits.md5``, ``d/a.fits.gz`` and ``d/a.fits/x`` stay."""
    bucket = real_bucket
    beside = ("d/a.fits.gz", "d/a.fits.md5", "d/a.fits/x")
    bucket.put("d/a.fits", *beside)
    bucket.put("list.csv", body=f"{bucket.name},d/a.fits\n".encode())
    manifest = ("--manifest", bucket.url("list.csv"), "--to", bucket.url("e/"), "--strip-prefix", "d/")
    jobs = bucket.run("move", *manifest, "--yes", "--json").document["jobs"]
    assert counts(jobs[2]) == (1, 1, 0, 0)
    assert bucket.bodies("e/") == {"e/a.fits": b"d/a.fits"}
    assert bucket.keys("d/") == sorted(beside)


def test_a_prefix_without_its_slash_is_refused(bucket: Bucket) -> None:
    """``s3://b/sdo`` also means ``sdo2/x``; --raw-prefix says that this is meant."""
    bucket.put("sdo/x", "sdo2/x")
    for words in (("move",), ("copy",), ("verify",)):
        ended = bucket.run(*words, bucket.url("sdo"), bucket.url("new/"), "--json", code=4)
        assert ended.document["error"]["code"] == "InexactPrefix"
    assert bucket.bodies() == {"sdo/x": b"sdo/x", "sdo2/x": b"sdo2/x"}
    bucket.run("move", bucket.url("sdo"), bucket.url("new/"), "--raw-prefix", "--yes")
    assert bucket.bodies() == {"new//x": b"sdo/x", "new/2/x": b"sdo2/x"}
