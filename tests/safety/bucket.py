"""A bucket on a server, and the command that works on it."""

import csv
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus

from tests.e2e.command import CommandLine, Ended
from tests.servers.server import Server


@dataclass(frozen=True, kw_only=True)
class Bucket:
    """One test's own bucket."""

    server: Server
    name: str
    command_line: CommandLine

    @property
    def client(self) -> Any:  # noqa: ANN401 (boto3 makes its classes at run time)
        """A client of another make."""
        return self.server.boto3_client()

    def url(self, prefix: str) -> str:
        """Return a prefix's address."""
        return f"s3://{self.name}/{prefix}"

    def put(self, *keys: str, body: bytes | None = None) -> None:
        """Put objects; each holds its own key unless a body is given."""
        client = self.client
        for key in keys:
            client.put_object(Bucket=self.name, Key=key, Body=key.encode() if body is None else body)

    def remove(self, *keys: str) -> None:
        """Delete objects."""
        client = self.client
        for key in keys:
            client.delete_object(Bucket=self.name, Key=key)

    def bodies(self, prefix: str = "") -> dict[str, bytes]:
        """Return what is below a prefix, whole."""
        client = self.client
        return {key: client.get_object(Bucket=self.name, Key=key)["Body"].read() for key in self.keys(prefix)}

    def keys(self, prefix: str = "") -> list[str]:
        """Return the keys below a prefix."""
        # decoded here: boto3 asks for encoding-type=url only to undo it, which moto does not expect
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name, Prefix=prefix)
        return [each["Key"] for page in pages for each in page.get("Contents", [])]

    def run(self, *words: str, code: int = 0) -> Ended:
        """Run a command; it must end with ``code``."""
        ended = self.command_line.run(*words)
        assert ended.code == code, f"{ended.code}: {ended.out[-3000:]} {ended.err[-3000:]}"
        return ended

    def move(self, source: str, target: str, *options: str, code: int = 0) -> list[dict[str, Any]]:
        """Run a move between two prefixes of this bucket and return its jobs as they say they are."""
        return jobs_of(self.run("move", self.url(source), self.url(target), "--json", *options, code=code))

    def refused(self, *words: str) -> str:
        """Run a command that must be refused before anything is written; return its error's or failure's code."""
        before = self.bodies()
        ended = self.run(*words, "--json", code=4)
        assert self.bodies() == before
        document = ended.document
        if "error" in document:
            return str(document["error"]["code"])
        return next(str(job["failure"]["code"]) for job in jobs_of(ended) if job["failure"])

    def failed_rows(self, job_id: str) -> dict[str, str]:
        """Return code by key of the rows that a job did not succeed in, as its report has them."""
        text = self.run("jobs", "report", job_id, "--failed").out
        return {unquote_plus(row[1]): row[5] for row in csv.reader(io.StringIO(text))}


def jobs_of(ended: Ended) -> list[dict[str, Any]]:
    """Return the jobs of a command's document, one or a move's three."""
    document: dict[str, Any] = json.loads(ended.out)
    jobs: list[dict[str, Any]] = document.get("jobs", [document])
    return jobs


def counts(job: Mapping[str, Any]) -> tuple[int, int, int, int]:
    """Return total, succeeded, failed and kept."""
    told = job["counts"]
    return told["total"], told["succeeded"], told["failed"], told["kept"]


def numbered(prefix: str, numbers: Iterable[int]) -> list[str]:
    """Return keys below a prefix."""
    return [f"{prefix}{number % 3}/{number:04d}.fits" for number in numbers]
