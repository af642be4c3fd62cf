"""``s3batch config show``: each setting, its value, and where that came from."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated

import typer

from s3batch.config import Connection, Home, Kind, Resolved, Value, resolve, settings_file
from s3batch.model.errors import RefusedError
from s3batch.report.text import table_lines, visible
from s3batch.s3.credentials import make_session, read_settings

app = typer.Typer(
    rich_markup_mode=None, add_completion=False, no_args_is_help=True, help="Show every setting and where it came from."
)

_AWS_VARIABLES = {
    "endpoint-url": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL"),
    "region": ("AWS_REGION", "AWS_DEFAULT_REGION"),
    "profile": ("AWS_PROFILE", "AWS_DEFAULT_PROFILE"),
    "ca-bundle": ("AWS_CA_BUNDLE",),
}
"""Settings that AWS's tools have too, and the variables that set them there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ShownSetting:
    """One line of the table."""

    name: str
    value: Value | None
    origin: str
    variable: str
    what: str


@app.callback()
def config() -> None:
    """Show every setting and where it came from."""


@app.command()
def show(*, as_json: Annotated[bool, typer.Option("--json", help="One JSON document.")] = False) -> None:
    """Show each setting, its value and its origin: the variable, the settings file, AWS's settings, or the default."""
    shown = shown_settings(os.environ)
    if as_json:
        document = {each.name: {"value": each.value, "origin": each.origin, "what": each.what} for each in shown}
        typer.echo(json.dumps(document, ensure_ascii=False))
        return
    rows = [(each.name, visible(_text(each.value)), each.origin, each.variable, each.what) for each in shown]
    for line in table_lines(("SETTING", "VALUE", "FROM", "VARIABLE", "WHAT"), rows, right=frozenset()):
        typer.echo(line)
    typer.echo(f"\nThe settings file is {settings_file(os.environ)}; an option comes before everything here.")


def shown_settings(environment: Mapping[str, str]) -> list[ShownSetting]:
    """Return every setting as it is used where no option is given.

    Raises:
        UsageError: a bad value in the environment or the settings file.
        RefusedError: AWS's configuration files cannot be used.
    """
    resolved = resolve(environment)
    value_by_name = {each.setting.name: each.value for each in resolved}
    home = ShownSetting(
        name="home",
        value=str(Home.from_environment(environment).root),
        origin="S3BATCH_HOME" if environment.get("S3BATCH_HOME") else "default",
        variable="S3BATCH_HOME",
        what="The folder of the ledger, manifests and reports.",
    )
    found = _aws_values(value_by_name, environment)
    return [home, *(_shown(each, found, environment) for each in resolved)]


def _aws_values(value_by_name: Mapping[str, Value | None], environment: Mapping[str, str]) -> dict[str, str | None]:
    """Return what AWS's tools would use, where our own settings say nothing."""
    asked = {
        name: None if (value := value_by_name[name]) is None else str(value)
        for name in ("endpoint-url", "region", "profile", "ca-bundle")
    }
    connection = Connection(
        endpoint_url=asked["endpoint-url"],
        region=asked["region"],
        profile=asked["profile"],
        addressing=str(value_by_name["addressing"]),
        ca_bundle=asked["ca-bundle"],
    )
    session = make_session(connection.profile)
    try:
        settings = read_settings(session, connection, environment)
    except RefusedError as error:
        return dict.fromkeys(asked, f"({error.message})")
    return {
        "endpoint-url": settings.endpoint_url,
        "region": settings.region,
        "profile": connection.profile or environment.get("AWS_PROFILE") or environment.get("AWS_DEFAULT_PROFILE"),
        "ca-bundle": settings.ca_bundle,
    }


def _shown(resolved: Resolved, found: Mapping[str, str | None], environment: Mapping[str, str]) -> ShownSetting:
    setting, value, origin = resolved.setting, resolved.value, resolved.origin
    if value is None and (elsewhere := found.get(setting.name)) is not None:
        value = elsewhere
        named = (name for name in _AWS_VARIABLES[setting.name] if environment.get(name) == elsewhere)
        origin = next(named, "AWS configuration files or their default")
    elif setting.kind is Kind.SIZE and isinstance(value, int):
        value = int(value)
    return ShownSetting(name=setting.name, value=value, origin=origin, variable=setting.variable, what=setting.what)


def _text(value: Value | None) -> str:
    return "-" if value is None else f"{value:,}" if isinstance(value, int) else str(value)
