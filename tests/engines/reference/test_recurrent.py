"""GRU, SimpleRNN and ConvLSTM2D of the reference: values by hand, and gradients against finite differences."""

import numpy as np
import pytest

from multilstm.cases.catalogue.recurrent import MODELS
from multilstm.engines.reference.layers import Given, apply
from multilstm.spec import GRU, LSTM, Conv2D, ConvLSTM2D, SimpleRNN
from multilstm.spec.arrays import HiddenState, State, as_state

pytestmark = pytest.mark.unit

LAYERS = {
    f"{name}-{call.layer}": (layer, spec.layer_inputs[call.layer][2:])
    for name, (make, _) in MODELS.items()
    for spec in [make()]
    for call in spec.calls
    if (layer := spec.layer(call.layer)).recurrent
}


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def weights_of(layer, *sizes):
    return {key: 0.7 * numbers(*shape) for key, shape in layer.weight_shapes((None, None, *sizes)).items()}


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize("reset_after", [True, False], ids=["after", "before"])
def test_one_timestep_of_a_gru(reset_after):
    layer = GRU(2, reset_after=reset_after)
    weights, x, start = weights_of(layer, 3), numbers(1, 1, 3), numbers(1, 2, seed=1)
    kernels = np.split(weights["kernel"], 3, 1)  # z, r, h
    recurrent = np.split(weights["recurrent_kernel"], 3, 1)
    bias = np.split(weights["bias"], 3, -1)
    first, second = ([part[k] for part in bias] for k in (0, 1)) if reset_after else (bias, [0.0] * 3)
    given = [x[:, 0] @ kernel + each for kernel, each in zip(kernels, first, strict=True)]
    z, r = (sigmoid(given[k] + start @ recurrent[k] + second[k]) for k in (0, 1))
    product = r * (start @ recurrent[2] + second[2]) if reset_after else (r * start) @ recurrent[2]
    desired = z * start + (1 - z) * np.tanh(given[2] + product)
    actual = apply(layer, Given([x], [None], weights, (HiddenState(start),))).outputs[0]
    np.testing.assert_allclose(actual, desired, rtol=1e-14)


def test_two_timesteps_of_a_simple_rnn():
    layer = SimpleRNN(2, return_sequences=True)
    weights, x, start = weights_of(layer, 3), numbers(1, 2, 3), numbers(1, 2, seed=1)
    first = np.tanh(x[:, 0] @ weights["kernel"] + start @ weights["recurrent_kernel"] + weights["bias"])
    second = np.tanh(x[:, 1] @ weights["kernel"] + first @ weights["recurrent_kernel"] + weights["bias"])
    actual = apply(layer, Given([x], [None], weights, (HiddenState(start),))).outputs[0]
    np.testing.assert_allclose(actual, np.stack([first, second], 1), rtol=1e-14)


@pytest.mark.parametrize(
    "options",
    [{}, {"padding": "same", "strides": (2, 1)}, {"dilation_rate": (1, 2), "padding": "same"}],
    ids=["plain", "strides", "dilation"],
)
def test_one_timestep_of_a_conv_lstm_is_that_of_two_convolutions(options):
    layer, sizes = ConvLSTM2D(2, (3, 2), **options), (4, 5, 3)
    weights, x = weights_of(layer, *sizes), numbers(1, 1, *sizes)
    state_shape = layer.state_shapes(x.shape)[0]
    hidden, cell = numbers(*state_shape, seed=1), numbers(*state_shape, seed=2)
    of_inputs = Given([x[:, 0]], [None], {key: weights[key] for key in ("kernel", "bias")})
    of_hidden = Given([hidden], [None], {"kernel": weights["recurrent_kernel"]})
    z = apply(Conv2D(8, (3, 2), **options), of_inputs).outputs[0]
    z = z + apply(Conv2D(8, (3, 2), padding="same", use_bias=False), of_hidden).outputs[0]
    i, f, g, o = np.split(z, 4, axis=-1)
    desired = sigmoid(o) * np.tanh(sigmoid(f) * cell + sigmoid(i) * np.tanh(g))
    actual = apply(layer, Given([x], [None], weights, (State(hidden, cell),))).outputs[0]
    np.testing.assert_allclose(actual, desired, rtol=1e-13)


def test_a_conv_lstm_of_one_pixel_is_an_lstm():
    layer, lstm = ConvLSTM2D(3, 1, return_sequences=True), LSTM(3, return_sequences=True)
    weights, x = weights_of(layer, 1, 1, 2), numbers(2, 4, 1, 1, 2)
    flat = {key: array.reshape(array.shape[-2:] if array.ndim > 1 else -1) for key, array in weights.items()}
    mask = np.array([[False, True, False, True], [True] * 4])
    actual = apply(layer, Given([x], [mask], weights, (None,))).outputs[0]
    desired = apply(lstm, Given([x[:, :, 0, 0]], [mask], flat, (None,))).outputs[0]
    np.testing.assert_allclose(actual[:, :, 0, 0], desired, rtol=1e-14)


@pytest.mark.parametrize("zero_output", [True, False], ids=["zero", "repeat"])
@pytest.mark.parametrize("kind", [GRU, SimpleRNN], ids=lambda kind: kind.__name__)
def test_a_masked_timestep_keeps_the_state_and_no_value_of_it_is_read(kind, zero_output):
    layer = kind(2, return_sequences=True, return_state=True, zero_output_for_mask=zero_output)
    weights, x, start = weights_of(layer, 3), numbers(1, 4, 3), (HiddenState(numbers(1, 2, seed=1)),)
    mask = np.array([[False, True, False, True]])
    x[~mask] = np.nan
    sequence, state = apply(layer, Given([x], [mask], weights, start)).outputs
    kept, _ = apply(layer, Given([x[mask][None]], [None], weights, start)).outputs
    repeated = np.zeros(2) if zero_output else kept[0, 0]
    np.testing.assert_array_equal(sequence[0], [np.zeros(2), kept[0, 0], repeated, kept[0, 1]])
    np.testing.assert_array_equal(state, kept[:, 1])


@pytest.mark.parametrize("started", [False, True], ids=["zeros", "started"])
@pytest.mark.parametrize("masked", [False, True], ids=["unmasked", "masked"])
@pytest.mark.parametrize("name", LAYERS)
def test_gradient(name, masked, started):
    """Inputs, weights and initial states move along a random direction; all outputs have random gradients."""
    layer, sizes = LAYERS[name]
    rng = np.random.default_rng(3)
    x, weights = numbers(2, 5, *sizes, seed=4), weights_of(layer, *sizes)
    mask = rng.random((2, 5)) < 0.6 if masked else None
    drops = {mask.name.partition("/")[2]: mask for mask in layer.dropout_masks("layer", x.shape)}
    dropout = {key: rng.choice([0.0, 2.0], drop.shape) for key, drop in drops.items()}
    parts = layer.recurrent.values()
    starts = [numbers(*shape, seed=5 + k) for k, part in enumerate(parts) for shape in part.state_shapes(x.shape)]

    def applied(arrays):
        count = len(starts) // len(parts)
        states = [as_state(*arrays["starts"][count * k : count * (k + 1)]) for k in range(len(parts))]
        given_states = tuple(states) if started else (None,) * len(parts)
        return apply(layer, Given([arrays["x"]], [mask], arrays["weights"], given_states, dropout))

    arrays = {"x": x, "weights": weights, "starts": starts}
    run = applied(arrays)
    cotangents = [rng.normal(size=output.shape) for output in run.outputs]
    back = run.backward(cotangents)

    def along(array, gradient, put, h=1e-5):
        assert gradient.shape == array.shape
        direction = rng.normal(size=array.shape)
        values = []
        for n in (-2, -1, 1, 2):
            outputs = applied({**arrays, **put(array + n * h * direction)}).outputs
            values.append(sum((output * d).sum() for output, d in zip(outputs, cotangents, strict=True)))
        desired = (8 * (values[2] - values[1]) - (values[3] - values[0])) / (12 * h)
        assert (gradient * direction).sum() == pytest.approx(desired, 1e-7, 1e-8)

    along(x, back.inputs[0], lambda array: {"x": array})
    assert list(back.weights) == list(weights)
    for key in weights:
        along(weights[key], back.weights[key], lambda array, key=key: {"weights": {**weights, key: array}})
    for k, start in enumerate(starts if started else ()):
        along(start, back.states[k], lambda array, k=k: {"starts": [*starts[:k], array, *starts[k + 1 :]]})
