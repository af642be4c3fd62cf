"""kill -9 of the runner, of a worker, of everything, at random moments of a move: nothing is lost, counts are exact.

The number of runs of each kind comes from S3BATCH_CRASH_RUNS (2; `make crash` takes 20), the seed is printed and can be
given as S3BATCH_CRASH_SEED.
"""

import os
import random
import time
from pathlib import Path

import pytest

from tests.archive import fill_archive, require_moved
from tests.crash.moving import CHUNK_ENTRIES, STAGES, WORKERS, move_of
from tests.servers.fault_proxy import run_fault_proxy
from tests.servers.faults import Fault, FaultPlan
from tests.servers.server import Server

RUNS = int(os.environ.get("S3BATCH_CRASH_RUNS", "2"))
SEED = int(os.environ.get("S3BATCH_CRASH_SEED", str(random.SystemRandom().randrange(10**6))))
KINDS = ("runner", "worker", "group")
OBJECTS = 1_200
FURTHER_S = 0.3
"""A chunk's outcomes are counted at its end, so the moment is drawn within the next chunks' time too."""

SLOW = {
    "copy": FaultPlan(probabilities={Fault.DELAY_ANSWER: 0.2}, delay_s=0.05, matching="^PUT "),
    "verify": FaultPlan(probabilities={Fault.DELAY_ANSWER: 1.0}, delay_s=0.5, matching="list-type"),
    "delete": FaultPlan(probabilities={Fault.DELAY_ANSWER: 1.0}, delay_s=0.3, matching="list-type|[?]delete"),
}
"""By stage: answers that come a little later, so that the stage lasts long enough to be killed in its middle."""


@pytest.mark.crash
@pytest.mark.timeout(240)
@pytest.mark.parametrize("run", range(RUNS))
@pytest.mark.parametrize("kind", KINDS)
def test_a_killed_move_goes_on_and_loses_nothing(
    kind: str, run: int, ministack: Server, bucket_name: str, tmp_path: Path
) -> None:
    """`s3batch jobs resume MOVE` after kill -9: all at the target, source empty, counts exact, few writes repeated."""
    stage = STAGES[(run + KINDS.index(kind) + 1) % len(STAGES)]  # two in three are killed in verify or delete
    chance = random.Random(f"{SEED}-{kind}-{run}")
    fraction, further_s = chance.random() * 0.8, chance.random() * FURTHER_S
    client = ministack.boto3_client()
    originals = fill_archive(client, bucket_name, "cdaweb/", objects=OBJECTS)
    with (
        run_fault_proxy(tmp_path, ministack, SLOW[stage]) as proxy,
        move_of(tmp_path, proxy.server.environment()) as move,
    ):
        move.start(f"s3://{bucket_name}/cdaweb/", f"s3://{bucket_name}/spdf/")
        is_in_time = move.wait_for(stage, fraction)
        time.sleep(further_s)
        is_killed = move.kill(kind, chance)
        found = [f"{job.operation} {job.status} {job.counts.ended}/{job.total}" for job in move.jobs()]
        print(f"seed {SEED}: kill {kind} in {stage} at {fraction:.2f}: {is_in_time and is_killed} {found}")  # noqa: T201 - to try the same again
        document = move.resume()
        repeated = proxy.counts().repeated_writes
    require_moved(client, bucket_name, originals, "cdaweb/", "spdf/")
    move.require_exact_counts(len(originals))
    assert document["jobs"][-1]["remaining"]["entries"] == 0
    assert repeated <= WORKERS * CHUNK_ENTRIES
