"""Probing a store with canaries: does it honour conditions, and what do its copies lose (safety.md rules 6, 7, 8, 15)?

In: a client that writes, prefixes that the user named. Out: what was found; what a refusal kept from being tried is not
probed, with its code. Up to a hundred requests. No object of a user is touched: see ``canaries``.
Deletes are probed in the source bucket and copies in the target bucket, from a canary of the source's if one may be
written there.
"""

from __future__ import annotations

from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, replace

from s3batch.execute.canaries import Canaries
from s3batch.model.objects import S3Prefix
from s3batch.plan.canaries import Probe
from s3batch.plan.probes import (
    OF_COPIES,
    OF_DELETES,
    Behaviour,
    Conduct,
    Probed,
    conduct_of,
    lost_names,
    why_not_probed,
)
from s3batch.s3.bucket_reading import BucketReading, read_bucket
from s3batch.s3.client import DeleteBatch, ObjectHead, S3Client
from s3batch.s3.errors import S3RefusedError
from s3batch.s3.object_headers import object_head

_WRONG_ETAG = "0" * 32
_TAGS = (("s3batch-canary", "yes"), ("colour", "red"))
_OTHER_TAGS = (("colour", "blue"),)
_HEADERS = {
    "x-amz-meta-s3batch-canary": "yes",
    "x-amz-meta-colour": "red",
    "content-type": "text/x-s3batch-canary",
    "cache-control": "max-age=61",
    "content-disposition": "attachment",
    "content-encoding": "identity",
    "content-language": "la",
    "expires": "Wed, 21 Oct 2037 07:28:00 GMT",
}
_AS_PUT = object_head({**_HEADERS, "etag": "e", "content-length": "0"})
_OTHER_HEADERS = {**_HEADERS, "x-amz-meta-colour": "blue"}
_REPLACED_TAGS = {"x-amz-tagging-directive": "REPLACE", "x-amz-tagging": "colour=blue"}
_UNANSWERED = "Unanswered"


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where canaries may be written, and what is known of that bucket."""

    prefix: S3Prefix
    reading: BucketReading

    def canaries(self, client: S3Client, probe: Probe) -> Canaries:
        """Return the canaries of a probe here."""
        return Canaries(client, self.prefix, probe, has_versions=self.reading.versioning != "")


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """What a job does, and so what is probed."""

    deletes_from: tuple[str, ...] = ()
    """Buckets."""
    copies_from: tuple[str, ...] = ()
    copies_to: str | None = None


async def probe_store(
    client: S3Client, place_by_bucket: Mapping[str, S3Prefix], wanted: Wanted, *, owner: str
) -> tuple[Probed, ...]:
    """Probe what is wanted wherever a prefix was named; elsewhere nothing is written, and that is said.

    ``owner`` is 32 hexadecimal digits: with the same ones a later attempt removes what a killed one left behind.

    Raises:
        RefusedError: ``CanaryKeyTaken``, or there is no such bucket.
        UnavailableError: the store does not answer.
    """
    places = {
        bucket: Place(prefix=prefix, reading=await read_bucket(client, bucket))
        for bucket, prefix in place_by_bucket.items()
    }
    probe = Probe(owner=owner, made_ms=int(client.now_s() * 1000))
    found = []
    for bucket in wanted.deletes_from:
        place = places.get(bucket)
        found.append(_unnamed(bucket, OF_DELETES) if place is None else await probe_deletes(client, place, probe))
    if wanted.copies_to is not None:
        target = places.get(wanted.copies_to)
        if target is None:
            found.append(_unnamed(wanted.copies_to, OF_COPIES))
        else:
            origins = [places[bucket] for bucket in wanted.copies_from if bucket in places]
            origin = next((each for each in origins if not why_not_probed(each.reading)), target)
            found.append(await probe_copies(client, target, origin, probe))
    return _told_once(found)


def _told_once(found: Sequence[Probed]) -> tuple[Probed, ...]:
    """Return the same, each canary that is left named where it was met first: later probes try to remove it again."""
    told: set[str] = set()
    once = []
    for each in found:
        once.append(replace(each, left=tuple(left for left in each.left if left not in told)))
        told.update(each.left)
    return tuple(once)


def _unnamed(bucket: str, asked: tuple[Behaviour, ...]) -> Probed:
    return Probed(bucket=bucket, asked=asked, reason="No --probe-prefix names a place there")


async def probe_deletes(client: S3Client, place: Place, probe: Probe) -> Probed:
    """Try both kinds of conditional deletes on canaries: one with a wrong ETag, which must stay, one with its own.

    Raises:
        RefusedError: ``CanaryKeyTaken``.
        UnavailableError: the store does not answer.
    """
    found = Probed(bucket=place.prefix.bucket, asked=OF_DELETES, reason=why_not_probed(place.reading))
    if found.reason:
        return found
    conducts: dict[Behaviour, Conduct] = {}
    canaries = place.canaries(client, probe)
    reason = ""
    try:
        async with canaries:
            await _probe_deletes(client, canaries, conducts)
    except S3RefusedError as error:
        reason = error.message.rstrip(".")
    return replace(found, conducts=conducts, reason=reason, left=tuple(canaries.left))


async def _probe_deletes(client: S3Client, canaries: Canaries, conducts: dict[Behaviour, Conduct]) -> None:
    bucket = canaries.place.bucket
    single, put = await canaries.put("delete")
    stays, _ = await canaries.put("batch-wrong")
    goes, _ = await canaries.put("batch-right")
    lists_all = await _listed_as_there(canaries)
    wrong = await _code(client.delete_object(bucket, single, if_match=_WRONG_ETAG))
    was_done = await canaries.head(single) is None
    right = "" if was_done else await _code(client.delete_object(bucket, single, if_match=put.etag))
    right = await _unless_gone(canaries, single, right)
    conducts[Behaviour.DELETE_IF_MATCH] = conduct_of(wrong, was_done=was_done, right=right)
    wrong, right = await _batch_codes(client.delete_batch(bucket, [stays, goes], etags=[_WRONG_ETAG, put.etag]))
    was_done = await canaries.head(stays) is None
    right = await _unless_gone(canaries, goes, right)
    conducts[Behaviour.DELETE_OBJECTS_ETAG] = conduct_of(wrong, was_done=was_done, right=right)
    if lists_all is not None:
        is_prompt = lists_all and await _listed_as_there(canaries)
        conducts[Behaviour.LISTS_AT_ONCE] = Conduct.HONOURED if is_prompt else Conduct.IGNORED


async def probe_copies(client: S3Client, target: Place, origin: Place, probe: Probe) -> Probed:
    """Copy a canary with metadata, content headers and tags; tell what is lost and which conditions are honoured.

    A canary may be written to the bucket of ``origin``: the caller has looked (``why_not_probed``).

    Raises:
        RefusedError: ``CanaryKeyTaken``.
        UnavailableError: the store does not answer.
    """
    found = Probed(
        bucket=target.prefix.bucket,
        asked=OF_COPIES,
        reason=why_not_probed(target.reading),
    )
    if found.reason:
        return found
    copying = _Copying(client, target.canaries(client, probe), origin.canaries(client, probe))
    reason = ""
    try:
        async with copying.origins, copying.copies:
            await copying.run()
    except S3RefusedError as error:
        reason = error.message.rstrip(".")
    return replace(
        found,
        conducts=copying.conducts,
        lost=copying.lost,
        lost_with_metadata=copying.lost_with_metadata,
        unread=copying.unread,
        reason=reason,
        left=tuple(dict.fromkeys((*copying.origins.left, *copying.copies.left))),
    )


class _Copying:
    """The copies of one canary."""

    def __init__(self, client: S3Client, copies: Canaries, origins: Canaries) -> None:
        self.copies = copies
        self.origins = origins
        self.conducts: dict[Behaviour, Conduct] = {}
        self.lost: tuple[str, ...] | None = None
        self.lost_with_metadata: tuple[str, ...] | None = None
        self.unread: tuple[str, ...] = ()
        self._client = client

    async def run(self) -> None:
        """Make the copies, the plain one first.

        Raises:
            S3RefusedError: a request that every job makes is refused here.
        """
        original, put = await self.origins.put("original", _HEADERS)
        tags = await self._tagged(original)
        wanted = await self._head(self.origins, original)
        unkept = lost_names(_AS_PUT, wanted, wanted_tags=None, seen_tags=None)
        self.unread += tuple(f"{name} (not shown of an object that was put with it)" for name in unkept)
        plain = await self._copy(original, "copy", if_match=put.etag)
        self.lost = await self._lost(plain, wanted, tags)
        await self._probe_conditions(original, plain)
        anew = {**_OTHER_HEADERS, "x-amz-metadata-directive": "REPLACE"}
        changed = await self._copy(original, "changed", if_match=put.etag, headers=anew)
        wanted = replace(wanted, metadata={**wanted.metadata, "colour": "blue"})
        self.lost_with_metadata = await self._lost(changed, wanted, tags)
        if tags is not None:
            await self._probe_tagging(original, put.etag)

    async def _lost(self, key: str, wanted: ObjectHead, tags: tuple[tuple[str, str], ...] | None) -> tuple[str, ...]:
        seen_tags = None if tags is None else await self._tags(self.copies, key)
        seen = await self._head(self.copies, key)
        return lost_names(wanted, seen, wanted_tags=tags, seen_tags=seen_tags)

    async def _probe_conditions(self, original: str, plain: str) -> None:
        other = await self.copies.take("wrong")
        wrong = await _code(self._send(original, other, if_match=_WRONG_ETAG))
        was_done = await self.copies.head(other) is not None
        self.conducts[Behaviour.COPY_SOURCE_IF_MATCH] = conduct_of(wrong, was_done=was_done)
        client = self._client
        over = await _code(
            client.copy_object(self.origins.place.bucket, original, self.copies.place.bucket, plain, if_none_match=True)
        )
        # where the store says 501 the client looks first by itself, and answers as a store would that honours it
        is_refused = client.conditional_copy_supported is False
        self.conducts[Behaviour.COPY_IF_NONE_MATCH] = (
            Conduct.REFUSED if is_refused else conduct_of(over, was_done=False)
        )

    async def _probe_tagging(self, original: str, etag: str) -> None:
        retagged = await self._copy(original, "retagged", if_match=etag, headers=_REPLACED_TAGS)
        tags = await self._tags(self.copies, retagged)
        if tags is not None:
            is_honoured = set(tags) == set(_OTHER_TAGS)
            self.conducts[Behaviour.TAGGING_DIRECTIVE] = Conduct.HONOURED if is_honoured else Conduct.IGNORED

    async def _tagged(self, original: str) -> tuple[tuple[str, str], ...] | None:
        """Give the original tags and return them as the store shows them; ``None`` where that is not to be had."""
        code = await _code(self._client.put_object_tagging(self.origins.place.bucket, original, _TAGS))
        shown = None if code else await self._tags(self.origins, original)
        if code or shown == ():
            self.unread = (f"tags ({code or 'not shown of an object that was given some'})",)
        return shown or None

    async def _tags(self, canaries: Canaries, key: str) -> tuple[tuple[str, str], ...] | None:
        try:
            return await self._client.get_object_tagging(canaries.place.bucket, key)
        except S3RefusedError as error:
            self.unread = (f"tags ({error.code})",)
            return None

    async def _head(self, canaries: Canaries, key: str) -> ObjectHead:
        return await self._client.head_object(canaries.place.bucket, key)

    async def _copy(self, original: str, what: str, *, if_match: str, headers: dict[str, str] | None = None) -> str:
        key = await self.copies.take(what)
        await self._send(original, key, if_match=if_match, headers=headers)
        return key

    async def _send(self, original: str, key: str, *, if_match: str, headers: dict[str, str] | None = None) -> None:
        await self._client.copy_object(
            self.origins.place.bucket,
            original,
            self.copies.place.bucket,
            key,
            source_if_match=if_match,
            headers=headers,
        )


async def _listed_as_there(canaries: Canaries) -> bool | None:
    """Tell whether a listing shows exactly the canaries that are there; ``None`` where it is not allowed."""
    try:
        return await canaries.listed() == await canaries.there()
    except S3RefusedError:
        return None


async def _unless_gone(canaries: Canaries, key: str, code: str) -> str:
    """Return the code of a delete, or a word for what is still there without one; empty where it is gone.

    Where it is gone, an error answers a second delivery of the same request.
    """
    return "" if await canaries.head(key) is None else code or "StillThere"


async def _batch_codes(request: Awaitable[DeleteBatch]) -> Sequence[str]:
    """Return the code of each of two keys; of the whole request where that is refused."""
    try:
        batch = await request
    except S3RefusedError as error:
        return error.code, error.code
    codes = {position: error.code for position, error in batch.errors.items()}
    return [codes.get(position, _UNANSWERED if position in batch.unknown else "") for position in (0, 1)]


async def _code(request: Awaitable[object]) -> str:
    """Return the code with which a request is refused; empty where it is not."""
    try:
        await request
    except S3RefusedError as error:
        return error.code
    return ""
