"""Where a backup may go, and what its two jobs are asked."""

from dataclasses import replace

import pytest

from s3batch.control.backups import backup_mapping, backup_specs
from s3batch.model.attributes import AS_SOURCES
from s3batch.model.errors import RefusedError
from s3batch.model.job import (
    CopyOptions,
    Extra,
    IfTargetExists,
    KeyMapping,
    Level,
    ManifestSource,
    Operation,
    VerifyOptions,
)
from s3batch.model.objects import parse_s3_uri
from tests.unit.ledger.ledgers import specification

SOURCE = ManifestSource(list_bucket="archive", list_prefix="sdo/")
MAPPING = KeyMapping(target_bucket="archive", strip_prefix="sdo/", add_prefix="sdac/sdo/")


@pytest.mark.parametrize("where", ["sdo/", "sdo/old/", "", "sdac/", "sdac/sdo/", "sdac/sdo/backup/"])
def test_a_backup_among_the_originals_or_their_copies_is_refused(where: str) -> None:
    """Else the proven copy itself could be taken for its backup."""
    with pytest.raises(RefusedError, match=r"overlap.*best in another bucket") as caught:
        backup_mapping(parse_s3_uri(f"s3://archive/{where}"), source=SOURCE, mapping=MAPPING)
    assert caught.value.code == "BackupOverlaps"


@pytest.mark.parametrize("where", ["s3://archive/backup/", "s3://archive/sdac/sdp/", "s3://other/sdo/", "s3://other/"])
def test_a_backup_keeps_whole_keys_below_its_prefix(where: str) -> None:
    """So that originals of several prefixes never meet there."""
    place = parse_s3_uri(where)
    mapping = backup_mapping(place, source=SOURCE, mapping=MAPPING)
    assert mapping == KeyMapping(target_bucket=place.bucket, strip_prefix="", add_prefix=place.prefix)
    assert mapping.target_key("sdo/x") == f"{place.prefix}sdo/x"


def test_a_backup_is_of_the_same_entries_and_proven_as_strongly() -> None:
    """It takes the pinned manifest and none of the findings; what the copies were told to be is not asked of it."""
    verify = replace(
        specification(Operation.VERIFY),
        source=ManifestSource(job_id="copy-1"),
        verify=VerifyOptions(level=Level.BYTES, extra=Extra.FAIL),
        copy=CopyOptions(storage_class="GLACIER", ignore_lifecycle=True, part_size=8 * 1024**2),
        hold_s=60,
    )
    mapping = KeyMapping(target_bucket="other", add_prefix="b/")
    copy, check = backup_specs(verify, mapping, manifest_of="verify-1", copy_id="copy-2")
    assert (copy.operation, check.operation) == (Operation.COPY, Operation.VERIFY)
    assert copy.source == ManifestSource(job_id="verify-1", is_entries_only=True)
    assert check.source == ManifestSource(job_id="copy-2")
    assert copy.mapping == check.mapping == mapping
    assert copy.copy.if_target_exists is IfTargetExists.SKIP_IF_SAME
    assert (copy.copy.storage_class, copy.copy.attributes, copy.copy.ignore_lifecycle) == (None, AS_SOURCES, False)
    assert copy.copy.part_size == 8 * 1024**2
    assert check.verify == VerifyOptions(level=Level.BYTES)
    assert copy.hold_s is check.hold_s is None
