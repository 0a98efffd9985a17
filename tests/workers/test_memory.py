"""A worker that takes more memory than it may is ended and loses one job; the others go on."""

import math
import sys

import numpy as np
import pytest

from multilstm.errors import WorkerError
from multilstm.jobs.job import Batch, Job, Step
from multilstm.spec import LSTM, Sequential
from multilstm.weights.initializers import discriminating_weights
from multilstm.workers import WorkerPool
from multilstm.workers import pool as pool_module
from multilstm.workers import worker as worker_module

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux reports the memory of a process")

SPEC = Sequential([LSTM(2)], input_shape=(3, 1))
STEP = Step("forward", Batch({"input_layer": np.ones((2, 3, 1), "f4")}), keep=("outputs",))
JOB = Job(SPEC, discriminating_weights(SPEC), (STEP,))


@pytest.mark.parametrize("name", ["Grows", "GrowsInChild"])
def test_a_worker_that_grows_loses_one_job(engine, name):
    with WorkerPool(memory_gb=0.5) as pool:
        pool.execute("reference", JOB)
        reference = pool.pids["reference", "cpu"]
        with pytest.raises(WorkerError) as caught:
            pool.execute(engine(name), JOB)
        assert caught.value.kind == "memory"
        words = str(caught.value)
        assert words.startswith("engine 'test': out of memory: ")
        assert 0.5 < float(words.split()[5]) < 2.5
        assert " GB of 0.5 GB allowed, its worker was ended; allow more with --memory" in words
        assert pool.pids["test", "cpu"] is None
        assert pool.pids["reference", "cpu"] == reference
        assert len(pool.execute("reference", JOB).answers) == 1


def test_within_its_limit_a_worker_is_left_alone(engine):
    with WorkerPool(timeout_s=2.0, memory_gb=20.0) as pool, pytest.raises(WorkerError, match="no answer after 2 s"):
        pool.execute(engine("Grows"), JOB)


@pytest.mark.parametrize("share", [0.5, 0.0], ids=["little", "too_much"])
def test_a_worker_that_holds_much_memory_is_renewed_before_the_next_job(monkeypatch, share):
    monkeypatch.setattr(worker_module, "MEMORY_SHARE", share)
    pids = []
    with WorkerPool(memory_gb=20.0) as pool:
        for _ in range(2):
            pool.execute("reference", JOB)
            pids.append(pool.pids["reference", "cpu"])
    assert (pids[0] == pids[1]) == (share > 0)


@pytest.mark.parametrize(
    ("free", "parallel", "share"),
    [(20e9, 1, 18e9), (20e9, 3, 6e9), (1e9, 1, 2e9), (20e9, 100, 2e9), (0.0, 4, 2e9), (math.inf, 8, math.inf)],
)
def test_by_default_the_free_memory_is_shared_fairly(monkeypatch, free, parallel, share):
    monkeypatch.setattr(pool_module, "free_memory", lambda: free)
    assert pool_module.fair_share(parallel) == pytest.approx(share)
