"""``s3batch verify --extra``: what is at the target that no source explains, told on request and never deleted."""

import pytest

from tests.safety.bucket import Bucket, counts, numbered


def test_what_no_source_explains_is_told_and_counts_only_if_asked(real_bucket: Bucket) -> None:
    """On each store: counted, listed as a manifest that other commands take, in summary and JSON."""
    bucket = real_bucket
    keys = numbered("a/", range(6))
    bucket.put(*keys)
    words = ["verify", bucket.url("a/"), bucket.url("b/")]
    copy = bucket.run("copy", bucket.url("a/"), bucket.url("b/"), "--json").document
    bucket.put("b/zz of nobody", "b/a+b", "bz/elsewhere", body=b"12345")
    assert bucket.run(*words, "--json").document["extra"] is None
    found = bucket.run(*words, "--extra", "report", "--json").document
    assert counts(found) == (6, 6, 0, 0)
    assert {name: found["extra"][name] for name in ("entries", "bytes", "examples")} == {
        "entries": 2,
        "bytes": 10,
        "examples": [bucket.url("b/a+b"), bucket.url("b/zz of nobody")],
    }
    told = bucket.run("verify", "--job", copy["job_id"], "--extra", "fail", code=3)
    assert "has 2 objects, 10 B, that no entry explains" in told.out
    shown = bucket.run("manifest", "show", found["extra"]["manifest"], "--json").document
    assert shown["entries"] == 2
    assert set(bucket.keys("b/")) == {f"b{key[1:]}" for key in keys} | {"b/zz of nobody", "b/a+b"}
    bucket.remove("b/zz of nobody", "b/a+b")
    clean = bucket.run(*words, "--extra", "fail")
    assert "has nothing that no entry explains" in clean.out


@pytest.mark.parametrize("some", [["--include", "*1*"], ["--limit", "2"], ["--sample", "2"]])
def test_copies_whose_sources_a_filter_left_out_are_never_called_extra(bucket: Bucket, some: list[str]) -> None:
    """Somebody would delete them."""
    bucket.put(*numbered("a/", range(4)))
    ended = bucket.run("verify", bucket.url("a/"), bucket.url("b/"), "--extra", "report", *some, "--json", code=2)
    assert "not all sources are entries" in ended.document["error"]["message"]
    copy = bucket.run("copy", bucket.url("a/"), bucket.url("b/"), *some, "--json").document
    bucket.run("verify", "--job", copy["job_id"], "--extra", "report", code=2)


def test_a_retry_of_a_verify_does_not_call_the_other_copies_extra(bucket: Bucket) -> None:
    """Its entries are those that failed."""
    keys = numbered("a/", range(4))
    bucket.put(*keys)
    bucket.run("copy", bucket.url("a/"), bucket.url("b/"))
    bucket.remove("b/0/0000.fits")
    verify = bucket.run("verify", bucket.url("a/"), bucket.url("b/"), "--extra", "fail", "--json", code=3).document
    assert verify["extra"]["entries"] == 0
    bucket.put("b/0/0000.fits", body=b"a/0/0000.fits")
    again = bucket.run("jobs", "retry", verify["job_id"], "--json").document
    assert counts(again) == (1, 1, 0, 0)
    assert again["extra"] is None
