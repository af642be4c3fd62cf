"""What can go wrong between a client and an S3 server: kinds of faults, a plan of them, the choice for one request.

Input: a plan with a seed, and what a request is. Output: the fault for it, or none; altered listings. Nothing is sent
here: fault_proxy.py acts.
"""

import json
import random
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from urllib.parse import parse_qs, unquote, unquote_plus, urlsplit
from xml.sax.saxutils import unescape


class Fault(StrEnum):
    """A kind of fault. "After" means that the server has done what was asked."""

    LOSE_ANSWER = "lose-answer"
    """The server has done it; the connection closes without an answer."""
    DELIVER_TWICE = "deliver-twice"
    """The server gets the request twice; the second answer counts."""
    RESET_BEFORE = "reset-before"
    """The connection is reset, and the server has seen nothing."""
    RESET_AFTER = "reset-after"
    """The connection is reset after the server has done it."""
    DELAY_ANSWER = "delay-answer"
    """The server has done it; the answer comes after `delay_s`."""
    ERROR_BODY = "error-body"
    """200 with an error in the body (InternalError or SlowDown), and the server has seen nothing."""
    ERROR_BODY_AFTER = "error-body-after"
    """The same answer, but the server has done it."""
    TRUNCATED_BODY = "truncated-body"
    """The answer ends in the middle of its body."""
    SHORT_LISTING = "short-listing"
    """A listing without the last half of its keys, its KeyCount in agreement: a store that lies consistently."""
    TORN_LISTING = "torn-listing"
    """A listing without the last half of its keys, its KeyCount as it was."""
    STALE_LISTING = "stale-listing"
    """A listing that does not show what was written in the last `stale_s`."""
    STORM = "storm"
    """503 SlowDown, to this request and to all others for `storm_s`."""


COPIES = frozenset({"CopyObject", "UploadPartCopy", "CompleteMultipartUpload"})
LISTINGS = frozenset({"ListObjectsV2"})
BODIES = frozenset({"GetObject", "ListObjectsV2", "DeleteObjects"}) | COPIES
WRITES = frozenset({"PutObject"}) | COPIES

APPLIES_TO: Mapping[Fault, frozenset[str]] = {
    # S3 documents early 200 answers for these three only ("Error handling" of CopyObject, read 2026-11)
    Fault.ERROR_BODY: COPIES,
    Fault.ERROR_BODY_AFTER: COPIES,
    Fault.TRUNCATED_BODY: BODIES,
    Fault.SHORT_LISTING: LISTINGS,
    Fault.TORN_LISTING: LISTINGS,
    Fault.STALE_LISTING: LISTINGS,
}
"""A fault that is not here applies to every request."""


@dataclass(frozen=True, kw_only=True, slots=True)
class FaultPlan:
    """Which faults, how often. Probabilities are per request that a fault applies to."""

    probabilities: Mapping[Fault, float] = field(default_factory=dict)
    seed: int = 1
    matching: str = ""
    """A regular expression that must be found in `METHOD /path?query` of a request, for a fault to come over it."""
    maximum: int | None = None
    """No more faults than this."""
    delay_s: float = 5.0
    storm_s: float = 0.5
    stale_s: float = 5.0

    def to_json(self) -> str:
        """Return the form in which a plan travels to the proxy's process."""
        names = ("probabilities", "seed", "matching", "maximum", "delay_s", "storm_s", "stale_s")
        return json.dumps({name: getattr(self, name) for name in names})

    @classmethod
    def from_json(cls, text: str | bytes) -> "FaultPlan":
        """Read what ``to_json`` wrote."""
        settings = json.loads(text)
        probabilities = {Fault(name): value for name, value in settings.pop("probabilities").items()}
        return cls(probabilities=probabilities, **settings)


@dataclass(frozen=True, kw_only=True, slots=True)
class RequestLine:
    """What a request is, as far as faults are concerned."""

    method: str
    target: str
    is_copy: bool = False

    @property
    def bucket(self) -> str:
        """The bucket, of path addressing."""
        return unquote(urlsplit(self.target).path[1:].partition("/")[0])

    @property
    def key(self) -> str:
        """The key, decoded; empty for a call on a bucket."""
        return unquote(self.target.partition("?")[0][1:].partition("/")[2])

    @property
    def kind(self) -> str:
        """S3's name of the call, as far as needed; `Other` for the rest."""
        query = parse_qs(self.target.partition("?")[2], keep_blank_values=True)
        scope = "key" if self.key else "bucket"
        for method, where, arguments, name in _KINDS:
            if (method, where) == (self.method, scope) and arguments == query.keys() & _TELLING:
                return _COPY_KINDS.get(name, name) if self.is_copy else name
        return "Other"


_KINDS: tuple[tuple[str, str, set[str], str], ...] = (
    ("HEAD", "key", set(), "HeadObject"),
    ("HEAD", "bucket", set(), "HeadBucket"),
    ("GET", "key", set(), "GetObject"),
    ("GET", "bucket", {"list-type"}, "ListObjectsV2"),
    ("PUT", "key", set(), "PutObject"),
    ("PUT", "key", {"uploadId"}, "UploadPart"),
    ("DELETE", "key", set(), "DeleteObject"),
    ("DELETE", "key", {"uploadId"}, "AbortMultipartUpload"),
    ("POST", "bucket", {"delete"}, "DeleteObjects"),
    ("POST", "key", {"uploads"}, "CreateMultipartUpload"),
    ("POST", "key", {"uploadId"}, "CompleteMultipartUpload"),
)
_COPY_KINDS = {"PutObject": "CopyObject", "UploadPart": "UploadPartCopy"}
_TELLING = frozenset(
    [
        "acl",
        "attributes",
        "delete",
        "encryption",
        "legal-hold",
        "lifecycle",
        "list-type",
        "location",
        "notification",
        "object-lock",
        "policy",
        "replication",
        "restore",
        "retention",
        "tagging",
        "uploadId",
        "uploads",
        "versioning",
        "versions",
    ]
)
"""The query arguments that make a request another call; the others only detail it."""


class FaultSource:
    """Chooses the fault of each request, in the order of arrival, from a plan's seed."""

    def __init__(self, plan: FaultPlan) -> None:
        self.plan = plan
        self._random = random.Random(plan.seed)
        self._left = plan.maximum

    def choose(self, request: RequestLine) -> Fault | None:
        """Return the fault for a request, or None; at most one."""
        drawn = self._random.random()
        if self._left == 0 or not re.search(self.plan.matching, f"{request.method} {request.target}"):
            return None
        kind = request.kind
        for fault, probability in self.plan.probabilities.items():
            if kind not in APPLIES_TO.get(fault, {kind}):
                continue
            if drawn < probability:
                if self._left is not None:
                    self._left -= 1
                return fault
            drawn -= probability
        return None


_CONTENTS = re.compile(rb"<Contents>.*?</Contents>", re.DOTALL)
_KEY_COUNT = re.compile(rb"<KeyCount>\d+</KeyCount>")


def drop_from_listing(body: bytes, *, is_dropped: Callable[[int, int, str], bool], adjust_count: bool) -> bytes:
    """Return a listing's XML without some of its keys; ``is_dropped`` is given index, number of keys, and key."""
    entries = _CONTENTS.findall(body)
    is_url = b"<EncodingType>url</EncodingType>" in body
    kept = [
        entry
        for index, entry in enumerate(entries)
        if not is_dropped(index, len(entries), _key_of(entry, is_url=is_url))
    ]
    if len(kept) == len(entries):
        return body
    start, end = body.index(entries[0]), body.rindex(entries[-1]) + len(entries[-1])
    dropped = body[:start] + b"".join(kept) + body[end:]
    if not adjust_count:
        return dropped
    others = body.count(b"<CommonPrefixes>")
    return _KEY_COUNT.sub(b"<KeyCount>%d</KeyCount>" % (len(kept) + others), dropped)


def _key_of(entry: bytes, *, is_url: bool) -> str:
    text = entry[entry.index(b"<Key>") + len(b"<Key>") : entry.index(b"</Key>")].decode()
    key = unescape(text, {"&quot;": '"', "&apos;": "'", "&#13;": "\r", "&#10;": "\n", "&#xD;": "\r", "&#xA;": "\n"})
    return unquote_plus(key) if is_url else key
