"""A fresh ledger for each test."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from s3batch.ledger.store import LedgerStore, open_ledger


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[LedgerStore]:
    """Give an empty ledger."""
    store = open_ledger(tmp_path / "ledger.sqlite")
    yield store
    store.close()
