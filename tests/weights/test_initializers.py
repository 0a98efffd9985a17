import math
import time

import numpy as np
import pytest

from multilstm.errors import InputError
from multilstm.spec import (
    LSTM,
    Bidirectional,
    Dense,
    Embedding,
    Input,
    Model,
    Sequential,
    TimeDistributed,
)
from multilstm.spec.layers import ACTIVATIONS, INITIALIZERS
from multilstm.weights.initializers import (
    BLOCK,
    INITIALISERS,
    discriminating_weights,
    initial_weights,
    orthogonal,
    truncated_normal,
)
from multilstm.weights.layout import check_weights, gates
from multilstm.weights.time_limit import time_limit

STACK = Sequential([LSTM(4, return_sequences=True), LSTM(3), Dense(2)], input_shape=(None, 5))
EVERY = Sequential(
    [
        Embedding(9, 5),
        Bidirectional(LSTM(4, return_sequences=True)),
        LSTM(3, return_sequences=True, use_bias=False),
        TimeDistributed(Dense(2)),
    ],
    input_shape=(None,),
    input_dtype="int32",
)


def rng(seed=0):
    return np.random.default_rng(seed)


# Initialisers ----------------------------------------------------------------------------------------------------

# fan_in 300, fan_out 500: the numbers of Keras's documentation.
SHAPE = (300, 500)
UNIFORM = {
    "uniform": 0.05,
    "random_uniform": 0.05,
    "glorot_uniform": math.sqrt(6 / 800),
    "he_uniform": math.sqrt(6 / 300),
    "lecun_uniform": math.sqrt(3 / 300),
}
NORMAL = {"glorot_normal": math.sqrt(2 / 800), "he_normal": math.sqrt(2 / 300), "lecun_normal": math.sqrt(1 / 300)}


def test_every_initialiser_of_the_spec_exists():
    assert set(INITIALISERS) == set(INITIALIZERS)


@pytest.mark.parametrize("name", INITIALISERS)
@pytest.mark.parametrize("shape", [(3, 5), (5, 3), (4, 4), (1, 1), (1, 7)], ids=str)
def test_initialisers_return_float64_of_the_shape_and_depend_on_the_seed_alone(name, shape):
    values = INITIALISERS[name](rng(), shape)
    assert values.shape == shape
    assert values.dtype == np.float64
    np.testing.assert_array_equal(values, INITIALISERS[name](rng(), shape))


@pytest.mark.parametrize(("name", "limit"), UNIFORM.items(), ids=UNIFORM)
def test_uniform_initialisers_fill_their_interval_evenly(name, limit):
    values = INITIALISERS[name](rng(), SHAPE)
    assert np.abs(values).max() <= limit
    counts, _ = np.histogram(values, bins=10, range=(-limit, limit))
    np.testing.assert_allclose(counts, values.size / 10, rtol=0.05)


@pytest.mark.parametrize(("name", "stddev"), NORMAL.items(), ids=NORMAL)
def test_truncated_normal_initialisers_have_keras_standard_deviation_and_bound(name, stddev):
    values = INITIALISERS[name](rng(), SHAPE)
    np.testing.assert_allclose(values.std(), stddev, rtol=0.01)
    np.testing.assert_allclose(values.mean(), 0, atol=0.02 * stddev)
    bound = 2 * stddev / 0.87962566103423978
    assert 0.95 * bound < np.abs(values).max() <= bound


def test_truncated_normal_has_no_number_beyond_two_and_the_known_standard_deviation():
    values = truncated_normal(rng(), (400, 400))
    assert np.abs(values).max() <= 2
    np.testing.assert_allclose(values.std(), 0.87962566103423978, rtol=0.01)


def test_random_normal():
    values = INITIALISERS["random_normal"](rng(), SHAPE)
    np.testing.assert_allclose(values.std(), 0.05, rtol=0.01)
    assert np.abs(values).max() > 3.5 * 0.05


@pytest.mark.parametrize(("name", "value"), [("zeros", 0), ("ones", 1)])
def test_constant_initialisers(name, value):
    np.testing.assert_array_equal(INITIALISERS[name](rng(), (2, 3)), np.full((2, 3), value))


@pytest.mark.parametrize("shape", [(8, 32), (32, 8), (8, 8), (1, 4)], ids=str)
def test_orthogonal_has_orthonormal_rows_or_columns(shape):
    values = orthogonal(rng(), shape)
    product = values @ values.T if shape[0] <= shape[1] else values.T @ values
    np.testing.assert_allclose(product, np.eye(min(shape)), atol=1e-13)


@pytest.mark.parametrize("columns", [1, BLOCK, BLOCK + 1, 2 * BLOCK + 30])
def test_orthogonal_is_q_of_one_decomposition_whose_r_has_a_positive_diagonal(columns):
    values = orthogonal(rng(), (columns + 100, columns))
    q, r = np.linalg.qr(rng().standard_normal((columns + 100, columns)))
    np.testing.assert_allclose(values, q * np.sign(np.diag(r)), rtol=0, atol=0 if columns <= BLOCK else 1e-13)
    np.testing.assert_allclose(values.T @ values, np.eye(columns), rtol=0, atol=1e-13)


def test_a_time_limit_ends_the_drawing_of_a_large_weight():
    spec = Sequential([LSTM(4000)], input_shape=(None, 1))
    start = time.perf_counter()
    with (
        pytest.raises(InputError, match=r"weights takes longer than 0.5 s; allow more with --timeout"),
        time_limit(0.5),
    ):
        discriminating_weights(spec)
    assert time.perf_counter() - start < 15
    assert discriminating_weights(STACK).keys() == STACK.weight_shapes.keys()  # no limit is left behind


def test_orthogonal_is_uniform_over_signs():
    signs = [np.sign(orthogonal(rng(seed), (3, 3)))[0, 0] for seed in range(200)]
    assert 70 < signs.count(1.0) < 130


def test_a_bias_has_its_own_length_as_both_fans():
    values = INITIALISERS["glorot_uniform"](rng(), (10_000,))
    np.testing.assert_allclose(np.abs(values).max(), math.sqrt(3 / 10_000), rtol=0.01)


# Weights of a model ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [initial_weights, discriminating_weights])
@pytest.mark.parametrize("graph", [STACK, EVERY], ids=["stack", "every-layer"])
def test_weights_are_those_of_the_model(make, graph):
    weights = make(graph, seed=3)
    check_weights(graph, weights)
    assert list(weights) == list(graph.weight_shapes)
    assert {array.dtype for array in weights.values()} == {np.dtype("float32")}


@pytest.mark.parametrize("make", [initial_weights, discriminating_weights])
def test_float32_and_float64_start_from_the_same_numbers(make):
    for values in make(EVERY).values():
        np.testing.assert_array_equal(values.astype("float64").astype("float32"), values)


def test_initial_biases_are_keras_own():
    weights = initial_weights(STACK)
    np.testing.assert_array_equal(weights["lstm/bias"], [0] * 4 + [1] * 4 + [0] * 8)
    np.testing.assert_array_equal(weights["dense/bias"], [0, 0])


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"unit_forget_bias": False}, [0, 0, 0, 0]),
        ({"bias_initializer": "ones"}, [1, 1, 1, 1]),
        ({"unit_forget_bias": True}, [0, 1, 0, 0]),
    ],
    ids=str,
)
def test_the_initial_bias_of_every_gate(arguments, expected):
    weights = initial_weights(Sequential([LSTM(1, **arguments)], input_shape=(None, 2)))
    np.testing.assert_array_equal(weights["lstm/bias"], expected)


def test_the_forget_bias_is_one_beside_random_ones():
    layer = LSTM(50, bias_initializer="glorot_uniform")
    bias = gates(initial_weights(Sequential([layer], input_shape=(None, 2)))["lstm/bias"])
    np.testing.assert_array_equal(bias.forget, 1)
    # As Keras draws them: the input gate's alone, with a fan of 50, the other two together, with a fan of 100.
    assert math.sqrt(3 / 100) < np.abs(bias.input).max() <= math.sqrt(3 / 50)
    assert np.abs([bias.cell, bias.output]).max() <= math.sqrt(3 / 100)


def test_initialisers_are_those_of_the_layer():
    layers = [
        LSTM(4, kernel_initializer="ones", recurrent_initializer="zeros", return_sequences=True, name="a"),
        Bidirectional(LSTM(4, kernel_initializer="zeros", return_sequences=True), name="b"),
        TimeDistributed(Dense(2, kernel_initializer="ones", bias_initializer="ones"), name="t"),
    ]
    weights = initial_weights(Sequential(layers, input_shape=(None, 5)))
    for name, value in {"a/kernel": 1, "a/recurrent_kernel": 0, "b/forward/kernel": 0, "b/backward/kernel": 0,
                        "t/kernel": 1, "t/bias": 1}.items():  # fmt: skip
        assert set(weights[name].ravel()) == {value}, name
    kernel = weights["b/forward/recurrent_kernel"]
    np.testing.assert_allclose(kernel @ kernel.T, np.eye(4), atol=1e-6)


def test_directions_differ():
    weights = initial_weights(EVERY)
    forward, backward = weights["bidirectional/forward/kernel"], weights["bidirectional/backward/kernel"]
    assert not np.intersect1d(forward, backward).size


@pytest.mark.parametrize("make", [initial_weights, discriminating_weights])
def test_another_layer_changes_no_other_weight(make):
    x = Input((None, 5), name="x")
    one = make(Model(x, LSTM(4, name="a")(x)), seed=7)
    both = make(Model(x, [Dense(3, name="first")(x), LSTM(4, name="a")(x)]), seed=7)
    for name, values in one.items():
        np.testing.assert_array_equal(both[name], values)


@pytest.mark.parametrize("make", [initial_weights, discriminating_weights])
def test_the_seed_decides_all(make):
    first, again, other = make(STACK, 1), make(STACK, 1), make(STACK, 2)
    for name, values in first.items():
        np.testing.assert_array_equal(values, again[name])
    assert not np.intersect1d(first["lstm/kernel"], other["lstm/kernel"]).size


@pytest.mark.parametrize("seed", [-1, 0.5, True, None, "1"], ids=repr)
@pytest.mark.parametrize("make", [initial_weights, discriminating_weights])
def test_refuses_a_seed(make, seed):
    with pytest.raises(InputError, match=r"seed: given .*; expected an integer, 0 or above"):
        make(STACK, seed)


def test_refuses_a_model_that_fits_no_memory():
    graph = Sequential([LSTM(2**31 - 1)], input_shape=(None, 5), name="huge")
    with pytest.raises(InputError, match=r"model 'huge' has 18,446,744\S+ parameters; expected at most 2,147,483,648"):
        initial_weights(graph)


def test_discriminating_weights_leave_random_weights_alone():
    plain, noisy = initial_weights(STACK), discriminating_weights(STACK)
    np.testing.assert_array_equal(noisy["lstm/kernel"], plain["lstm/kernel"])
    difference = noisy["lstm/bias"] - plain["lstm/bias"]
    assert 0.15 < np.abs(difference).max() <= 0.25


@pytest.mark.parametrize("initializer", ["zeros", "ones"])
def test_no_discriminating_weight_is_constant(initializer):
    layers = [
        Embedding(9, 5, initializer),
        LSTM(4, "tanh", "sigmoid", True, initializer, initializer, initializer, return_sequences=True),
        Dense(2, None, True, initializer, initializer),
    ]
    graph = Sequential(layers, input_shape=(None,), input_dtype="int32")
    for name, values in discriminating_weights(graph).items():
        assert len(np.unique(values)) == values.size, name


@pytest.mark.parametrize("first", range(4))
@pytest.mark.parametrize("second", range(4))
def test_under_discriminating_weights_two_gates_exchanged_show(first, second):
    for name in ("lstm/kernel", "lstm/recurrent_kernel", "lstm/bias"):
        parts = gates(discriminating_weights(STACK)[name])
        assert np.array_equal(parts[first], parts[second]) == (first == second)


def test_activations_of_the_spec_are_not_initialisers():
    assert not set(ACTIVATIONS) & set(INITIALISERS)


# Gates -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(5, 12), (3, 12), (12,), (2, 7, 12)], ids=str)
@pytest.mark.parametrize("units", [None, 3])
def test_gates_are_views_in_the_order_i_f_c_o(shape, units):
    array = np.arange(math.prod(shape), dtype="float32").reshape(shape)
    parts = gates(array, units)
    assert parts._fields == ("input", "forget", "cell", "output")
    for number, part in enumerate(parts):
        assert part.shape == (*shape[:-1], 3)
        assert np.shares_memory(part, array)
        np.testing.assert_array_equal(part, array[..., 3 * number : 3 * number + 3])
    parts.forget[...] = -1
    np.testing.assert_array_equal(array[..., 3:6], -1)


@pytest.mark.parametrize(
    ("shape", "units", "expected"),
    [((5, 10), None, "4 . units"), ((12,), 4, "4 . 4 = 16"), ((), None, "4 . units"), ((3, 0), None, "4 . units")],
    ids=str,
)
def test_gates_refuses(shape, units, expected):
    with pytest.raises(InputError, match=rf"gates: given an array of shape .*; expected a last axis of {expected}"):
        gates(np.zeros(shape), units)


@pytest.mark.parametrize(
    "spec",
    [
        Sequential([LSTM(20_000)], input_shape=(None, 3)),
        Sequential([Embedding(2**31 - 1, 1)], input_shape=(None,), input_dtype="int32"),
    ],
    ids=["lstm", "embedding"],
)
@pytest.mark.parametrize("draw", [initial_weights, discriminating_weights], ids=lambda draw: draw.__name__)
def test_refuses_weights_beyond_the_memory(monkeypatch, spec, draw):
    monkeypatch.setattr("multilstm.weights.initializers.memory", lambda: 2**34)
    with pytest.raises(InputError, match=r"drawing them needs about \d+ GiB, this machine has 16 GiB; give it fewer"):
        draw(spec)


@pytest.mark.parametrize("array", [[1, 2, 3, 4], None, 4], ids=["list", "none", "number"])
def test_gates_are_of_an_array(array):
    with pytest.raises(InputError, match=r"gates: given (list|NoneType|int), expected an array"):
        gates(array)


def test_the_window_of_a_convolution_counts_in_both_fans():
    kernel = INITIALISERS["glorot_uniform"](np.random.default_rng(0), (5, 40, 60))
    limit = np.sqrt(6 / (5 * 40 + 5 * 60))
    assert 0.99 * limit < np.abs(kernel).max() <= limit


def test_the_rows_of_an_orthogonal_convolution_are_all_axes_but_the_last():
    kernel = INITIALISERS["orthogonal"](np.random.default_rng(0), (2, 3, 4)).reshape(6, 4)
    np.testing.assert_allclose(kernel.T @ kernel, np.eye(4), atol=1e-12)
