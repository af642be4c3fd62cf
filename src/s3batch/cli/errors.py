"""Errors as people and scripts read them: one line, and for scripts one JSON document on standard output."""

from __future__ import annotations

import json
import sys

from s3batch.model.errors import S3BatchError


def report_error(error: S3BatchError, *, as_json: bool) -> None:
    """Say what is wrong and what to do about it."""
    if as_json:
        report_document(error)
    sys.stderr.write(f"s3batch: {error}\n")


def report_document(error: S3BatchError) -> None:
    """Print the JSON document of an error."""
    document = {"error": {"code": error.code, "message": error.message, "way_out": error.way_out}}
    sys.stdout.write(json.dumps(document, ensure_ascii=False) + "\n")
