"""The scenarios of the collected tests, run once on every backend, in a process of its own.

A test requests the results of one scenario by its name.
The scenarios of `test_lstm.py` are in `scenarios_lstm.py`, and so on.
"""

import importlib.util
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from filelock import FileLock

from multilstm.engines.executor import Executor
from multilstm.engines.reference.engine import ReferenceEngine
from multilstm.jobs.job import Batch, Job, Step
from multilstm.spec.optimizers import SGD

HERE = pathlib.Path(__file__).parent
HELPERS = HERE.parent / "helpers"
FIRST = "torch"  # runs alone; the others load the files that it saved
BACKENDS = (FIRST, "tensorflow", "jax")


def installed(backend):
    return importlib.util.find_spec(backend) is not None


class Runs:
    """The results of the scenarios on the backends that a session needs. The session's worker processes share them."""

    def __init__(self, folder, needed, parts):
        self.folder, self.parts, self.results = folder, parts, {}
        folder.mkdir(exist_ok=True)
        with FileLock(folder / "lock"):
            if not (folder / "done").exists():
                first = [FIRST] if needed and installed(FIRST) else []
                for backends in (first, sorted(needed - {FIRST})):
                    self.run(backends)
                (folder / "done").touch()

    def run(self, backends):
        """Run the scenarios on several backends at the same time."""
        processes = [self.start(backend) for backend in backends]
        try:
            for process in processes:
                process.wait(600)
        finally:
            for process in processes:
                process.kill()
                process.wait()

    def start(self, backend):
        folder = self.folder / backend
        folder.mkdir(exist_ok=True)
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(filter(None, (str(HELPERS), os.environ.get("PYTHONPATH")))),
            "KERAS_BACKEND": backend,
            "KERAS_HOME": str(folder / "keras_home"),
            "JAX_ENABLE_X64": "1",
            "JAX_PLATFORMS": "cpu",
            "CUDA_VISIBLE_DEVICES": "",
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "OMP_NUM_THREADS": "1",
        }
        command = [sys.executable, str(HERE / "scenarios.py"), ",".join(self.parts), str(folder)]
        if backend != FIRST and installed(FIRST):
            command.append(str(self.folder / FIRST))
        with (folder / "log").open("w") as log:
            return subprocess.Popen(command, env=environment, stdout=log, stderr=log)

    def of(self, backend):
        """Return every array of a backend by `scenario/name`."""
        if backend not in self.results:
            file, log = self.folder / backend / "results.npz", self.folder / backend / "log"
            assert file.exists(), f"the scenarios on {backend} did not end:\n{log.read_text()[-4000:]}"
            with np.load(file) as arrays:
                self.results[backend] = dict(arrays)
        return self.results[backend]


@pytest.fixture(scope="session")
def runs(request, tmp_path_factory):
    asked = {item.callspec.params.get("backend") for item in request.session.items if hasattr(item, "callspec")}
    parts = sorted({item.path.stem.removeprefix("test_") for item in request.session.items if item.path.parent == HERE})
    own = tmp_path_factory.getbasetemp()
    shared = own.parent if "PYTEST_XDIST_WORKER" in os.environ else own
    needed = {name for name in BACKENDS if name in asked and installed(name)}
    return Runs(shared / "keras_layers", needed, parts)


@pytest.fixture(params=BACKENDS)
def backend(request):
    if not installed(request.param):
        pytest.skip(f"{request.param} is not installed")
    return request.param


@pytest.fixture
def ran(runs, backend):
    """Return a function from a scenario's name to its arrays on the backend. It fails if the scenario raised."""

    def ran(name):
        found = {key.split("/", 1)[1]: value for key, value in runs.of(backend).items() if key.split("/")[0] == name}
        assert found, f"no scenario {name}"
        assert "raised" not in found, f"{name} on {backend}:\n{found['raised']}"
        return found

    return ran


def arrays(found, prefix="weight"):
    """Return `prefix0`, `prefix1`, ... of a scenario's results."""
    listed = [found[f"{prefix}{i}"] for i in range(len(found)) if f"{prefix}{i}" in found]
    assert listed, f"no {prefix}0 in {sorted(found)}"
    return listed


class Reference:
    """A Keras user's model, step by step, in the float64 NumPy reference, with states carried throughout."""

    def __init__(self, spec, weights, rate=0.1):
        self.spec, self.optimizer, self.loss = spec, SGD(rate), "mean_squared_error"
        self.weights = dict(zip(spec.weight_shapes, weights, strict=True))
        self.carried, self.iteration = {}, 0

    def reset(self):
        self.carried = {}

    def step(self, kind, x, y=None, states=None, keep=("outputs",)):
        batch = Batch({next(iter(self.spec.inputs)): x}, () if y is None else (y,), states=states or {})
        job = Job(
            self.spec, self.weights, (Step(kind, batch, keep=keep),), "float64", carried=self.carried, loss=self.loss,
            optimizer=self.optimizer, iteration=self.iteration,
        )  # fmt: skip
        result = Executor(ReferenceEngine()).execute(job)
        self.weights, self.carried = result.weights, result.carried
        self.iteration += kind == "update"
        return result.answers[0]

    def predict(self, x):
        return self.step("forward", x).outputs[0]

    def fit(self, x, y, size):
        """Return the mean loss of an epoch in batches of `size`."""
        return np.mean([self.step("update", x[i : i + size], y[i : i + size]).loss for i in range(0, len(x), size)])

    def evaluate(self, x, y, size):
        return np.mean([self.step("evaluate", x[i : i + size], y[i : i + size]).loss for i in range(0, len(x), size)])

    def states(self, name):
        return list(self.carried[name])


@pytest.fixture(scope="session")
def reference():
    return Reference


@pytest.fixture(scope="session", name="arrays")
def arrays_fixture():
    return arrays
