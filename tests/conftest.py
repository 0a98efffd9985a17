"""Fixtures of several rooms: answers of Keras itself, workers that outlive a call, and the guard of unit tests."""

import contextlib
import importlib.util
import json
import os
import subprocess
import sys

import pytest
from no_framework import forbidden, write_stubs

from multilstm.api import comparison
from multilstm.suite import compare_cases as suite
from multilstm.workers import WorkerPool


@pytest.fixture(scope="session")
def stubs(tmp_path_factory):
    """A folder of modules that stand for frameworks and raise an error when they are imported."""
    return write_stubs(tmp_path_factory.mktemp("stubs"))


@pytest.fixture(autouse=True)
def unit_tests_import_no_framework(request):
    """In a test marked `unit`, importing a framework is an error, also in processes that the test starts."""
    if request.node.get_closest_marker("unit") is None:
        yield
        return
    with forbidden(request.getfixturevalue("stubs")):
        yield


@pytest.fixture(scope="session")
def living_pool():
    """Return one pool for all tests, since a worker takes seconds to start; a new one if an error closed the last."""
    pools = []

    def living():
        if not pools or pools[-1].closed:
            pools.append(WorkerPool(threads=1, parallel=2))
        return pools[-1]

    yield living
    for pool in pools:
        pool.close()


@pytest.fixture
def pool(living_pool):
    """The pool of `living_pool`."""
    return living_pool()


@pytest.fixture(scope="module")
def kept_workers(living_pool):
    """All calls of `run` and `parity` in a module share the workers of `living_pool`."""
    with pytest.MonkeyPatch.context() as patch:
        for module, name in ((comparison, "WorkerPool"), (suite, "worker_pool")):
            patch.setattr(module, name, lambda *_: contextlib.nullcontext(living_pool()))
        yield


@pytest.fixture(scope="session")
def ask_keras(tmp_path_factory):
    """Run a script of Keras in a process of its own; the script reads a JSON file and writes another.

    Keras runs on PyTorch or JAX. On TensorFlow float64 is partly float32, which is no reference.
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
