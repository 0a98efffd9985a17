"""multilstm.keras_layers.activations on every backend, against the float64 reference."""

import numpy as np
import pytest

from multilstm.engines.reference.activations import FUNCTIONS
from multilstm.spec import LSTM, Sequential

NAMES = ("gelu", "leaky_relu", "selu", "hard_sigmoid", "softplus")
NEW = ("hard_sigmoid_keras2",)  # which Keras 3 has under no name
INEXACT = {("gelu", "tensorflow"), ("leaky_relu", "tensorflow"), ("softplus", "torch")}  # hard_sigmoid: its gradient


@pytest.mark.parametrize("name", [*NAMES, *NEW])
def test_exact_in_float64(ran, name):
    found = ran("portable_activations")
    np.testing.assert_allclose(found[name], FUNCTIONS[name].forward(found["x"]), rtol=1e-15, atol=4e-15, strict=True)


@pytest.mark.parametrize("name", [*NAMES, *NEW])
def test_the_derivative_is_exact_in_float64_and_from_the_left_at_a_kink(ran, name):
    found = ran("portable_activations")
    x, ones = found["x"], np.ones_like(found["x"])
    assert 0.0 in x
    desired = FUNCTIONS[name].pullback(x, FUNCTIONS[name].forward(x), ones)
    np.testing.assert_allclose(found[f"{name}_slopes"], desired, 0, 1e-14, strict=True)


def test_plain_selu_has_another_derivative_at_0_on_tensorflow(ran, backend):
    found = ran("portable_activations")
    (slope,) = found["selu_plain_slopes"][found["x"] == 0]
    fixed = "fixed upstream: remove the row and the workaround in our class"
    assert (slope < 1.1) == (backend == "tensorflow"), (slope, fixed)


def test_saved_and_loaded_in_an_lstm(ran, reference, arrays):
    found = ran("portable_activations")
    spec = Sequential([LSTM(4, "gelu", "hard_sigmoid")], input_shape=(4, 3))
    np.testing.assert_allclose(found["y"], reference(spec, arrays(found)).predict(found["sequences"]), 0, 1e-14)
    np.testing.assert_array_equal(found["again"], found["y"])


@pytest.mark.parametrize("name", NAMES)
def test_plain_is_inexact_on_some_backend(ran, backend, name):
    found = ran("portable_activations")
    error = np.abs(found[f"{name}_plain"] - FUNCTIONS[name].forward(found["x"])).max()
    fixed = "fixed upstream: remove the row and the workaround in our class"
    assert (error > 1e-12) == ((name, backend) in INEXACT), (error, fixed)
