"""What several tests ask: Keras's own answer to a question, and workers that outlive a call."""

import contextlib
import importlib.util
import json
import os
import subprocess
import sys

import pytest

from multilstm import api
from multilstm.suite import compare_cases as suite
from multilstm.workers import WorkerPool


class KeptPool(WorkerPool):
    """A pool that knows whether it was closed, as it is after an error."""

    closed = False

    def close(self):
        self.closed = True
        super().close()


@pytest.fixture(scope="session")
def living_pool():
    """Gives the pool whose workers, one process an engine, serve all tests that ask for it: to start takes seconds."""
    pools = []

    def living():
        if not pools or pools[-1].closed:
            pools.append(KeptPool(threads=1, parallel=2))
        return pools[-1]

    yield living
    for pool in pools:
        pool.close()


@pytest.fixture
def pool(living_pool):
    """See `living_pool`."""
    return living_pool()


@pytest.fixture(scope="module")
def kept_workers(living_pool):
    """All calls of `run` and `parity` in a module use its workers; a user's call starts its own."""
    with pytest.MonkeyPatch.context() as patch:
        for module, name in ((api, "WorkerPool"), (suite, "worker_pool")):
            patch.setattr(module, name, lambda *_: contextlib.nullcontext(living_pool()))
        yield


@pytest.fixture(scope="session")
def ask_keras(tmp_path_factory):
    """Asks a script in a process of its own: it reads the file of its first argument and writes the second, both JSON.

    Keras runs on PyTorch or JAX: TensorFlow's float64 is partly float32, so that it cannot be the judge.
    """
    backends = [name for name in ("torch", "jax") if importlib.util.find_spec(name)]
    if not importlib.util.find_spec("keras") or not backends:
        pytest.skip("keras is not installed, or neither torch nor jax")

    def ask(script, question):
        folder = tmp_path_factory.mktemp("keras")
        asked, answer = folder / "ask.json", folder / "answer.json"
        asked.write_text(json.dumps(question))
        environment = {**os.environ, "KERAS_BACKEND": backends[0], "KERAS_HOME": str(folder), "JAX_ENABLE_X64": "1"}
        environment["CUDA_VISIBLE_DEVICES"] = ""
        command = [sys.executable, "-c", script, str(asked), str(answer)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(answer.read_text())

    return ask
