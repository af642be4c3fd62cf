"""Opening a ledger: creating, upgrading, refusing, and errors that say what to do."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Engine

from s3batch.ledger import filesystem, revisions
from s3batch.ledger.filesystem import network_filesystem
from s3batch.ledger.migrate import upgrade
from s3batch.ledger.port import sqlite_engine
from s3batch.ledger.store import LedgerStore, open_ledger
from s3batch.model.errors import InconsistentError, RefusedError, UnavailableError
from tests.unit.ledger.ledgers import new_job


def _described(path: Path) -> dict[str, str]:
    """Return the statements that would make every table and index of a database, as SQLite keeps them."""
    with closing(sqlite3.connect(path)) as connection:
        found = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL")
        return {name: " ".join(sql.split()).replace('"', "") for name, sql in found}


def test_a_new_ledger_and_a_migrated_one_have_the_same_schema(tmp_path: Path) -> None:
    """Whichever way a ledger came to be, the same program works on it."""
    open_ledger(tmp_path / "created.sqlite").close()
    engine = sqlite_engine(tmp_path / "migrated.sqlite")
    upgrade(engine)
    upgrade(engine)
    engine.dispose()
    created, migrated = _described(tmp_path / "created.sqlite"), _described(tmp_path / "migrated.sqlite")
    assert created == migrated
    assert {"job", "chunk", "segment", "claim", "event", "runner", "alembic_version", "chunk_ready"} <= created.keys()


def test_a_ledger_is_durable_and_waits_for_its_turn(ledger: LedgerStore) -> None:
    """The settings on which durability and fencing stand are those of every connection."""
    with ledger._read() as connection:
        found = [
            connection.exec_driver_sql(f"PRAGMA {name}").scalar()
            for name in ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
        ]
    assert found == ["wal", 2, 1, 30_000]


def test_opening_twice_keeps_what_is_there(tmp_path: Path) -> None:
    """Opening creates a ledger only where there is none."""
    first = open_ledger(tmp_path / "deep" / "down" / "ledger.sqlite")
    first.create_jobs([new_job()], now_ms=1)
    first.close()
    second = open_ledger(tmp_path / "deep" / "down" / "ledger.sqlite")
    assert [job.id for job in second.list_jobs()] == ["job-1"]
    second.close()


def _stamp(path: Path, revision: str) -> None:
    open_ledger(path).close()
    connection = sqlite3.connect(path)
    connection.execute("UPDATE alembic_version SET version_num = ?", (revision,))
    connection.commit()
    connection.close()


def test_a_ledger_of_a_later_version_is_refused(tmp_path: Path) -> None:
    """An older program cannot know what a newer schema means."""
    _stamp(tmp_path / "ledger.sqlite", "9999")
    with pytest.raises(
        RefusedError, match=r"has the schema 9999.*knows up to 0002.*later one, or set S3BATCH_HOME"
    ) as caught:
        open_ledger(tmp_path / "ledger.sqlite", upgrade=upgrade)
    assert caught.value.code == "LedgerTooNew"


def test_a_ledger_of_an_earlier_version_is_upgraded_by_whom_it_is_handed_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The store itself never loads Alembic; without an upgrade it refuses and says why."""
    _stamp(tmp_path / "ledger.sqlite", "0001")
    monkeypatch.setattr(revisions, "REVISIONS", ("0001", "0002"))
    with pytest.raises(RefusedError, match="of an earlier version"):
        open_ledger(tmp_path / "ledger.sqlite")
    upgraded: list[Engine] = []
    open_ledger(tmp_path / "ledger.sqlite", upgrade=upgraded.append).close()
    assert len(upgraded) == 1


def test_a_ledger_from_before_holds_keeps_its_jobs(tmp_path: Path) -> None:
    """Its jobs are there, on no hold, and can be held from then on."""
    path = tmp_path / "ledger.sqlite"
    first = open_ledger(path)
    first.create_jobs([new_job()], now_ms=1)
    first.close()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("ALTER TABLE job DROP COLUMN held_until_ms")
        connection.execute("UPDATE alembic_version SET version_num = '0001'")
        connection.commit()
    ledger = open_ledger(path, upgrade=upgrade)
    (job,) = ledger.list_jobs()
    ledger.close()
    assert (job.id, job.held_until_ms, job.is_on_hold) == ("job-1", None, False)
    assert _described(path)["job"] == _described_new(tmp_path)["job"]


def _described_new(tmp_path: Path) -> dict[str, str]:
    open_ledger(tmp_path / "new.sqlite").close()
    return _described(tmp_path / "new.sqlite")


def test_another_programs_database_is_left_alone(tmp_path: Path) -> None:
    """A mistyped path must not fill somebody's database with our tables."""
    connection = sqlite3.connect(tmp_path / "other.sqlite")
    connection.execute("CREATE TABLE photographs (id INTEGER)")
    connection.commit()
    connection.close()
    with pytest.raises(RefusedError, match="not a ledger of s3batch") as caught:
        open_ledger(tmp_path / "other.sqlite")
    assert caught.value.code == "NotALedger"


def test_a_file_that_is_no_database_is_damage(tmp_path: Path) -> None:
    """The message says to stop and to keep the file."""
    (tmp_path / "ledger.sqlite").write_text("this is a shopping list\n" * 100)
    with pytest.raises(InconsistentError, match=r"damaged or is no ledger.*restore a copy") as caught:
        open_ledger(tmp_path / "ledger.sqlite")
    assert caught.value.code == "LedgerDamaged"


def test_a_ledger_that_another_process_keeps_locked_is_unavailable(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Waiting has a bound, and its end is an error that says to try again."""
    monkeypatch.setattr("s3batch.ledger.port.BUSY_TIMEOUT_S", 0.05)
    store = open_ledger(tmp_path / "ledger.sqlite")
    blocker = sqlite3.connect(tmp_path / "ledger.sqlite", isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    with pytest.raises(UnavailableError, match=r"database is locked.*try again") as caught:
        store.create_jobs([new_job()], now_ms=1)
    assert caught.value.code == "LedgerLocked"
    assert store.list_jobs() == []
    blocker.execute("ROLLBACK")
    blocker.close()
    store.create_jobs([new_job()], now_ms=2)
    store.close()


def test_a_full_disk_is_unavailable_and_loses_nothing(ledger: LedgerStore) -> None:
    """What was acknowledged before stays, what was refused leaves no trace."""
    ledger.create_jobs([new_job("small")], now_ms=1)
    with ledger._read() as connection:
        pages = connection.exec_driver_sql("PRAGMA page_count").scalar()
        connection.exec_driver_sql(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(UnavailableError, match=r"full.*Make room on the disk") as caught:
        ledger.create_jobs([new_job("large", description="x" * 100_000)], now_ms=2)
    assert caught.value.code == "DiskFull"
    assert [job.id for job in ledger.list_jobs()] == ["small"]


def test_a_folder_that_cannot_be_made_is_unavailable(tmp_path: Path) -> None:
    """A file in the place of the folder is told apart from damage."""
    (tmp_path / "home").write_text("a file")
    with pytest.raises(UnavailableError, match=r"cannot be made.*Set S3BATCH_HOME"):
        open_ledger(tmp_path / "home" / "ledger.sqlite")


MOUNTS = """\
/dev/vda1 / ext4 rw 0 0
fs-1.efs.us-east-1.amazonaws.com:/ /home/jovyan nfs4 rw,relatime 0 0
tmpfs /home/jovyan/scratch tmpfs rw 0 0
server:/x /mnt/two\\040words nfs rw 0 0
s3 /mnt/bucket fuse.mountpoint-s3 rw 0 0
broken line
"""


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("/var/ledger.sqlite", None),
        ("/home/jovyan/.local/ledger.sqlite", "nfs4"),
        ("/home/jovyan", "nfs4"),
        ("/home/jovyanother/ledger.sqlite", None),
        ("/home/jovyan/scratch/ledger.sqlite", None),
        ("/mnt/two words/ledger.sqlite", "nfs"),
        ("/mnt/bucket/ledger.sqlite", "fuse.mountpoint-s3"),
    ],
)
def test_the_nearest_mount_decides_whether_a_path_is_local(path: str, found: str | None) -> None:
    """A local scratch disk inside a shared home is local; a name that merely begins alike is another folder."""
    assert network_filesystem(Path(path), MOUNTS) == found


def test_a_mount_on_top_of_another_hides_it() -> None:
    """Of two mounts on one point the later one counts, and without a mount table nothing is claimed."""
    assert network_filesystem(Path("/a/b"), "x /a ext4 rw 0 0\ny /a nfs rw 0 0\n") == "nfs"
    assert network_filesystem(Path("/a/b"), "") is None


def test_a_ledger_on_a_network_file_system_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """HelioCloud's home folders are on EFS, where SQLite's locks and shared memory do not hold."""
    (tmp_path / "mounts").write_text(f"/dev/vda / ext4 rw 0 0\nefs:/ {tmp_path} nfs4 rw 0 0\n")
    monkeypatch.setattr(filesystem, "MOUNT_TABLE", tmp_path / "mounts")
    with pytest.raises(RefusedError, match=r"network file system \(nfs4\).*folder on a local disk") as caught:
        open_ledger(tmp_path / "ledger.sqlite")
    assert caught.value.code == "NetworkFilesystem"
    assert not (tmp_path / "ledger.sqlite").exists()


def test_the_store_loads_neither_alembic_nor_columns() -> None:
    """`jobs list` must start quickly, so what only some commands need is not loaded by all."""
    code = "import sys, s3batch.ledger.store; print(*(n for n in ('alembic', 'pyarrow', 'duckdb') if n in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "\n"
