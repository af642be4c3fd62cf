"""The connection that a new job records: what holds now, resolved, so that a runner started later uses the same.

In: options, the environment, AWS's configuration files. Out: a :class:`Connection` without a secret. Credentials stay
where they are: the runner finds them by the recorded profile, or in its own environment.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from s3batch.cli.options import Store
from s3batch.model.errors import UsageError
from s3batch.model.job import Connection
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
        requester_pays=options.requester_pays,
    )
    settings = read_settings(make_session(profile), asked, environment)
    return replace(
        asked,
        endpoint_url=settings.endpoint_url or AWS_ITSELF,
        region=settings.region,
        addressing=settings.addressing,
        ca_bundle=_existing(settings.ca_bundle),
    )


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
