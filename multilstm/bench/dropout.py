"""The cost of dropout that is the same everywhere: a training step with portable masks, and with Keras's own.

    KERAS_BACKEND=jax python -m multilstm.bench.dropout
    KERAS_BACKEND=jax python -m multilstm.bench.dropout --shapes 8,5,3,4 --rounds 2    # tries the program

Both contestants of a row are the same model on the backend of this process, timed in interleaved rounds.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import statistics
import sys
from typing import Any

from multilstm.bench.rounds import Method, interleave, sample

SHAPES = ("64,100,123,320", "200,50,100,100")  # batch, timesteps, features, units
MODELS: dict[str, dict[str, float]] = {
    "LSTM(dropout)": {"dropout": 0.2},
    "LSTM(dropout, recurrent_dropout)": {"dropout": 0.2, "recurrent_dropout": 0.2},
    "Dropout and LSTM": {},
}


def step(layers: Any, shape: tuple[int, ...], rates: dict[str, float]) -> Any:
    """Return a function that makes one training step.

    Args:
        layers: the module of the layers, Keras's own or the portable ones.
        shape: batch, timesteps, features and units.
        rates: the dropout of the LSTM; empty: a Dropout below it.
    """
    import keras
    import numpy as np

    batch, timesteps, features, units = shape
    dropped = [] if rates else [layers.Dropout(0.2, seed=1)]
    lstm = layers.LSTM(units, seed=2, **rates)
    model = keras.Sequential([keras.Input((timesteps, features)), *dropped, lstm, keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.01), "mean_squared_error")
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(batch, timesteps, features)).astype("float32"), np.zeros((batch, 1), "float32")
    return functools.partial(model.train_on_batch, x, y)


def main() -> None:
    """Time all rows, and print the medians and their ratio."""
    import keras

    from multilstm import keras_layers

    parser = argparse.ArgumentParser(description="the cost of dropout that is the same everywhere")
    parser.add_argument("--shapes", nargs="+", default=SHAPES, help="batch,timesteps,features,units")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    method = dataclasses.replace(Method(), rounds=arguments.rounds)
    for text in arguments.shapes:
        shape = tuple(map(int, text.split(",")))
        for name, rates in MODELS.items():
            steps = {"plain": step(keras.layers, shape, rates), "portable": step(keras_layers, shape, rates)}
            timers = {key: functools.partial(sample, call, method) for key, call in steps.items()}
            timings = interleave(timers, method, method.order(), "plain")
            plain, portable = (
                1e3 * statistics.median(seconds for samples in timings[key].last for seconds in samples)
                for key in ("plain", "portable")
            )
            sys.stdout.write(
                f"{keras.backend.backend():10} {text:16} {name:33} plain {plain:8.2f} ms  portable {portable:8.2f} ms  "
                f"{portable / plain - 1:+.1%}\n"
            )
            sys.stdout.flush()


if __name__ == "__main__":
    main()
