"""What multilstm.keras_layers.LSTM costs beside Keras's own, where Keras's own is right.

    KERAS_BACKEND=jax python -m multilstm.bench.portable [--rounds 7]

Both layers are built with the same weights in one process, agree to the bit, and are timed in turn, `predict_on_batch`
and `train_on_batch`, on whole batches without and with a mask. Numbers mean something only on a machine that does
nothing else.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import keras
import numpy as np

from multilstm import keras_layers

SHAPES = ((32, 50, 16, 32), (64, 100, 64, 128))  # batch, timesteps, features, units
CALLS = 20


def _model(source: Any, shape: tuple[int, ...], masked: bool) -> Any:
    _, timesteps, features, units = shape
    layers = [keras.Input((timesteps, features))] + ([keras.layers.Masking()] if masked else [])
    model = keras.Sequential([*layers, source.LSTM(units), keras.layers.Dense(1)])
    rng = np.random.default_rng(0)
    model.set_weights([rng.normal(0, 0.2, weight.shape) for weight in model.get_weights()])
    model.compile(keras.optimizers.SGD(0.01), "mse")
    return model


def _seconds(function: Callable[[], Any]) -> float:
    start = time.perf_counter()
    for _ in range(CALLS):
        function()
    return (time.perf_counter() - start) / CALLS


def main() -> None:
    """Prints the median seconds of both, and their ratio, by shape, mask and call."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    for shape in SHAPES:
        batch, timesteps, features, _ = shape
        rng = np.random.default_rng(1)
        x = rng.normal(size=(batch, timesteps, features)).astype("float32")
        y = rng.normal(size=(batch, 1)).astype("float32")
        for masked in (False, True):
            if masked:
                x[:, timesteps // 2 :] = 0
            models = {"plain": _model(keras.layers, shape, masked), "portable": _model(keras_layers, shape, masked)}
            answers = [model.predict_on_batch(x) for model in models.values()]
            if not np.array_equal(*answers):
                raise SystemExit(f"{shape}: the layers differ by {np.abs(answers[0] - answers[1]).max():.1e}")
            for name, arguments in (("predict_on_batch", (x,)), ("train_on_batch", (x, y))):
                for model in models.values():
                    getattr(model, name)(*arguments)  # compiles
                samples: dict[str, list[float]] = {which: [] for which in models}
                for _ in range(rounds):
                    for which, model in models.items():
                        samples[which].append(_seconds(partial(getattr(model, name), *arguments)))
                plain, portable = (statistics.median(samples[which]) for which in models)
                what = f"{' x '.join(map(str, shape))}{', masked' if masked else ''}: {name}"
                sys.stdout.write(
                    f"{keras.backend.backend()} {what}: plain {plain * 1e3:.2f} ms, portable {portable * 1e3:.2f} ms, "
                    f"ratio {portable / plain:.3f}\n"
                )


if __name__ == "__main__":
    main()
