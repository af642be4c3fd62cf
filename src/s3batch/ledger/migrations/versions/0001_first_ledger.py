"""The first ledger: jobs, chunks, segments, claims, events, runners.

A migration is never edited once released: it says what the schema was, ``ledger/schema.py`` says what it is.
"""

from alembic import op
from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Integer,
    Text,
    text,
)

revision = "0001"
down_revision = None

_READY = text("state = 'ready'")
_UNENDED = text("ended_at_ms IS NULL")
_SERIAL = BigInteger().with_variant(Integer, "sqlite")


def upgrade() -> None:
    """Make the tables."""
    op.create_table(
        "job",
        Column("id", Text, primary_key=True),
        Column("move_id", Text),
        Column("step", Integer, nullable=False),
        Column("depends_on", Text, ForeignKey("job.id")),
        Column("operation", Text, nullable=False),
        Column("status", Text, nullable=False),
        Column("priority", Integer, nullable=False),
        Column("description", Text, nullable=False),
        Column("created_at_ms", BigInteger, nullable=False),
        Column("updated_at_ms", BigInteger, nullable=False),
        Column("ended_at_ms", BigInteger),
        Column("spec_json", Text, nullable=False),
        Column("plan_json", Text),
        Column("confirmation_required", Boolean, nullable=False),
        Column("confirmed_by", Text),
        Column("confirmed_at_ms", BigInteger),
        Column("wanted", Text),
        Column("status_reason", Text),
        Column("failure_code", Text),
        Column("failure_reason", Text),
        Column("manifest_path", Text),
        Column("total", BigInteger, nullable=False),
        Column("succeeded", BigInteger, nullable=False),
        Column("failed", BigInteger, nullable=False),
        Column("kept", BigInteger, nullable=False),
        Column("by_code_json", Text, nullable=False),
        Column("bytes_total", BigInteger, nullable=False),
        Column("bytes_done", BigInteger, nullable=False),
        Column("progress_json", Text),
        Column("active_ms", BigInteger, nullable=False),
        Column("epoch", Integer, nullable=False),
        Column("runner_id", Text),
        Column("runner_host", Text),
        Column("lease_until_ms", BigInteger),
        Column("client_request_token", Text, unique=True),
        Column("report_json", Text),
        CheckConstraint("wanted IN ('pause', 'cancel')", name="job_wanted"),
        CheckConstraint("succeeded + failed + kept <= total", name="job_counts"),
    )
    op.create_table(
        "chunk",
        Column("job_id", Text, ForeignKey("job.id"), primary_key=True),
        Column("chunk_no", Integer, primary_key=True),
        Column("start_order", Integer, nullable=False),
        Column("state", Text, nullable=False),
        Column("epoch", Integer, nullable=False),
        Column("losses", Integer, nullable=False),
        Column("recorded", Integer, nullable=False),
        Column("entries", Integer, nullable=False),
        Column("bytes", BigInteger, nullable=False),
        Column("bucket", Text, nullable=False),
        Column("first_key", Text, nullable=False),
        Column("last_key", Text, nullable=False),
        Column("started_at_ms", BigInteger),
        Column("ended_at_ms", BigInteger),
        CheckConstraint("state IN ('ready', 'running', 'done')", name="chunk_state"),
        CheckConstraint("recorded <= entries", name="chunk_recorded"),
        CheckConstraint("state <> 'done' OR recorded = entries", name="chunk_done"),
    )
    op.create_table(
        "segment",
        Column("job_id", Text, primary_key=True),
        Column("chunk_no", Integer, primary_key=True),
        Column("sequence", Integer, primary_key=True),
        Column("epoch", Integer, nullable=False),
        Column("path", Text, nullable=False),
        Column("sha256", Text, nullable=False),
        Column("rows", Integer, nullable=False),
        Column("succeeded", Integer, nullable=False),
        Column("failed", Integer, nullable=False),
        Column("kept", Integer, nullable=False),
        Column("bytes_done", BigInteger, nullable=False),
        Column("by_code_json", Text, nullable=False),
        Column("created_at_ms", BigInteger, nullable=False),
        ForeignKeyConstraint(["job_id", "chunk_no"], ["chunk.job_id", "chunk.chunk_no"], name="segment_chunk"),
        CheckConstraint("succeeded + failed + kept = rows", name="segment_rows"),
    )
    op.create_table(
        "claim",
        Column("id", _SERIAL, primary_key=True),
        Column("job_id", Text, ForeignKey("job.id"), nullable=False),
        Column("bucket", Text, nullable=False),
        Column("first_key", Text, nullable=False),
        Column("last_key", Text),
        Column("mode", Text, nullable=False),
        CheckConstraint("mode IN ('shared', 'exclusive')", name="claim_mode"),
    )
    op.create_table(
        "event",
        Column("id", _SERIAL, primary_key=True),
        Column("job_id", Text, ForeignKey("job.id"), nullable=False),
        Column("at_ms", BigInteger, nullable=False),
        Column("kind", Text, nullable=False),
        Column("actor", Text, nullable=False),
        Column("detail_json", Text, nullable=False),
    )
    op.create_table(
        "runner",
        Column("id", Text, primary_key=True),
        Column("host", Text, nullable=False),
        Column("pid", Integer, nullable=False),
        Column("started_at_ms", BigInteger, nullable=False),
        Column("heartbeat_at_ms", BigInteger, nullable=False),
    )
    op.create_index("job_by_age", "job", ["created_at_ms", "step", "id"])
    op.create_index("job_by_move", "job", ["move_id"])
    op.create_index("job_by_dependency", "job", ["depends_on"])
    op.create_index("job_unended", "job", ["priority"], sqlite_where=_UNENDED, postgresql_where=_UNENDED)
    op.create_index("chunk_ready", "chunk", ["job_id", "start_order"], sqlite_where=_READY, postgresql_where=_READY)
    op.create_index("claim_by_bucket", "claim", ["bucket"])
    op.create_index("claim_by_job", "claim", ["job_id"])
    op.create_index("event_by_job", "event", ["job_id", "id"])
