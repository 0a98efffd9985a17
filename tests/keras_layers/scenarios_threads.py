"""multilstm.keras_layers with several threads at work on one layer or one model."""

import sys
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
from harness import BACKEND, fill, normal, numpy, scenario
from portable_lstm import BATCH, FEATURES, TIMESTEPS, UNITS

from multilstm.keras_layers import LSTM, Bidirectional, TimeDistributed

THREADS = 4
TRACED_CALLS = 8 if BACKEND == "jax" else 24
CALLS = 8 if BACKEND == "jax" else 100  # JAX traces and compiles a scan in every eager call


def wrong_answers(function, calls=CALLS):
    """Count the calls whose result, while other threads call too, differs from the same call alone."""
    batches = [normal(BATCH, TIMESTEPS, FEATURES, seed=seed) for seed in range(THREADS)]
    desired = [numpy(function(batch)) for batch in batches]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(THREADS) as pool:
            actual = list(pool.map(lambda call: numpy(function(batches[call % THREADS])), range(calls)))
    finally:
        sys.setswitchinterval(interval)
    return sum(not np.allclose(array, desired[call % THREADS], 0, 1e-6) for call, array in enumerate(actual))


def traced(function):
    """Compile the function anew in each call, so that several threads trace at the same time."""
    if BACKEND == "tensorflow":
        import tensorflow as tf

        return lambda batch: tf.function(lambda x: function(x), autograph=False)(tf.constant(batch))
    if BACKEND == "jax":
        import jax

        return lambda batch: jax.jit(lambda x: function(x))(batch)
    return function


def built(layer):
    layer(np.zeros((BATCH, TIMESTEPS, FEATURES), "float32"))
    return fill(layer)


def mask(batch):
    keep = np.ones(batch.shape[:2], bool)
    keep[0, -1:] = keep[1, :1] = False
    return keep


@scenario()
def threads():
    backwards = built(LSTM(UNITS, go_backwards=True, return_sequences=True))
    unrolled = built(LSTM(UNITS, go_backwards=True, return_sequences=True, unroll=True))
    both = built(Bidirectional(LSTM(UNITS, return_sequences=True)))
    every = built(TimeDistributed(keras.layers.Dense(UNITS)))
    sequential = fill(
        keras.Sequential(
            [
                keras.Input((TIMESTEPS, FEATURES)),
                Bidirectional(LSTM(UNITS, return_sequences=True)),
                LSTM(UNITS, go_backwards=True),
            ]
        )
    )
    keep = mask(np.zeros((BATCH, TIMESTEPS)))
    counts = {
        "backwards": wrong_answers(backwards),
        "backwards_traced": wrong_answers(traced(backwards), calls=TRACED_CALLS),
        "unrolled_masked": wrong_answers(lambda batch: unrolled(batch, mask=keep)),
        "unrolled_masked_traced": wrong_answers(
            traced(lambda batch: unrolled(batch, mask=keras.ops.convert_to_tensor(keep))), calls=TRACED_CALLS
        ),
        "bidirectional": wrong_answers(both),
        "bidirectional_traced": wrong_answers(traced(both), calls=TRACED_CALLS),
        "time_distributed": wrong_answers(every),
        "sequential": wrong_answers(sequential),
        "sequential_traced": wrong_answers(traced(sequential), calls=TRACED_CALLS),
    }
    if BACKEND != "jax":  # Keras's own trainer on JAX donates the buffers of one thread to another
        counts["sequential_predict"] = wrong_answers(sequential.predict_on_batch)
    return counts


@scenario()
def attributes_while_computing():
    """The values of every attribute that any thread could read during a call."""
    lstm = built(LSTM(UNITS, go_backwards=True))
    seen = []

    class Activation:
        def __call__(self, x):
            seen.append((lstm.go_backwards, type(lstm.cell).__name__))
            return keras.ops.tanh(x)

    lstm.cell.activation = Activation()
    lstm(normal(BATCH, TIMESTEPS, FEATURES))
    lstm(normal(BATCH, TIMESTEPS, FEATURES), mask=np.ones((BATCH, TIMESTEPS), bool))
    return {"go_backwards": [value for value, _ in seen], "cell": sorted({name for _, name in seen})}
