"""Re-exported here while settings grow: the connection's settings as a value."""

from __future__ import annotations

from s3batch.model.job import Connection

__all__ = ["Connection"]
