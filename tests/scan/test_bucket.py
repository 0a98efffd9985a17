"""A model with padded arrays: the same results as without padding, and one compilation for many lengths."""

import pickle
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from multilstm.errors import InputError
from multilstm.scan import BucketedModel, ScanModel, model
from multilstm.scan.bucket import bucket
from multilstm.spec import (
    LSTM,
    Activation,
    BatchNormalization,
    Bidirectional,
    Conv1D,
    Dense,
    Dropout,
    Flatten,
    GlobalAveragePooling1D,
    Masking,
    RepeatVector,
    Reshape,
    Sequential,
    TimeDistributed,
)
from multilstm.spec.optimizers import Adam
from multilstm.weights.initializers import discriminating_weights

FEATURES = 5
SPECS = {
    "seed5": [LSTM(8, return_sequences=True), LSTM(4, return_sequences=True), TimeDistributed(Dense(2))],
    "last_output": [LSTM(8, return_sequences=True), Dropout(0.3), LSTM(4, go_backwards=True), Dense(2)],
    "both_ways": [Bidirectional(LSTM(8, return_sequences=True)), Bidirectional(LSTM(4)), Dense(2)],
    "backwards_sequence": [LSTM(8, return_sequences=True, go_backwards=True), LSTM(4), Dense(2)],
    "masked": [
        Masking(-1.0),
        LSTM(8, return_sequences=True, go_backwards=True),
        LSTM(4, return_sequences=True, zero_output_for_mask=True),
        Dense(2),
    ],
    "masked_both_ways": [
        Masking(-1.0),
        Bidirectional(LSTM(8, return_sequences=True)),
        Bidirectional(LSTM(4)),
        Dense(2),
    ],
    "masked_last_output": [Masking(-1.0), LSTM(4, zero_output_for_mask=True), Dense(2)],
    "masked_last_output_backwards": [Masking(-1.0), LSTM(4, zero_output_for_mask=True, go_backwards=True), Dense(2)],
    "four_axes": [LSTM(4, return_sequences=True), TimeDistributed(Reshape((2, 2)))],
    "decoder": [LSTM(8), RepeatVector(7), LSTM(3, return_sequences=True, go_backwards=True), Dense(2)],
}


def make(name, timesteps, batch=6):
    spec = Sequential(SPECS[name], input_shape=(None, FEATURES))
    rng = np.random.default_rng(timesteps)
    x = rng.normal(size=(batch, timesteps, FEATURES))
    x[rng.random((batch, timesteps)) < 0.3] = -1.0  # the value that Masking masks, in holes and at both ends
    x[:2, -3:], x[2:4, :2] = -1.0, -1.0
    weights = {key: jnp.asarray(array, "float64") for key, array in discriminating_weights(spec, 0).items()}
    inputs = {"input_layer": x}
    shape = model(spec).apply(weights, inputs).outputs[0].shape
    dropout = {"dropout": rng.integers(0, 2, (batch, timesteps, 8)) / 0.7} if name == "last_output" else {}
    return spec, weights, inputs, [rng.normal(size=shape)], dropout


def distance(actual, desired):
    assert jax.tree.structure(actual) == jax.tree.structure(desired)
    pairs = [
        (np.asarray(a, float), np.asarray(d, float))
        for a, d in zip(*map(jax.tree.leaves, (actual, desired)), strict=True)
    ]
    assert all(a.shape == d.shape for a, d in pairs)
    return max(float(np.abs(a - d).max()) for a, d in pairs)


@pytest.mark.parametrize(
    ("name", "timesteps"),
    [*((name, 11) for name in SPECS), ("seed5", 16)],
    ids=[*(f"{name}-padded" for name in SPECS), "seed5-full"],
)
def test_gradient_equals_that_without_padding(name, timesteps):
    spec, weights, inputs, targets, dropout = make(name, timesteps)
    options = {"dropout": dropout, "loss": "mean_squared_error"}
    actual = BucketedModel(model(spec)).gradient(weights, inputs, targets, **options)
    desired = model(spec).gradient(weights, inputs, targets, **options)
    assert distance(actual, desired) <= 1e-13
    for one, other in zip(jax.tree.leaves(actual[1].outputs), jax.tree.leaves(desired[1].outputs), strict=True):
        np.testing.assert_array_equal(np.float32(one), np.float32(other))


@pytest.mark.parametrize("name", ["seed5", "masked"])
def test_apply_equals_that_without_padding(name):
    spec, weights, inputs, _, _ = make(name, 11)
    masks = {"input_layer": np.arange(11) < np.array([[11], [4], [7], [1], [9], [10]])}
    assert (
        distance(BucketedModel(model(spec)).apply(weights, inputs, masks), model(spec).apply(weights, inputs, masks))
        <= 1e-13
    )


def test_a_model_is_pickled_after_its_first_call():
    spec, weights, inputs, _, _ = make("masked", 11)
    bucketed = BucketedModel(model(spec))
    desired = bucketed.apply(weights, inputs)
    again = pickle.loads(pickle.dumps(bucketed))
    assert again == bucketed
    assert distance(again.apply(weights, inputs), desired) == 0.0


def test_lengths_from_10_to_99_are_four_compilations():
    spec, weights, *_ = make("seed5", 10)
    traced, adam = [], Adam()

    class Traced(ScanModel):
        def train_step_batch(self, *arrays, **options):
            traced.append(arrays)
            return super().train_step_batch(*arrays, **options)

    bucketed = BucketedModel(Traced(spec))
    slots = {f"{name}/{slot}": np.zeros(array.shape) for name, array in weights.items() for slot in adam.slots}
    for timesteps in (10, 16, 17, 33, 40, 65, 99, 70, 12):
        _, _, inputs, targets, _ = make("seed5", timesteps, batch=2)
        coefficients = adam.coefficients(0)
        weights, slots, loss, evaluation = bucketed.train_step(
            weights, slots, coefficients, inputs, targets, optimizer=adam, loss="mean_squared_error"
        )
        assert evaluation.outputs[0].shape == (2, timesteps, 2)
        assert evaluation.sequences["lstm"].shape == (2, timesteps, 8)
        assert np.isfinite(loss)
    assert len(traced) == 4
    assert {bucket(timesteps) for timesteps in range(10, 100)} == {16, 32, 64, 128}


def test_a_fixed_number_of_timesteps_gets_no_padding():
    spec = Sequential([LSTM(3), Dense(2)], input_shape=(11, FEATURES))
    _, _, inputs, _, _ = make("last_output", 11)
    weights = discriminating_weights(spec, 0)
    assert distance(BucketedModel(model(spec)).apply(weights, inputs), model(spec).apply(weights, inputs)) <= 1e-13


def test_no_timesteps_are_no_timesteps():
    spec, weights, *_ = make("seed5", 11)
    outputs = BucketedModel(model(spec)).apply(weights, {"input_layer": np.zeros((2, 0, FEATURES))}).outputs
    assert outputs[0].shape == (2, 0, 2)


def test_different_numbers_of_timesteps_are_refused():
    spec, weights, inputs, targets, _ = make("seed5", 11)
    with pytest.raises(InputError, match=r"input_layer 11, target 0 10"):
        BucketedModel(model(spec)).gradient(weights, inputs, [targets[0][:, :10]], loss="mean_squared_error")


@pytest.mark.parametrize(
    ("below", "shape"),
    [
        ([Conv1D(2, 2)], (None, FEATURES)),
        ([GlobalAveragePooling1D()], (None, FEATURES)),
        ([BatchNormalization()], (None, FEATURES)),
        ([TimeDistributed(BatchNormalization())], (None, FEATURES)),  # its statistics would count padding
        ([Flatten()], (None,)),
        ([Activation("softmax")], (None,)),
        ([RepeatVector(2)], (None,)),
        ([Reshape((-1, 2)), LSTM(2)], (None,)),
    ],
    ids=lambda value: (
        "-".join(type(layer).__name__ for layer in value) if isinstance(value, list) else f"{len(value)}D"
    ),
)
def test_padding_that_would_change_results_is_refused(below, shape):
    spec = Sequential(below, input_shape=shape)
    weights, inputs = discriminating_weights(spec, 0), {"input_layer": np.ones((2, 16, FEATURES)[: len(shape) + 1])}
    with pytest.raises(InputError, match="reads several timesteps"):
        BucketedModel(model(spec)).apply(weights, inputs)
    with pytest.raises(InputError, match="reads several timesteps"):
        model(spec).apply(weights, inputs, timesteps=10)


def test_an_option_of_xla_is_given_on_a_cpu_alone_and_where_it_is_known(monkeypatch):
    module = sys.modules["multilstm.scan.bucket"]
    chosen = module.quick_to_compile.__wrapped__

    def unknown(*_, **options):
        raise jax.errors.JaxRuntimeError(f"INVALID_ARGUMENT: No such compile option: {options}")

    monkeypatch.setattr(module, "platform", lambda: "gpu")
    assert chosen() is None
    monkeypatch.setattr(module, "platform", lambda: "cpu")
    assert chosen() in (None, {"xla_cpu_use_fusion_emitters": False})
    monkeypatch.setattr(jax, "jit", unknown)
    assert chosen() is None
