"""What probing a store with canaries found, and what follows from it for a job (safety.md rules 6, 7, 8 and 15). Pure.

In: how the store answered. Out: findings. What was not probed is said with its reason and never taken for granted.
Nothing that a job does to be safe is left out because of a probe: one answer is no promise for the next.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from s3batch.model.attributes import CONTENT_HEADERS, CopyAttributes, Keep, MetadataDirective
from s3batch.plan.findings import Finding, Weight
from s3batch.s3.answers import ObjectHead
from s3batch.s3.bucket_reading import BucketReading, Unread
from s3batch.s3.errors import PRECONDITION_FAILED

METADATA = "user metadata"
TAGS = "tags"

_KEEPS, _LOSES, _UNKNOWN = "CopiesKeepAttributes", "StoreLosesAttributes", "LossesNotProbed"
_NOT_ALLOWED = frozenset({"AccessDenied", "AllAccessDisabled", "MethodNotAllowed"})


class Behaviour(StrEnum):
    """What a store may do or not; named as in tests/servers/gaps.py."""

    DELETE_IF_MATCH = "delete-if-match"
    DELETE_OBJECTS_ETAG = "delete-objects-etag"
    COPY_SOURCE_IF_MATCH = "copy-source-if-match"
    COPY_IF_NONE_MATCH = "copy-if-none-match"
    TAGGING_DIRECTIVE = "tagging-directive"
    LISTS_AT_ONCE = "lists-at-once"


class Conduct(StrEnum):
    """How it went."""

    HONOURED = "honoured"
    IGNORED = "ignored"
    REFUSED = "refused"
    """The store answers with an error to a request that has the condition, whether it is met or not."""
    NOT_PROBED = "not probed"


OF_DELETES = (Behaviour.DELETE_IF_MATCH, Behaviour.DELETE_OBJECTS_ETAG, Behaviour.LISTS_AT_ONCE)
OF_COPIES = (Behaviour.COPY_SOURCE_IF_MATCH, Behaviour.COPY_IF_NONE_MATCH, Behaviour.TAGGING_DIRECTIVE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Probed:
    """What was found in one bucket."""

    bucket: str
    asked: tuple[Behaviour, ...]
    conducts: Mapping[Behaviour, Conduct] = field(default_factory=dict)
    lost: tuple[str, ...] | None = None
    """Names of what a plain copy has lost; ``None`` where no copy was made."""
    lost_with_metadata: tuple[str, ...] | None = None
    """The same of a copy whose metadata was given anew."""
    unread: tuple[str, ...] = ()
    """What could not be compared, with the code of the refusal."""
    reason: str = ""
    """Why something was not probed."""
    left: tuple[str, ...] = ()
    """Addresses of canaries that could not be removed, each with the reason."""

    def conduct(self, behaviour: Behaviour) -> Conduct:
        """Return how it went."""
        return self.conducts.get(behaviour, Conduct.NOT_PROBED)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Words:
    """One behaviour in words."""

    code: str
    what: str
    if_ignored: str


_WORDS: Mapping[Behaviour, _Words] = {
    Behaviour.DELETE_IF_MATCH: _Words(
        code="DeleteCondition",
        what="the ETag condition of DeleteObject",
        if_ignored="An object that is overwritten between its reading and its delete is lost: let nobody write to the"
        " source while a delete runs.",
    ),
    Behaviour.DELETE_OBJECTS_ETAG: _Words(
        code="BatchDeleteCondition",
        what="the ETag condition of each key of DeleteObjects",
        if_ignored="An object that is overwritten in the seconds between its reading and its delete is lost: let nobody"
        " write to the source while a delete runs.",
    ),
    Behaviour.COPY_SOURCE_IF_MATCH: _Words(
        code="CopySourceCondition",
        what="the ETag condition on the source of a copy",
        if_ignored="A source that changes after its listing is copied as it is then; verify does not prove that copy.",
    ),
    Behaviour.COPY_IF_NONE_MATCH: _Words(
        code="CopyTargetCondition",
        what="the condition that nothing is at the target of a copy",
        if_ignored="An object that someone else writes there in the moment between its reading and its copy is"
        " overwritten.",
    ),
    Behaviour.TAGGING_DIRECTIVE: _Words(
        code="TaggingDirective",
        what="the header that gives a copy other tags",
        if_ignored="Tags that a job sets or keeps explicitly are put by requests of their own.",
    ),
    Behaviour.LISTS_AT_ONCE: _Words(
        code="ListingAtOnce",
        what="the promise that a listing shows a write and a delete at once (seen on canaries alone)",
        if_ignored="Do not give --trust-listings here.",
    ),
}


def conduct_of(wrong: str, *, was_done: bool, right: str = "") -> Conduct:
    """Return how a condition went, from the codes of the answers (empty: success).

    ``wrong`` answers the request whose condition is not met, ``was_done`` tells whether it was carried out all the
    same, ``right`` answers the same request with a condition that is met.
    """
    if not wrong or was_done:
        return Conduct.IGNORED
    if wrong in _NOT_ALLOWED or right in _NOT_ALLOWED:
        return Conduct.NOT_PROBED
    return Conduct.HONOURED if wrong == PRECONDITION_FAILED and not right else Conduct.REFUSED


def lost_names(
    wanted: ObjectHead,
    seen: ObjectHead,
    *,
    wanted_tags: Sequence[tuple[str, str]] | None,
    seen_tags: Sequence[tuple[str, str]] | None,
) -> tuple[str, ...]:
    """Return what the second lacks or has otherwise; tags only where both were read."""
    lost = [] if dict(wanted.metadata) == dict(seen.metadata) else [METADATA]
    lost += [name for name in CONTENT_HEADERS if wanted.headers.get(name) != seen.headers.get(name)]
    if wanted_tags is not None and seen_tags is not None and set(wanted_tags) != set(seen_tags):
        lost.append(TAGS)
    return tuple(lost)


def why_not_probed(reading: BucketReading) -> str:
    """Return why no canary may be written to a bucket: it could not be removed again; empty where it may."""
    retention, versioning = reading.retention, reading.versioning
    if isinstance(versioning, Unread):
        return f"Whether {reading.bucket} keeps versions may not be read ({versioning.code}), so a canary might stay"
    if isinstance(retention, Unread) and not retention.is_unknown_to_store:
        return f"Whether {reading.bucket} locks new objects may not be read ({retention.code}), so a canary might stay"
    if retention is not None and not isinstance(retention, Unread):
        return f"{reading.bucket} locks each new object for {retention.period}, so a canary would stay"
    return ""


def probe_findings(probed: Probed) -> tuple[Finding, ...]:
    """Return what could be done, how the store behaved, and what is left of the canaries."""
    known = [each for each in probed.asked if probed.conduct(each) is not Conduct.NOT_PROBED]
    return (
        *_written(probed),
        *(_conduct_finding(probed, each) for each in known),
        *_not_probed(probed, [each for each in probed.asked if each not in known]),
        *_left(probed),
    )


def trust_findings(probed: Probed, *, trusts_listings: bool) -> tuple[Finding, ...]:
    """Return a refusal where a user vouches for listings that were seen to be late (safety.md rule 12)."""
    if not trusts_listings or probed.conduct(Behaviour.LISTS_AT_ONCE) is not Conduct.IGNORED:
        return ()
    return (
        Finding(
            weight=Weight.REFUSAL,
            code="ListingsLate",
            text=f"--trust-listings is given, and a listing of {probed.bucket} was late: it did not show what was just"
            " written, or still showed what was deleted.",
            way_out="Leave --trust-listings out.",
        ),
    )


def loss_findings(probed: Probed, attributes: CopyAttributes, *, ignore_losses: bool) -> tuple[Finding, ...]:
    """Return what this store's copies lose of what a job wants (safety.md rule 8): a refusal unless it is meant."""
    is_plain = attributes.metadata_directive is MetadataDirective.COPY
    found = probed.lost if is_plain else probed.lost_with_metadata
    if found is None:
        return ()
    are_put = Keep.TAGS in attributes.keep or attributes.tags is not None
    lost = [name for name in found if not (are_put and name == TAGS)]
    findings = [_loss(probed, lost, ignore_losses=ignore_losses)] if lost else []
    if not lost and not probed.unread:
        findings.append(
            Finding(
                weight=Weight.OK,
                code=_KEEPS,
                text=f"Probed: a copy in {probed.bucket} kept metadata, content headers and tags"
                f"{' (put explicitly)' if are_put else ''}.",
            )
        )
    if probed.unread:
        findings.append(
            Finding(
                weight=Weight.WARNING,
                code=_UNKNOWN,
                text=f"Whether copies in {probed.bucket} keep this was not probed: {', '.join(probed.unread)}.",
                way_out="Compare some copies with verify --with-metadata --with-tags.",
            )
        )
    if is_plain and TAGS in (probed.lost_with_metadata or ()) and TAGS not in found:
        findings.append(
            Finding(
                weight=Weight.NOTE,
                code="TagsLostWithMetadata",
                text=f"Probed: copies in {probed.bucket} whose metadata is changed lose their tags; --keep tags keeps"
                " them.",
            )
        )
    return tuple(findings)


def are_losses_known(findings: Sequence[Finding]) -> bool:
    """Tell whether it was found out what copies lose, so that a plan need not say that it was not."""
    codes = {each.code for each in findings}
    return bool(codes & {_KEEPS, _LOSES}) and _UNKNOWN not in codes


def is_decided(probed: Sequence[Probed], behaviours: Sequence[Behaviour]) -> bool:
    """Tell whether the answer is known everywhere, so that a plan need not say that it is not."""
    return bool(probed) and all(
        each.conduct(behaviour) is not Conduct.NOT_PROBED for each in probed for behaviour in behaviours
    )


def _written(probed: Probed) -> list[Finding]:
    """Say that writing is allowed, where nothing was refused."""
    if probed.reason or probed.left:
        return []
    what = "copied" if probed.asked == OF_COPIES else "written"
    return [
        Finding(
            weight=Weight.OK,
            code="CanariesCopied" if probed.asked == OF_COPIES else "CanariesWritten",
            text=f"Canaries could be {what} in {probed.bucket}, and deleted again.",
        )
    ]


def _conduct_finding(probed: Probed, behaviour: Behaviour) -> Finding:
    words, conduct = _WORDS[behaviour], probed.conduct(behaviour)
    text = f"In {probed.bucket}, probed: {words.what} is {conduct}."
    if conduct is Conduct.HONOURED:
        return Finding(weight=Weight.OK, code=f"{words.code}Honoured", text=text)
    weight = Weight.NOTE if behaviour is Behaviour.TAGGING_DIRECTIVE else Weight.WARNING
    return Finding(weight=weight, code=f"{words.code}{conduct.capitalize()}", text=text, way_out=words.if_ignored)


def _not_probed(probed: Probed, behaviours: Sequence[Behaviour]) -> list[Finding]:
    if not behaviours:
        return []
    reason = probed.reason or "Such requests are not allowed"
    return [
        Finding(
            weight=Weight.WARNING,
            code="CopiesNotProbed" if probed.asked == OF_COPIES else "DeletesNotProbed",
            text=f"In {probed.bucket}, not probed: {'; '.join(_WORDS[each].what for each in behaviours)}. {reason}.",
        )
    ]


def _loss(probed: Probed, lost: Sequence[str], *, ignore_losses: bool) -> Finding:
    only_tags = list(lost) == [TAGS]
    return Finding(
        weight=Weight.WARNING if ignore_losses else Weight.REFUSAL,
        code=_LOSES,
        text=f"Copies in {probed.bucket} lose {', '.join(lost)}: a canary was copied there and had it no more.",
        way_out=""
        if ignore_losses
        else f"{'Add --keep tags, or c' if only_tags else 'C'}opy all the same with --ignore-losses.",
    )


def _left(probed: Probed) -> list[Finding]:
    if not probed.left:
        return []
    return [
        Finding(
            weight=Weight.WARNING,
            code="CanaryLeft",
            text=f"Canaries could not be removed: {', '.join(probed.left)}.",
            way_out="Delete them, with all their versions, by hand.",
        )
    ]
