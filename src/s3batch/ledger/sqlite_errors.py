"""SQLite's errors in the three families.

Input: what the driver raised. Output: the error of ours that says what to do. Result codes are those of
sqlite.org/rescode.html, read 2026-11. Only the standard library is needed here.
"""

import sqlite3

from s3batch.model.errors import InconsistentError, S3BatchError, UnavailableError

_WAY_OUT = {
    sqlite3.SQLITE_BUSY: ("LedgerLocked", "Another process has been writing for too long; try again."),
    sqlite3.SQLITE_LOCKED: ("LedgerLocked", "Another process has been writing for too long; try again."),
    sqlite3.SQLITE_FULL: ("DiskFull", "Make room on the disk that holds the ledger, then resume the job."),
    sqlite3.SQLITE_READONLY: ("LedgerReadOnly", "Make the ledger's folder writable for this user."),
    sqlite3.SQLITE_PERM: ("LedgerReadOnly", "Make the ledger's folder writable for this user."),
    sqlite3.SQLITE_AUTH: ("LedgerReadOnly", "Make the ledger's folder writable for this user."),
    sqlite3.SQLITE_CANTOPEN: (
        "LedgerUnreachable",
        "Check that the ledger's folder exists and may be read and written.",
    ),
    sqlite3.SQLITE_IOERR: ("LedgerUnreachable", "Check the disk that holds the ledger."),
    sqlite3.SQLITE_NOMEM: ("LedgerUnreachable", "Free some memory and try again."),
}
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


def sqlite_error(error: BaseException) -> S3BatchError:
    """Return the error of ours that tells the caller what to do about a database error."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF  # the low byte is the primary code
    if code in _WAY_OUT:
        name, way_out = _WAY_OUT[code]
        return UnavailableError(f"The ledger cannot be used now: {error}.", code=name, way_out=way_out)
    if code in _DAMAGED:
        return InconsistentError(
            f"The ledger file is damaged or is no ledger: {error}.",
            code="LedgerDamaged",
            way_out="Stop all s3batch processes, keep the file with its -wal file, and restore a copy.",
        )
    return InconsistentError(f"The ledger refused a statement of ours: {error}.", code="LedgerStatement")
