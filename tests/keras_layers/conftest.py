"""Every backend runs all scenarios once, in a process of its own; a test asks for what one of them gave."""

import importlib.util
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

HERE = pathlib.Path(__file__).parent
BACKENDS = ("torch", "tensorflow", "jax")  # in this order each loads what those before it have saved


class Runs:
    def __init__(self, folder):
        self.folder, self.results = folder, {}

    def of(self, backend):
        before = [other for other in BACKENDS[: BACKENDS.index(backend)] if importlib.util.find_spec(other)]
        for other in before:
            self.of(other)
        if backend not in self.results:
            self.results[backend] = self.run(backend, [self.folder / other for other in before])
        return self.results[backend]

    def run(self, backend, others):
        folder = self.folder / backend
        folder.mkdir()
        environment = {
            **os.environ,
            "KERAS_BACKEND": backend,
            "KERAS_HOME": str(folder / "keras_home"),
            "JAX_ENABLE_X64": "1",
            "JAX_PLATFORMS": "cpu",
            "CUDA_VISIBLE_DEVICES": "",
            "TF_CPP_MIN_LOG_LEVEL": "3",
            "OMP_NUM_THREADS": "1",
        }
        command = [sys.executable, str(HERE / "scenarios.py"), str(folder), *map(str, others)]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
        assert done.returncode == 0, f"the scenarios on {backend} ended with {done.returncode}:\n{done.stderr[-4000:]}"
        with np.load(folder / "results.npz") as file:
            return dict(file)


@pytest.fixture(scope="session")
def runs(tmp_path_factory):
    return Runs(tmp_path_factory.mktemp("keras_layers"))


@pytest.fixture(params=BACKENDS)
def backend(request):
    if importlib.util.find_spec(request.param) is None:
        pytest.skip(f"{request.param} is not installed")
    return request.param


@pytest.fixture
def ran(runs, backend):
    """What a scenario gave on the backend: a dict of arrays; fails where the scenario raised."""

    def ran(name):
        found = {key.split("/", 1)[1]: value for key, value in runs.of(backend).items() if key.split("/")[0] == name}
        assert found, f"no scenario {name}"
        assert "raised" not in found, f"{name} on {backend}:\n{found['raised']}"
        return found

    return ran
