"""The error families, cut by what the caller can do next.

*refused*: ask differently; *unavailable*: the same request may succeed later; *inconsistent*: a bug or damage, stop.
Usage errors are refusals of the command line itself. Across processes an error travels as code + message.
"""

from __future__ import annotations


class S3BatchError(Exception):
    """Base of every error that this program raises on purpose.

    ``code`` is a stable CamelCase word for machines, ``message`` says what, the value and the bound,
    ``way_out`` what to do about it. ``str(error)`` is the message followed by the way out.
    """

    exit_code = 5
    default_code = "Error"
    family = "internal"
    """The family's name when an error travels as text, say between processes."""

    def __init__(self, message: str, *, code: str | None = None, way_out: str = "") -> None:
        """Keep the parts apart so that each surface can show them in its own way."""
        self.message = message
        self.code = code if code is not None else self.default_code
        self.way_out = way_out
        super().__init__(message)

    def __str__(self) -> str:
        """Return the message and, behind it, the way out."""
        return f"{self.message} {self.way_out}".rstrip()


class UsageError(S3BatchError):
    """The words of the request are wrong; nothing was looked at yet."""

    exit_code = 2
    default_code = "Usage"
    family = "usage"


class RefusedError(S3BatchError):
    """The request is understood and will not be done as it stands; nothing was started."""

    exit_code = 4
    default_code = "Refused"
    family = "refused"


class UnavailableError(S3BatchError):
    """A store or the ledger did not answer; the same request may succeed later."""

    exit_code = 5
    default_code = "Unavailable"
    family = "unavailable"


class InconsistentError(S3BatchError):
    """What was read contradicts what was written: a bug or damage. Stop and look."""

    exit_code = 5
    default_code = "Inconsistent"
    family = "inconsistent"
