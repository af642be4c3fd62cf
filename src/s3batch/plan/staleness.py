"""How old an S3 Inventory is, in words: what was written, changed or deleted since is not in it.

In: when it was made, and now. Out: sentences for people. Inventories are made daily or weekly, and may miss the newest
objects of their own moment (Amazon S3 User Guide, "Cataloging and analyzing your data with S3 Inventory", read
2026-11).
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

_MINUTE_MS: Final = 60_000
_HOUR_MS: Final = 60 * _MINUTE_MS
_DAY_MS: Final = 24 * _HOUR_MS


def inventory_warning(bucket: str, created_ms: int, *, now_ms: int) -> str:
    """Return what must be known of entries that come from an inventory."""
    return (
        f"The inventory of s3://{bucket} was made {age_text(created_ms, now_ms=now_ms)}: it does not know what was"
        " written, changed or deleted since."
    )


def age_text(created_ms: int, *, now_ms: int) -> str:
    """Return a moment and how long ago it was: ``2026-11-22 21:00Z (2 d 3 h ago)``."""
    moment = datetime.fromtimestamp(created_ms // 1000, UTC).strftime("%Y-%m-%d %H:%MZ")
    age_ms = now_ms - created_ms
    if age_ms < 0:
        return f"{moment} (in the future by this clock)"
    if age_ms < _HOUR_MS:
        return f"{moment} ({age_ms // _MINUTE_MS} min ago)"
    if age_ms < _DAY_MS:
        return f"{moment} ({age_ms // _HOUR_MS} h {age_ms % _HOUR_MS // _MINUTE_MS} min ago)"
    return f"{moment} ({age_ms // _DAY_MS} d {age_ms % _DAY_MS // _HOUR_MS} h ago)"
