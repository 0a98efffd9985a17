"""multilstm.keras_layers.initializers: the numbers of `multilstm.random`, with Keras's distributions, everywhere."""

import numpy as np
import pytest

from multilstm.random import Draws
from multilstm.weights import initializers as formulas

FANS = {"kernel": (30, 20), "wide": (5, 40), "window": (12, 18)}
SHAPES = {"kernel": (30, 20), "wide": (5, 40), "window": (3, 4, 6)}
NORMAL = {"RandomNormal": 0.05, "TruncatedNormal": 0.05}
VARIANCE = {
    **{name: lambda fan_in, fan_out: 2 / (fan_in + fan_out) for name in ("GlorotUniform", "GlorotNormal")},
    **{name: lambda fan_in, fan_out: 2 / fan_in for name in ("HeUniform", "HeNormal")},
    **{name: lambda fan_in, fan_out: 1 / fan_in for name in ("LecunUniform", "LecunNormal")},
}


def of_numpy(name, shape):
    draws = Draws(3, name)
    if name == "RandomUniform":
        return draws.uniform(-0.05, 0.05, shape)
    if name == "RandomNormal":
        return 0.05 * draws.standard_normal(shape)
    if name == "TruncatedNormal":
        return 0.05 * formulas.truncated_normal(draws, shape)
    snake = "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")
    return formulas.INITIALISERS[snake](draws, shape)


NAMES = ("Orthogonal", "RandomUniform", *NORMAL, *VARIANCE)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", NAMES)
def test_numbers_are_those_of_numpy(ran, name, shape):
    expected = of_numpy(name, SHAPES[shape]).astype("float32")
    np.testing.assert_array_equal(ran("initial_numbers")[f"{name}_{shape}"], expected, strict=True)


@pytest.mark.parametrize("name", NAMES)
def test_float64_is_not_rounded(ran, name):
    np.testing.assert_array_equal(ran("initial_float64")[name], of_numpy(name, (30, 20)), strict=True)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", VARIANCE)
def test_variance_follows_the_fans(name, shape):
    numbers = of_numpy(name, SHAPES[shape])
    expected = VARIANCE[name](*FANS[shape])
    assert abs(numbers.mean()) < 5 * (expected / numbers.size) ** 0.5
    assert abs(numbers.var() / expected - 1) < 5 * (2 / numbers.size) ** 0.5


@pytest.mark.parametrize("shape", SHAPES)
def test_orthogonal_rows_or_columns(shape):
    matrix = of_numpy("Orthogonal", SHAPES[shape]).reshape(-1, SHAPES[shape][-1])
    matrix = matrix if matrix.shape[0] >= matrix.shape[1] else matrix.T
    np.testing.assert_allclose(matrix.T @ matrix, np.eye(matrix.shape[1]), atol=1e-12)


def test_a_model_and_its_file_have_the_weights_of_the_seed(ran):
    found = ran("initial_model")
    kernel = found["kernel"]
    np.testing.assert_array_equal(
        kernel, formulas.glorot_uniform(Draws(1, "GlorotUniform"), kernel.shape).astype("float32"), strict=True
    )
    np.testing.assert_array_equal(found["again"], np.concatenate([kernel, found["recurrent_kernel"]]))


def test_a_file_with_these_initializers_is_read(ran, runs, backend):
    ran("initial_model")
    from multilstm import load

    (_, layer) = load(runs.folder / backend / "initial.keras").spec.layers
    assert (layer.kernel_initializer, layer.recurrent_initializer) == ("glorot_uniform", "orthogonal")


@pytest.mark.parametrize(
    ("name", "message"),
    [("seed", "GlorotUniform: seed must be an integer from 0 to"), ("shape", "two axes or more, given the shape (4,)")],
)
def test_refusals(ran, name, message):
    assert message in str(ran("initial_refused")[name])
