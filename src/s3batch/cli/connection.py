"""The connection that a new job records: what holds now, resolved, so that a runner started later uses the same.

In: options, the environment, AWS's configuration files. Out: a :class:`Connection` without a secret. Credentials stay
where they are: the runner finds them by the recorded profile, or in its own environment.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from s3batch.cli.options import Store
from s3batch.manifest.location import file_sha256, is_in_bucket, pin_manifest
from s3batch.model.errors import InconsistentError, UsageError
from s3batch.model.job import Connection, ManifestSource
from s3batch.s3.client import S3Reader
from s3batch.s3.credentials import make_session, read_settings

AWS_ITSELF = ""
"""The recorded endpoint of a job for AWS: not ``None``, which would let the runner's environment decide."""


def effective_connection(options: Store, environment: Mapping[str, str]) -> Connection:
    """Return the connection with endpoint, region, profile, addressing and CA bundle as they are found now.

    Raises:
        UsageError: the CA bundle is not there.
        RefusedError: code ``InvalidConfiguration``: AWS's configuration files cannot be used.
    """
    profile = options.profile or _profile_of(environment)
    asked = Connection(
        endpoint_url=options.endpoint_url,
        region=options.region,
        profile=profile,
        addressing=options.addressing,
        ca_bundle=options.ca_bundle,
        concurrency=options.concurrency,
        max_rate=options.max_rate,
        connect_timeout_s=options.connect_timeout,
        read_timeout_s=options.read_timeout,
    )
    settings = read_settings(make_session(profile), asked, environment)
    return replace(
        asked,
        endpoint_url=settings.endpoint_url or AWS_ITSELF,
        region=settings.region,
        addressing=settings.addressing,
        ca_bundle=_existing(settings.ca_bundle),
    )


def pinned(source: ManifestSource, connection: Connection) -> ManifestSource:
    """Return the manifest pinned to what it is now: by its ETag in a bucket, by SHA-256 on this machine.

    Raises:
        RefusedError: code ``NoSuchManifest``; or the store does not let it be read.
        UnavailableError: the store does not answer.
    """
    if source.url is None:
        raise InconsistentError("Only a manifest file can be pinned.")
    if is_in_bucket(source.url):
        return replace(source, pin=asyncio.run(_pin_in_bucket(source.url, connection)))
    return replace(source, pin=file_sha256(Path(source.url)))


async def _pin_in_bucket(url: str, connection: Connection) -> str:
    async with await S3Reader.open(connection) as reader:
        return await pin_manifest(reader, url)


def _profile_of(environment: Mapping[str, str]) -> str | None:
    """Return the environment's profile unless keys are there as well: those come first in AWS's chain."""
    if environment.get("AWS_ACCESS_KEY_ID"):
        return None
    return environment.get("AWS_PROFILE") or environment.get("AWS_DEFAULT_PROFILE") or None


def _existing(ca_bundle: str | None) -> str | None:
    if ca_bundle is None:
        return None
    path = Path(ca_bundle).expanduser().absolute()
    if not path.exists():
        raise UsageError(
            f"The CA bundle {path} is not there.",
            code="NoSuchFile",
            way_out="Correct --ca-bundle, S3BATCH_CA_BUNDLE or AWS_CA_BUNDLE.",
        )
    return str(path)
