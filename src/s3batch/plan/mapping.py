"""Does every entry have a target key that a store can hold?

Input: a chunk's sorted keys and the mapping. Output: nothing, or a refusal with examples (safety.md rule 2). Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

from s3batch.model.errors import RefusedError
from s3batch.model.job import KeyMapping
from s3batch.model.objects import MAX_KEY_BYTES

_EXAMPLES = 3


def check_mapping(keys: Sequence[str], mapping: KeyMapping) -> None:
    """Refuse keys outside the stripped prefix, or mapped to an empty key or to one that is too long.

    ``keys`` ascend, so that the first and the last tell whether all of them begin with the prefix.

    Raises:
        RefusedError: codes ``KeyOutsidePrefix``, ``EmptyTargetKey``, ``TargetKeyTooLong``.
    """
    if not keys:
        return
    prefix = mapping.strip_prefix
    if not (keys[0].startswith(prefix) and keys[-1].startswith(prefix)):
        outside = [key for key in keys if not key.startswith(prefix)]
        raise RefusedError(
            f"{len(outside)} keys do not begin with {prefix!r}, which is to be stripped, e.g. {_some(outside)}.",
            code="KeyOutsidePrefix",
            way_out="Leave them out of the manifest or give another --strip-prefix.",
        )
    if keys[0] == prefix and not mapping.add_prefix:
        raise RefusedError(
            f"The key {keys[0]!r} would be mapped to an empty key, which no store has.",
            code="EmptyTargetKey",
            way_out="Leave it out with --exclude, or give a target prefix.",
        )
    room = MAX_KEY_BYTES - len(mapping.add_prefix.encode()) + len(prefix.encode())
    longest = max(map(len, keys))
    if longest > room or longest * 4 > room:  # a character has one to four bytes: only then is counting bytes needed
        too_long = [key for key in keys if len(key.encode()) > room]
        if too_long:
            raise RefusedError(
                f"{len(too_long)} target keys would be longer than {MAX_KEY_BYTES} bytes, e.g. {_some(too_long)}.",
                code="TargetKeyTooLong",
                way_out="Choose a shorter target prefix or leave them out of the manifest.",
            )


def _some(keys: Sequence[str]) -> str:
    return ", ".join(repr(key) for key in keys[:_EXAMPLES])
