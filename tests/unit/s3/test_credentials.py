"""Credentials and settings as the user's AWS tools have them, and kept fresh while a job runs."""

import asyncio
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.credentials import RefreshableCredentials
from botocore.exceptions import BotoCoreError
from botocore.loaders import create_loader
from botocore.session import Session

from s3batch.config import Connection
from s3batch.model.errors import RefusedError, UnavailableError
from s3batch.s3.credentials import (
    CHECK_EVERY_S,
    CredentialSource,
    StoreSettings,
    make_session,
    read_settings,
)

LOADER = create_loader()
"""Keeps botocore's models between clients; reading them takes most of a second."""

CONFIG = """
[default]
region = eu-west-1
endpoint_url = http://default.example.org

[profile site]
region = eu-north-1
services = site-services
ca_bundle = /site/ca.pem
s3 =
    addressing_style = virtual

[services site-services]
s3 =
    endpoint_url = http://services.example.org

[profile ignoring]
endpoint_url = http://never.example.org
ignore_configured_endpoint_urls = true

[profile wide]
use_fips_endpoint = true
s3 =
    use_dualstack_endpoint = true

[profile broken]
services = nowhere
"""


@pytest.fixture(autouse=True)
def aws_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Files of our own; nothing of the user's or of other tests."""
    (tmp_path / "config").write_text(CONFIG)
    credentials = tmp_path / "credentials"
    credentials.write_text("[default]\naws_access_key_id = AKFILE\naws_secret_access_key = secret\n")
    for name in ("AWS_PROFILE", "AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(credentials))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return credentials


def settings_of(
    connection: Connection, monkeypatch: pytest.MonkeyPatch | None = None, **environment: str
) -> StoreSettings:
    """Return the settings that follow from these files and variables."""
    if monkeypatch is not None:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
    return read_settings(make_session(connection.profile), connection, environment)


def test_a_profile_gives_region_endpoint_style_and_ca_bundle() -> None:
    """All that AWS tools take from it."""
    assert settings_of(Connection(profile="site")) == StoreSettings(
        endpoint_url="http://services.example.org",
        region="eu-north-1",
        addressing="virtual",
        ca_bundle="/site/ca.pem",
    )


def test_options_come_before_everything() -> None:
    """What is said on the command line is meant."""
    connection = Connection(
        profile="site", endpoint_url="http://option", region="r-1", addressing="path", ca_bundle="/option.pem"
    )
    settings = settings_of(connection, AWS_REGION="r-2", AWS_ENDPOINT_URL_S3="http://environment")
    assert settings == StoreSettings(
        endpoint_url="http://option", region="r-1", addressing="path", ca_bundle="/option.pem"
    )


def test_a_job_for_aws_stays_there_whatever_a_runner_s_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """The empty endpoint is recorded by a job that was created for AWS; a later runner must not take it elsewhere."""
    settings = settings_of(Connection(endpoint_url=""), monkeypatch, AWS_ENDPOINT_URL="http://all.example.org")
    assert settings.endpoint_url is None


@pytest.mark.parametrize("profile", [None, "site", "ignoring", "wide"])
@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"AWS_ENDPOINT_URL": "http://all.example.org"},
        {"AWS_ENDPOINT_URL_S3": "http://s3.example.org"},
        {"AWS_ENDPOINT_URL_S3": "http://s3.example.org", "AWS_ENDPOINT_URL": "http://all.example.org"},
        {"AWS_ENDPOINT_URL": "http://all.example.org", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true"},
    ],
)
def test_the_endpoint_is_the_one_that_botocore_s_client_takes(
    profile: str | None, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Service before all services, environment before files, and a way to ignore them."""
    settings = settings_of(Connection(profile=profile), monkeypatch, **environment)
    session = Session(profile=profile)
    session.register_component("data_loader", LOADER)
    client = session.create_client("s3", region_name="us-west-2", aws_access_key_id="a", aws_secret_access_key="s")
    expected = client.meta.endpoint_url
    assert (settings.endpoint_url or expected) == expected
    assert (settings.endpoint_url is None) == (".amazonaws.com" in expected)


def test_the_region_falls_back_from_variable_to_file_to_default(monkeypatch: pytest.MonkeyPatch) -> None:
    """AWS_REGION before AWS_DEFAULT_REGION, as in the AWS CLI."""
    assert settings_of(Connection()).region == "eu-west-1"
    assert settings_of(Connection(profile="ignoring")).region == "us-east-1"
    assert settings_of(Connection(), monkeypatch, AWS_DEFAULT_REGION="r-1").region == "r-1"
    assert settings_of(Connection(), monkeypatch, AWS_REGION="r-2", AWS_DEFAULT_REGION="r-1").region == "r-2"


def test_fips_and_dual_stack_are_read() -> None:
    """From the profile and its s3 section."""
    settings = settings_of(Connection(profile="wide"))
    assert (settings.use_fips, settings.use_dualstack) == (True, True)


@pytest.mark.parametrize("profile", ["missing", "broken"])
def test_a_profile_that_cannot_be_used_is_refused_with_the_way_out(profile: str) -> None:
    """No traceback for a typing mistake."""
    with pytest.raises(RefusedError, match="AWS_PROFILE") as caught:
        settings_of(Connection(profile=profile))
    assert caught.value.code == "InvalidConfiguration"


class Clock:
    """A clock that is moved by hand."""

    def __init__(self) -> None:
        """Start at some second."""
        self.now_s = 1_000.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now_s


def source_of(make: Callable[[], Any], clock: Clock | None = None) -> CredentialSource:
    """Return a source over sessions that the test makes."""
    return CredentialSource(make, clock=clock or Clock())


def fake_session(credentials: object) -> SimpleNamespace:
    """Return what the source needs of a session."""
    return SimpleNamespace(get_credentials=lambda: credentials)


def expiring(tokens: Iterator[str | Exception], *, ends_in_s: float) -> RefreshableCredentials:
    """Return botocore's own refreshable credentials; each refresh takes the next token, good for an hour."""

    def refresh() -> dict[str, str]:
        token = next(tokens)
        if isinstance(token, Exception):
            raise token
        return metadata(token, 3600)

    def metadata(token: str, seconds: float) -> dict[str, str]:
        expiry = datetime.now(UTC) + timedelta(seconds=seconds)
        return {"access_key": "AK", "secret_key": "SK", "token": token, "expiry_time": expiry.isoformat()}

    return RefreshableCredentials.create_from_metadata(metadata("first", ends_in_s), refresh, "test")


def test_keys_from_a_file_are_found_and_stay() -> None:
    """Long-term keys are never refreshed."""

    async def work() -> None:
        clock = Clock()
        source = source_of(lambda: make_session(None), clock)
        await source.load()
        first = source.current
        clock.now_s += 10 * CHECK_EVERY_S
        assert await source.ready() is first
        assert source.peek() is first
        assert (first.access_key, first.secret_key, first.token) == ("AKFILE", "secret", None)

    asyncio.run(work())


def test_without_credentials_the_way_out_is_told(aws_files: Path) -> None:
    """Not botocore's exception."""
    aws_files.write_text("")

    async def work() -> None:
        with pytest.raises(RefusedError, match="AWS_ACCESS_KEY_ID") as caught:
            await source_of(lambda: make_session(None)).load()
        assert caught.value.code == "NoCredentials"

    asyncio.run(work())


def test_half_a_pair_of_keys_is_refused(aws_files: Path) -> None:
    """Botocore's own error, translated."""
    aws_files.write_text("[default]\naws_access_key_id = AK\n")

    async def work() -> None:
        with pytest.raises(RefusedError, match="Partial credentials"):
            await source_of(lambda: make_session(None)).load()

    asyncio.run(work())


def test_loading_never_blocks_the_loop_s_thread() -> None:
    """SSO and metadata services may take seconds."""
    seen: list[threading.Thread] = []

    def make() -> SimpleNamespace:
        seen.append(threading.current_thread())
        return fake_session(expiring(iter(()), ends_in_s=7200))

    asyncio.run(source_of(make).load())
    assert seen
    assert seen[0] is not threading.main_thread()


def test_credentials_that_end_soon_are_renewed_while_the_old_ones_are_used() -> None:
    """Within botocore's advisory time nobody waits."""

    async def work() -> None:
        clock = Clock()
        source = source_of(lambda: fake_session(expiring(iter(["second"]), ends_in_s=14 * 60)), clock)
        await source.load()  # botocore itself refreshes what ends within 15 minutes
        assert source.current.token == "second"

        live = expiring(iter(["fresh"]), ends_in_s=3600)
        source = source_of(lambda: fake_session(live), clock)
        await source.load()
        old = source.current
        live._expiry_time = datetime.now(UTC) + timedelta(minutes=14)
        clock.now_s += CHECK_EVERY_S
        assert await source.ready() is old
        await source.close()
        assert source.current.token == "fresh"

    asyncio.run(work())


def test_credentials_about_to_end_are_waited_for() -> None:
    """A request signed with them might arrive too late."""

    async def work() -> None:
        live = expiring(iter(["fresh"]), ends_in_s=3600)
        clock = Clock()
        source = source_of(lambda: fake_session(live), clock)
        await source.load()
        live._expiry_time = datetime.now(UTC) + timedelta(minutes=4)
        clock.now_s += CHECK_EVERY_S
        assert (await source.ready()).token == "fresh"

    asyncio.run(work())


def test_many_requests_cause_one_refresh() -> None:
    """256 in flight do not storm the metadata service."""

    async def work() -> None:
        live = expiring(iter(["fresh"]), ends_in_s=3600)  # a second refresh would raise StopIteration
        clock = Clock()
        source = source_of(lambda: fake_session(live), clock)
        await source.load()
        live._expiry_time = datetime.now(UTC) + timedelta(minutes=4)
        clock.now_s += CHECK_EVERY_S
        tokens = {each.token for each in await asyncio.gather(*(source.ready() for _ in range(50)))}
        assert tokens <= {"fresh", "first"}
        assert source.current.token == "fresh"

    asyncio.run(work())


def test_credentials_that_ended_and_cannot_be_renewed_stop_the_work_with_the_way_out() -> None:
    """Unavailable, not refused: after signing in again the same job goes on."""

    async def work() -> None:
        live = expiring(iter([BotoCoreError(), BotoCoreError()]), ends_in_s=3600)
        clock = Clock()
        source = source_of(lambda: fake_session(live), clock)
        await source.load()
        live._expiry_time = datetime.now(UTC) - timedelta(seconds=1)
        clock.now_s += CHECK_EVERY_S
        with pytest.raises(UnavailableError, match="aws sso login") as caught:
            await source.ready()
        assert caught.value.code == "CredentialsExpired"

    asyncio.run(work())


def test_a_store_that_says_expired_has_the_whole_chain_read_again(aws_files: Path) -> None:
    """The file may have been rewritten; what botocore holds is not trusted."""
    renewed = "[default]\naws_access_key_id = AKNEW\naws_secret_access_key = s\naws_session_token = t\n"

    async def work() -> None:
        source = source_of(lambda: make_session(None))
        await source.load()
        stale = source.current
        assert not await source.renew(stale)
        await asyncio.to_thread(aws_files.write_text, renewed)
        assert await source.renew(stale)
        assert (source.current.access_key, source.current.token) == ("AKNEW", "t")
        assert await source.renew(stale), "somebody else has renewed them already"

    asyncio.run(work())


def test_secrets_do_not_show() -> None:
    """Neither in repr nor in errors."""

    async def work() -> None:
        source = source_of(lambda: make_session(None))
        await source.load()
        assert "secret" not in repr(source.current)

    asyncio.run(work())
