"""Until when a job is on hold.

A migration is never edited once released: it says what the schema was, ``ledger/schema.py`` says what it is.
"""

from alembic import op
from sqlalchemy import BigInteger, Column

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the column; no job of an earlier version is on hold."""
    op.add_column("job", Column("held_until_ms", BigInteger))
