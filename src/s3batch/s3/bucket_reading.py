"""Reading what a bucket does by itself: all its settings at once, each read, not set, or not readable and why.

In: a client that reads, a bucket. Out: one value. Eight requests, none of which writes. Nothing is judged here.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TypeVar

from s3batch.s3 import bucket_settings as settings
from s3batch.s3.bucket_settings import (
    NO_ENCRYPTION,
    DefaultEncryption,
    DefaultRetention,
    Notification,
    ReplicationRule,
    Setting,
)
from s3batch.s3.errors import INVALID_ANSWER, NO_SUCH_BUCKET, NOT_IMPLEMENTED, S3RefusedError, S3UnavailableError
from s3batch.s3.lifecycle import LifecycleRule
from s3batch.s3.reader import S3Reader

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Unread:
    """What could not be read: these credentials may not ask, or the store does not know the question."""

    code: str

    @property
    def is_unknown_to_store(self) -> bool:
        """Tell whether the store has no such setting at all."""
        return self.code in {NOT_IMPLEMENTED, "MethodNotAllowed"}


@dataclass(frozen=True, kw_only=True, slots=True)
class BucketReading:
    """A bucket's settings."""

    bucket: str
    region: str | Unread = ""
    versioning: str | Unread = ""
    lifecycle: tuple[LifecycleRule, ...] | Unread = ()
    notifications: tuple[Notification, ...] | Unread = ()
    replication: tuple[ReplicationRule, ...] | Unread = ()
    encryption: DefaultEncryption | Unread = NO_ENCRYPTION
    retention: DefaultRetention | Unread | None = None
    payer: str | Unread = "BucketOwner"


async def read_bucket(reader: S3Reader, bucket: str) -> BucketReading:
    """Return the bucket's settings.

    Raises:
        S3RefusedError: ``NoSuchBucket``; every other refusal is part of the answer.
        UnavailableError: the store does not answer.
    """
    region = await _region(reader, bucket)

    async def read(setting: Setting[T]) -> T | Unread:
        try:
            return await reader.get_bucket_setting(bucket, setting)
        except S3RefusedError as error:
            return Unread(code=error.code)
        except S3UnavailableError as error:
            if error.code != INVALID_ANSWER:
                raise
            return Unread(code=error.code)

    versioning, lifecycle, notifications, replication = await asyncio.gather(
        read(settings.VERSIONING),
        read(settings.LIFECYCLE),
        read(settings.NOTIFICATIONS),
        read(settings.REPLICATION),
    )
    encryption, retention, payer = await asyncio.gather(
        read(settings.ENCRYPTION), read(settings.OBJECT_LOCK), read(settings.PAYER)
    )
    return BucketReading(
        bucket=bucket,
        region=region,
        versioning=versioning,
        lifecycle=lifecycle,
        notifications=notifications,
        replication=replication,
        encryption=encryption,
        retention=retention,
        payer=payer,
    )


async def _region(reader: S3Reader, bucket: str) -> str | Unread:
    try:
        return await reader.head_bucket(bucket)
    except S3RefusedError as error:
        if error.code == NO_SUCH_BUCKET:
            raise
        return Unread(code=error.code)
