"""Verification by content: each algorithm decides, composite checksums as far as they can, bytes in bounded memory."""

import base64
import hashlib
import multiprocessing
import resource
import zlib
from collections.abc import Callable
from queue import Queue

import pytest

from s3batch.model.job import Level
from s3batch.operations.verify import VerifyOperation
from tests.contract.chunks import codes, copied, pin, run
from tests.contract.test_copy_in_parts import FIRST, LAST, put_in_parts
from tests.servers.server import Server

SOURCE, TARGET = "source/", "target/"
MIB = 1024 * 1024


def _crc(body: bytes, polynomial: int, bits: int) -> bytes:
    """Return a reflected CRC, bit by bit: few bytes are all that is needed here."""
    register = (1 << bits) - 1
    for byte in body:
        register ^= byte
        for _ in range(8):
            register = (register >> 1) ^ (polynomial if register & 1 else 0)
    return (register ^ ((1 << bits) - 1)).to_bytes(bits // 8, "big")


ALGORITHMS: dict[str, Callable[[bytes], bytes]] = {
    "CRC64NVME": lambda body: _crc(body, 0x9A6C9329AC4BC9B5, 64),
    "CRC32": lambda body: zlib.crc32(body).to_bytes(4, "big"),
    "CRC32C": lambda body: _crc(body, 0x82F63B78, 32),
    "SHA1": lambda body: hashlib.sha1(body, usedforsecurity=False).digest(),
    "SHA256": lambda body: hashlib.sha256(body).digest(),
}


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_each_algorithm_proves_equal_and_finds_other_bytes(s3_server: Server, bucket_name: str, algorithm: str) -> None:
    """Where a server keeps no such checksum nothing is proven: Undecided."""
    client = s3_server.boto3_client(request_checksum_calculation="when_required")
    client.create_bucket(Bucket=bucket_name)
    for key, body in (
        (SOURCE + "same", b"abc"),
        (TARGET + "same", b"abc"),
        (SOURCE + "x", b"abc"),
        (TARGET + "x", b"abd"),
    ):
        value = base64.b64encode(ALGORITHMS[algorithm](body)).decode()
        named = {"ChecksumAlgorithm": algorithm, f"Checksum{algorithm}": value}  # moto keeps none without its name
        client.put_object(Bucket=bucket_name, Key=key, Body=body, **named)
    work = pin(s3_server, bucket_name, SOURCE)
    outcomes = run(s3_server, VerifyOperation(mapping=copied(TARGET, bucket_name), level=Level.CHECKSUM), work)
    if s3_server.name == "ceph_rgw":  # has no additional checksums (tests/servers/gaps.py)
        assert codes(work, outcomes) == {SOURCE + "same": "Undecided", SOURCE + "x": "Undecided"}
    else:
        assert codes(work, outcomes) == {SOURCE + "x": "TargetDifferent"}
        assert outcomes[0]["level"] == "checksum"


def test_one_algorithm_on_each_side_decides_nothing(ministack: Server, bucket_name: str) -> None:
    """Equal bytes, but nothing that can be compared."""
    client = ministack.boto3_client(request_checksum_calculation="when_required")
    client.create_bucket(Bucket=bucket_name)
    for key, algorithm in ((SOURCE + "k", "SHA1"), (TARGET + "k", "SHA256")):
        value = base64.b64encode(ALGORITHMS[algorithm](b"abc")).decode()
        client.put_object(Bucket=bucket_name, Key=key, Body=b"abc", **{f"Checksum{algorithm}": value})
    work = pin(ministack, bucket_name, SOURCE)
    outcomes = run(ministack, VerifyOperation(mapping=copied(TARGET, bucket_name), level=Level.CHECKSUM), work)
    assert codes(work, outcomes) == {SOURCE + "k": "Undecided"}


def _verify_and_measure(server: Server, bucket: str, answers: "Queue[tuple[dict[str, str], int]]") -> None:
    """Verify by bytes in a process of its own; answer with the codes and how much the memory grew."""
    work = pin(server, bucket, SOURCE)
    operation = VerifyOperation(mapping=copied(TARGET, bucket), level=Level.BYTES)
    small = pin(server, bucket, SOURCE + "small")
    run(server, operation, small)  # what the first use of everything takes is no growth
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    outcomes = run(server, operation, work)
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    answers.put((codes(work, outcomes), grown * 1024))


def test_large_objects_are_compared_by_bytes_in_bounded_memory(ministack: Server, bucket_name: str) -> None:
    """Four objects of 64 MiB, both sides at the same time: 512 MiB pass through a few."""
    client = ministack.boto3_client()
    client.create_bucket(Bucket=bucket_name)
    body = b"0123456789abcdef" * (4 * MIB)
    for side in (SOURCE, TARGET):
        client.put_object(Bucket=bucket_name, Key=side + "small", Body=b"x")
        for name in ("1", "2", "3", "flipped"):
            content = body[:-1] + b"F" if (side, name) == (TARGET, "flipped") else body
            client.put_object(Bucket=bucket_name, Key=side + name, Body=content)
    spawn = multiprocessing.get_context("spawn")
    answers = spawn.Queue()
    process = spawn.Process(target=_verify_and_measure, args=(ministack, bucket_name, answers))
    process.start()
    found, grown = answers.get(timeout=120)
    process.join(timeout=30)
    assert found == {SOURCE + "flipped": "TargetDifferent"}
    assert grown < 48 * MIB


def test_composite_checksums_decide_with_equal_parts_only(ministack: Server, bucket_name: str) -> None:
    """Equal values prove; other values are other bytes where both were cut alike, and else nobody can tell."""
    ministack.boto3_client().create_bucket(Bucket=bucket_name)
    settings = {"ChecksumAlgorithm": "SHA256"}
    cuts = {"same": [FIRST, LAST], "flipped": [FIRST, LAST[:-1] + b"\x00"], "cut otherwise": [FIRST + LAST]}
    for name, parts in cuts.items():
        put_in_parts(ministack, bucket_name, SOURCE + name, [FIRST, LAST], **settings)
        put_in_parts(ministack, bucket_name, TARGET + name, parts, **settings)
    work = pin(ministack, bucket_name, SOURCE)
    outcomes = run(ministack, VerifyOperation(mapping=copied(TARGET, bucket_name), level=Level.CHECKSUM), work)
    assert codes(work, outcomes) == {SOURCE + "flipped": "TargetDifferent", SOURCE + "cut otherwise": "Undecided"}
