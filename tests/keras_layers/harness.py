"""Helpers shared by the scenarios. Imported on a backend, never by pytest."""

import keras
import numpy as np
from portable_lstm import BATCH, CLASSES, FEATURES, TIMESTEPS, UNITS

from multilstm.keras_layers import LSTM

BACKEND = keras.backend.backend()
SCENARIOS = {}


def scenario(*floatxs):
    """Register a function of no argument, or of `folder, *others`, for every floatx (float32 if none is given)."""

    def register(function):
        for floatx in floatxs or ("float32",):
            name = function.__name__ if len(floatxs) < 2 else f"{function.__name__}-{floatx}"
            assert name not in SCENARIOS, name
            SCENARIOS[name] = (function, floatx)
        return function

    return register


def normal(*shape, seed=0, scale=1.0):
    return np.random.default_rng([seed, *shape]).normal(scale=scale, size=shape).astype(keras.config.floatx())


def uniform(*shape, seed=0):
    return np.random.default_rng([seed, *shape]).uniform(0.1, 1.0, shape).astype(keras.config.floatx())


def fill(model, seed=0):
    """Set weights that no backend drew."""
    model.set_weights([normal(*w.shape, seed=seed + i, scale=0.5) for i, w in enumerate(model.get_weights())])
    return model


def compiled(model, optimizer, loss="mean_squared_error", **more):
    # On TensorFlow "auto" would compile models without an LSTM with XLA, which takes long and changes nothing here.
    model.compile(optimizer, loss, jit_compile=BACKEND == "jax", **more)
    return model


def weights(model, prefix="weight"):
    return {f"{prefix}{i}": array for i, array in enumerate(model.get_weights())}


def numpy(tensor):
    return keras.ops.convert_to_numpy(tensor)


def states(layer, prefix="state"):
    return {f"{prefix}{i}": numpy(state) for i, state in enumerate(layer.states)}


def error(function, *arguments, **more):
    """Return the type and message of the exception that the function raised, or '' if it raised none."""
    try:
        function(*arguments, **more)
    except Exception as caught:
        return f"{type(caught).__name__}: {caught}"
    return ""


def stateful_model(layer=LSTM, timesteps=TIMESTEPS, batch=BATCH, **arguments):
    return fill(
        keras.Sequential(
            [
                keras.Input(batch_shape=(batch, timesteps, FEATURES)),
                layer(UNITS, stateful=True, name="lstm", **arguments),
                keras.layers.Dense(CLASSES, name="dense"),
            ]
        )
    )


def data(batches=1, seed=0, batch=BATCH):
    return normal(batches * batch, TIMESTEPS, FEATURES, seed=seed), uniform(batches * batch, CLASSES, seed=seed)
