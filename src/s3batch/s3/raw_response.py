"""A whole answer as a value: status, headers, body; and how it reaches the coroutine that waits for it.

In: what the transport's callback gets. Out: a value, or a future's result. Nothing here knows S3 or libcurl.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from s3batch.s3.errors import TransportError


@dataclass(frozen=True, kw_only=True, slots=True)
class RawResponse:
    """An answer that was read to its end; header names are lower-case."""

    status: int
    headers: dict[str, str]
    body: bytes


def resolve(
    future: Any,  # noqa: ANN401 - the context of its own request
    status: int,
    body: bytes,
    header_lines: list[bytes],
    error: TransportError | None,
) -> None:
    """Give an answer to the future that is its request's context; an ``OnDone`` callback."""
    if future.done():
        return
    if error is not None:
        future.set_exception(error)
    else:
        future.set_result(RawResponse(status=status, headers=header_dict(header_lines), body=body))


def header_dict(lines: list[bytes]) -> dict[str, str]:
    """Return raw header lines as a dictionary: lower-case names, values without blanks around them.

    Values are read as UTF-8; bytes that are none stay in the text as lone surrogates, so that they can be told from
    characters and never become other bytes. Of a repeated header the values are joined by commas.
    """
    headers: dict[str, str] = {}
    for line in lines:
        name_bytes, _, value_bytes = line.partition(b":")
        name = name_bytes.strip().lower().decode("latin-1")
        value = value_bytes.strip().decode(errors="surrogateescape")
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    return headers
