"""The cost of dropout that is the same everywhere: a training step with portable masks, and with Keras's own.

    python -m multilstm.bench.dropout > dropout.csv
    python -m multilstm.bench.dropout --backends jax --shapes 8,5,3,4 --rounds 2    # tries the program

Every backend has a process of its own. Both contestants of a row are the same model, timed in interleaved rounds.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import functools
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from multilstm.bench.rounds import Method, interleave, sample

MODULE = "multilstm.bench.dropout"
BACKENDS = ("tensorflow", "jax", "torch")
SHAPES = ("64,100,123,320", "200,50,100,100")  # batch, timesteps, features, units
MODELS: dict[str, dict[str, float]] = {
    "LSTM(dropout)": {"dropout": 0.2},
    "LSTM(dropout, recurrent_dropout)": {"dropout": 0.2, "recurrent_dropout": 0.2},
    "Dropout and LSTM": {},
}


class Cost(NamedTuple):
    """The time of one training step.

    Attributes:
        backend: of Keras.
        shape: batch x timesteps x features x units.
        model: a name of `MODELS`.
        plain_ms: the median with Keras's own layers, in milliseconds.
        portable_ms: the median with the layers of `multilstm.keras_layers`.
        more: the additional cost, as a share of `plain_ms` in per cent.
    """

    backend: str
    shape: str
    model: str
    plain_ms: str
    portable_ms: str
    more: str


def costs(shapes: Sequence[str], method: Method) -> Iterator[Cost]:
    """Time all models on the backend of this process.

    Args:
        shapes: `batch,timesteps,features,units` each.
        method: the numbers of the method.
    """
    import keras

    from multilstm import keras_layers

    for text in shapes:
        shape = tuple(map(int, text.split(",")))
        for name, rates in MODELS.items():
            steps = {"plain": _step(keras.layers, shape, rates), "portable": _step(keras_layers, shape, rates)}
            timers = {key: functools.partial(sample, call, method) for key, call in steps.items()}
            timings = interleave(timers, method, method.order(), "plain")
            plain, portable = (
                1e3 * statistics.median(seconds for samples in timings[key].last for seconds in samples)
                for key in ("plain", "portable")
            )
            sizes = "x".join(map(str, shape))
            yield Cost(
                keras.backend.backend(), sizes, name, f"{plain:.2f}", f"{portable:.2f}", f"{portable / plain - 1:+.1%}"
            )


def _step(layers: Any, shape: tuple[int, ...], rates: dict[str, float]) -> Any:
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


def main(arguments: Sequence[str] | None = None) -> int:
    """Time all models on all backends, and write a row of comma-separated values for each."""
    parser = argparse.ArgumentParser(description="the cost of dropout that is the same everywhere")
    parser.add_argument("--backends", nargs="+", choices=BACKENDS, default=BACKENDS)
    parser.add_argument("--shapes", nargs="+", default=SHAPES, help="batch,timesteps,features,units")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--here", action="store_true", help="time the backend of KERAS_BACKEND in this process")
    chosen = parser.parse_args(arguments)
    rows = csv.writer(sys.stdout, lineterminator="\n")
    if chosen.here:
        for cost in costs(chosen.shapes, dataclasses.replace(Method(), rounds=chosen.rounds)):
            rows.writerow(cost)
            sys.stdout.flush()
        return 0
    rows.writerow(("backend", "batch x timesteps x features x units", "model", "Keras's, ms", "portable, ms", "more"))
    sys.stdout.flush()
    options = ["--here", "--shapes", *chosen.shapes, "--rounds", str(chosen.rounds)]
    for backend in chosen.backends:
        environment = {**os.environ, "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "3"}
        subprocess.run([sys.executable, "-m", MODULE, *options], env=environment, check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
