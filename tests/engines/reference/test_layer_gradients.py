"""The reference's layers around an LSTM: values by hand, and gradients against finite differences."""

import numpy as np
import pytest

from multilstm.cases.catalogue.layers import MODELS
from multilstm.engines.reference.layers import Given, apply
from multilstm.spec import (
    ELU,
    AdditiveAttention,
    Attention,
    AveragePooling1D,
    Conv1D,
    Dense,
    Dot,
    GlobalAveragePooling1D,
    GlobalMaxPooling1D,
    Layer,
    LeakyReLU,
    Maximum,
    MaxPooling1D,
    Minimum,
    Multiply,
    ReLU,
)


def one(array):
    """Return one sequence of one feature, `[1, timesteps, 1]`."""
    return np.array(array, float)[None, :, None]


def output(layer, *inputs, masks=None, **weights):
    given = Given([one(array) for array in inputs], masks or [None] * len(inputs), weights)
    return apply(layer, given).outputs[0].ravel().tolist()


@pytest.mark.parametrize(
    ("layer", "desired"),
    [
        (MaxPooling1D(2), [2, 4]),
        (MaxPooling1D(3, 1, "same"), [2, 3, 4, 5, 5]),
        (MaxPooling1D(2, 2, "same"), [2, 4, 5]),
        (AveragePooling1D(3, 2), [2, 4]),
        (AveragePooling1D(3, 1, "same"), [1.5, 2, 3, 4, 4.5]),
        (AveragePooling1D(4, 3, "same"), [2, 4]),
        (GlobalMaxPooling1D(), [5]),
        (ReLU(4.5, 0.5, 2.0), [-0.5, 0, 3, 4, 4.5]),
    ],
    ids=repr,
)
def test_values_of_1_to_5(layer, desired):
    assert output(layer, [1, 2, 3, 4, 5]) == desired


@pytest.mark.parametrize(
    ("options", "desired"),
    [
        ({}, [123, 234, 345]),  # kernel 100, 10, 1
        ({"padding": "same"}, [12, 123, 234, 345, 450]),
        ({"padding": "causal"}, [1, 12, 123, 234, 345]),
        ({"padding": "same", "strides": 2}, [12, 234, 450]),
        ({"padding": "causal", "strides": 2}, [1, 123, 345]),
        ({"padding": "causal", "dilation_rate": 2}, [1, 2, 13, 24, 135]),
    ],
    ids=str,
)
def test_values_of_a_convolution(options, desired):
    kernel = np.array([100.0, 10.0, 1.0])[:, None, None]
    assert output(Conv1D(1, 3, use_bias=False, **options), [1, 2, 3, 4, 5], kernel=kernel) == desired


def test_each_group_of_a_convolution_reads_its_own_features():
    kernel = np.array([[[1.0, 10.0]]])  # one element, one feature for each group, two filters
    x = np.array([[[2.0, 3.0]]])
    (found,) = apply(Conv1D(2, 1, groups=2, use_bias=False), Given([x], [None], {"kernel": kernel})).outputs
    assert found.tolist() == [[[2.0, 30.0]]]


KEEP = [np.array([[True, False, False]]), np.array([[True, True, False]])]


@pytest.mark.parametrize(
    ("layer", "desired"),
    [(Multiply(), [10, 5, 0]), (Maximum(), [5, 5, 3]), (Minimum(), [2, 5, 3])],
    ids=repr,
)
def test_a_merge_takes_the_input_that_is_not_masked(layer, desired):
    """The second timestep is masked in the first input, and the third in both, where the first stays."""
    assert output(layer, [2, 9, 3], [5, 5, 6], masks=KEEP) == desired


def test_a_mean_is_over_the_timesteps_that_count_and_0_over_none():
    assert output(GlobalAveragePooling1D(), [2, 4, 9], masks=[KEEP[1]]) == [3]
    assert output(GlobalAveragePooling1D(), [2, 4, 9], masks=[KEEP[1] & False]) == [0]


@pytest.mark.parametrize("layer", [Attention(), AdditiveAttention(use_scale=False)], ids=repr)
def test_an_attention_takes_no_masked_value_and_is_0_over_none(layer):
    """The scores of the two values are equal; the masked values hold NaN."""
    query, value = np.ones((2, 1, 1)), np.array([[[2.0], [2.0], [np.nan]], [[np.nan]] * 3])
    applied = apply(layer, Given([query, value], [None, np.array([[True, True, False], [False] * 3])]))
    assert applied.outputs[0].ravel().tolist() == [2, 0]
    back = applied.backward([np.ones((2, 1, 1))])
    assert [gradient[1].tolist() for gradient in back.inputs] == [[[0.0]], [[0.0]] * 3]
    assert back.inputs[1][0, 2] == 0


def test_values_of_a_concat_attention():
    """The scores are log 3 and 0, so that the shares are 3/4 and 1/4."""
    x, scale = np.zeros((1, 1, 1)), np.array(2.0)
    key = np.array([[[0.5], [0.0]]])
    weights = {"scale": scale, "concat_score_weight": np.log(3) / np.tanh(scale * 0.5)}
    given = Given([x, one([4.0, 8.0]), key], [None] * 3, weights)
    assert apply(Attention(True, "concat"), given).outputs[0].item() == pytest.approx(5, 1e-15)


def test_a_vector_of_zeros_has_a_finite_gradient_when_it_is_normalized():
    zeros = np.zeros((1, 2))
    applied = apply(Dot(1, normalize=True), Given([zeros, np.array([[3.0, 4.0]])], [None, None]))
    assert applied.outputs[0].tolist() == [[0.0]]
    first, other = applied.backward([np.ones((1, 1))]).inputs
    np.testing.assert_allclose(first, [[0.6e7, 0.8e7]], 1e-15)
    assert other.tolist() == [[0.0, 0.0]]


LAYERS_OF_CATALOGUE = {
    f"{name}-{number}-{type(layer).__name__}": (layer, [spec.tensor_shapes[ref][1:] for ref in call.inputs])
    for name, (make, _) in MODELS.items()
    for spec in [make()]
    for number, call in enumerate(spec.calls)
    for layer in [spec.layer(call.layer)]
    if call.inputs and not layer.recurrent and None not in spec.tensor_shapes[call.inputs[0]][1:]
}


@pytest.mark.parametrize(
    ("masked", "training"), [(False, True), (True, True), (True, False)], ids=["unmasked", "masked", "inference"]
)
@pytest.mark.parametrize("name", LAYERS_OF_CATALOGUE)
def test_gradient_of_a_layer_of_the_catalogue(name, masked, training):
    """Along a random direction in each input and weight, with random gradients of the output."""
    layer, shapes = LAYERS_OF_CATALOGUE[name]
    rng = np.random.default_rng(1)
    tables = layer.table_sizes
    is_table = bool(tables)  # of tokens, which have no gradient
    inputs = [rng.integers(min(tables), size=(2, *s)) if is_table else rng.normal(size=(2, *s)) for s in shapes]
    masks = [
        rng.random(x.shape[:2]) < 0.6 if masked and number != 2 and x.ndim == 3 else None
        for number, x in enumerate(inputs)
    ]
    weights = {key: rng.uniform(0.5, 1.5, shape) for key, shape in layer.weight_shapes(inputs[0].shape).items()}
    drops = layer.dropout_masks(str(layer.name), inputs[0].shape)
    dropout = {drop.name: rng.choice([0.0, 2.0], drop.shape) for drop in drops}

    def applied(inputs, weights):
        return apply(layer, Given(inputs, masks, weights, dropout=dropout, training=training))

    (found,) = applied(inputs, weights).outputs
    cotangent = rng.normal(size=found.shape)
    back = applied(inputs, weights).backward([cotangent])
    assert all((gradient is None) == is_table for gradient in back.inputs)
    for number, gradient in enumerate([] if is_table else back.inputs):
        assert_along(
            lambda x, number=number: applied([*inputs[:number], x, *inputs[number + 1 :]], weights),
            *(inputs[number], gradient, cotangent),
        )
    assert set(back.weights) == set(weights) - set(layer.statistics)
    for key, gradient in back.weights.items():
        assert_along(lambda w, key=key: applied(inputs, {**weights, key: w}), weights[key], gradient, cotangent)


def assert_along(applied, array, gradient, cotangent, h=1e-4):
    """Compare a gradient with fourth-order central differences along a random direction."""
    assert gradient.shape == array.shape
    direction = np.random.default_rng(2).normal(size=array.shape)
    low, lower, higher, high = (
        (applied(array + n * h * direction).outputs[0] * cotangent).sum() for n in (-2, -1, 1, 2)
    )
    assert (gradient * direction).sum() == pytest.approx((8 * (higher - lower) - (high - low)) / (12 * h), 1e-8, 1e-9)


@pytest.mark.parametrize(
    ("layer", "weights"),
    [
        (Conv1D(2, 1, activation="tanh"), {"kernel": np.ones((1, 1, 2)), "bias": np.zeros(2)}),
        (Dense(2, "tanh"), {"kernel": np.ones((1, 2)), "bias": np.zeros(2)}),
        (ReLU(), {}),
        (LeakyReLU(), {}),
        (ELU(), {}),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Layer) else "",
)
def test_a_timestep_without_a_gradient_may_hold_nan(layer, weights):
    x = one([1.0, np.nan, 2.0])
    applied = apply(layer, Given([x], [None], weights))
    back = applied.backward([np.where(np.isnan(applied.outputs[0]), 0.0, 1.0)])
    for gradient in (*back.inputs, *back.weights.values()):
        assert np.isfinite(gradient).all()
