"""Canaries are known by their names and bytes; nothing else is ever taken for one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3batch.model.errors import RefusedError, S3BatchError, UsageError
from s3batch.model.objects import MAX_KEY_BYTES
from s3batch.plan.canaries import (
    LEFT_OVER_AFTER_MS,
    MAX_NAME_BYTES,
    Probe,
    parse_probe_prefix,
    probe_of,
    probe_place_by_bucket,
)

OWNER, OTHER = "0123456789abcdef" * 2, "f" * 32
NOW_MS = 1_795_780_800_000
PROBE = Probe(owner=OWNER, made_ms=NOW_MS)


def test_a_canarys_key_and_bytes_say_what_it_is() -> None:
    """To people as well: the form is documented."""
    assert PROBE.key("tmp/", "delete") == f"tmp/s3batch-canary-{OWNER}-20261127T120000Z-delete"
    assert PROBE.body.startswith(f"s3batch-canary-{OWNER}-20261127T120000Z\n".encode())
    assert b"may be deleted" in PROBE.body


@given(
    prefix=st.text(alphabet=st.characters(exclude_categories=["Cs"]), max_size=20),
    owner=st.text("0123456789abcdef", min_size=32, max_size=32),
    seconds=st.integers(0, 4_000_000_000),
    what=st.text("abcdefghijklmnopqrstuvwxyz-", min_size=1, max_size=30),
)
def test_a_key_leads_back_to_its_probe(prefix: str, owner: str, seconds: int, what: str) -> None:
    """Whatever the prefix holds, and within the room that is kept for a name."""
    made = Probe(owner=owner, made_ms=seconds * 1000)
    key = made.key(prefix, what)
    assert probe_of(key, prefix) == made
    assert len(key.encode()) - len(prefix.encode()) <= MAX_NAME_BYTES
    assert probe_of(f"{key}\n", prefix) is None
    assert probe_of(f"x{key}", prefix) is None or prefix.startswith("x")


@pytest.mark.parametrize(
    "name",
    [
        "s3batch-canary-mine",
        f"s3batch-canary-{OWNER}-20261127T120000Z",
        f"s3batch-canary-{OWNER}-20261327T120000Z-delete",
        f"s3batch-canary-{OWNER.upper()}-20261127T120000Z-delete",
        f"s3batch-canary-{OWNER}-20261127T120000Z-delete/x",
        f"S3batch-canary-{OWNER}-20261127T120000Z-delete",
    ],
)
def test_other_names_are_no_canaries(name: str) -> None:
    """Near misses included."""
    assert probe_of(f"tmp/{name}", "tmp/") is None


def test_canaries_are_left_over_when_their_prober_asks_or_began_long_ago() -> None:
    """Another prober's young ones may be in use."""
    assert PROBE.is_left_over(owner=OWNER, now_ms=NOW_MS)
    assert not PROBE.is_left_over(owner=OTHER, now_ms=NOW_MS + LEFT_OVER_AFTER_MS)
    assert PROBE.is_left_over(owner=OTHER, now_ms=NOW_MS + LEFT_OVER_AFTER_MS + 1)


@pytest.mark.parametrize(
    ("text", "family", "code", "told"),
    [
        ("tmp/", UsageError, "Usage", "s3://BUCKET/PREFIX/"),
        ("s3://bucket/tmp", RefusedError, "InexactPrefix", "no final '/'"),
        (f"s3://bucket/{'x' * (MAX_KEY_BYTES - MAX_NAME_BYTES)}/", UsageError, "InvalidProbePrefix", "925 bytes"),
        ("s3://bucket/a\rb/", UsageError, "InvalidProbePrefix", "control character"),
        ("s3://bucket/a\udcffb/", UsageError, "InvalidProbePrefix", "one that UTF-8 or XML has not"),
    ],
)
def test_a_prefix_that_cannot_be_had_is_refused(text: str, family: type[S3BatchError], code: str, told: str) -> None:
    """With what to write instead."""
    with pytest.raises(family) as caught:
        parse_probe_prefix(text)
    assert caught.value.code == code
    assert told in str(caught.value)
    assert caught.value.way_out


def test_prefixes_are_named_once_in_each_bucket_of_the_job() -> None:
    """A bucket that has nothing to do with the job is never written to."""
    places = probe_place_by_bucket(["s3://bbb/tmp/", "s3://aaa/"], ["aaa", "bbb"])
    assert {bucket: str(place) for bucket, place in places.items()} == {"aaa": "s3://aaa/", "bbb": "s3://bbb/tmp/"}
    with pytest.raises(RefusedError, match=r"is in no bucket of this job \(aaa, bbb\)") as elsewhere:
        probe_place_by_bucket(["s3://ccc/tmp/"], ["bbb", "aaa", "bbb"])
    assert elsewhere.value.code == "ProbePrefixElsewhere"
    with pytest.raises(UsageError, match="in one bucket"):
        probe_place_by_bucket(["s3://aaa/x/", "s3://aaa/y/"], ["aaa"])
