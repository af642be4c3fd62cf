"""The demo: both tasks of an archive's steward, done with the real command line, and checked at the end.

In: a folder for ledger and reports. Out: what a terminal shows, and whether all went right. Every command is shown as a
user would type it and runs as a process of its own, so this is the program that people get, and not a part of it.
Nothing of the user's AWS settings or of his own jobs is used or changed.
"""

from __future__ import annotations

import asyncio
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.text import Text

from s3batch.config import Home
from s3batch.demo.archive import CDAWEB, LARGE_KEY, SDO, Seen, fill_archive, tagged_keys
from s3batch.demo.outcome import Check, Found, check, target_of
from s3batch.demo.process import started
from s3batch.demo.server import Store, run_server
from s3batch.ledger.records import Job
from s3batch.ledger.store import open_ledger
from s3batch.model.errors import UnavailableError
from s3batch.model.job import Connection, Operation
from s3batch.model.outcome import Counts
from s3batch.s3.client import S3Client

BUCKET = "helio-archive"
_ROOT = f"s3://{BUCKET}"
_SDO_MANIFEST, _CDAWEB_MANIFEST = f"{_ROOT}/manifests/sdo.csv", f"{_ROOT}/manifests/cdaweb.json"

CHANGED_KEY = f"{SDO}hmi/2024/05/10/hmi_m_45s_000042.fits"
"""The object that somebody writes anew after it was copied."""

_NEW_BODY = b"calibrated again while the copy was under way"
_FOREIGN = ("AWS_", "S3BATCH_")
_PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")
_PUTS = Connection(concurrency=64)


class DemoFailedError(UnavailableError):
    """A command of the demo did not end as it should."""

    default_code = "DemoFailed"


def run_demo(folder: Path, console: Console) -> bool:
    """Run the demo with its server, ledger and reports below ``folder``; return whether all went right.

    Raises:
        RefusedError: code ``DemoNotInstalled``.
        UnavailableError: the server does not start, or a command ended in an unexpected way.
    """
    began_s = time.monotonic()
    home = Home(root=folder / "home")
    with _environment(_own_environment(os.environ, home)), run_server(folder, bucket=BUCKET) as store:
        os.environ.update(store.environment())
        home.root.mkdir()
        # commands start a runner where none serves the folder; one that stays saves its start, and ends with the demo
        runner = [sys.executable, "-m", "s3batch", "runner"]
        with started(runner, log=home.runner_log, environment=os.environ):
            return _Demo(console=console, home=home, store=store, began_s=began_s).run()


class _Demo:
    """One run."""

    def __init__(self, *, console: Console, home: Home, store: Store, began_s: float) -> None:
        self._console = console
        self._home = home
        self._s3 = store.client("s3")
        self._endpoint_url = store.endpoint_url
        self._began_s = began_s

    def run(self) -> bool:
        originals = asyncio.run(self._fill())
        self._introduce(originals)
        tags = {target_of(key): self._tags(key) for key in tagged_keys()}
        changed = self._copy_verify_delete()
        self._move()
        found = self._find()
        return self._conclude(check(originals, tags, CHANGED_KEY, changed, found))

    # ------------------------------------------------------------------------------------------------------ the tasks

    def _copy_verify_delete(self) -> Seen:
        """The first task of the runbook; returns the object that was changed in between."""
        self._head("1  Copy sdo/ to sdac/sdo/, verify the copies, delete the originals")
        self._say("A manifest says which objects are meant. This one is a CSV file as AWS's own service takes it.")
        self._do("manifest", "create", f"{_ROOT}/{SDO}", "-o", _SDO_MANIFEST)
        self._say("First a sample: 25 objects, copied and verified. All else stays as it is.")
        to = ("copy", "--manifest", _SDO_MANIFEST, "--to", f"{_ROOT}/sdac/")
        self._do(*to, "--sample", "25")
        self._do("verify", "--job", self._last(Operation.COPY).id)
        self._say("That looks right. Now all of them; the 25 are there already and stay.")
        self._do(*to, "--if-target-exists", "skip-if-same")
        self._say(f"Meanwhile somebody writes {CHANGED_KEY} anew. Its copy is outdated, and nobody is told.")
        answer = self._s3.put_object(Bucket=BUCKET, Key=CHANGED_KEY, Body=_NEW_BODY)
        self._do("verify", "--job", self._last(Operation.COPY).id)
        self._say("Every copy is what the manifest pinned. The delete reads both sides once more before each request:")
        self._do("delete", "--job", self._last(Operation.VERIFY).id, "--yes", expected=3)
        self._say("Exit code 3: one original was kept, because it is no longer the object that was copied.")
        return Seen(etag=answer["ETag"].strip('"'), size=len(_NEW_BODY))

    def _move(self) -> None:
        """The second task of the runbook."""
        self._head("2  Move cdaweb/ to spdf/")
        self._say("A move is the same three jobs, linked. This manifest is JSON, with sizes and ETags.")
        self._do("manifest", "create", f"{_ROOT}/{CDAWEB}", "-o", _CDAWEB_MANIFEST)
        self._do("manifest", "show", _CDAWEB_MANIFEST)
        self._do("move", "--manifest", _CDAWEB_MANIFEST, "--strip-prefix", CDAWEB, "--to", f"{_ROOT}/spdf/")
        self._say("Copied and verified. Nothing is deleted before somebody says so:")
        self._do("jobs", "confirm", str(self._last(Operation.DELETE).move_id))
        self._do("jobs", "list")

    # --------------------------------------------------------------------------------------------------------- the end

    def _find(self) -> Found:
        deletes = self._jobs(Operation.DELETE)
        return Found(
            objects=self._list(),
            tags={target_of(key): self._tags(target_of(key)) for key in tagged_keys()},
            sdo_delete=deletes[0].counts if deletes else Counts(),
            cdaweb_delete=deletes[-1].counts if deletes else Counts(),
            report_rows=_failed_rows(self._home.job(deletes[0].id).report) if deletes else (),
        )

    def _conclude(self, checks: list[Check]) -> bool:
        self._head("Did it go right?  (asked of the bucket by another client, botocore, and of the ledger)")
        for each in checks:
            mark = Text("  ok    " if each.is_right else "  WRONG ", style="green" if each.is_right else "bold red")
            self._console.print(mark + Text(each.text + (f": {each.problem}" if each.problem else "")))
        is_right = all(each.is_right for each in checks)
        seconds = time.monotonic() - self._began_s
        self._console.print()
        if is_right:
            self._console.print(Text(f"All {len(checks)} checks passed, in {seconds:.0f} s.", style="bold green"))
        else:
            wrong = sum(not each.is_right for each in checks)
            self._console.print(Text(f"{wrong} of {len(checks)} checks failed.", style="bold red"))
        return is_right

    # --------------------------------------------------------------------------------------------------------- parts

    async def _fill(self) -> dict[str, Seen]:
        async with await S3Client.open(_PUTS) as client:
            return await fill_archive(client, BUCKET)

    def _introduce(self, originals: Mapping[str, Seen]) -> None:
        megabytes = sum(seen.size for seen in originals.values()) / 1e6
        self._head(f"An archive of {len(originals):,} objects, {megabytes:.0f} MB, in a bucket of its own: {_ROOT}")
        self._say(f"The store is MiniStack at {self._endpoint_url}, on this machine, for as long as the demo runs.")
        self._say(f"Among the objects: keys that break tools, tags, and one that was uploaded in parts ({LARGE_KEY}).")

    def _do(self, *arguments: str, expected: int = 0) -> None:
        """Show a command and run it; what it prints goes where ours goes.

        Raises:
            DemoFailedError: it ended with another exit code.
        """
        self._console.print()
        self._console.print(Text(f"$ s3batch {shlex.join(arguments)}", style="bold cyan"), soft_wrap=True)
        sys.stdout.flush()
        command = [sys.executable, "-m", "s3batch", *arguments]
        # without an input: in a terminal a delete would ask for its number, and the story answers by a command
        code = subprocess.run(command, stdin=subprocess.DEVNULL, check=False).returncode
        if code != expected:
            raise DemoFailedError(
                f"The command `s3batch {shlex.join(arguments)}` ended with {code}; {expected} was expected.",
                way_out=f"Ledger, reports and the runner's log are in {self._home.root}.",
            )

    def _say(self, text: str) -> None:
        self._console.print(Text(text, style="italic"))

    def _head(self, text: str) -> None:
        self._console.print()
        self._console.print(Text(text, style="bold"))

    def _last(self, operation: Operation) -> Job:
        return self._jobs(operation)[-1]

    def _jobs(self, operation: Operation) -> list[Job]:
        """Return the jobs of an operation, the oldest first."""
        ledger = open_ledger(self._home.ledger)
        try:
            found = [job for job in ledger.list_jobs() if job.operation is operation]
        finally:
            ledger.close()
        return sorted(found, key=lambda job: job.created_at_ms)

    def _list(self) -> dict[str, Seen]:
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
        return {
            each["Key"]: Seen(etag=each["ETag"].strip('"'), size=each["Size"])
            for page in pages
            for each in page.get("Contents", [])
        }

    def _tags(self, key: str) -> list[tuple[str, str]]:
        try:
            answer: dict[str, Any] = self._s3.get_object_tagging(Bucket=BUCKET, Key=key)
        except self._s3.exceptions.ClientError:
            return []  # the check says what is missing
        return [(tag["Key"], tag["Value"]) for tag in answer["TagSet"]]


def _failed_rows(report: Path) -> list[str]:
    """Return the rows of a completion report that tell of failures."""
    rows = [row for file in sorted(report.rglob("results/*.csv")) for row in file.read_text("utf-8").splitlines()]
    return [row for row in rows if ",failed," in row]


def _own_environment(environment: Mapping[str, str], home: Home) -> dict[str, str]:
    """Return the environment without anything that would lead to another store, other keys or other jobs."""
    kept = {
        name: value
        for name, value in environment.items()
        if not name.startswith(_FOREIGN) and name.lower() not in _PROXIES
    }
    return kept | {
        "S3BATCH_HOME": str(home.root),
        "AWS_CONFIG_FILE": os.devnull,
        "AWS_SHARED_CREDENTIALS_FILE": os.devnull,
        "AWS_EC2_METADATA_DISABLED": "true",
        "PYTHONIOENCODING": "utf-8",
    }


@contextmanager
def _environment(environment: Mapping[str, str]) -> Iterator[None]:
    """Let this process and those that it starts see ``environment`` alone, until the context ends."""
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(environment)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
