"""Bringing an older ledger to the newest schema, with Alembic.

Imported only when a ledger needs it: Alembic takes longer to load than most commands take to run. All revisions run in
one transaction, so a crash leaves the old schema or the new one.
"""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Engine

_SCRIPTS = Path(__file__).with_name("migrations")


def upgrade(engine: Engine) -> None:
    """Run every migration that the ledger lacks; an empty database gets them all."""
    config = Config()
    config.set_main_option("script_location", str(_SCRIPTS).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    with engine.execution_options(s3batch_begin="BEGIN IMMEDIATE").begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
