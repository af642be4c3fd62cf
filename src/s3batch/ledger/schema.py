"""The ledger's tables, one schema for SQLite and PostgreSQL.

Rows per chunk, never per object: a thousand million objects are 100,000 rows. Columns that end in ``_ms`` are
milliseconds since the epoch, ``bytes`` are bytes, ``_json`` is JSON text. A new ledger is created from this module; an
older one is brought here by ``migrations/``; a test holds the two together.
"""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    MetaData,
    PrimaryKeyConstraint,
    String,
    Table,
    Text,
    text,
)

metadata = MetaData()

_READY = text("state = 'ready'")
_UNENDED = text("ended_at_ms IS NULL")
_SERIAL = BigInteger().with_variant(Integer, "sqlite")  # only an INTEGER primary key counts by itself in SQLite

job = Table(
    "job",
    metadata,
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
    Column("held_until_ms", BigInteger),
    CheckConstraint("wanted IN ('pause', 'cancel')", name="job_wanted"),
    CheckConstraint("succeeded + failed + kept <= total", name="job_counts"),
    Index("job_by_age", "created_at_ms", "step", "id"),
    Index("job_by_move", "move_id"),
    Index("job_by_dependency", "depends_on"),
    Index("job_unended", "priority", sqlite_where=_UNENDED, postgresql_where=_UNENDED),
)

chunk = Table(
    "chunk",
    metadata,
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
    Index("chunk_ready", "job_id", "start_order", sqlite_where=_READY, postgresql_where=_READY),
)

segment = Table(
    "segment",
    metadata,
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

claim = Table(
    "claim",
    metadata,
    Column("id", _SERIAL, primary_key=True),
    Column("job_id", Text, ForeignKey("job.id"), nullable=False),
    Column("bucket", Text, nullable=False),
    Column("first_key", Text, nullable=False),
    Column("last_key", Text),
    Column("mode", Text, nullable=False),
    CheckConstraint("mode IN ('shared', 'exclusive')", name="claim_mode"),
    Index("claim_by_bucket", "bucket"),
    Index("claim_by_job", "job_id"),
)

event = Table(
    "event",
    metadata,
    Column("id", _SERIAL, primary_key=True),
    Column("job_id", Text, ForeignKey("job.id"), nullable=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("actor", Text, nullable=False),
    Column("detail_json", Text, nullable=False),
    Index("event_by_job", "job_id", "id"),
)

runner = Table(
    "runner",
    metadata,
    Column("id", Text, primary_key=True),
    Column("host", Text, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("started_at_ms", BigInteger, nullable=False),
    Column("heartbeat_at_ms", BigInteger, nullable=False),
)

revision = Table(
    "alembic_version",
    MetaData(),
    Column("version_num", String(32), nullable=False),
    PrimaryKeyConstraint("version_num", name="alembic_version_pkc"),
)
"""Alembic's own table, outside ``metadata`` because Alembic makes it by itself."""
