"""One store, as typed calls: the front door of this package.

``S3Reader`` has the calls that read and nothing else, ``S3Client`` those that write as well. Where each part lives:
``reader`` and ``writer`` (the calls), ``copy_plan`` (the hot path), ``sender`` (attempts), ``answers`` (the values),
``errors`` (what is raised), ``xml_tree.xml_can_carry`` (which keys DeleteObjects can name).
"""

from __future__ import annotations

from s3batch.s3.answers import (
    CopyResult,
    DeleteBatch,
    DeletedKey,
    DeleteError,
    DeleteKey,
    DeleteOutcome,
    DeleteResult,
    ListPage,
    MultipartUpload,
    ObjectAttributes,
    ObjectHead,
    ObjectPart,
    ObjectVersion,
    PartResult,
    PartsPage,
    PutResult,
    Unknown,
    UploadsPage,
    VersionsPage,
)
from s3batch.s3.copy_plan import CopyPlan, copy_source
from s3batch.s3.multipart import COPY_TIMEOUT_S
from s3batch.s3.reader import MAX_KEYS, S3Reader
from s3batch.s3.writer import MAX_DELETE_KEYS, S3Client
from s3batch.s3.xml_answers import parse_copy_answer
from s3batch.s3.xml_tree import xml_can_carry

__all__ = [
    "COPY_TIMEOUT_S",
    "MAX_DELETE_KEYS",
    "MAX_KEYS",
    "CopyPlan",
    "CopyResult",
    "DeleteBatch",
    "DeleteError",
    "DeleteKey",
    "DeleteOutcome",
    "DeleteResult",
    "DeletedKey",
    "ListPage",
    "MultipartUpload",
    "ObjectAttributes",
    "ObjectHead",
    "ObjectPart",
    "ObjectVersion",
    "PartResult",
    "PartsPage",
    "PutResult",
    "S3Client",
    "S3Reader",
    "Unknown",
    "UploadsPage",
    "VersionsPage",
    "copy_source",
    "parse_copy_answer",
    "xml_can_carry",
]
