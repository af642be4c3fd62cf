"""Manifests as JSON: one object a line (JSON Lines), or one array of objects.

In: decompressed bytes. Out: batches of entries with their row numbers (the line, or the place in the array, from 1).
An object has ``bucket``, ``key`` and optionally ``version_id``, ``size``, ``etag``, ``last_modified`` (ISO 8601) and
``storage_class``; S3's own spellings (``Key``, ``VersionId``, ...) are read too, other members are ignored and
reported. Keys are as they are: JSON needs no URL encoding, and none is undone.

Memory is bounded: lines are read in blocks; an array is decoded object by object from a window over the text, since
no streaming parser is among our dependencies. An object or line may have at most 1 MiB.
"""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import BinaryIO, Final

import pyarrow as pa

from s3batch.manifest.entries import BATCH_ENTRIES, MAX_SIZE, RawColumns, batch_of_columns, refusal, shown
from s3batch.manifest.formats import UTF8_BOM, Findings, read_json_object
from s3batch.model.errors import RefusedError

MAX_OBJECT_BYTES: Final = 1024**2
"""Longest line or object; a key of 1,024 bytes, all escaped, needs 6 KiB."""
_BLOCK_BYTES: Final = 1024**2

_MEMBERS: Final = {
    "bucket": "bucket",
    "Bucket": "bucket",
    "key": "key",
    "Key": "key",
    "version_id": "version_id",
    "VersionId": "version_id",
    "size": "size",
    "Size": "size",
    "etag": "etag",
    "ETag": "etag",
    "last_modified": "last_modified",
    "LastModified": "last_modified",
    "storage_class": "storage_class",
    "StorageClass": "storage_class",
}
_OPTIONAL_TEXT: Final = ("version_id", "etag", "last_modified", "storage_class")
_MAX_IGNORED: Final = 20
_LITERALS: Final = ("true", "false", "null")
_DECODER: Final = json.JSONDecoder()
_SPACES: Final = " \t\n\r"
_SPACE: Final = re.compile(f"[{_SPACES}]*")


def read_json_lines(stream: BinaryIO, findings: Findings) -> Iterator[tuple[pa.RecordBatch, Sequence[int]]]:
    """Yield the entries of JSON Lines.

    Raises:
        RefusedError: a line that is not an object, or whose members have the wrong types.
    """
    _skip_bom(stream, findings)
    numbered = _numbered_lines(stream)
    while block := list(islice(numbered, BATCH_ENTRIES)):
        kept = [(number, line) for number, line in block if line]
        findings.empty_lines += len(block) - len(kept)
        numbers = [number for number, _ in kept]
        if kept:
            yield _batch(_objects_of_lines([line for _, line in kept], numbers), numbers, findings)


def read_json_array(stream: BinaryIO, findings: Findings) -> Iterator[tuple[pa.RecordBatch, Sequence[int]]]:
    """Yield the entries of one JSON array.

    Raises:
        RefusedError: code ``TruncatedManifest`` when the array is not closed, ``InvalidJson``, or a wrong member.
    """
    _skip_bom(stream, findings)
    elements = _elements(stream)
    first_row = 1
    while block := list(islice(elements, BATCH_ENTRIES)):
        numbers = range(first_row, first_row + len(block))
        first_row += len(block)
        yield _batch(_require_objects(block, numbers), numbers, findings)


def _skip_bom(stream: BinaryIO, findings: Findings) -> None:
    findings.has_bom = stream.read(len(UTF8_BOM)) == UTF8_BOM
    if not findings.has_bom:
        stream.seek(0)


def _numbered_lines(stream: BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Yield lines without their ends and surrounding blanks, numbered from 1."""
    number = 0
    rest = b""
    while block := stream.read(_BLOCK_BYTES):
        *lines, rest = (rest + block).split(b"\n")
        for line in lines:
            number += 1
            yield number, line.strip()
        if len(rest) > MAX_OBJECT_BYTES:
            raise _too_long(number + 1)
    if rest:
        yield number + 1, rest.strip()


def _objects_of_lines(lines: Sequence[bytes], numbers: Sequence[int]) -> list[dict[str, object]]:
    """Decode all lines at once; where that does not give one object for each line, find the bad one."""
    try:
        decoded = json.loads((b"[" + b",".join(lines) + b"]").decode())
    except (ValueError, RecursionError):
        decoded = None
    looks_right = all(line[:1] == b"{" and line[-1:] == b"}" for line in lines)
    if decoded is None or len(decoded) != len(lines) or not looks_right:
        decoded = [_object_of_line(line, number) for line, number in zip(lines, numbers, strict=True)]
    return _require_objects(decoded, numbers)


def _object_of_line(line: bytes, number: int) -> dict[str, object]:
    try:
        text = line.decode()
    except UnicodeDecodeError as error:
        raise _not_utf8(number, error) from error
    value = read_json_object(text)
    if value is None:
        raise refusal(
            number,
            f"the line is not a complete JSON object: {shown(text)}",
            code="InvalidJson",
            way_out="Each line must be one object; if the last line is cut short, write the manifest again.",
        )
    return value


def _require_objects(values: Sequence[object], numbers: Sequence[int]) -> list[dict[str, object]]:
    objects = [value for value in values if isinstance(value, dict)]
    if len(objects) != len(values):
        at = next(at for at, value in enumerate(values) if not isinstance(value, dict))
        raise refusal(
            numbers[at],
            f"{shown(values[at])} is not a JSON object",
            code="InvalidJson",
            way_out='Each entry is an object such as {"bucket": "b", "key": "k"}.',
        )
    return objects


class _Window:
    """A piece of a text that is read on and on: what was used is dropped, what is needed is added."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder("utf-8")("strict")
        self.text = ""
        self.at = 0
        self.is_at_end = False

    def read_on(self) -> None:
        block = self._stream.read(_BLOCK_BYTES)
        self.is_at_end = not block
        self.text = self.text[self.at :] + self._decoder.decode(block, final=self.is_at_end)
        self.at = 0

    def next_character(self) -> str:
        """Skip blanks and return the character that follows, or an empty text at the end."""
        while True:
            character = self.text[self.at : self.at + 1]
            if character and character not in _SPACES:
                return character
            found = _SPACE.match(self.text, self.at)
            self.at = found.end() if found else self.at
            if self.at < len(self.text) or self.is_at_end:
                return self.text[self.at : self.at + 1]
            self.read_on()


def _elements(stream: BinaryIO) -> Iterator[object]:
    """Yield the elements of one JSON array."""
    window = _Window(stream)
    number = 0
    try:
        window.next_character()
        window.at += 1  # the bracket by which the format was recognised
        if window.next_character() == "]":
            window.at += 1
        else:
            while True:
                number += 1
                yield _decode_element(window, number)
                if _separator(window, number) == "]":
                    break
        if window.next_character():
            raise refusal(
                number,
                f"text follows the end of the array: {shown(window.text[window.at : window.at + 40])}",
                code="InvalidJson",
                way_out="A manifest is one array, or one object a line (JSON Lines).",
            )
    except UnicodeDecodeError as error:
        raise _not_utf8(number + 1, error) from error


def _decode_element(window: _Window, number: int) -> object:
    window.next_character()
    while True:
        try:
            value, window.at = _DECODER.raw_decode(window.text, window.at)
        except (json.JSONDecodeError, RecursionError) as error:
            if window.is_at_end:
                raise _truncated_or_invalid(window, number, error) from error
            if len(window.text) - window.at > MAX_OBJECT_BYTES:
                raise _invalid(number, error) from error
            window.read_on()
        else:
            # A number at the window's end could go on behind it; objects, which are all that is wanted, cannot.
            element: object = value
            return element


def _separator(window: _Window, number: int) -> str:
    character = window.next_character()
    if character not in {",", "]"}:
        if not character:
            raise _truncated(number)
        raise refusal(
            number,
            f"after it stands {shown(character)} where a comma or the array's end was expected",
            code="InvalidJson",
            way_out="Write the manifest with a JSON library.",
        )
    window.at += 1
    return character


def _truncated_or_invalid(window: _Window, number: int, error: Exception) -> RefusedError:
    """A text that ends inside an element was cut; anything else is not JSON."""
    if not isinstance(error, json.JSONDecodeError):
        return _invalid(number, error)
    rest = window.text[error.pos :].strip()
    was_cut = any(word.startswith(rest) for word in _LITERALS) or error.msg.startswith(("Unterminated", "Invalid \\u"))
    return _truncated(number - 1) if was_cut else _invalid(number, error)


def _truncated(complete: int) -> RefusedError:
    return RefusedError(
        f"The manifest is cut short: its JSON array ends after {complete:,} complete entries without a ']'.",
        code="TruncatedManifest",
        way_out="Write or upload it again; nothing was read from it.",
    )


def _invalid(number: int, error: Exception) -> RefusedError:
    return refusal(number, f"not JSON: {error}", code="InvalidJson", way_out="Write the manifest with a JSON library.")


def _too_long(number: int) -> RefusedError:
    return refusal(
        number,
        f"the line has more than {MAX_OBJECT_BYTES:,} bytes",
        code="InvalidJson",
        way_out="Write one object a line, or one array.",
    )


def _not_utf8(number: int, error: UnicodeDecodeError) -> RefusedError:
    return refusal(
        number,
        f"here or shortly after, the byte 0x{error.object[error.start]:02X} is not UTF-8",
        code="NotUtf8",
        way_out="Write the manifest in UTF-8.",
    )


def _batch(
    objects: Sequence[dict[str, object]], numbers: Sequence[int], findings: Findings
) -> tuple[pa.RecordBatch, Sequence[int]]:
    names = set().union(*objects)
    findings.ignored.update(sorted(names - _MEMBERS.keys())[: max(0, _MAX_IGNORED - len(findings.ignored))])
    spellings: dict[str, list[str]] = {}
    for name in sorted(names & _MEMBERS.keys()):
        spellings.setdefault(_MEMBERS[name], []).append(name)
    optional = {member: _texts(objects, numbers, member, spellings.get(member, ())) for member in _OPTIONAL_TEXT}
    etags = optional["etag"]
    raw = RawColumns(
        row_numbers=numbers,
        buckets=_required(objects, numbers, "bucket", spellings.get("bucket", ())),
        keys=_required(objects, numbers, "key", spellings.get("key", ())),
        version_ids=_none_if_empty(optional["version_id"]),
        sizes=_numbers(objects, numbers, spellings.get("size", ())),
        etags=None if etags is None else [etag.strip('"') or None if etag else None for etag in etags],
        last_modified=optional["last_modified"],
        storage_classes=_none_if_empty(optional["storage_class"]),
    )
    return batch_of_columns(raw), numbers


def _none_if_empty(values: Sequence[str | None] | None) -> list[str | None] | None:
    return None if values is None else [value or None for value in values]


def _values(objects: Sequence[dict[str, object]], spellings: Sequence[str]) -> list[object]:
    if len(spellings) == 1:
        name = spellings[0]
        return [entry.get(name) for entry in objects]
    return [next((entry[name] for name in spellings if name in entry), None) for entry in objects]


def _required(
    objects: Sequence[dict[str, object]], numbers: Sequence[int], member: str, spellings: Sequence[str]
) -> list[str]:
    values = _values(objects, spellings)
    checked = [value for value in values if isinstance(value, str)]
    if len(checked) != len(values):
        at = next(at for at, value in enumerate(values) if not isinstance(value, str))
        raise refusal(
            numbers[at],
            f"{member} is {shown(values[at])}" if values[at] is not None else f"no {member}: {shown(objects[at])}",
            code="InvalidMember",
            way_out='An entry needs "bucket" and "key", both as text.',
        )
    return checked


def _texts(
    objects: Sequence[dict[str, object]], numbers: Sequence[int], member: str, spellings: Sequence[str]
) -> list[str | None] | None:
    if not spellings:
        return None
    values = _values(objects, spellings)
    checked = [value for value in values if value is None or isinstance(value, str)]
    if len(checked) != len(values):
        at = next(at for at, value in enumerate(values) if value is not None and not isinstance(value, str))
        raise refusal(
            numbers[at],
            f"{member} is {shown(values[at])}, which is not text",
            code="InvalidMember",
            way_out="Write it as a JSON string, or leave it out.",
        )
    return checked


def _numbers(
    objects: Sequence[dict[str, object]], numbers: Sequence[int], spellings: Sequence[str]
) -> list[int | None] | None:
    if not spellings:
        return None
    values = _values(objects, spellings)
    checked = [value for value in values if value is None or (type(value) is int and 0 <= value <= MAX_SIZE)]
    if len(checked) != len(values):
        at = next(
            at
            for at, value in enumerate(values)
            if value is not None and not (type(value) is int and 0 <= value <= MAX_SIZE)
        )
        raise refusal(
            numbers[at],
            f"size is {shown(values[at])}, which is not a whole number of bytes",
            code="InvalidSize",
            way_out="Write it as a JSON number of 0 or more, or leave it out.",
        )
    return checked
