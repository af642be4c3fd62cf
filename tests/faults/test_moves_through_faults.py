"""The same move through each kind of fault: the same outcome, counted exactly.

The faults come over every request of the whole program, at 2 %; those that alter listings at 30 %, because a move of a
few hundred objects lists a few dozen times only. A store whose listings lie consistently can hide objects from the
manifest: those stay where they are and are told of; nothing is lost, and nothing is deleted that was not proven.
"""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.archive import Original, fill_archive, listed, require_moved
from tests.crash.moving import Move, move_of
from tests.servers.fault_proxy import FaultCounts, run_fault_proxy
from tests.servers.faults import Fault, FaultPlan
from tests.servers.server import Server

OBJECTS = 300
FEW = 0.02
MANY = 0.3
SEED = int(os.environ.get("S3BATCH_FAULT_SEED", "7"))

PROBABILITIES = {fault: MANY if fault.endswith("-listing") else FEW for fault in Fault}
LYING = frozenset({Fault.SHORT_LISTING, Fault.STALE_LISTING})
"""What cannot be told from the truth: the counts of such a listing agree with its keys."""


@pytest.mark.parametrize("fault", [fault for fault in Fault if fault not in LYING])
def test_a_move_ends_as_if_there_were_no_faults(
    fault: Fault, ministack: Server, bucket_name: str, tmp_path: Path
) -> None:
    """All at the target, the source empty, every task counted once as succeeded."""
    plan = FaultPlan(probabilities={fault: PROBABILITIES[fault]}, seed=SEED, delay_s=3.0, storm_s=0.1)
    _require_same_outcome(plan, ministack, bucket_name, tmp_path)


def test_a_move_ends_as_if_there_were_no_faults_when_all_kinds_come_together(
    ministack: Server, bucket_name: str, tmp_path: Path
) -> None:
    """Eleven kinds of trouble, each at 2 %, storms among them."""
    plan = FaultPlan(
        probabilities={fault: FEW for fault in Fault if fault not in LYING}, seed=SEED, delay_s=3.0, storm_s=0.1
    )
    _require_same_outcome(plan, ministack, bucket_name, tmp_path)


ACTS = {
    "copies": "^PUT /[^/]+/spdf/",
    "parts": "^PUT .*partNumber=",
    "completions": "^POST .*uploadId=",
    "deletes": "^POST /[^/]+/?[?]delete",
}


LITTLE_SAID = [
    *((fault, act) for fault in (Fault.LOSE_ANSWER, Fault.DELIVER_TWICE) for act in ACTS),
    (Fault.RESET_AFTER, "copies"),
    *((fault, act) for fault in (Fault.ERROR_BODY, Fault.ERROR_BODY_AFTER) for act in ("copies", "completions")),
]


@pytest.mark.parametrize(("fault", "act"), LITTLE_SAID)
def test_writes_whose_answer_says_little_are_found_out_by_reading(
    fault: Fault, act: str, ministack: Server, bucket_name: str, tmp_path: Path
) -> None:
    """A third of all copies, the first completions or deletes: done without an answer, twice, or answered as failed."""
    probability = 0.33 if act == "copies" else 1.0  # there are few of the others
    plan = FaultPlan(
        probabilities={fault: probability}, seed=SEED, matching=ACTS[act], maximum=100 if act == "copies" else 2
    )
    counts = _require_same_outcome(plan, ministack, bucket_name, tmp_path, objects=120)
    assert counts.injected.get(fault, 0) > 0


@pytest.mark.parametrize("fault", sorted(LYING))
def test_a_store_whose_listings_lie_loses_nothing(
    fault: Fault, ministack: Server, bucket_name: str, tmp_path: Path
) -> None:
    """What the listing hid stays at the source; what was in the manifest is moved, or kept and told of."""
    plan = FaultPlan(probabilities={fault: MANY}, seed=SEED)
    client = ministack.boto3_client()
    originals = fill_archive(client, bucket_name, "cdaweb/", objects=OBJECTS)
    with run_fault_proxy(tmp_path, ministack, plan) as proxy, move_of(tmp_path, proxy.server.environment()) as move:
        document = _move(move, bucket_name)
    _require_nothing_lost(client, bucket_name, originals)
    delete = document["jobs"][-1]
    counts = delete["counts"]
    assert counts["succeeded"] + counts["failed"] + counts["kept"] == counts["total"]
    unseen = len(originals) - counts["total"]
    at_source = listed(client, bucket_name, "cdaweb/")
    assert len(at_source) == unseen + counts["failed"] + counts["kept"]


def _require_same_outcome(
    plan: FaultPlan, server: Server, bucket: str, folder: Path, *, objects: int = OBJECTS
) -> FaultCounts:
    client = server.boto3_client()
    originals = fill_archive(client, bucket, "cdaweb/", objects=objects)
    with run_fault_proxy(folder, server, plan) as proxy, move_of(folder, proxy.server.environment()) as move:
        document = _move(move, bucket)
        require_moved(client, bucket, originals, "cdaweb/", "spdf/")
        move.require_exact_counts(len(originals))
        assert not document["jobs"][-1]["remaining"]["entries"]
        return proxy.counts()


def _move(move: Move, bucket: str) -> dict[str, Any]:
    """Run a move to its end and return what it says."""
    answer = move.run(
        "move", f"s3://{bucket}/cdaweb/", f"s3://{bucket}/spdf/", "--yes", "--json",
        "--chunk-entries", "100", "--workers", "1", "--read-timeout", "2",
    )  # fmt: skip
    assert answer.returncode in (0, 1, 3), f"{answer.stdout[-3000:]} {answer.stderr} {move.log()}"
    document: dict[str, Any] = json.loads(answer.stdout)
    move.move_id = document["move_id"]
    return document


def _require_nothing_lost(client: Any, bucket: str, originals: Mapping[str, Original]) -> None:  # noqa: ANN401 (boto3)
    """Assert that every object is at the source or at the target, or at both, as it was."""
    source, target = listed(client, bucket, "cdaweb/"), listed(client, bucket, "spdf/")
    for key, original in originals.items():
        identity = (original.etag, original.size)
        assert identity in (source.get(key), target.get("spdf/" + key.removeprefix("cdaweb/"))), key
