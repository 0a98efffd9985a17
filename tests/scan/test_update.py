"""`ScanModel.update`, the part of a training step behind the gradient: its arrays fit the model, or are refused."""

import jax.numpy as jnp
import numpy as np
import pytest

from multilstm.errors import InputError, UsageError
from multilstm.scan import model
from multilstm.spec import LSTM, Dense, Sequential
from multilstm.spec.optimizers import SGD, Adam
from multilstm.weights.initializers import initial_weights

OPTIMIZER = SGD(0.1, momentum=0.9)
SPEC = Sequential([LSTM(3), Dense(2)], input_shape=(None, 4))
WEIGHTS = {name: np.float64(array) for name, array in initial_weights(SPEC, seed=0).items()}
SLOTS = {f"{name}/momentum": np.zeros_like(array) for name, array in WEIGHTS.items()}
BIAS = WEIGHTS["dense/bias"]
UPDATES = {
    "one_number": ({"dense/bias": BIAS[:1]}, r"weight 'dense/bias' of Dense 'dense': shape is \(1,\), expected"),
    "a_scalar": ({"dense/bias": BIAS[0]}, r"weight 'dense/bias' of Dense 'dense': shape is \(\), expected"),
    "integers": ({"dense/bias": np.zeros(BIAS.shape, int)}, "dtype is int64, expected a floating dtype"),
    "another_dtype": ({"dense/bias": BIAS.astype(np.float16)}, "weights have different dtypes"),
    "unknown": ({"densee/bias": BIAS}, "unknown 'densee/bias'"),
}


@pytest.mark.parametrize(("changes", "message"), UPDATES.values(), ids=UPDATES)
def test_an_update_of_other_weights_is_refused(changes, message):
    weights = WEIGHTS
    gradients = {name: np.zeros_like(weights[name]) for name in SPEC.trainable_weights}
    scan = model(SPEC)
    scan.update(weights, SLOTS, OPTIMIZER.coefficients(0), gradients, optimizer=OPTIMIZER)
    with pytest.raises(InputError, match=message):
        scan.update({**weights, **changes}, SLOTS, OPTIMIZER.coefficients(0), gradients, optimizer=OPTIMIZER)


@pytest.mark.parametrize("iteration", [-1, 1.5, "1", True, None])
def test_the_number_of_an_update_is_an_integer(iteration):
    with pytest.raises(UsageError, match="expected an integer of 0 or more"):
        OPTIMIZER.coefficients(iteration)


@pytest.mark.parametrize("iteration", [np.int32(3), jnp.asarray(3)], ids=["numpy", "jax"])
def test_the_number_of_an_update_may_be_an_array_s(iteration):
    assert float(Adam().coefficients(iteration)["rate"]) == pytest.approx(Adam().coefficients(3)["rate"])
