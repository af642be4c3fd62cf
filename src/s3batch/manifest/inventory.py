"""An S3 Inventory's description: what its ``manifest.json`` says, checked.

In: the bytes of ``manifest.json`` and of the ``manifest.checksum`` beside it. Out: a value that names the data files
with their sizes and MD5s. No file is opened here: ``inventory_files`` brings them, ``inventory_reader`` reads them.

Form and names are from the Amazon S3 User Guide, "Locating your inventory list" (read 2026-11): ``manifest.checksum``
is the MD5 of ``manifest.json``; ``creationTimestamp`` is milliseconds as text, the moment at which the scan began.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final, cast

from s3batch.manifest.entries import shown
from s3batch.manifest.formats import read_json_object
from s3batch.model.errors import RefusedError

MAX_DESCRIPTION_BYTES: Final = 64 * 1024**2
"""Of a ``manifest.json``, which is held in memory: about 300,000 data files."""

_MD5: Final = re.compile(r"[0-9a-f]{32}\Z")


class InventoryFormat(StrEnum):
    """In which form the data files are; the names are AWS's."""

    CSV = "CSV"
    ORC = "ORC"
    PARQUET = "Parquet"


@dataclass(frozen=True, kw_only=True, slots=True)
class InventoryFile:
    """One data file: where it was delivered to, its bytes, and its MD5 in lower-case hexadecimal digits."""

    key: str
    size: int
    md5: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Inventory:
    """What a ``manifest.json`` describes. ``columns`` are those of a CSV; the other forms carry their own names."""

    url: str
    source_bucket: str
    created_ms: int
    format: InventoryFormat
    columns: tuple[str, ...]
    files: Sequence[InventoryFile]


def parse_inventory(content: bytes, checksum: bytes, url: str) -> Inventory:
    """Return what ``manifest.json`` says; ``url`` is for messages.

    Raises:
        RefusedError: code ``InventoryDamaged``: not what its checksum says; ``InvalidInventory``: a member is missing
            or is not what AWS documents.
    """
    _check_description(content, checksum, url)
    document = read_json_object(content.decode("utf-8", errors="replace")) or {}
    form = _format(document.get("fileFormat"), url)
    return Inventory(
        url=url,
        source_bucket=_text(document, "sourceBucket", url),
        created_ms=_created(document.get("creationTimestamp"), url),
        format=form,
        columns=_columns(_text(document, "fileSchema", url), url) if form is InventoryFormat.CSV else (),
        files=_files(document.get("files"), url),
    )


def damaged(url: str, what: str, expected: str, found: str) -> RefusedError:
    """Return the error about a file of an inventory that is not the one which was delivered."""
    return RefusedError(
        f"{url} is not what the inventory says: {what} {found}, expected {expected}.",
        code="InventoryDamaged",
        way_out="No entry was taken. Copy the inventory again, or use another one.",
    )


def invalid(url: str, problem: str) -> RefusedError:
    """Return the error about an inventory that does not say what is needed."""
    return RefusedError(
        f"The inventory {url} cannot be used: {problem}.",
        code="InvalidInventory",
        way_out="Use an inventory as Amazon S3 delivers it, with the columns that docs/reference/manifests.md names.",
    )


def md5() -> Any:  # noqa: ANN401 - hashlib's own type has no public name
    """Return a new MD5: AWS's choice, against damage and not against forgery."""
    return hashlib.md5(usedforsecurity=False)


def _check_description(content: bytes, checksum: bytes, url: str) -> None:
    expected = checksum.decode("ascii", errors="replace").strip().lower()
    if not _MD5.match(expected):
        raise invalid(url, f"manifest.checksum holds {shown(expected)}, which is no MD5")
    digest = md5()
    digest.update(content)
    if digest.hexdigest() != expected:
        raise damaged(url, "MD5", expected, digest.hexdigest())


def _text(document: dict[str, object], name: str, url: str) -> str:
    value = document.get(name)
    if not isinstance(value, str) or not value:
        raise invalid(url, f"{name} is {shown(value)}, and must be text")
    return value


def _format(value: object, url: str) -> InventoryFormat:
    found = next((form for form in InventoryFormat if str(value).lower() == form.lower()), None)
    if found is None:
        raise invalid(url, f"fileFormat is {shown(value)}, and must be {', '.join(InventoryFormat)}")
    return found


def _created(value: object, url: str) -> int:
    text = str(value)
    if not (text.isascii() and text.isdecimal()) or len(text) > len("9999999999999"):
        raise invalid(url, f"creationTimestamp is {shown(value)}, and must be milliseconds since 1970")
    return int(text)


def _columns(schema: str, url: str) -> tuple[str, ...]:
    columns = tuple(name.strip() for name in schema.split(","))
    if len(columns) != len(set(columns)):
        raise invalid(url, f"fileSchema {shown(schema)} names a column twice")
    return columns


def _files(value: object, url: str) -> tuple[InventoryFile, ...]:
    if not isinstance(value, list):
        raise invalid(url, f"files is {shown(value)}, and must be a list")
    return tuple(_file(each, number, url) for number, each in enumerate(value, 1))


def _file(value: object, number: int, url: str) -> InventoryFile:
    member = cast("dict[str, object]", value) if isinstance(value, dict) else {}
    key, size, checksum = member.get("key"), member.get("size"), str(member.get("MD5checksum")).lower()
    if not isinstance(key, str) or not key or key.endswith("/"):
        raise invalid(url, f"file {number:,} has the key {shown(key)}")
    if not isinstance(size, int) or isinstance(size, bool) or size < 0:
        raise invalid(url, f"file {number:,}, {shown(key)}, has the size {shown(size)}")
    if not _MD5.match(checksum):
        raise invalid(url, f"file {number:,}, {shown(key)}, has the MD5checksum {shown(checksum)}")
    return InventoryFile(key=key, size=size, md5=checksum)
