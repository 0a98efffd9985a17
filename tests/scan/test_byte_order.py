"""Arrays in the byte order of another machine: multilstm.scan computes from them what it computes from native ones."""

import jax
import numpy as np
import pytest

from multilstm.random import dropout_mask
from multilstm.scan import BucketedModel, Dropout, State, bidirectional, init, lstm, model, stack, step
from multilstm.scan.parallel import shard_batch
from multilstm.spec import LSTM, Dense, Sequential
from multilstm.weights.initializers import initial_weights

BATCH, TIMESTEPS, FEATURES, UNITS = 2, 4, 3, 5
RNG = np.random.default_rng(0)
X = RNG.normal(size=(BATCH, TIMESTEPS, FEATURES)).astype(np.float32)
STATE = State(*RNG.normal(size=(2, BATCH, UNITS)).astype(np.float32))
MASK = np.array([[1, 1, 0, 1], [1, 0, 0, 0]], bool)
PARAMS, SECOND = (jax.tree.map(np.asarray, init(features, UNITS)) for features in (FEATURES, UNITS))
DROPOUT = Dropout(
    *(np.float32(dropout_mask(0, "dropout", 0, 0.5, (4, BATCH, n), gates=True)) for n in (FEATURES, UNITS))
)
SPEC = Sequential([LSTM(UNITS, return_sequences=True), Dense(2)], input_shape=(None, FEATURES))
WEIGHTS = {name: np.float32(array) for name, array in initial_weights(SPEC, seed=0).items()}
MESH = jax.make_mesh((1,), ("batch",))

CALLS = {
    "lstm": (lstm, (PARAMS, X, STATE), {"mask": MASK, "dropout": DROPOUT}),
    "lengths": (lstm, (PARAMS, X), {"lengths": np.array([1, 3], np.int32)}),
    "float64": (lstm, (PARAMS, np.float64(X)), {}),
    "bidirectional": (bidirectional, (PARAMS, PARAMS, X), {"forward_state": STATE, "mask": MASK}),
    "stack": (stack, ([PARAMS, SECOND], X, [STATE, STATE]), {"mask": MASK}),
    "wavefront": (stack, ([PARAMS, SECOND], X), {"mask": MASK, "wavefront": True}),
    "step": (step, (PARAMS, X[:, 0], STATE), {}),
    "model": (model(SPEC).apply, (WEIGHTS, {"input_layer": X}), {}),
    "bucketed": (BucketedModel(model(SPEC)).apply, (WEIGHTS, {"input_layer": X}), {}),
    "shard_batch": (shard_batch, (MESH, {"x": X, "lengths": np.array([1, 3])}), {}),
}


def swapped(leaf):
    return leaf.astype(leaf.dtype.newbyteorder()) if isinstance(leaf, np.ndarray) else leaf


@pytest.mark.parametrize("name", CALLS)
def test_the_answer_is_that_of_native_arrays(name):
    function, arguments, options = CALLS[name]
    foreign = jax.tree.map(swapped, (arguments, options))
    assert not all(leaf.dtype.isnative for leaf in jax.tree.leaves(foreign) if isinstance(leaf, np.ndarray))
    actual, desired = function(*foreign[0], **foreign[1]), function(*arguments, **options)
    jax.tree.map(np.testing.assert_array_equal, actual, desired)
