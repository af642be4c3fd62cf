"""What Alembic runs for each upgrade: the migrations, within the transaction of the connection it is handed."""

from alembic import context

from s3batch.ledger import schema

context.configure(
    connection=context.config.attributes["connection"], target_metadata=schema.metadata, render_as_batch=True
)
context.run_migrations()
