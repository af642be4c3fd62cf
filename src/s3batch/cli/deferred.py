"""Functions that only some commands call, and whose modules take long to load: stand-ins that load them when called.

Alembic is needed for an older ledger alone, botocore where a connection has to be found, Arrow for a filter, the S3
client for pinning a manifest, Rich for a terminal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from s3batch.cli.lazy import deferred

if TYPE_CHECKING:
    from s3batch.cli.connection import effective_connection
    from s3batch.cli.live_display import LiveDisplay
    from s3batch.cli.pinning import pinned
    from s3batch.ledger.migrate import upgrade
    from s3batch.manifest.filters import Filter
    from s3batch.manifest.location import manifest_object
else:
    effective_connection = deferred("s3batch.cli.connection", "effective_connection")
    LiveDisplay = deferred("s3batch.cli.live_display", "LiveDisplay")
    pinned = deferred("s3batch.cli.pinning", "pinned")
    upgrade = deferred("s3batch.ledger.migrate", "upgrade")
    Filter = deferred("s3batch.manifest.filters", "Filter")
    manifest_object = deferred("s3batch.manifest.location", "manifest_object")

__all__ = ["Filter", "LiveDisplay", "effective_connection", "manifest_object", "pinned", "upgrade"]
