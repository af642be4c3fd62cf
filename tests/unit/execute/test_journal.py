"""The upload journal: what a crash leaves is found by the next attempt (safety.md rule 21)."""

import tempfile
from pathlib import Path

from hypothesis import given

from s3batch.execute.journal import JournalFile, uploads_of_earlier_attempts
from s3batch.operations.task import StartedUpload
from tests.keys import HOSTILE_KEYS, keys


def test_uploads_of_older_epochs_are_found_and_newer_or_other_chunks_are_not(tmp_path: Path) -> None:
    """An attempt aborts what older attempts at its own chunk began, ended or not, and nothing else."""
    for chunk_no, epoch in ((1, 1), (1, 2), (1, 3), (2, 1)):
        with JournalFile(tmp_path, chunk_no=chunk_no, epoch=epoch) as journal:
            journal.begin("bkt", f"key-{epoch}", f"upload-{chunk_no}-{epoch}")
    found = uploads_of_earlier_attempts(tmp_path, chunk_no=1, before_epoch=3)
    assert [each.upload_id for each in found] == ["upload-1-1", "upload-1-2"]


def test_a_torn_last_line_is_left_out(tmp_path: Path) -> None:
    """The line that a crash cut was written before the upload's first part, so nothing of it is lost."""
    with JournalFile(tmp_path, chunk_no=0, epoch=1) as journal:
        journal.begin("bkt", "whole", "one")
        journal.begin("bkt", "torn", "two")
    path = next(tmp_path.iterdir())
    path.write_bytes(path.read_bytes()[:-9])
    assert [each.key for each in uploads_of_earlier_attempts(tmp_path, chunk_no=0, before_epoch=2)] == ["whole"]


def test_a_journal_without_uploads_leaves_no_file(tmp_path: Path) -> None:
    """Most chunks have no large object; they cost no file."""
    with JournalFile(tmp_path / "journal", chunk_no=0, epoch=1):
        pass
    assert not (tmp_path / "journal").exists()
    assert uploads_of_earlier_attempts(tmp_path / "journal", chunk_no=0, before_epoch=2) == ()


@given(key=keys())
def test_any_key_comes_back_as_it_was(key: str) -> None:
    """Aborting under another key would leave the upload open."""
    with tempfile.TemporaryDirectory() as folder:
        with JournalFile(Path(folder), chunk_no=0, epoch=1) as journal:
            journal.begin("bkt", key, "id")
        assert uploads_of_earlier_attempts(Path(folder), chunk_no=0, before_epoch=2) == (
            StartedUpload(bucket="bkt", key=key, upload_id="id"),
        )


def test_hostile_keys_stay_one_line_each(tmp_path: Path) -> None:
    """A newline in a key does not end the journal's line."""
    with JournalFile(tmp_path, chunk_no=0, epoch=1) as journal:
        for number, key in enumerate(HOSTILE_KEYS):
            journal.begin("bkt", key, str(number))
    found = uploads_of_earlier_attempts(tmp_path, chunk_no=0, before_epoch=2)
    assert [each.key for each in found] == list(HOSTILE_KEYS)


def test_what_was_written_down_about_an_upload_is_known_to_the_next_attempt(tmp_path: Path) -> None:
    """The ETag that its completion gives, tags that are still to be put, and that it was given up."""
    with JournalFile(tmp_path, chunk_no=0, epoch=1) as journal:
        for upload_id in ("open", "completing", "due", "done", "given up"):
            journal.begin("bkt", upload_id, upload_id)
        journal.complete("completing", etag="e-2", tags_due=False)
        journal.complete("due", etag="e-3", tags_due=True)
        journal.complete("done", etag="e-4", tags_due=True)
        journal.end("done")
        journal.complete("given up", etag="e-5", tags_due=False)
        journal.give_up("given up")
    found = uploads_of_earlier_attempts(tmp_path, chunk_no=0, before_epoch=2)
    assert [(each.upload_id, each.etag, each.tags_due, each.is_given_up) for each in found] == [
        ("open", None, False, False),
        ("completing", "e-2", False, False),
        ("due", "e-3", True, False),
        ("done", "e-4", False, False),
        ("given up", "e-5", False, True),
    ]


def test_lines_that_are_no_entries_of_a_journal_are_left_out(tmp_path: Path) -> None:
    """Neither a torn line nor one about an upload that was never begun stops the next attempt."""
    with JournalFile(tmp_path, chunk_no=0, epoch=1) as journal:
        journal.complete("unknown", etag="e", tags_due=True)
        journal.begin("bkt", "key", "id")
    path = next(tmp_path.iterdir())
    path.write_text(path.read_text() + 'null\n["begun"]\n{"begun": 7}\n{"be')
    assert [each.upload_id for each in uploads_of_earlier_attempts(tmp_path, chunk_no=0, before_epoch=2)] == ["id"]
