"""`.keras` files that Keras writes from a spec, loaded and executed by Keras, against the reference."""

import importlib.util
import json
import os
import pathlib
import subprocess
import sys

import pytest

HERE = pathlib.Path(__file__).parent
TOLERANCES = {"float32": 3e-6, "float64": 1e-13}
MODELS = ("encoder_decoder", "masked", "old", "others", "stateful")
KINDS = ("outputs", "sequences", "last_outputs", "states", "gradients", "input_gradients")


@pytest.fixture(scope="module")
def found(tmp_path_factory):
    if not all(importlib.util.find_spec(name) for name in ("keras", "torch")):
        pytest.skip("keras or torch is not installed")
    folder = tmp_path_factory.mktemp("saved")
    environment = {**os.environ, "KERAS_BACKEND": "torch", "KERAS_HOME": str(folder), "TMPDIR": str(folder)}
    command = [sys.executable, str(HERE / "saved_models.py"), str(folder / "found.json")]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads((folder / "found.json").read_text())


@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("kind", KINDS)
def test_a_written_file_gives_the_answers_of_the_reference(found, model, dtype, kind):
    assert found[f"{model}/{dtype}/{kind}"] <= TOLERANCES[dtype]


@pytest.mark.parametrize("kind", ["weights", "slots"])
def test_the_optimizer_of_the_file_goes_on_as_the_reference(found, kind):
    assert found[f"meant/{kind}"] <= 1e-13


def test_another_learning_rate_in_the_file_is_seen(found):
    assert found["planted/weights"] > 1e-4


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("read_numbers", "ParityError: the .keras file holds other numbers of 'lstm/bias' than the model"),
        ("read_layers", "ParityError: the .keras file has the layer "),
        ("executed_numbers", "InputError: the .keras file has other numbers than the model, in lstm/bias, dense/bias"),
        (
            "optimizer",
            "UnsupportedError: Keras on torch saves the optimizer Adam as a class of keras.src.backend.torch",
        ),
    ],
)
def test_a_file_of_another_model_is_refused(found, name, message):
    assert found[f"refused/{name}"].startswith(message)
