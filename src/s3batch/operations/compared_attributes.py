"""Are a copy's attributes what they should be? Reads the tags of both sides and judges what HEAD told about both.

In: what is to be compared, how the copies were made (what was set anew is wanted as it was set), a pinned source, its
target. Out: nothing, or a finding with its code; only reads. GetObjectTagging takes no condition on an ETag, so tags
are read first, and the HEADs that follow tell whether they were those of the pinned source and of the proven target.

What may not be read, or is not known to the store, is ``Undecided``, never equal (safety.md rules 11 and 13).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from s3batch.model.attributes import CONTENT_HEADERS, Attribute
from s3batch.model.job import CopyOptions
from s3batch.model.objects import S3Object
from s3batch.model.outcome import Code
from s3batch.operations.copy_headers import REDIRECT, metadata_headers, wanted_metadata
from s3batch.operations.task import PinnedSource
from s3batch.s3.answers import ObjectHead
from s3batch.s3.errors import NO_SUCH_KEY, NOT_IMPLEMENTED, PRECONDITION_FAILED, S3RefusedError
from s3batch.s3.reader import S3Reader
from s3batch.verify.attributes import describe, differing_names

STORAGE_CLASS = "x-amz-storage-class"

_NOT_TOLD = frozenset({"AccessDenied", NOT_IMPLEMENTED, "MethodNotAllowed"})
"""Answers to GetObjectTagging that say nothing about the tags."""


HIDDEN = "The bytes are equal; metadata cannot be compared: the store has some that it cannot show as headers."


class Finding(NamedTuple):
    """Why a row is not proven although its bytes are."""

    code: Code
    message: str


class Tags(NamedTuple):
    """Tags as they should be and as they are."""

    wanted: Mapping[str, str]
    seen: Mapping[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class AttributeComparison:
    """What is compared beside the bytes, for the rows of one chunk."""

    asked: frozenset[Attribute]
    copy: CopyOptions
    source: S3Reader
    target: S3Reader

    async def read_tags(self, pinned: PinnedSource, place: S3Object, target: ObjectHead) -> Tags | Finding | None:
        """Return the tags of both sides, why they cannot be told, or ``None`` where nobody asked.

        Raises:
            S3Error, TransportError: one of them is not there, or the store did not serve.
        """
        if Attribute.TAGS not in self.asked:
            return None
        try:
            wanted = self.copy.attributes.tags
            if wanted is None:
                wanted = dict(await self._tags_of_source(pinned))
            seen = await self.target.get_object_tagging(place.bucket, place.key, version_id=target.version_id)
        except S3RefusedError as error:
            if error.code not in _NOT_TOLD:
                raise
            return Finding(Code.UNDECIDED, f"The bytes are equal; the tags could not be compared: {error}")
        return Tags(wanted, dict(seen))

    async def _tags_of_source(self, pinned: PinnedSource) -> tuple[tuple[str, str], ...]:
        return await self.source.get_object_tagging(pinned.bucket, pinned.key, version_id=pinned.version_id)

    async def same_target(self, place: S3Object, target: ObjectHead) -> ObjectHead | None:
        """Return what HEAD says of the target after its tags were read; ``None``: it is another object by now.

        Raises:
            S3Error, TransportError: the store did not serve.
        """
        if Attribute.TAGS not in self.asked:
            return target
        try:
            again = await self.target.head_object(place.bucket, place.key, if_match=target.etag)
        except S3RefusedError as error:
            if error.code not in {NO_SUCH_KEY, PRECONDITION_FAILED}:
                raise
            return None
        identity = (target.etag, target.size, target.version_id)
        return again if (again.etag, again.size, again.version_id) == identity else None

    def judge(self, source: ObjectHead, target: ObjectHead | None, tags: Tags | Finding | None) -> Finding | None:
        """Return what is not as it should be; a difference that is known outweighs what nobody could tell."""
        if target is None:
            return Finding(Code.TARGET_DIFFERENT, "The target was written again while it was compared.")
        is_hidden = Attribute.METADATA in self.asked and bool(source.missing_metadata or target.missing_metadata)
        wanted, seen = self._wanted(source), self._seen(target)
        names = differing_names(wanted, seen)
        if names and not is_hidden:
            return Finding(Code.METADATA_DIFFERS, f"The bytes are equal, not so: {describe(names, wanted, seen)}.")
        if isinstance(tags, Tags) and (names := differing_names(*tags)):
            return Finding(Code.TAGS_DIFFER, f"The bytes are equal, not so the tags: {describe(names, *tags)}.")
        if isinstance(tags, Finding):
            return tags
        return Finding(Code.UNDECIDED, HIDDEN) if is_hidden else None

    def _wanted(self, source: ObjectHead) -> dict[str, str]:
        """Return the headers that the copy should have."""
        wanted: dict[str, str] = {}
        attributes = self.copy.attributes
        if Attribute.METADATA in self.asked:
            metadata, content = wanted_metadata(attributes, source)
            wanted |= metadata_headers(metadata) | content
            redirect = source.headers.get(REDIRECT) if attributes.redirect is None else attributes.redirect
            wanted |= {} if redirect is None else {REDIRECT: redirect}
        if Attribute.STORAGE_CLASS in self.asked:
            wanted[STORAGE_CLASS] = self.copy.storage_class or source.storage_class
        return wanted

    def _seen(self, target: ObjectHead) -> dict[str, str]:
        """Return the headers that it has, of those that are compared."""
        seen: dict[str, str] = {}
        if Attribute.METADATA in self.asked:
            content = {name: target.headers[name] for name in (*CONTENT_HEADERS, REDIRECT) if name in target.headers}
            seen |= metadata_headers(target.metadata) | content
        if Attribute.STORAGE_CLASS in self.asked:
            seen[STORAGE_CLASS] = target.storage_class
        return seen
