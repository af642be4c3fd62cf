"""Rows that a chunk attempt leaves for later because the store, the network or the credentials did not serve.

In go errors, out comes what the attempt ends with. A row that failed for such a reason gets no outcome: an outage must
not become ten thousand failed tasks. The rows that can be done are done and recorded, then the attempt ends as
unavailable, and who places attempts waits and tries again. Nothing is sent or recorded here.
"""

from __future__ import annotations

from s3batch.model.errors import S3BatchError, UnavailableError
from s3batch.s3.errors import PermissionExpiredError, S3Error, TransportError
from s3batch.s3.retry import RetryClass, classify, classify_transport

MAX_ROWS_LEFT = 32
"""After so many rows the chunk starts no further one: each has used up the attempts of its calls by then."""

_ABOUT_ONE_OBJECT = frozenset({RetryClass.SERVER, RetryClass.CONFLICT})


class Outage:
    """What one attempt at a chunk could not do for reasons that may pass, and what ends it altogether."""

    def __init__(self) -> None:
        """Begin with a store that serves."""
        self._rows_left = 0
        self._first: S3BatchError | None = None
        self._ending: Exception | None = None

    @property
    def is_lasting(self) -> bool:
        """Return whether no further row should be started."""
        return self._ending is not None or self._rows_left >= MAX_ROWS_LEFT

    def leave(self, error: S3BatchError) -> None:
        """Take note of a row that was left without an outcome; what came too late to be sent is no failure."""
        if isinstance(error, PermissionExpiredError):
            return
        self._rows_left += 1
        self._first = self._first or error

    def end(self, error: Exception) -> None:
        """Take note of what the attempt cannot go on after; rows under way are still recorded. The first one counts."""
        self._ending = self._ending or error

    def raise_if_any(self) -> None:
        """Raise what the attempt ends with, if it is not simply done.

        Raises:
            UnavailableError: rows were left for later.
            Exception: what :meth:`end` was told.
        """
        if self._ending is not None:
            raise self._ending
        if self._first is not None:
            raise UnavailableError(
                f"{self._rows_left} tasks or more were left for later, the first one after: {self._first.message}",
                code=self._first.code,
                way_out=self._first.way_out,
            )


def may_pass(error: S3BatchError) -> bool:
    """Tell whether the row is to be left for later: the store, the network, the credentials or the time ran out."""
    if isinstance(error, TransportError):
        return error.kind == "tls" or classify_transport(error) is RetryClass.TRANSPORT
    return isinstance(error, UnavailableError)


def may_be_the_object(error: S3BatchError) -> bool:
    """Tell whether the store may fail at this one object for ever, while it serves all others."""
    if isinstance(error, S3Error):
        return classify(error.status, error.code) in _ABOUT_ONE_OBJECT
    return isinstance(error, TransportError) and error.kind not in {"connect", "tls"}
