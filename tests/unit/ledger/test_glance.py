"""A glance at a ledger shows what the store shows, without loading what the store needs."""

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from s3batch.ledger.glance import glance_jobs
from s3batch.ledger.records import JobFilter
from s3batch.ledger.store import LedgerStore, open_ledger
from s3batch.model.errors import InconsistentError
from s3batch.model.job import Operation
from s3batch.model.status import JobStatus
from tests.unit.ledger.ledgers import WrittenSegment, active_job, new_job, specification


@pytest.fixture
def lived_in(ledger: LedgerStore) -> LedgerStore:
    """Give a ledger with jobs of several kinds, one of them with outcomes."""
    epoch = active_job(ledger)
    (claimed,) = ledger.claim_chunks("job-1", epoch, count=1, now_ms=1)
    segment = WrittenSegment(rows=4, succeeded=3, failed=1, by_code={"NoSuchKey": 1})
    assert ledger.finish_chunk("job-1", epoch, 0, claimed.epoch, segment=segment, complete=False, now_ms=2)
    for number in range(5):
        job = new_job(f"v{number}", spec=specification(Operation.VERIFY), move_id=f"m{number % 2}", step=number % 3)
        ledger.create_jobs([job], now_ms=5 + number // 2)
    ledger.request_cancel("v3", actor="me", now_ms=9)
    return ledger


@pytest.mark.parametrize(
    "chosen",
    [
        None,
        JobFilter(statuses=[JobStatus.NEW, JobStatus.CANCELLED]),
        JobFilter(operations=[Operation.COPY]),
        JobFilter(move_id="m1", statuses=[JobStatus.NEW], operations=[Operation.VERIFY]),
    ],
)
def test_a_glance_is_the_stores_list(tmp_path: Path, lived_in: LedgerStore, chosen: JobFilter | None) -> None:
    """Record for record, whole and in pages."""
    path = tmp_path / "ledger.sqlite"
    assert glance_jobs(path, chosen) == lived_in.list_jobs(chosen)
    after = None
    while page := lived_in.list_jobs(chosen, limit=2, after=after):
        assert glance_jobs(path, chosen, limit=2, after=after) == page
        after = page[-1].id


def test_a_glance_leaves_to_the_store_what_it_does_not_know(tmp_path: Path) -> None:
    """It neither creates a ledger nor reads another version's."""
    path = tmp_path / "ledger.sqlite"
    assert glance_jobs(path) is None
    assert not path.exists()
    open_ledger(path).close()
    assert glance_jobs(path) == []
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
        connection.commit()
    assert glance_jobs(path) is None


def test_a_glance_at_damage_says_so(tmp_path: Path) -> None:
    """The same error as the store's."""
    (tmp_path / "ledger.sqlite").write_text("this is a shopping list\n" * 100)
    with pytest.raises(InconsistentError, match="damaged or is no ledger"):
        glance_jobs(tmp_path / "ledger.sqlite")


def test_a_glance_loads_no_database_library(tmp_path: Path) -> None:
    """That is what it is for."""
    code = "import sys, s3batch.ledger.glance; print('sqlalchemy' in sys.modules, 'asyncio' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout == "False False\n"
