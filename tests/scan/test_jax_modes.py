"""The functions of multilstm.scan work under JAX's strict modes, in which a user looks for mistakes."""

import contextlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from multilstm.scan import BucketedModel, Dropout, State, bidirectional, draw_dropout, init, lstm, model, stack, step
from multilstm.spec import (
    GRU,
    LSTM,
    AdditiveAttention,
    BatchNormalization,
    Bidirectional,
    Conv1D,
    Dense,
    Dot,
    Embedding,
    Input,
    LayerNormalization,
    Model,
    Multiply,
    Sequential,
    SimpleRNN,
)
from multilstm.spec import Dropout as DropoutLayer
from multilstm.spec.optimizers import Adam
from multilstm.weights.initializers import initial_weights

MODES = {
    "strict_dtypes": lambda: jax.numpy_dtype_promotion("strict"),
    "ranks": lambda: jax.numpy_rank_promotion("raise"),
    "transfers": lambda: jax.transfer_guard("disallow"),
    "without_jit": jax.disable_jit,
    "nans": lambda: jax.debug_nans(True),
    "leaks": jax.checking_leaks,
}
PARAMS, UPPER, X = init(3, 6), init(6, 6, seed=1), jnp.ones((4, 7, 3), "float32")
FIRST = X[:, 0]  # a slice moves its indices to the device
STATE = State(*jnp.zeros((2, 4, 6), "float32"))
MASK = jnp.asarray(np.arange(7) < np.array([[7], [4], [1], [6]]))
LENGTHS = jnp.asarray([7, 4, 1, 6], "int32")
THIRD = jnp.asarray(3, "int32")
MASKS = Dropout(jnp.ones((4, 3), "float32"), jnp.ones((4, 4, 6), "float32"))
OPTIONS = {
    "mask": ({"mask": MASK}, {"go_backwards": True, "zero_output_for_mask": True}),
    "lengths": ({"lengths": LENGTHS}, {"go_backwards": True}),
    "dropout": ({"dropout": MASKS}, {}),
    "bfloat16": ({}, {"dtype": "bfloat16"}),
}
SPEC = Sequential(
    [
        Embedding(9, 4, mask_zero=True),
        DropoutLayer(0.5),
        Bidirectional(LSTM(3)),
        Dense(2, activation="softmax"),
    ],
    input_shape=(None,),
)
ADAM, LOSS = Adam(), "categorical_crossentropy"
WEIGHTS = {name: jnp.asarray(array, "float32") for name, array in initial_weights(SPEC, seed=0).items()}
SLOTS = {f"{name}/{slot}": jnp.zeros_like(array) for name, array in WEIGHTS.items() for slot in ADAM.slots}
COEFFICIENTS = {name: jnp.asarray(number, "float32") for name, number in ADAM.coefficients(0).items()}
BATCH = (
    {"input_layer": jnp.asarray([[1, 2, 0], [3, 4, 5]], "int32")},
    [jnp.full((2, 2), 0.5, "float32")],
    None,
    None,
    {"dropout": jnp.ones((2, 3, 4), "float32")},
)


def gradient(name):
    arrays, static = OPTIONS[name]

    def value(params, x, arrays):
        return (lstm(params, x, **arrays, **static)[0] ** 2).sum()

    return jax.jit(jax.grad(value))(PARAMS, X, arrays)


def other_layers():
    """Return a model of layers that broadcast weights or statistics, behind every other recurrent layer."""
    x = Input((4, 3))
    gru = LayerNormalization()(GRU(3, return_sequences=True)(x))
    rnn = BatchNormalization()(SimpleRNN(3, return_sequences=True)(x))
    mixed = AdditiveAttention()([gru, Multiply()([rnn, Dense(1)(gru)])])
    return Model(x, [Conv1D(2, 2, activation="tanh")(mixed), Dot(2, normalize=True)([gru, rnn])])


OTHERS = other_layers()
OTHER_WEIGHTS = {name: jnp.asarray(array, "float32") for name, array in initial_weights(OTHERS, seed=0).items()}
OTHER_SLOTS = {
    f"{name}/{slot}": jnp.zeros_like(OTHER_WEIGHTS[name]) for name in OTHERS.trainable_weights for slot in ADAM.slots
}
OTHER_BATCH = (
    {"input_layer": jnp.ones((2, 4, 3), "float32")},
    [jnp.ones((2, 3, 2), "float32"), jnp.ones((2, 4, 4), "float32")],
)


def train_step_of_other_layers():
    step = jax.jit(model(OTHERS).train_step, static_argnames=("optimizer", "loss"))
    return step(OTHER_WEIGHTS, OTHER_SLOTS, COEFFICIENTS, *OTHER_BATCH, optimizer=ADAM, loss="mean_squared_error")


def train_step(functions):
    return functions.train_step(WEIGHTS, SLOTS, COEFFICIENTS, *BATCH, optimizer=ADAM, loss=LOSS)


def train_step_of_jit(spec=SPEC, batch=BATCH, **options):
    step = jax.jit(model(spec).train_step, static_argnames=("optimizer", "loss"))
    return step(WEIGHTS, SLOTS, COEFFICIENTS, *batch, optimizer=ADAM, loss=LOSS, **options)


CALLS = {
    **{f"lstm-{name}": lambda name=name: gradient(name) for name in OPTIONS},
    "bidirectional_average": lambda: bidirectional(PARAMS, PARAMS, X, merge_mode="ave"),
    "step": lambda: step(PARAMS, FIRST, STATE),
    "wavefront": lambda: stack([PARAMS, UPPER], X, mask=MASK, wavefront=True),
    "init": lambda: init(3, 6),
    "draw_dropout": lambda: draw_dropout(0, 0, PARAMS, 4, 0.2, 0.3),
    "model": train_step_of_jit,
    "model_with_seeds": lambda: train_step_of_jit(SPEC.with_seeds(1), BATCH[:2], step=THIRD),
    "model_of_other_layers": train_step_of_other_layers,
    "bucketed_model": lambda: train_step(BucketedModel(model(SPEC))),
}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("mode", MODES)
def test_a_function_works_in_a_strict_mode(mode, call):
    with contextlib.ExitStack() as modes:
        modes.enter_context(MODES[mode]())
        results = jax.block_until_ready(CALLS[call]())
    assert all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(results))
