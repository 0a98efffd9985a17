"""What several tests ask: Keras's own answer to a question."""

import importlib.util
import json
import os
import subprocess
import sys

import pytest


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
