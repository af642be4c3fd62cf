"""Canaries: small objects of our own by which a store is tried. How they are named, and how they are known again. Pure.

In: who probes and when, a prefix that the user named. Out: keys and bytes. A key has the prober's 128 bits, so that it
is nobody else's; the bytes repeat them, so that a canary which a killed process left behind is told from whatever else
may have such a name. Nothing is written here.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from s3batch.model.errors import RefusedError, UsageError
from s3batch.model.objects import MAX_KEY_BYTES, S3Prefix, parse_s3_uri, require_exact_prefix

CANARY_START = "s3batch-canary-"
"""What each canary's name begins with; a left-over is found by it."""

MAX_NAME_BYTES = 100
"""Of a canary's name after the prefix."""

LEFT_OVER_AFTER_MS = 3_600_000
"""Another prober's canary of this age is left over (ours, 2026-11): a probe takes seconds."""

_STAMP = "%Y%m%dT%H%M%SZ"
_NAME = re.compile(CANARY_START + r"([0-9a-f]{32})-(\d{8}T\d{6}Z)-([a-z-]{1,30})")
_HARD_CHARACTERS = re.compile("[\x00-\x1f\x7f\ud800-\udfff\ufffe\uffff]")
"""Stores change or break such keys in listings of versions, by which canaries are removed (MiniStack, moto, seen)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Probe:
    """One go at probing; all its canaries have these bytes and begin their names with this stem."""

    owner: str
    """32 hexadecimal digits: random, or a job's, whose later attempts know its canaries by them."""
    made_ms: int

    @property
    def stem(self) -> str:
        """Return what the names of all its canaries begin with."""
        return f"{CANARY_START}{self.owner}-{datetime.fromtimestamp(self.made_ms / 1000, tz=UTC):{_STAMP}}"

    @property
    def body(self) -> bytes:
        """Return the bytes of each of its canaries, copies too."""
        return f"{self.stem}\nWritten by s3batch to find out how this store works. It may be deleted.\n".encode()

    def key(self, prefix: str, what: str) -> str:
        """Return the key of the canary that ``what`` (letters and hyphens) tells from the others."""
        return f"{prefix}{self.stem}-{what}"

    def is_left_over(self, *, owner: str, now_ms: int) -> bool:
        """Tell whether nobody uses these canaries any more: their prober asks, or began long ago."""
        return self.owner == owner or now_ms - self.made_ms > LEFT_OVER_AFTER_MS


def probe_of(key: str, prefix: str) -> Probe | None:
    """Return the probe that a key below ``prefix`` names as its own; ``None`` for any other key."""
    found = _NAME.fullmatch(key.removeprefix(prefix)) if key.startswith(prefix) else None
    if found is None:
        return None
    try:
        made = datetime.strptime(found[2], _STAMP).replace(tzinfo=UTC)
    except ValueError:
        return None
    return Probe(owner=found[1], made_ms=int(made.timestamp() * 1000))


def parse_probe_prefix(text: str) -> S3Prefix:
    """Return a prefix below which canaries may be written.

    Raises:
        UsageError: no address, or a prefix that cannot be had with a canary's name (``InvalidProbePrefix``).
        RefusedError: ``InexactPrefix``.
    """
    place = require_exact_prefix(parse_s3_uri(text), raw=False)
    if _HARD_CHARACTERS.search(place.prefix):
        raise UsageError(
            f"--probe-prefix {text!r} has a control character, or one that UTF-8 or XML has not.",
            code="InvalidProbePrefix",
            way_out="Name a prefix of letters, digits and '/'.",
        )
    n_bytes, most = len(place.prefix.encode()), MAX_KEY_BYTES - MAX_NAME_BYTES
    if n_bytes > most:
        raise UsageError(
            f"--probe-prefix {text!r} has {n_bytes:,} bytes: no more than {most} leave room for a canary's name.",
            code="InvalidProbePrefix",
            way_out="Name a shorter prefix.",
        )
    return place


def probe_place_by_bucket(texts: Sequence[str], buckets: Sequence[str]) -> dict[str, S3Prefix]:
    """Return the prefix that was named in each of the job's buckets.

    Raises:
        UsageError: two prefixes in one bucket, or one that cannot be.
        RefusedError: ``ProbePrefixElsewhere``, a bucket that the job has nothing to do with.
    """
    place_by_bucket: dict[str, S3Prefix] = {}
    for place in map(parse_probe_prefix, texts):
        if place.bucket not in buckets:
            raise RefusedError(
                f"--probe-prefix {place} is in no bucket of this job ({', '.join(sorted(set(buckets)))}).",
                code="ProbePrefixElsewhere",
                way_out="Name a prefix in the source's or the target's bucket.",
            )
        if place.bucket in place_by_bucket:
            raise UsageError(
                f"--probe-prefix names {place_by_bucket[place.bucket]} and {place}, in one bucket.",
                code="InvalidProbePrefix",
                way_out="Name one prefix in each bucket.",
            )
        place_by_bucket[place.bucket] = place
    return place_by_bucket
