"""The ledger: the durable truth about jobs and chunks, in one SQLite file.

Input: the file's path. Output: a :class:`LedgerStore`, whose every method is one transaction and takes the time as an
argument. It records and checks; it never starts, waits or retries anything. It holds no row per object, and no secret.

A new file gets the newest schema at once. An older one is handed to ``upgrade`` (``ledger/migrate.py``, which needs
Alembic and is therefore not imported here); a newer one is refused, because an older program cannot know what its
columns mean.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sqlalchemy import Connection, Engine, insert, inspect, select

from s3batch.ledger import revisions, schema
from s3batch.ledger.chunks import Chunks
from s3batch.ledger.claims import Claims
from s3batch.ledger.driving import Driving
from s3batch.ledger.filesystem import network_filesystem, read_mount_table
from s3batch.ledger.intents import Intents
from s3batch.ledger.port import sqlite_engine, translated_errors
from s3batch.model.errors import RefusedError, UnavailableError

Upgrade = Callable[[Engine], None]
"""Brings an older ledger to the newest schema in one transaction."""


class LedgerStore(Intents, Driving, Chunks, Claims):
    """Everything that can be asked of a ledger or told to it."""


def open_ledger(path: Path, *, upgrade: Upgrade | None = None) -> LedgerStore:
    """Open the ledger at ``path``, creating it and its folder where there is none.

    Raises:
        RefusedError: the file lies on a network file system (``NetworkFilesystem``), or has another version's schema
            (``LedgerTooNew``, ``LedgerTooOld``), or is something else (``NotALedger``).
        UnavailableError: the folder or the file cannot be read and written.
        InconsistentError: the file is no ledger.
    """
    path = path.expanduser().resolve()
    _refuse_network_filesystem(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UnavailableError(
            f"The ledger's folder {path.parent} cannot be made: {error.strerror}.",
            code="LedgerUnreachable",
            way_out="Set S3BATCH_HOME to a folder of your own on a local disk.",
        ) from error
    engine = sqlite_engine(path)
    with translated_errors():
        found = _revision(engine) or _create(engine, path)
    if found != revisions.REVISIONS[-1]:
        _require_known(path, found)
        if upgrade is None:
            raise RefusedError(
                f"The ledger {path} has the schema {found} of an earlier version.",
                code="LedgerTooOld",
                way_out="Any s3batch command that changes something upgrades it.",
            )
        with translated_errors():
            upgrade(engine)
    return LedgerStore(engine)


def _refuse_network_filesystem(path: Path) -> None:
    kind = network_filesystem(path, read_mount_table())
    if kind is not None:
        raise RefusedError(
            f"The ledger {path} would lie on a network file system ({kind}), where SQLite can lose or damage it.",
            code="NetworkFilesystem",
            way_out="Set S3BATCH_HOME to a folder on a local disk.",
        )


def _revision(engine: Engine) -> str | None:
    """Return the schema's revision by one cheap read; None for a file that is new."""
    with engine.begin() as connection:
        return _revision_in(connection)


def _revision_in(connection: Connection) -> str | None:
    name = schema.revision.name
    master = connection.exec_driver_sql(f"SELECT 1 FROM sqlite_master WHERE name = '{name}'")  # noqa: S608 - a constant
    if master.first() is None:
        return None
    return connection.execute(select(schema.revision.c.version_num)).scalar()


def _create(engine: Engine, path: Path) -> str:
    """Make the tables unless another process has just done so; all of them or none, should it be killed."""
    with engine.execution_options(s3batch_begin="BEGIN IMMEDIATE").begin() as connection:
        found = _revision_in(connection)
        if found is not None:
            return found
        if inspect(connection).get_table_names():
            raise RefusedError(
                f"{path} is a database, but not a ledger of s3batch.",
                code="NotALedger",
                way_out="Set S3BATCH_HOME to another folder.",
            )
        schema.metadata.create_all(connection)
        schema.revision.create(connection)
        connection.execute(insert(schema.revision).values(version_num=revisions.REVISIONS[-1]))
    return revisions.REVISIONS[-1]


def _require_known(path: Path, found: str) -> None:
    if found not in revisions.REVISIONS:
        raise RefusedError(
            f"The ledger {path} has the schema {found}; this version knows up to {revisions.REVISIONS[-1]}.",
            code="LedgerTooNew",
            way_out="Use the version of s3batch that wrote it or a later one, or set S3BATCH_HOME to another folder.",
        )
