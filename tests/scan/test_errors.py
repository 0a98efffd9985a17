"""Refusals of multilstm.scan: each message names the argument, the given value and the expected one."""

import re

import jax
import numpy as np
import pytest

from multilstm.errors import InputError
from multilstm.scan import LSTMParams, State, bidirectional, init, lstm, merge

PARAMS = LSTMParams(np.ones((3, 20)), np.ones((5, 20)), np.ones(20))
X = np.ones((4, 7, 3))
ZEROS = np.zeros((4, 5))

REFUSED = {
    "x_rank": ({"x": X[0]}, "x has shape (7, 3), expected (batch, timesteps, 3)"),
    "x_features": ({"x": X[..., :2]}, "x has shape (4, 7, 2), expected (batch, timesteps, 3)"),
    "state_units": ({"state": State(ZEROS, ZEROS[:, :4])}, "state.cell has shape (4, 4), expected (4, 5)"),
    "state_would_broadcast": ({"state": State(ZEROS[:1], ZEROS)}, "state.hidden has shape (1, 5), expected (4, 5)"),
    "state_without_batch": ({"state": State(ZEROS[0], ZEROS[0])}, "state.hidden has shape (5,), expected (4, 5)"),
    "state_bare_tuple": ({"state": (ZEROS, ZEROS)}, "state must be State(hidden, cell), given tuple"),
    "mask_dtype": ({"mask": np.ones((4, 7))}, "mask has dtype float64, expected bool"),
    "mask_shape": ({"mask": np.ones((4, 7, 1), bool)}, "mask has shape (4, 7, 1), expected (4, 7)"),
    "mask_would_broadcast": ({"mask": np.ones((1, 7), bool)}, "mask has shape (1, 7), expected (4, 7)"),
    "params_tuple": (
        {"params": tuple(PARAMS)},
        "params must be LSTMParams(kernel, recurrent_kernel, bias), given tuple",
    ),
    "kernel": (
        {"params": PARAMS._replace(kernel=np.ones((3, 15)))},
        "kernel has shape (3, 15), expected (features, 20)",
    ),
    "recurrent_kernel": (
        {"params": PARAMS._replace(recurrent_kernel=np.ones((5, 15)))},
        "recurrent_kernel has shape (5, 15), expected (units, 4 * units)",
    ),
    "bias": ({"params": PARAMS._replace(bias=np.ones(5))}, "bias has shape (5,), expected (20,)"),
    "activation": ({"activation": "tanhh"}, "unknown activation 'tanhh': expected one of linear, tanh"),
    "recurrent_activation": ({"recurrent_activation": "x"}, "unknown recurrent_activation 'x': expected one of linear"),
    "checkpoint": ({"checkpoint": -3}, "checkpoint must be True, False, or a number of timesteps, given -3"),
    "checkpoint_unroll": (
        {"checkpoint": 3, "unroll": True},
        "checkpoint=3 saves memory in a loop, and unroll=True leaves none",
    ),
    "integers": (
        {"params": jax.tree.map(np.int32, PARAMS), "x": X.astype(np.int32)},
        "the arrays have dtype int32, expected a floating dtype",
    ),
}


@pytest.mark.parametrize(("change", "message"), REFUSED.values(), ids=REFUSED)
@pytest.mark.parametrize("transform", [lambda f: f, jax.jit], ids=["eager", "jit"])
def test_lstm_refuses(change, message, transform):
    arguments = {"params": PARAMS, "x": X, **change}
    static = {
        key: arguments.pop(key)
        for key in ("activation", "recurrent_activation", "checkpoint", "unroll")
        if key in arguments
    }
    with pytest.raises(InputError, match=re.escape(message)):
        transform(lambda given: lstm(**given, **static))(arguments)


def test_unknown_merge_mode_is_refused():
    message = re.escape("unknown merge_mode 'max': expected one of concat, sum, mul, ave, None")
    with pytest.raises(InputError, match=message):
        bidirectional(PARAMS, PARAMS, X, merge_mode="max")
    with pytest.raises(InputError, match=message):
        merge("max", ZEROS, ZEROS)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"features": 0, "units": 3}, "features must be an integer from 1 to 2147483647, given 0"),
        ({"features": 3, "units": -1}, "units must be an integer from 1 to 2147483647, given -1"),
        ({"features": 3, "units": 3, "dtype": "int32"}, "dtype must be floating, such as 'float32', given 'int32'"),
    ],
    ids=["features", "units", "dtype"],
)
def test_init_refuses(arguments, message):
    with pytest.raises(InputError, match=re.escape(message)):
        init(**arguments)


def test_init_refuses_float64_without_x64():
    jax.config.update("jax_enable_x64", False)
    try:
        with pytest.raises(InputError, match="jax_enable_x64"):
            init(3, 5, dtype="float64")
    finally:
        jax.config.update("jax_enable_x64", True)
