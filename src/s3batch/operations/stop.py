"""When a chunk must end early: on request, or when its permission to write has run out."""

from __future__ import annotations

import time

_BOOT_CLOCK: int = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


class StopSignal:
    """Tells a chunk to end early: on request, or when its deadline has passed.

    The deadline is on a clock that goes on while the machine sleeps, so that a worker which was suspended finds
    its permission expired when it wakes (safety.md rule 21).
    """

    def __init__(self) -> None:
        """Start without permission: the first deadline must be set before the first write."""
        self._deadline_s = 0.0
        self._is_requested = False

    def extend(self, seconds: float) -> None:
        """Permit writes for so many seconds from now."""
        self.extend_until(boot_time_s() + seconds)

    def extend_until(self, deadline_s: float) -> None:
        """Permit writes until a moment of :func:`boot_time_s`, which is one clock for all processes of a machine."""
        self._deadline_s = deadline_s

    def request(self) -> None:
        """Ask every chunk that holds this signal to end early."""
        self._is_requested = True

    @property
    def is_set(self) -> bool:
        """Tell whether no further request may be started. Checked right before every write."""
        return self._is_requested or boot_time_s() >= self._deadline_s


def boot_time_s() -> float:
    """Return seconds of a clock that counts suspension (CLOCK_BOOTTIME; elsewhere the monotonic clock)."""
    return time.clock_gettime(_BOOT_CLOCK)
