"""kill -9 of the runner, of a worker, of everything, at random moments of a move: nothing is lost, counts are exact.

The number of runs of each kind comes from S3BATCH_CRASH_RUNS (2; `make crash` takes 20), the seed is printed and can be
given as S3BATCH_CRASH_SEED.
"""

import os
import random
from pathlib import Path

import pytest

from s3batch.config import Home
from s3batch.model.status import JobStatus
from tests.archive import fill_archive, require_moved
from tests.crash.moving import CHUNK_ENTRIES, STAGES, WORKERS, Move
from tests.servers.fault_proxy import run_fault_proxy
from tests.servers.faults import Fault, FaultPlan
from tests.servers.server import Server

RUNS = int(os.environ.get("S3BATCH_CRASH_RUNS", "2"))
SEED = int(os.environ.get("S3BATCH_CRASH_SEED", str(random.SystemRandom().randrange(10**6))))
OBJECTS = 1_200
SLOW = FaultPlan(probabilities={Fault.DELAY_ANSWER: 0.2}, delay_s=0.05)
"""Answers that come a little later, so that every stage lasts long enough to be killed in its middle."""


@pytest.mark.crash
@pytest.mark.timeout(240)
@pytest.mark.parametrize("run", range(RUNS))
@pytest.mark.parametrize("kind", ["runner", "worker", "group"])
def test_a_killed_move_goes_on_and_loses_nothing(
    kind: str, run: int, ministack: Server, bucket_name: str, tmp_path: Path
) -> None:
    """`s3batch jobs resume MOVE` after kill -9: all at the target, source empty, counts exact, few writes repeated."""
    stage = STAGES[(run + 1) % len(STAGES)]  # of each three runs one is killed in verify and one in delete
    chance = random.Random(f"{SEED}-{kind}-{run}")
    fraction = chance.random() * 0.8
    print(f"seed {SEED}: kill {kind} in {stage} at {fraction:.2f}")  # noqa: T201 - to try the same again
    originals = fill_archive(ministack.boto3_client(), bucket_name, "cdaweb/", objects=OBJECTS)
    with run_fault_proxy(tmp_path, ministack, SLOW) as proxy:
        environment = {**os.environ, **proxy.server.environment(), "S3BATCH_HOME": str(tmp_path / "home")}
        move = Move(home=Home(root=tmp_path / "home"), environment=environment)
        try:
            move.start(f"s3://{bucket_name}/cdaweb/", f"s3://{bucket_name}/spdf/")
            if move.wait_for(stage, fraction):
                move.kill(kind, chance)
            document = move.resume()
        finally:
            move.end()
        repeated = proxy.counts().repeated_writes
    require_moved(ministack.boto3_client(), bucket_name, originals, "cdaweb/", "spdf/")
    for job in move.jobs():
        assert job.status is JobStatus.COMPLETE
        assert (job.counts.total, job.counts.succeeded) == (len(originals), len(originals)), document
        assert (job.counts.failed, job.counts.kept) == (0, 0)
    assert repeated <= WORKERS * CHUNK_ENTRIES
