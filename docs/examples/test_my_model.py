"""A test suite of your own. Run it with `pytest test_my_model.py`."""

import numpy as np
import pytest

from multilstm import LSTM, Bidirectional, Dense, Masking, Sequential, parity

ENGINES = ["jax-scan", "reference"]  # yours: ["keras-tensorflow", "keras-jax", "keras-torch"]


@pytest.fixture(scope="module")
def report():
    """Compare the model on every engine once, over padded sequences."""
    layers = [Masking(0.0), Bidirectional(LSTM(4, return_sequences=True)), Dense(3, activation="softmax")]
    spec = Sequential(layers, input_shape=(None, 2))
    x = np.random.default_rng(0).normal(size=(3, 6, 2)).astype("float32")
    x[0, 4:], x[1, 2:] = 0, 0  # padding
    target = np.eye(3, dtype="float32")[np.zeros((3, 6), int)]
    return parity(spec, inputs=x, targets=target, loss="categorical_crossentropy", engines=ENGINES)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", ["output", "gradient", "parameter_count"])
def test_the_model_gives_the_same_answers(report, engine, kind):
    """Judge each kind of quantity on its own, so that a failure names the one that differs."""
    cells = [cell for cell in report.cells if (cell.engine, cell.kind) == (engine, kind)]
    assert cells
    assert {cell.verdict for cell in cells} <= {"equal", "bitwise", "rounded", "within"}
