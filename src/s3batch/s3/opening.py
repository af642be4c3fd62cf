"""Puts the parts of one store's client together, from a connection's settings and the user's AWS configuration.

In:  a :class:`~s3batch.config.Connection`. Out: a sender with transport, throttle, addresses and credentials.
Files and credential chains are read in a thread; no request to the store is made.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Callable

from s3batch.config import Connection
from s3batch.s3.addressing import AddressBook, aws_endpoint_rules
from s3batch.s3.credentials import CredentialSource, StoreSettings, make_session, read_settings
from s3batch.s3.network_environment import proxy_from_environment
from s3batch.s3.sender import Sender
from s3batch.s3.throttle import Throttle
from s3batch.s3.transport import Transport


async def open_sender(connection: Connection, *, clock: Callable[[], float], methods: frozenset[str] | None) -> Sender:
    """Return a sender that may send ``methods`` only (``None``: all); ``clock`` gives seconds since the epoch.

    Raises:
        RefusedError: code ``NoCredentials`` or ``InvalidConfiguration``.
        UsageError: the endpoint, the addressing style or the CA bundle cannot be used.
    """
    settings = await asyncio.to_thread(_settings_of, connection)
    addresses = _addresses(settings)
    credentials = CredentialSource(lambda: make_session(connection.profile), clock=clock)
    await credentials.load()
    loop = asyncio.get_running_loop()
    transport = Transport(
        loop,
        max_in_flight=connection.concurrency,
        connect_timeout_s=connection.connect_timeout_s,
        ca_bundle=settings.ca_bundle,
        verify_tls=connection.verify_tls,
        proxy=proxy_from_environment(),
    )
    return Sender(
        transport=transport,
        throttle=Throttle(
            loop, maximum=connection.concurrency, max_rate_per_s=connection.max_rate, clock=time.monotonic
        ),
        addresses=addresses,
        credentials=credentials,
        clock=clock,
        methods=methods,
        headers={"x-amz-request-payer": "requester"} if connection.requester_pays else {},
    )


def _settings_of(connection: Connection) -> StoreSettings:
    return read_settings(make_session(connection.profile), connection, os.environ)


def _addresses(settings: StoreSettings) -> AddressBook:
    rules = aws_endpoint_rules(
        force_path_style=settings.addressing == "path",
        use_fips=settings.use_fips,
        use_dualstack=settings.use_dualstack,
    )
    return AddressBook(
        endpoint_url=settings.endpoint_url,
        region=settings.region,
        addressing=settings.addressing,
        aws_endpoints=rules,
    )
