"""Writes canaries below a prefix that the user named, and removes them, with their versions, whatever happens.

In: a client that writes, a prefix, a :class:`~s3batch.plan.canaries.Probe`. Out: keys to try things on; at the end what
could not be removed. No user's object is touched: a key is used only where nothing is and, in a bucket with versions,
nothing ever was; and only keys that this probe took are removed, or those of a left-over whose bytes are a canary's.

Order of writes: a key is remembered before anything is written there, and removed at the end, also when that end is an
error or Ctrl-C. What a kill leaves behind the next probe below the same prefix removes (``remove_left_over``).
"""

from __future__ import annotations

from collections.abc import Mapping
from types import TracebackType
from typing import Self

from s3batch.model.errors import RefusedError, S3BatchError, UnavailableError
from s3batch.model.objects import S3Object, S3Prefix
from s3batch.plan.canaries import CANARY_START, Probe, probe_of
from s3batch.s3.client import ObjectHead, ObjectVersion, PutResult, S3Client
from s3batch.s3.errors import NO_SUCH_KEY, NOT_IMPLEMENTED, S3RefusedError

_STILL_THERE = "StillThere"


class Canaries:
    """The canaries of one probe below one prefix; use it as a context, whose end removes them."""

    def __init__(self, client: S3Client, place: S3Prefix, probe: Probe, *, has_versions: bool) -> None:
        """``has_versions``: the bucket has or had versioning, so that what is deleted leaves versions behind."""
        self.left: list[str] = []
        """Addresses of what could not be removed, with the reason; known at the end."""
        self.place = place
        self.probe = probe
        self._client = client
        self._has_versions = has_versions
        self._taken: list[str] = []
        self._is_away = ""
        """The code of a store that does not answer: it is not asked about each of the others."""

    async def __aenter__(self) -> Self:
        """Remove what a killed prober left here before."""
        await self.remove_left_over()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove all canaries; an error on its way tells of those that stay."""
        while self._taken:
            self._note(self._taken[-1], self._is_away or await self._why_left(self._taken[-1]))
            self._taken.pop()
        if self.left and isinstance(error, S3BatchError):
            error.way_out = f"{error.way_out} Canaries could not be removed: {', '.join(self.left)}.".lstrip()

    async def take(self, what: str) -> str:
        """Return a key at which nothing is, to be removed at the end.

        Raises:
            RefusedError: ``CanaryKeyTaken``.
            S3RefusedError: it may not be looked at; then nothing was written either.
        """
        key = self.probe.key(self.place.prefix, what)
        if await self.head(key) is not None or (self._has_versions and await self._versions_of(key)):
            raise RefusedError(
                f"{S3Object(bucket=self.place.bucket, key=key)} is there: a canary is not written over anything.",
                code="CanaryKeyTaken",
                way_out="Name another --probe-prefix.",
            )
        self._taken.append(key)
        return key

    async def put(self, what: str, headers: Mapping[str, str] | None = None) -> tuple[str, PutResult]:
        """Write a canary; return its key and what the store said."""
        key = await self.take(what)
        return key, await self._client.put_object(self.place.bucket, key, self.probe.body, headers=headers)

    async def head(self, key: str) -> ObjectHead | None:
        """Return what is at a key now, ``None`` where nothing is."""
        try:
            return await self._client.head_object(self.place.bucket, key)
        except S3RefusedError as error:
            if error.code != NO_SUCH_KEY:
                raise
            return None

    async def listed(self) -> set[str]:
        """Return the canaries of this probe that a listing shows."""
        page = await self._client.list_objects(self.place.bucket, f"{self.place.prefix}{self.probe.stem}")
        return set(page.keys)

    async def there(self) -> set[str]:
        """Return those that are there, each asked for by itself."""
        return {key for key in self._taken if await self.head(key) is not None}

    async def remove_left_over(self) -> None:
        """Remove canaries that nobody uses any more, known by their names and by each of their bytes.

        Raises:
            S3RefusedError: the prefix may not be listed, with its versions where there are any.
        """
        start = f"{self.place.prefix}{CANARY_START}"
        if self._has_versions:
            page = await self._client.list_object_versions(self.place.bucket, start)
            found = sorted({version.key for version in page.versions})
        else:
            found = (await self._client.list_objects(self.place.bucket, start)).keys
        for key in found:
            probe = probe_of(key, self.place.prefix)
            now_ms = int(self._client.now_s() * 1000)
            if probe is None or not probe.is_left_over(owner=self.probe.owner, now_ms=now_ms):
                continue
            is_ours = await self._has_only_bytes_of(key, probe)
            self._note(key, await self._why_left(key) if is_ours else "not shown to be a canary")

    async def _has_only_bytes_of(self, key: str, probe: Probe) -> bool:
        """Tell whether whatever has been at a key is a canary, byte by byte."""
        if self._has_versions:
            objects = [version for version in await self._versions_of(key) if not version.is_delete_marker]
            ids: list[str | None] = [version.version_id for version in objects]
        else:
            ids = [None]
        for version_id in ids:
            try:
                _, body = await self._client.get_object(
                    self.place.bucket, key, version_id=version_id, max_bytes=len(probe.body)
                )
            except RefusedError as error:  # larger than a canary, or not to be read
                if error.code != NO_SUCH_KEY:
                    return False
                continue
            if body != probe.body:
                return False
        return True

    async def _why_left(self, key: str) -> str:
        """Remove whatever is at a key that is a canary's; return why some of it is still there."""
        try:
            if self._has_versions:
                await self._remove_versions(key)
                is_left = bool(await self._versions_of(key))
            else:
                await self._remove_current(key)
                is_left = await self.head(key) is not None
        except S3RefusedError as error:
            return error.code
        except UnavailableError as error:
            self._is_away = error.code
            return error.code
        return _STILL_THERE if is_left else ""

    async def _remove_current(self, key: str) -> None:
        head = await self.head(key)
        if head is None:
            return
        try:
            await self._client.delete_object(self.place.bucket, key, if_match=head.etag)  # a policy may want one
        except S3RefusedError as error:
            if error.code != NOT_IMPLEMENTED:
                raise
            await self._client.delete_object(self.place.bucket, key)

    async def _remove_versions(self, key: str) -> None:
        for version in await self._versions_of(key):
            await self._client.delete_object(self.place.bucket, key, version_id=version.version_id)

    async def _versions_of(self, key: str) -> list[ObjectVersion]:
        """Return all versions and markers of a key; a canary has a few, so they are on one page."""
        page = await self._client.list_object_versions(self.place.bucket, key)
        return [version for version in page.versions if version.key == key]

    def _note(self, key: str, reason: str) -> None:
        if reason:
            self.left.append(f"{S3Object(bucket=self.place.bucket, key=key)} ({reason})")
