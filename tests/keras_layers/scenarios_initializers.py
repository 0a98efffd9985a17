"""multilstm.keras_layers.initializers: the same weights on every backend."""

import keras
import numpy as np
from harness import error, numpy, scenario
from portable_lstm import FEATURES, TIMESTEPS, UNITS

from multilstm.keras_layers import LSTM, initializers

CLASSES = [getattr(initializers, name) for name in initializers.__all__]
SHAPES = {"kernel": (30, 20), "wide": (5, 40), "window": (3, 4, 6)}


@scenario()
def initial_numbers():
    return {
        f"{cls.__name__}_{shape}": numpy(cls(seed=3)(SHAPES[shape], dtype="float32"))
        for cls in CLASSES
        for shape in SHAPES
    }


@scenario("float64")
def initial_float64():
    return {cls.__name__: numpy(cls(seed=3)((30, 20), dtype="float64")) for cls in CLASSES}


@scenario()
def initial_model(folder, *_):
    """The weights of a new model, and those that its file's configuration gives again."""
    keras.utils.set_random_seed(5)
    layer = LSTM(
        UNITS, kernel_initializer=initializers.GlorotUniform(1), recurrent_initializer=initializers.Orthogonal()
    )
    model = keras.Sequential([keras.Input((TIMESTEPS, FEATURES)), layer])
    model.save(folder / "initial.keras")
    loaded = keras.models.load_model(folder / "initial.keras")
    again = keras.Sequential.from_config(loaded.get_config())
    kernel, recurrent_kernel, _ = model.get_weights()
    return {
        "kernel": kernel,
        "recurrent_kernel": recurrent_kernel,
        "again": np.concatenate([*again.get_weights()[:2]]),
    }


@scenario()
def initial_refused():
    return {
        "seed": error(initializers.GlorotUniform, -1),
        "shape": error(initializers.Orthogonal(seed=1), (4,)),
    }
