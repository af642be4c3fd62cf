"""The one door to the database: connections, transactions, and the translation of its errors.

A SQLite ledger runs in WAL mode with ``synchronous=FULL``: a commit that was acknowledged outlives the process and,
as far as the disk tells the truth, the power. Writing transactions begin with ``BEGIN IMMEDIATE``, so they wait for
their turn at the beginning and never fail in the middle for having read before another wrote
(sqlite.org/lang_transaction.html and "SQLITE_BUSY_SNAPSHOT" in sqlite.org/rescode.html, read 2026-11).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

from sqlalchemy import URL, Connection, Engine, create_engine
from sqlalchemy.event import listen
from sqlalchemy.exc import DBAPIError

from s3batch.ledger.sqlite_errors import sqlite_error
from s3batch.model.errors import UnavailableError

BUSY_TIMEOUT_S = 30.0
"""How long a write waits for another process's write; with one batching writer per process waits are milliseconds."""

_BEGIN = "s3batch_begin"


@contextmanager
def translated_errors() -> Iterator[None]:
    """Turn the database's errors into the three families, here and nowhere else."""
    try:
        yield
    except DBAPIError as error:
        raise sqlite_error(error.orig if error.orig is not None else error) from error
    except sqlite3.Error as error:
        raise sqlite_error(error) from error


def _prepare_connection(connection: sqlite3.Connection, _record: object) -> None:
    connection.isolation_level = None  # the driver must not begin transactions by itself: see _begin
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON"):
        connection.execute(f"PRAGMA {pragma}").close()


def _begin(connection: Connection) -> None:
    connection.exec_driver_sql(connection.get_execution_options().get(_BEGIN, "BEGIN"))


def sqlite_engine(path: Path) -> Engine:
    """Return the engine for a ledger file; nothing is opened yet."""
    engine = create_engine(
        URL.create("sqlite", database=str(path)),
        connect_args={"timeout": BUSY_TIMEOUT_S, "check_same_thread": False},
    )
    listen(engine, "connect", _prepare_connection)
    listen(engine, "begin", _begin)
    return engine


@contextmanager
def _savepoint(connection: Connection) -> Iterator[None]:
    """Keep what the block writes, or on an error nothing of it, while the transaction around it goes on.

    Where the database itself was unavailable it has rolled back the whole transaction, so there is no savepoint left to
    go back to (sqlite.org/lang_transaction.html, "Response To Errors Within A Transaction", read 2026-11).
    """
    savepoint = connection.begin_nested()
    try:
        with translated_errors():
            yield
    except UnavailableError:
        raise
    except BaseException:
        savepoint.rollback()
        raise
    savepoint.commit()


class LedgerPort:
    """Transactions on one ledger. With ``connection`` given, every write joins that connection's open transaction."""

    def __init__(self, engine: Engine, *, connection: Connection | None = None) -> None:
        self._engine = engine
        self._writing_engine = engine.execution_options(**{_BEGIN: "BEGIN IMMEDIATE"})
        self._joined = connection

    @contextmanager
    def _read(self) -> Iterator[Connection]:
        """Give a connection on which all reads see one moment of the ledger."""
        if self._joined is not None:
            with translated_errors():
                yield self._joined
            return
        with translated_errors(), self._engine.begin() as connection:
            yield connection

    @contextmanager
    def _write(self) -> Iterator[Connection]:
        """Give a connection whose changes become durable together at the end, or not at all on an error."""
        if self._joined is not None:
            with translated_errors(), _savepoint(self._joined):
                yield self._joined
            return
        with translated_errors(), self._writing_engine.begin() as connection:
            yield connection

    @contextmanager
    def batch(self) -> Iterator[Self]:
        """Give a view of this ledger whose writes become durable together, when the block ends.

        Each write is a savepoint: one that is refused leaves no trace and does not harm its neighbours.
        """
        with translated_errors(), self._writing_engine.begin() as connection:
            yield type(self)(self._engine, connection=connection)

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()
