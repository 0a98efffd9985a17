"""Dropout of multilstm.keras_layers: the masks of `multilstm.random`, one training on every backend, saved steps."""

import numpy as np
import pytest
from portable_lstm import BATCH, CLASSES, FEATURES, TIMESTEPS, UNITS

from multilstm import GRU, LSTM, Bidirectional, Dense, Dropout, Sequential, SimpleRNN, SpatialDropout1D, TimeDistributed
from multilstm.random import dropout_mask

TOLERANCE = 1e-12
SHAPE = (BATCH, TIMESTEPS, FEATURES)
LARGEST = 2**31 - 1
SPEC = Sequential(
    [
        Dropout(0.2, seed=1),
        Bidirectional(LSTM(UNITS, dropout=0.3, recurrent_dropout=0.2, seed=5, return_sequences=True)),
        LSTM(UNITS, dropout=0.5, seed=4, return_sequences=True),
        SpatialDropout1D(0.3, seed=2),
        TimeDistributed(Dropout(0.1, seed=3)),
        GRU(UNITS, dropout=0.2, implementation=1, seed=6, return_sequences=True),
        SimpleRNN(UNITS, recurrent_dropout=0.2, seed=7),
        Dense(CLASSES),
    ],
    input_shape=(TIMESTEPS, FEATURES),
)
SMALL = Sequential(
    [Dropout(0.2, seed=1), LSTM(UNITS, recurrent_dropout=0.5, seed=4), Dense(CLASSES)],
    input_shape=(TIMESTEPS, FEATURES),
)
MASKS = {
    "first": (LARGEST, 0, SHAPE),
    "second": (LARGEST, 1, SHAPE),
    "noise_shape": (3, 0, (BATCH, 1, FEATURES)),
    "spatial": (3, 0, (BATCH, 1, FEATURES)),
    "every": (3, 0, SHAPE),
}


@pytest.mark.parametrize("name", MASKS)
def test_masks_are_those_of_numpy(ran, name):
    seed, step, shape = MASKS[name]
    expected = np.broadcast_to(dropout_mask(seed, "dropout", step, 0.4, shape).astype("float32"), SHAPE)
    np.testing.assert_array_equal(ran("masks")[name], expected, strict=True)


@pytest.mark.parametrize("size", [0, 1, 3, 1000, 2**20])
def test_bits_are_those_of_numpy_eager_and_compiled(ran, backend, size):
    found = {name.split()[0]: array for name, array in ran("bits").items() if name.endswith(f" {size}")}
    assert list(found) == ["eager", *{"tensorflow": ["graph", "xla"], "jax": ["jit"], "torch": []}[backend]]
    expected = np.packbits(dropout_mask(LARGEST, "dropout", LARGEST, 0.5, (1, size)) > 0)
    for array in found.values():
        np.testing.assert_array_equal(array, expected, strict=True)


def test_seed_and_step_are_the_state(ran):
    assert ran("masks")["state"].tolist() == [LARGEST, 2]
    np.testing.assert_array_equal(ran("masks")["inference"], np.ones(SHAPE, "float32"))


def trained(reference, spec):
    """Return the losses of three epochs of the reference, and its weights after them."""

    def normal(*shape, seed=0, scale=1.0):
        return np.random.default_rng([seed, *shape]).normal(scale=scale, size=shape)

    x = normal(3 * BATCH, TIMESTEPS, FEATURES)
    y = np.random.default_rng([0, 3 * BATCH, CLASSES]).uniform(0.1, 1.0, (3 * BATCH, CLASSES))
    user = reference(spec, [normal(*shape, seed=i, scale=0.5) for i, shape in enumerate(spec.weight_shapes.values())])
    return [user.fit(x, y, BATCH) for _ in range(3)], list(user.weights.values())


@pytest.mark.parametrize("scenario", ["dropout_fit", "dropout_fit_xla"])
def test_fit_trains_as_the_reference(ran, reference, arrays, backend, scenario):
    if scenario == "dropout_fit_xla" and backend != "tensorflow":
        pytest.skip("jit_compile=True is XLA on TensorFlow; on JAX every fit compiles, on PyTorch none")
    found = ran(scenario)
    losses, desired = trained(reference, SPEC)
    np.testing.assert_allclose(found["loss"], losses, rtol=TOLERANCE, atol=0)
    for actual, expected in zip(arrays(found), desired, strict=True):
        np.testing.assert_allclose(actual, expected, rtol=0, atol=TOLERANCE)


def test_inference_changes_no_mask(ran):
    found = ran("inference_draws_nothing")
    np.testing.assert_array_equal(found["before"], found["after"])


def test_a_training_goes_on_from_a_file(ran, reference, arrays):
    """The state of the file counts the six batches before it."""
    found = ran("dropout_saved")
    assert set(found["state"][:, 1]) == {6}
    for actual, expected in zip(arrays(found), trained(reference, SMALL)[1], strict=True):
        np.testing.assert_allclose(actual, expected, rtol=0, atol=TOLERANCE)


def test_files_of_plain_keras_and_of_portable_layers_are_interchangeable(ran, arrays):
    found = ran("dropout_saved")
    for saved, plain in zip(arrays(found, "saved"), arrays(found, "plain"), strict=True):
        np.testing.assert_array_equal(saved, plain)
    assert set(found["state_of_plain"][:, 1]) == {0}


def test_default_seeds_follow_set_random_seed(ran):
    (first, _), (second, _) = ran("default_seeds")["state"].tolist()
    assert (first, second) == (255512576, 636343333)


def test_a_shared_layer_draws_for_each_call(ran):
    expected = [dropout_mask(1, "dropout", step, 0.5, SHAPE) for step in (0, 1)]
    np.testing.assert_array_equal(ran("shared_layer")["both"], np.concatenate(expected, -1))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("rate_of_one", "Dropout: rate must be a number with 0 <= rate < 1, given 1.0"),
        ("rate_of_spatial", "SpatialDropout1D: rate must be"),
        ("seed", "Dropout: seed must be an integer from 0 to"),
        ("seed_of_lstm", "LSTM: seed must be an integer from 0 to"),
        ("seed_of_gru", "GRU: seed must be an integer from 0 to"),
        ("seed_of_rnn", "SimpleRNN: seed must be an integer from 0 to"),
    ],
)
def test_refusals(ran, name, message):
    assert message in str(ran("refused_dropout")[name])
