"""Settings: how values are written, their bounds, and which of several places wins."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3batch.config import SETTINGS, Kind, file_defaults, parse_size, resolve, settings_file
from s3batch.model.errors import UsageError


@given(
    number=st.integers(0, 10**6),
    unit=st.sampled_from([("", 1), ("B", 1), ("KB", 1000), ("KiB", 1024), ("k", 1024), ("M", 1024**2), ("GB", 10**9)]),
    space=st.sampled_from(["", " "]),
)
def test_a_size_is_a_number_and_a_unit(number: int, unit: tuple[str, int], space: str) -> None:
    """KB counts in thousands, KiB and the bare letter in 1,024s; case and one space do not matter."""
    name, size = unit
    assert parse_size(f"{number}{space}{name}") == parse_size(f"{number}{name.lower()}") == number * size


@pytest.mark.parametrize("text", ["", "x", "-1", "1 XB", "1.5.2", "MiB", "1e3", "١"])
def test_what_is_no_size_is_none(text: str) -> None:
    """Nothing is guessed."""
    assert parse_size(text) is None


def test_parts_of_a_unit_may_be_given() -> None:
    """1.5GiB is an everyday size."""
    assert parse_size("1.5GiB") == 1536 * 1024**2


@given(text=st.text(max_size=20), setting=st.sampled_from(sorted(SETTINGS)))
def test_any_text_is_a_value_within_bounds_or_a_refusal(text: str, setting: str) -> None:
    """No value escapes its bounds, and no text ends in another error."""
    known = SETTINGS[setting]
    try:
        value = known.parse(text)
    except UsageError as error:
        assert error.code == "InvalidSetting"  # noqa: PT017 - either end is right
        return
    if isinstance(value, int | float):
        assert known.least is None or value >= known.least
        assert known.most is None or value <= known.most
    if known.kind is Kind.CHOICE:
        assert value in known.choices


@pytest.mark.parametrize(
    ("name", "written", "message"),
    [
        ("part-size", "4MiB", "'4MiB' is out of bounds: give a size such as 64MiB, 1GB or plain bytes from 5 MiB to 5"),
        ("part-size", "big", "'big' is not a size such as 64MiB"),
        ("workers", "0", "'0' is out of bounds: give a whole number from 1 to 64"),
        ("workers", "2.5", "'2.5' is not a whole number"),
        ("max-rate", "nan", "'nan' is not a number"),
        ("addressing", "dns", "'dns' is not one of auto, path, virtual"),
        ("endpoint-url", "localhost:9000", "'localhost:9000' is not an address such as https://"),
        ("endpoint-url", "http://", "is not an address"),
        ("failure-threshold", "50", "out of bounds: give a number from 0 to 1"),
    ],
)
def test_a_bad_value_is_told_with_its_bound(name: str, written: str, message: str) -> None:
    """What was written, and what may be."""
    with pytest.raises(UsageError) as refusal:
        SETTINGS[name].parse(written)
    assert message in refusal.value.message


def write_file(home: Path, text: str) -> dict[str, str]:
    """Write the settings file of a home and return the environment that leads to it."""
    (home / "config.toml").write_text(text)
    return {"S3BATCH_HOME": str(home)}


def test_a_variable_comes_before_the_file_and_the_file_before_the_default(tmp_path: Path) -> None:
    """And each value's origin is told."""
    environment = write_file(tmp_path, 'part-size = "64MiB"\nconcurrency = 32\n')
    found = {each.setting.name: each for each in resolve({**environment, "S3BATCH_CONCURRENCY": "16"})}
    assert (found["concurrency"].value, found["concurrency"].origin) == (16, "S3BATCH_CONCURRENCY")
    assert (found["part-size"].value, found["part-size"].origin) == (64 * 1024**2, str(tmp_path / "config.toml"))
    assert (found["chunk-entries"].value, found["chunk-entries"].origin) == (10_000, "default")


def test_an_empty_variable_is_no_value(tmp_path: Path) -> None:
    """A script that exports an unset variable means the default."""
    found = {each.setting.name: each for each in resolve({"S3BATCH_HOME": str(tmp_path), "S3BATCH_REGION": ""})}
    assert found["region"].origin == "default"


def test_without_a_file_nothing_is_set(tmp_path: Path) -> None:
    """The file is optional."""
    assert file_defaults({"S3BATCH_HOME": str(tmp_path / "none")}) == {}


def test_without_a_home_the_platform_s_folder_is_looked_in() -> None:
    """~/.config/s3batch on Linux."""
    assert settings_file({}).parent.name == "s3batch"


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("part_size = 1", "UnknownSetting", "there is no setting 'part_size'. Is part-size meant?"),
        ("zzz = 1", "UnknownSetting", "there is no setting 'zzz'. `s3batch config show` lists them all."),
        ('workers = "many"', "InvalidSetting", "workers: 'many' is not a whole number from 1 to 64."),
        ("workers = true", "InvalidSetting", "workers: True is not a whole number"),
        ("workers = [1]", "InvalidSetting", "workers: [1] is not a whole number"),
        ("part-size = 64MiB", "InvalidSettingsFile", "cannot be read"),
    ],
)
def test_a_mistake_in_the_file_is_told_with_the_file_s_name(tmp_path: Path, text: str, code: str, message: str) -> None:
    """No value is taken from a file that has a mistake."""
    with pytest.raises(UsageError) as refusal:
        file_defaults(write_file(tmp_path, text))
    assert refusal.value.code == code
    assert str(tmp_path / "config.toml") in str(refusal.value)
    assert message in str(refusal.value)


def test_a_mistake_in_a_variable_is_told_with_the_variable_s_name(tmp_path: Path) -> None:
    """Whoever set it finds it."""
    with pytest.raises(UsageError, match=r"S3BATCH_WORKERS: '-3' is out of bounds"):
        resolve({"S3BATCH_HOME": str(tmp_path), "S3BATCH_WORKERS": "-3"})
