"""multilstm.keras_layers with several threads at work on one layer or one model."""

import contextlib
import sys
from concurrent.futures import ThreadPoolExecutor

import keras
import numpy as np
from harness import BACKEND, error, fill, normal, numpy, scenario
from portable_lstm import BATCH, FEATURES, TIMESTEPS, UNITS

from multilstm.keras_layers import GRU, LSTM, Bidirectional, Dropout, SimpleRNN, SpatialDropout1D, TimeDistributed

THREADS = 4
TRACED_CALLS = 8 if BACKEND == "jax" else 24
CALLS = 8 if BACKEND == "jax" else 100  # JAX traces and compiles a scan in every eager call


@contextlib.contextmanager
def switching():
    """Let Python switch between threads as often as it can."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        yield
    finally:
        sys.setswitchinterval(interval)


def wrong_answers(function, calls=CALLS):
    """Count the calls whose result, while other threads call too, differs from the same call alone."""
    batches = [normal(BATCH, TIMESTEPS, FEATURES, seed=seed) for seed in range(THREADS)]
    desired = [numpy(function(batch)) for batch in batches]
    with switching(), ThreadPoolExecutor(THREADS) as pool:
        actual = list(pool.map(lambda call: numpy(function(batches[call % THREADS])), range(calls)))
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


DROPPING = {
    "lstm": lambda: LSTM(UNITS, dropout=0.5, recurrent_dropout=0.5, seed=1, return_sequences=True),
    "lstm_unrolled": lambda: LSTM(UNITS, dropout=0.5, recurrent_dropout=0.5, seed=1, unroll=True),
    "gru": lambda: GRU(UNITS, dropout=0.5, use_cudnn=False, seed=1),
    "simple_rnn": lambda: SimpleRNN(UNITS, recurrent_dropout=0.5, seed=1),
    "dropout": lambda: Dropout(0.5, seed=1),
    "spatial_dropout": lambda: SpatialDropout1D(0.5, seed=1),
    "time_distributed": lambda: TimeDistributed(Dropout(0.5, seed=1)),
}


def wrong_masks(make):
    """Count the answers of one thread's training calls that several threads do not get, each as often.

    A layer draws new masks in each call, so any order of the answers of one thread is right.
    """
    batch = normal(BATCH, TIMESTEPS, FEATURES)
    alone, shared = built(make()), built(make())
    desired = [numpy(alone(batch, training=True)) for _ in range(CALLS)]
    with switching(), ThreadPoolExecutor(THREADS) as pool:
        actual = list(pool.map(lambda _: numpy(shared(batch, training=True)), range(CALLS)))
    for array in actual:
        equal = (place for place, answer in enumerate(desired) if np.allclose(array, answer, 0, 1e-6))
        place = next(equal, None)
        if place is not None:
            desired.pop(place)
    return len(desired)


@scenario()
def threads_that_drop():
    return {name: wrong_masks(make) for name, make in DROPPING.items()}


@scenario()
def a_failed_training_call():
    """Whether a call that fails leaves a dropout mask to the next one."""
    batch = normal(BATCH, TIMESTEPS, FEATURES)
    layer, other = (built(LSTM(UNITS, dropout=0.5, seed=1)) for _ in range(2))
    activation = layer.cell.activation

    def fail(x):
        raise ArithmeticError

    layer.cell.activation = fail
    message = error(layer, batch, training=True)
    layer.cell.activation = activation
    other(batch, training=True)
    return {
        "message": message,
        "actual": numpy(layer(batch, training=True)),
        "desired": numpy(other(batch, training=True)),
    }


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
