"""Where state lives on this machine, and every setting: its name, default, bounds and meaning.

Input: the environment as a mapping, and the settings file that it leads to. Output: paths, and values with where they
came from. Nothing is created here.

One precedence: the option, the variable ``S3BATCH_...``, the settings file, the default. The file is ``config.toml`` in
``S3BATCH_HOME``, where that is set, else in the platform's folder of user settings (``~/.config/s3batch`` on Linux).
"""

from __future__ import annotations

import difflib
import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Self, TypeAlias
from urllib.parse import urlsplit

from platformdirs import user_config_path, user_data_path

from s3batch.model.errors import UsageError
from s3batch.model.job import (
    DEFAULT_CHUNK_ENTRIES,
    DEFAULT_FAILURE_FRACTION,
    DEFAULT_FAILURE_MINIMUM,
    DEFAULT_MULTIPART_THRESHOLD,
    Connection,
    ReportScope,
)
from s3batch.model.objects import MAX_COPY_BYTES

__all__ = ["SETTINGS", "Connection", "Home", "Kind", "Resolved", "Setting", "file_defaults", "parse_size", "resolve"]

Value: TypeAlias = str | int | float

_MIB = 1024**2
_UNIT_BYTES = {
    "": 1,
    "b": 1,
    **{f"{letter}b": 1000**power for power, letter in enumerate("kmgtp", 1)},
    **{f"{letter}{ending}": 1024**power for power, letter in enumerate("kmgtp", 1) for ending in ("", "ib")},
}
_SIZE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([a-zA-Z]*)")
_DEFAULT_CONNECTION = Connection()
_MOST_DEFAULT_WORKERS = 4


class Kind(StrEnum):
    """What sort of value a setting takes."""

    COUNT = "a whole number"
    SIZE = "a size such as 64MiB, 1GB or plain bytes"
    NUMBER = "a number"
    CHOICE = "one of"
    ADDRESS = "an address such as https://s3.example.org"
    TEXT = "text"


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """One setting; its option is ``--name``."""

    name: str
    kind: Kind
    default: Value | None
    what: str
    least: float | None = None
    most: float | None = None
    choices: tuple[str, ...] = ()

    @property
    def variable(self) -> str:
        """Return the environment's variable."""
        return f"S3BATCH_{self.parameter.upper()}"

    @property
    def parameter(self) -> str:
        """Return the name in code."""
        return self.name.replace("-", "_")

    def parse(self, value: object) -> Value:
        """Return the value that was written, checked.

        Raises:
            UsageError: code ``InvalidSetting``: another kind of value, or out of bounds.
        """
        text = str(value).strip()
        match self.kind:
            case Kind.TEXT:
                parsed: Value | None = text or None
            case Kind.CHOICE:
                parsed = next((choice for choice in self.choices if choice.lower() == text.lower()), None)
            case Kind.ADDRESS:
                parsed = text if _is_address(text) else None
            case Kind.SIZE:
                parsed = parse_size(text)
            case Kind.COUNT | Kind.NUMBER:
                parsed = _number(text, whole=self.kind is Kind.COUNT)
        if parsed is None or isinstance(value, bool):
            raise UsageError(f"{value!r} is not {self.expected}.", code="InvalidSetting")
        if isinstance(parsed, int | float) and not self._is_within(parsed):
            raise UsageError(f"{value!r} is out of bounds: give {self.expected}.", code="InvalidSetting")
        return parsed

    @property
    def expected(self) -> str:
        """Return what may be written, with the bounds."""
        if self.kind is Kind.CHOICE:
            return f"{self.kind} {', '.join(self.choices)}"
        bounds = [
            f"{word} {_bound_text(bound, self.kind)}"
            for word, bound in (("from", self.least), ("to", self.most))
            if bound is not None
        ]
        return " ".join([str(self.kind), *bounds])

    def _is_within(self, number: float) -> bool:
        return (self.least is None or number >= self.least) and (self.most is None or number <= self.most)


def default_workers() -> int:
    """Return how many worker processes a runner has unless told otherwise: one for each CPU, four at most."""
    return max(1, min(_MOST_DEFAULT_WORKERS, os.cpu_count() or 1))


_TABLE = (
    Setting(
        name="workers",
        kind=Kind.COUNT,
        default=default_workers(),
        least=1,
        most=64,
        what="Worker processes of a runner that is started; one for each CPU, at most 4, by default.",
    ),
    Setting(
        name="concurrency",
        kind=Kind.COUNT,
        default=_DEFAULT_CONNECTION.concurrency,
        least=1,
        most=1024,
        what="Requests in flight in each worker, at most; fewer while the store is slow.",
    ),
    Setting(
        name="max-rate",
        kind=Kind.NUMBER,
        default=None,
        least=0.1,
        most=1_000_000,
        what="Requests a second, over all workers of the job, at most.",
    ),
    Setting(
        name="multipart-threshold",
        kind=Kind.SIZE,
        default=DEFAULT_MULTIPART_THRESHOLD,
        least=1,
        most=MAX_COPY_BYTES,
        what="Objects of this size and above are copied in parallel parts.",
    ),
    Setting(
        name="part-size",
        kind=Kind.SIZE,
        default=None,
        least=5 * _MIB,
        most=MAX_COPY_BYTES,
        what="Bytes a part; by default the source's own part layout where it is known.",
    ),
    Setting(
        name="chunk-entries",
        kind=Kind.COUNT,
        default=DEFAULT_CHUNK_ENTRIES,
        least=1,
        most=100_000,
        what="Objects in a chunk, the unit of placing and resuming, at most.",
    ),
    Setting(
        name="connect-timeout",
        kind=Kind.NUMBER,
        default=_DEFAULT_CONNECTION.connect_timeout_s,
        least=0.1,
        most=300,
        what="Seconds to wait for a connection.",
    ),
    Setting(
        name="read-timeout",
        kind=Kind.NUMBER,
        default=_DEFAULT_CONNECTION.read_timeout_s,
        least=1,
        most=600,
        what="Seconds to wait for an answer.",
    ),
    Setting(
        name="addressing",
        kind=Kind.CHOICE,
        default=_DEFAULT_CONNECTION.addressing,
        choices=("auto", "path", "virtual"),
        what="Whether buckets are named in the path or in the host.",
    ),
    Setting(
        name="endpoint-url",
        kind=Kind.ADDRESS,
        default=None,
        what="The store's address; by default as AWS tools find it (AWS_ENDPOINT_URL, profile), else AWS.",
    ),
    Setting(name="region", kind=Kind.TEXT, default=None, what="The region; by default as AWS tools find it."),
    Setting(name="profile", kind=Kind.TEXT, default=None, what="The profile of AWS's configuration files."),
    Setting(
        name="ca-bundle", kind=Kind.TEXT, default=None, what="File of the certificate authorities that TLS trusts."
    ),
    Setting(
        name="report",
        kind=Kind.TEXT,
        default=None,
        what="s3://BUCKET/PREFIX or a folder for completion reports; by default the job's own folder.",
    ),
    Setting(
        name="report-scope",
        kind=Kind.CHOICE,
        default=str(ReportScope.ALL_TASKS),
        choices=tuple(str(scope) for scope in ReportScope),
        what="Which tasks the completion report has rows for.",
    ),
    Setting(
        name="failure-threshold",
        kind=Kind.NUMBER,
        default=DEFAULT_FAILURE_FRACTION,
        least=0,
        most=1,
        what="A job ends as Failed when more than this share of its tasks has failed ...",
    ),
    Setting(
        name="failure-minimum",
        kind=Kind.COUNT,
        default=DEFAULT_FAILURE_MINIMUM,
        least=1,
        most=1_000_000_000,
        what="... once at least so many tasks have ended.",
    ),
)

SETTINGS: dict[str, Setting] = {setting.name: setting for setting in _TABLE}
"""Every setting by its name, which is its option's name and its key in the settings file."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Resolved:
    """A setting's value where no option was given, and where it came from."""

    setting: Setting
    value: Value | None
    origin: str


def parse_size(text: str) -> int | None:
    """Return bytes from ``64MiB``, ``64M`` (the same), ``1GB`` (powers of 1,000) or plain bytes; None if it is none."""
    found = _SIZE.fullmatch(text.replace(",", "").replace("_", "").strip())
    unit = _UNIT_BYTES.get(found[2].lower()) if found else None
    if found is None or unit is None:
        return None
    return int(float(found[1]) * unit) if "." in found[1] else int(found[1]) * unit


def settings_file(environment: Mapping[str, str]) -> Path:
    """Return where the settings file is looked for."""
    named = environment.get("S3BATCH_HOME")
    folder = Path(named).expanduser().absolute() if named else user_config_path("s3batch")
    return folder / "config.toml"


def file_defaults(environment: Mapping[str, str]) -> dict[str, Value]:
    """Return what the settings file sets, by the names that settings have in code; empty without a file.

    Raises:
        UsageError: the file cannot be read, or has an unknown key or a bad value.
    """
    path = settings_file(environment)
    try:
        content = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise UsageError(
            f"The settings file {path} cannot be read: {error}.",
            code="InvalidSettingsFile",
            way_out='Lines are written as: part-size = "64MiB".',
        ) from error
    return {_known(name, path).parameter: _parse_in_file(_known(name, path), content[name], path) for name in content}


def resolve(environment: Mapping[str, str]) -> list[Resolved]:
    """Return every setting with its value where no option is given.

    Raises:
        UsageError: a bad value in the environment or the file.
    """
    in_file, path = file_defaults(environment), settings_file(environment)
    found = []
    for setting in SETTINGS.values():
        if written := environment.get(setting.variable):
            try:
                value = setting.parse(written)
            except UsageError as error:
                raise UsageError(f"{setting.variable}: {error.message}", code=error.code) from error
            found.append(Resolved(setting=setting, value=value, origin=setting.variable))
        elif setting.parameter in in_file:
            found.append(Resolved(setting=setting, value=in_file[setting.parameter], origin=str(path)))
        else:
            found.append(Resolved(setting=setting, value=setting.default, origin="default"))
    return found


def _known(name: str, path: Path) -> Setting:
    if name in SETTINGS:
        return SETTINGS[name]
    similar = difflib.get_close_matches(name.replace("_", "-"), SETTINGS, n=1)
    raise UsageError(
        f"{path}: there is no setting {name!r}.",
        code="UnknownSetting",
        way_out=f"Is {similar[0]} meant?" if similar else "`s3batch config show` lists them all.",
    )


def _parse_in_file(setting: Setting, value: object, path: Path) -> Value:
    try:
        return setting.parse(value)
    except UsageError as error:
        raise UsageError(f"{path}: {setting.name}: {error.message}", code=error.code) from error


def _number(text: str, *, whole: bool) -> int | float | None:
    try:
        number = int(text) if whole else float(text)
    except ValueError:
        return None
    return number if number == number else None  # noqa: PLR0124 - false for NaN alone


def _is_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        return parts.scheme in {"http", "https"} and bool(parts.hostname) and (parts.port or 1) > 0
    except ValueError:
        return False


def _bound_text(bound: float, kind: Kind) -> str:
    if kind is Kind.SIZE and bound >= _MIB:
        return f"{bound / _MIB:,.0f} MiB"
    return f"{bound:,.10g}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Home:
    """The folder that holds the ledger and, for each job, its manifest, segments, journal and report."""

    root: Path

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Return the folder named by ``S3BATCH_HOME``, else the platform's user data folder."""
        named = environment.get("S3BATCH_HOME")
        return cls(root=Path(named).expanduser().absolute() if named else user_data_path("s3batch"))

    @property
    def ledger(self) -> Path:
        """Return the SQLite ledger's file."""
        return self.root / "ledger.sqlite"

    @property
    def runner_log(self) -> Path:
        """Return the file that background runners log to."""
        return self.root / "runner.log"

    @property
    def runner_lock(self) -> Path:
        """Return the file whose lock the runner of this folder holds."""
        return self.root / "runner.lock"

    def job(self, job_id: str) -> JobFolder:
        """Return the folder of one job."""
        return JobFolder(root=self.root / "jobs" / job_id)


@dataclass(frozen=True, kw_only=True, slots=True)
class JobFolder:
    """The files of one job."""

    root: Path

    @property
    def manifest(self) -> Path:
        """Return the normalised manifest's file."""
        return self.root / "manifest.parquet"

    @property
    def segments(self) -> Path:
        """Return the folder of the chunk attempts' outcomes."""
        return self.root / "segments"

    @property
    def journal(self) -> Path:
        """Return the folder of the chunk attempts' multipart uploads."""
        return self.root / "journal"

    @property
    def report(self) -> Path:
        """Return the folder of the completion report where no other place was asked for."""
        return self.root / "report"

    @property
    def scratch(self) -> Path:
        """Return the folder for what may be thrown away at any time."""
        return self.root / "scratch"

    @property
    def workers_lock(self) -> Path:
        """Return the file on which every running attempt holds a shared lock (safety.md rule 22)."""
        return self.root / "workers.lock"
