"""Credentials and settings of a store as the user's AWS tools have them.

In:  a profile's name, the environment, AWS's configuration files, SSO, container and instance roles: botocore's chain.
Out: :class:`~s3batch.s3.signing.Credentials` that stay fresh while a job runs, and :class:`StoreSettings`.
What may block (files, SSO, the metadata service) runs in a thread, never on the loop. Secrets are not logged.

The order in which an endpoint is found is AWS's ("Service-specific endpoints", AWS SDKs and Tools Reference Guide, read
2026-11); a test compares it with botocore's client.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError, InvalidConfigError
from botocore.session import Session
from botocore.utils import ensure_boolean

from s3batch.config import Connection
from s3batch.model.errors import RefusedError, UnavailableError
from s3batch.s3.addressing import DEFAULT_REGION
from s3batch.s3.signing import Credentials

CHECK_EVERY_S = 15.0
"""How often the age of temporary credentials is looked at."""
REFRESH_BEFORE_S = 15 * 60
"""Refresh in the background when they end within this time; botocore's advisory limit."""
REQUIRE_BEFORE_S = 5 * 60
"""Wait for the refresh when they end within this time: longer than a request's own time-out."""
RETRY_AFTER_S = 2.0
"""A refresh that failed is tried again after this time, so that a metadata service is not stormed."""

_NO_CREDENTIALS_WAY_OUT = (
    "Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE (--profile), or sign in (`aws sso login`)."
)

_FAILURES = (BotoCoreError, ClientError, RuntimeError, OSError, ValueError)
"""What botocore's providers raise: its own errors, STS's answers, expired after a refresh, files, broken JSON."""

MakeSession = Callable[[], Session]


@dataclass(frozen=True, kw_only=True, slots=True)
class StoreSettings:
    """Where the store is and how it is spoken to, from options, environment and configuration files."""

    endpoint_url: str | None
    """``None`` is AWS."""
    region: str
    addressing: str
    ca_bundle: str | None
    use_fips: bool = False
    use_dualstack: bool = False


def make_session(profile: str | None) -> Session:
    """Return a botocore session for the profile (``None``: AWS_PROFILE or the default one)."""
    return Session(profile=profile)


def read_settings(session: Session, connection: Connection, environment: Mapping[str, str]) -> StoreSettings:
    """Return the settings: an option first, then the environment, then the profile.

    AWS_REGION counts beside botocore's AWS_DEFAULT_REGION, and before it, as in the AWS CLI version 2.

    Raises:
        RefusedError: the profile does not exist or its files cannot be read.
    """
    try:
        scoped = session.get_scoped_config()
        s3_section = scoped.get("s3")
        s3_config: Mapping[str, Any] = s3_section if isinstance(s3_section, dict) else {}
        endpoint_url = connection.endpoint_url or None
        if connection.endpoint_url is None:
            endpoint_url = _configured_endpoint(session, scoped, environment)
        style = connection.addressing
        if style == "auto" and s3_config.get("addressing_style") in {"path", "virtual"}:
            style = str(s3_config["addressing_style"])
        dualstack = session.get_config_variable("use_dualstack_endpoint")
        if dualstack is None:
            dualstack = s3_config.get("use_dualstack_endpoint", False)
        return StoreSettings(
            endpoint_url=endpoint_url,
            region=connection.region
            or environment.get("AWS_REGION")
            or session.get_config_variable("region")
            or DEFAULT_REGION,
            addressing=style,
            ca_bundle=connection.ca_bundle or session.get_config_variable("ca_bundle"),
            use_fips=bool(session.get_config_variable("use_fips_endpoint")),
            use_dualstack=ensure_boolean(dualstack),
        )
    except BotoCoreError as error:
        raise RefusedError(
            f"The AWS configuration cannot be used: {error}.",
            code="InvalidConfiguration",
            way_out="Correct AWS_PROFILE (--profile) or the file that AWS_CONFIG_FILE names (~/.aws/config).",
        ) from error


def _configured_endpoint(session: Session, scoped: Mapping[str, Any], environment: Mapping[str, str]) -> str | None:
    """Return the endpoint that environment or files name for S3, in AWS's order of precedence."""
    if session.get_config_variable("ignore_configured_endpoint_urls"):
        return None
    named = environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL")
    return named or _services_section(session, scoped).get("endpoint_url") or scoped.get("endpoint_url")


def _services_section(session: Session, scoped: Mapping[str, Any]) -> Mapping[str, str]:
    """Return what the profile's services section says for S3."""
    name = scoped.get("services")
    if not name:
        return {}
    section = session.full_config.get("services", {}).get(name)
    if not section:
        raise InvalidConfigError(error_msg=f"the profile names the services section {name!r}, which does not exist")
    of_s3: Mapping[str, str] | str = section.get("s3", {})
    return {} if isinstance(of_s3, str) else of_s3


class CredentialSource:
    """One user's credentials, kept fresh; all calls from the loop's thread.

    ``current`` is what to sign with; it is replaced, never changed, so holders compare by identity. Those who do not
    call :meth:`ready` call :meth:`peek` once ``next_check_s`` (on the given clock) has passed.
    """

    def __init__(self, make: MakeSession, *, clock: Callable[[], float]) -> None:
        """Take the sessions from ``make``; nothing is read yet: call :meth:`load`."""
        self._make = make
        self._clock = clock
        self.next_check_s = 0.0
        self._live: Any = None
        self._refresh: asyncio.Task[None] | None = None
        self.current = Credentials(access_key="", secret_key="")

    async def load(self) -> None:
        """Read the credentials for the first time.

        Raises:
            RefusedError: code ``NoCredentials``: the chain found none, or what it found cannot be used.
        """
        self._take(*await asyncio.to_thread(_load, self._make))

    def peek(self) -> Credentials:
        """Return what to sign with now, without waiting; a refresh that is due starts in the background."""
        if self._clock() >= self.next_check_s and self._is_due(REFRESH_BEFORE_S):
            self._start_refresh()
        return self.current

    async def ready(self) -> Credentials:
        """Return what to sign with now; waits for a refresh only where the credentials are about to end.

        Raises:
            UnavailableError: code ``CredentialsExpired``: they ended and could not be renewed.
        """
        if self._clock() < self.next_check_s:
            return self.current
        if self._is_due(REFRESH_BEFORE_S):
            task = self._start_refresh()
            if self._live.refresh_needed(REQUIRE_BEFORE_S):
                await asyncio.shield(task)
                if self._live.refresh_needed(0):
                    raise UnavailableError(
                        "The credentials ended and could not be renewed.",
                        code="CredentialsExpired",
                        way_out="Renew them (for example `aws sso login`) and resume.",
                    )
        return self.current

    async def renew(self, stale: Credentials) -> bool:
        """Read the whole chain again because the store says that ``stale`` ended; tell whether there are others now.

        The machine's clock may be wrong, or a file was rewritten: so nothing that botocore holds is trusted.
        """
        if self.current is not stale:
            return True
        try:
            live, loaded = await asyncio.to_thread(_load, self._make)
        except RefusedError:
            return False
        if self.current is stale:
            self._take(live, loaded)
        return self.current is not stale

    async def close(self) -> None:
        """Wait for a refresh under way; it is bounded by botocore's own time-outs."""
        if self._refresh is not None:
            await asyncio.gather(self._refresh, return_exceptions=True)

    def _is_due(self, before_s: float) -> bool:
        self.next_check_s = self._clock() + CHECK_EVERY_S
        # long-term keys have no end
        return hasattr(self._live, "refresh_needed") and bool(self._live.refresh_needed(before_s))

    def _start_refresh(self) -> asyncio.Task[None]:
        if self._refresh is None or self._refresh.done():
            self._refresh = asyncio.get_running_loop().create_task(self._refresh_once())
        return self._refresh

    async def _refresh_once(self) -> None:
        """Refresh through botocore; a failure leaves the credentials as they are until they end."""
        live = self._live
        try:
            frozen = await asyncio.to_thread(live.get_frozen_credentials)
        except _FAILURES:
            # botocore has logged it; `ready` raises when the old ones have ended
            self.next_check_s = self._clock() + RETRY_AFTER_S
            return
        if live is self._live:
            self._take(live, frozen)

    def _take(self, live: Any, frozen: Any) -> None:  # noqa: ANN401 - botocore has no types
        fresh = Credentials(access_key=frozen.access_key, secret_key=frozen.secret_key, token=frozen.token or None)
        self._live = live
        if fresh != self.current:
            self.current = fresh


def _load(make: MakeSession) -> tuple[Any, Any]:
    """Return botocore's credentials and a frozen copy. Blocks: files, SSO, metadata service."""
    try:
        live = make().get_credentials()
        frozen = None if live is None else live.get_frozen_credentials()
    except _FAILURES as error:
        raise RefusedError(
            f"The credentials cannot be used: {error}.", code="NoCredentials", way_out=_NO_CREDENTIALS_WAY_OUT
        ) from error
    if frozen is None or not frozen.access_key or not frozen.secret_key:
        raise RefusedError("No credentials were found.", code="NoCredentials", way_out=_NO_CREDENTIALS_WAY_OUT)
    return live, frozen
